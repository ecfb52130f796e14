"""The same picture, however it is stored, gives the same pixels before any hash."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.fingerprint.pdq import distance, pdq
from mantlet.media import picture
from mantlet.types import Kind


def scene(width: int, height: int, seed: int = 3) -> Image.Image:
    """Soft shapes: nothing in it is symmetric, so that any turn shows."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 60 + 3, width // 60 + 3, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def hashed(data: bytes) -> bytes:
    value, quality = pdq(picture.decode(data).pixels)
    assert quality >= settings.PDQ_QUALITY
    return value


PLAIN = hashed(saved(scene(900, 700), "PNG"))

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(format_: str, orientation: int) -> dict[str, Any]:
    """Options by which Pillow stores an orientation in that format."""
    if format_ == "TIFF":
        return {"tiffinfo": {0x0112: orientation}}
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif.tobytes()}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_upright_by_its_exif_orientation(orientation: int, format_: str) -> None:
    upright = scene(900, 700)
    stored = upright.transpose(_TURNS[orientation]) if orientation > 1 else upright
    decoded = picture.decode(saved(stored, format_, **oriented(format_, orientation)))
    assert (decoded.width, decoded.height) == (900, 700)
    assert distance(pdq(decoded.pixels)[0], PLAIN) <= 10


def test_heif_is_turned_once_and_not_twice() -> None:
    stored = scene(900, 700).transpose(Image.Transpose.ROTATE_90)
    decoded = picture.decode(saved(stored, "HEIF", **oriented("HEIF", 6)))
    assert (decoded.width, decoded.height) == (900, 700)
    assert distance(pdq(decoded.pixels)[0], PLAIN) <= 10


def cmyk() -> bytes:
    return saved(scene(900, 700).convert("CMYK"), "JPEG", quality=95)


def sixteen_bit() -> bytes:
    grey = np.asarray(scene(900, 700).convert("L")).astype(np.uint16) * 257
    return saved(Image.fromarray(grey), "PNG")


def floating() -> bytes:
    return saved(Image.fromarray(np.asarray(scene(900, 700).convert("L")).astype(np.float32) / 255), "TIFF")


def opaque_alpha() -> bytes:
    return saved(scene(900, 700).convert("RGBA"), "PNG")


def palette() -> bytes:
    return saved(scene(900, 700).quantize(256), "PNG")


def grey() -> bytes:
    return saved(scene(900, 700).convert("L"), "JPEG", quality=95)


def progressive() -> bytes:
    return saved(scene(900, 700), "JPEG", quality=95, progressive=True)


@pytest.mark.parametrize("stored", [cmyk, sixteen_bit, floating, opaque_alpha, palette, grey, progressive])
def test_a_pixel_mode_does_not_change_how_a_picture_hashes(stored: Any) -> None:
    assert distance(hashed(stored()), PLAIN) <= 16


def test_transparent_parts_are_shown_on_white() -> None:
    image = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    assert (picture.decode(saved(image, "PNG")).pixels == 255).all()
    image = Image.new("P", (64, 64), 0)
    image.putpalette([10, 20, 30])
    assert (picture.decode(saved(image, "PNG", transparency=0)).pixels == 255).all()


@pytest.mark.parametrize(
    ("width", "height", "factor"),
    [(511, 300, 1), (1023, 700, 1), (1024, 700, 2), (2047, 900, 2), (2048, 1500, 4), (4095, 900, 4), (4096, 64, 8)],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_a_large_picture_is_halved_while_its_longest_side_stays_at_least_512(
    width: int, height: int, factor: int, format_: str
) -> None:
    for size in ((width, height), (height, width)):
        pixels = picture.decode(saved(scene(*size), format_)).pixels
        assert pixels.shape == (-(-size[1] // factor), -(-size[0] // factor), 3)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous


def test_a_jpeg_halved_by_the_decoder_hashes_as_one_halved_by_averaging() -> None:
    image = scene(4000, 3000)
    assert distance(hashed(saved(image, "JPEG", quality=92)), hashed(saved(image, "PNG"))) <= 4


def test_a_jpeg_cut_in_half_is_damaged_and_still_shown() -> None:
    data = saved(scene(900, 700), "JPEG")
    decoded = picture.decode(data[: len(data) // 2])
    assert "remature end" in decoded.damage
    assert decoded.pixels.shape == (700, 900, 3)


def test_a_png_cut_in_half_is_damaged() -> None:
    data = saved(scene(900, 700), "PNG")
    assert picture.decode(data[: len(data) // 2]).damage


def test_bytes_between_the_segments_of_a_jpeg_are_no_damage() -> None:
    data = saved(scene(900, 700), "JPEG")
    end = data.rindex(b"\xff\xd9")
    decoded = picture.decode(data[:end] + b"\x00\x11\x22" + data[end:] + b"trailing data of a phone")
    assert decoded.damage == ""


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_decoded(side: int) -> None:
    with pytest.raises(RefusedError, match="pixels"):
        picture.decode(bomb(side))


def bomb(side: int) -> bytes:
    """A PNG of one colour whose header says `side` by `side`."""
    data = bytearray(saved(Image.new("L", (16, 16)), "PNG"))
    data[16:24] = side.to_bytes(4, "big") * 2
    header = bytes(data[12:29])
    data[29:33] = zlib.crc32(header).to_bytes(4, "big")
    return bytes(data)


def test_an_animation_is_a_moving_picture() -> None:
    frames: list[NDArray[np.uint8]] = [np.full((20, 20, 3), value, np.uint8) for value in (0, 90, 200)]
    images = [Image.fromarray(frame) for frame in frames]
    for format_, mime in (("GIF", "image/gif"), ("PNG", "image/png"), ("WEBP", "image/webp")):
        data = saved(images[0], format_, save_all=True, append_images=images[1:], duration=100)
        assert picture.kind_of(data, mime) is Kind.MOVING
        assert picture.kind_of(saved(images[0], format_), mime) is Kind.STILL


def test_a_veil_leaves_no_colour_and_no_detail() -> None:
    checked = np.indices((320, 320)).sum(axis=0) // 8 % 2 * 255
    image = Image.fromarray(np.dstack([checked, checked, np.zeros_like(checked)]).astype(np.uint8))
    veiled = np.asarray(picture.veil(image)).astype(int)
    assert veiled.ndim == 2
    assert veiled[60:-60, 60:-60].std() < 6
