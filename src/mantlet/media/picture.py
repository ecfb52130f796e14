"""A still picture as pixels: upright, 8-bit sRGB, no larger than hashing and recognition need.

One convention for every format, so that the same picture stored twice hashes alike: halve (1, 2, 4 or 8 times)
while the longest side stays at least 512 pixels; JPEG does this in the DCT domain while decoding, the rest by a
box average. Transparent parts are shown on white; a colour profile is not applied (docs/decisions/0004).
"""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from typing import Any, Final

import msgspec
import numpy as np
import pillow_heif
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageFilter, ImageOps, UnidentifiedImageError

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.types import Kind, Reason

Pixels = NDArray[np.uint8]
"""[height, width, 3], R G B, row by row."""

CONVENTION: Final = "upright-srgb-halved-512/1"
"""Names how pixels are made before a perceptual hash. Any change of it makes other hashes, so it is recorded."""
STRETCHED: Final = "upright-srgb-stretched-512/1"
"""The same pixels, but those of a picture that is larger than 512 pixels in either direction stretched to 512x512: the
convention of Meta's own tools (`pdqio.cpp`), which made many hash lists."""

_STRETCHED_SIDE: Final = 512
_LONGEST_SIDE: Final = 512
_FORMATS: Final = (
    "JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "HEIF", "AVIF", "ICO", "PSD", "JPEG2000", "PPM",
)  # fmt: skip
_PLUGINS: Final = ("Jpeg", "Mpo", "Png", "Gif", "Bmp", "WebP", "Tiff", "Avif", "Ico", "Psd", "Jpeg2K", "Ppm")
"""The parts of Pillow that read them, loaded before any picture is; its others are never loaded."""
_ORIENTATION_TAG: Final = 0x0112
# libjpeg's warnings (jerror.h) after which pixels are wrong; its others concern bytes between segments.
_PIXELS_LOST: Final = ("remature end", "bad Huffman code", "instead of RST", "progression")
_ORIENT: Final = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}

for _name in _PLUGINS:
    import_module(f"PIL.{_name}ImagePlugin")
pillow_heif.register_heif_opener()
pillow_heif.options.THUMBNAILS = False
# A cut-off picture is decoded as far as it goes and said to be damaged, as it is with JPEG.
ImageFile.LOAD_TRUNCATED_IMAGES = False
Image.MAX_IMAGE_PIXELS = None  # our own limits below, which are refused before any pixel is decoded


class Picture(msgspec.Struct, frozen=True):
    """A decoded picture: `width` and `height` upright at full size; `damage` says what was wrong, "" if nothing.

    `frames` is more than 1 for an animation, whose first frame `pixels` is.
    """

    pixels: Any
    width: int
    height: int
    frames: int
    damage: str


def kind_of(data: bytes, mime: str) -> Kind:
    """Whether a file of a still format is an animation, which counts as a moving picture."""
    if mime not in ("image/gif", "image/webp", "image/png", "image/avif"):
        return Kind.STILL
    try:
        with _opened(data) as image:
            return Kind.MOVING if getattr(image, "n_frames", 1) > 1 else Kind.STILL
    except Exception:  # noqa: BLE001 - decoders raise nearly every type; `decode` will say why
        return Kind.STILL


def decode(data: bytes) -> Picture:
    """Decodes a still, or the first frame of an animation.

    Raises:
        RefusedError: too large, or a format that cannot be decoded.
        Exception: whatever a decoder raises on broken input; the caller turns it into a reason.
    """
    with _opened(data) as image:
        width, height = image.size
        _refuse_size(image)
        orientation = _orientation(image)
        frames = getattr(image, "n_frames", 1) if image.format not in ("MPO", "TIFF", "PSD", "HEIF") else 1
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            pixels, damage = _jpeg(data, image)
        else:
            pixels, damage = _other(image)
    if orientation in _ORIENT:
        pixels = np.ascontiguousarray(_ORIENT[orientation](pixels))
    if orientation >= 5:
        width, height = height, width
    return Picture(pixels, width, height, frames, damage)


def reduced(image: Image.Image) -> Pixels:
    """Any Pillow image as RGB on white, halved as the module says."""
    rgb = _rgb(image)
    factor = _halvings(*rgb.size)
    return np.asarray(rgb.reduce(factor) if factor > 1 else rgb)


def _opened(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Image.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError:
            raise RefusedError(Reason.UNREADABLE, "Its beginning is broken, so that no decoder can open it.") from None


def _refuse_size(image: Image.Image) -> None:
    limit = settings.PIXELS_JPEG if image.format in ("JPEG", "MPO") else settings.PIXELS_OTHER
    if image.width * image.height > limit:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise RefusedError(Reason.LIMIT, f"The picture says it has {size}; at most {limit:,} are decoded.")


def _orientation(image: Image.Image) -> int:
    if image.format in ("HEIF", "TIFF"):  # turned by libheif, and by Pillow as it loads
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - a broken Exif block says nothing about orientation
        return 1
    return value if isinstance(value, int) else 1


def _halvings(width: int, height: int) -> int:
    longest = max(width, height)
    return next((factor for factor in (8, 4, 2) if longest // factor >= _LONGEST_SIDE), 1)


def _jpeg(data: bytes, image: Image.Image) -> tuple[Pixels, str]:
    factor = _halvings(image.width, image.height)
    # Asking for exactly the halved size makes libjpeg choose that scale: 1/2, 1/4 or 1/8.
    width, height = -(-image.width // factor), -(-image.height // factor)
    at_least = {"min_width": width, "min_height": height} if factor > 1 else {}
    try:
        return simplejpeg.decode_jpeg(data, "RGB", **at_least), ""
    except ValueError as error:
        warning = str(error)
    damage = warning if any(mark in warning for mark in _PIXELS_LOST) else ""
    try:
        return simplejpeg.decode_jpeg(data, "RGB", strict=False, **at_least), damage
    except ValueError:  # a header that Pillow's libjpeg forgives
        image.draft("RGB", (width, height))
        pixels, more = _other(image)
        return pixels, damage or more


def _other(image: Image.Image) -> tuple[Pixels, str]:
    try:
        image.load()
        damage = ""
    except OSError as error:
        damage = str(error)
        if "truncated" not in damage:
            raise
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            image.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
    return reduced(image), damage


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_eight_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bit(values: NDArray[Any]) -> Pixels:
    """Wide integers are 16-bit; floats have no agreed range, so their own is stretched to 0..255."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise RefusedError(Reason.UNREADABLE, "The picture has pixels that are not numbers.")
    low, high = (0.0, 65535.0) if values.max() > 255 and values.min() >= 0 else (values.min(), values.max())
    return ((values - low) * (255.0 / max(high - low, 1e-9))).clip(0, 255).astype(np.uint8)


def stretched(picture: Picture) -> Pixels:
    """Pixels by the convention `STRETCHED`.

    What counts is the full size: a picture of 1024 pixels was halved to 512 when decoded, and Meta's tools stretch it.
    They take the nearest pixel of all; a triangle over the halved ones comes within 8 bits of that (median 2).
    """
    if max(picture.width, picture.height) <= _STRETCHED_SIDE:
        return picture.pixels  # type: ignore[no-any-return]
    side = (_STRETCHED_SIDE, _STRETCHED_SIDE)
    return np.asarray(Image.fromarray(picture.pixels).resize(side, Image.Resampling.BILINEAR))


def thumbnail(pixels: Pixels, side: int) -> Image.Image:
    """The picture fitted into a square of `side` pixels."""
    return ImageOps.contain(Image.fromarray(pixels), (side, side))


def veil(image: Image.Image) -> Image.Image:
    """Grey, and blurred until only shapes and composition are left: a sixteenth of the longest side."""
    radius = max(image.size) / 16
    return image.convert("L").filter(ImageFilter.GaussianBlur(radius))
