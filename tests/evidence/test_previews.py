"""Previews within pictures: what Pillow and these lines wrote into them must come out, and nothing else."""

from __future__ import annotations

import io
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory
from mantlet.evidence.trees.previews import Previews, fits
from mantlet.types import Containment, Entry, Reason, Step

SHARED = Path(__file__).parents[3] / "shared" / "data" / "odd-media"
EXIF, MPF, XMP = b"Exif\0\0", b"MPF\0", b"http://ns.adobe.com/xap/1.0/\0"


def jpeg(colour: int, size: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (colour, 255 - colour, 90)).save(file, "JPEG")
    return file.getvalue()


PICTURE, SMALL, OTHER = jpeg(10, 64), jpeg(200, 16), jpeg(90, 24)


def clip(samples: int = 500) -> bytes:
    return b"".join(
        struct.pack(">I4s", 8 + len(body), kind) + body
        for kind, body in ((b"ftyp", b"isom" + bytes(4)), (b"mdat", bytes(samples)), (b"moov", b"\1" * 40))
    )


def with_segments(*contents: bytes, marker: int = 0xE1) -> bytes:
    """The picture with segments put right after its SOI."""
    segments = b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content for content in contents)
    return PICTURE[:2] + segments + PICTURE[2:]


def directory(order: str, fields: dict[int, tuple[int, int, int]], following: int = 0) -> bytes:
    """An image file directory: type, count and value by tag."""
    rows = b"".join(struct.pack(order + "HHII", tag, *field) for tag, field in sorted(fields.items()))
    return struct.pack(order + "H", len(fields)) + rows + struct.pack(order + "I", following)


def tiff(order: str, *directories: dict[int, tuple[int, int, int]], after: bytes = b"", mark: bytes = b"") -> bytes:
    """A chain of directories, then `after`, which begins where `end_of` says."""
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(mark)) + mark
    for number, fields in enumerate(directories):
        following = len(data) + 6 + 12 * len(fields)
        data += directory(order, fields, following if number + 1 < len(directories) else 0)
    return data + after


def end_of(*counts: int, mark: int = 0) -> int:
    return 8 + mark + sum(6 + 12 * count for count in counts)


def exif(order: str = "<", thumbnail: bytes = SMALL) -> bytes:
    thumb = {0x201: (4, 1, end_of(1, 2)), 0x202: (4, 1, len(thumbnail))}
    return EXIF + tiff(order, {0x112: (3, 1, 1 << (16 if order == ">" else 0))}, thumb, after=thumbnail)


def listed(data: bytes) -> list[Entry]:
    return list(Previews(Memory(data)).walk())


def found(data: bytes) -> list[tuple[Containment, bytes]]:
    """What the entries open to; each opens twice, in any order, to exactly its size."""
    tree, again = Previews(Memory(data)), Previews(Memory(data))
    entries = [entry for entry in tree.walk() if not entry.absent]
    for entry in reversed(entries):
        content = again.open(Step("preview", entry.step.at)).read()
        assert len(content) == entry.size
        assert content == tree.open(entry.step).read() == data[entry.step.at : entry.step.at + entry.size]
    return [(entry.containment, tree.open(entry.step).read()) for entry in entries]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_of_exif_is_found(order: str) -> None:
    assert found(with_segments(exif(order))) == [(Containment.PREVIEW, SMALL)]


def test_the_images_of_a_multi_picture_file_are_found_but_not_the_first_which_is_itself() -> None:
    """Pillow writes a size for the last of three that reaches beyond the file."""
    file = io.BytesIO()
    frames = [Image.open(io.BytesIO(jpeg(shade, 48))).convert("RGB") for shade in (0, 60, 120)]
    frames[0].save(file, "MPO", save_all=True, append_images=frames[1:])
    contents = found(file.getvalue())
    assert [containment for containment, _ in contents] == [Containment.PREVIEW] * 2
    for (_, content), frame in zip(contents, frames[1:], strict=True):
        assert Image.open(io.BytesIO(content)).getpixel((5, 5)) == pytest.approx(frame.getpixel((5, 5)), abs=3)
    assert b"".join(content for _, content in contents) == file.getvalue()[-sum(len(each) for _, each in contents) :]


def multi_picture(*sizes: int, shift: int = 0) -> bytes:
    """An MPF segment whose images follow each other, the first being PICTURE with this segment."""
    fields = {0xB001: (4, 1, len(sizes) + 1), 0xB002: (7, 16 * (len(sizes) + 1), end_of(2))}
    length = 4 + len(MPF) + end_of(2) + 16 * (len(sizes) + 1)
    start, base = len(PICTURE) + length + shift, 2 + 4 + len(MPF) + shift
    rows = struct.pack("<IIIHH", 0x030000, start, 0, 0, 0)
    for size in sizes:
        rows += struct.pack("<IIIHH", 0, size, start - base, 0, 0)
        start += size
    return MPF + tiff("<", fields, after=rows)


def test_a_thumbnail_gain_maps_and_a_clip_right_after_them_are_all_found() -> None:
    thumbnail = exif()
    header = with_segments(thumbnail, multi_picture(len(OTHER), len(SMALL), shift=4 + len(thumbnail)))
    header = header.replace(
        b"\xff\xe1" + header[6 + len(thumbnail) + 2 :][:6], b"\xff\xe2" + header[8 + len(thumbnail) :][:6]
    )
    assert found(header + OTHER + SMALL + clip()) == [
        (Containment.PREVIEW, SMALL),
        (Containment.PREVIEW, OTHER),
        (Containment.PREVIEW, SMALL),
        (Containment.MEMBER, clip()),
    ]


@pytest.mark.parametrize(
    "text",
    [
        b'<x GCamera:MicroVideoOffset="%d"/>' % len(clip()),
        b'<Item:Mime="image/jpeg" Item:Semantic="Primary" Item:Length="0"/><Item:Length="%d" Item:Padding="0"/>'
        % len(clip()),
        b"<Item:Semantic>MotionPhoto</Item:Semantic><Item:Length>%d</Item:Length>" % len(clip()),
    ],
)
def test_the_clip_of_a_motion_photo_is_a_member(text: bytes) -> None:
    assert found(with_segments(XMP + text) + clip()) == [(Containment.MEMBER, clip())]


def test_a_gain_map_and_a_clip_named_by_lengths_from_the_end_are_found() -> None:
    text = b'Item:Semantic="GainMap" Item:Length="%d" Item:Length="%d"' % (len(OTHER), len(clip()))
    assert found(with_segments(XMP + text) + OTHER + clip()) == [
        (Containment.PREVIEW, OTHER),
        (Containment.MEMBER, clip()),
    ]


def samsung(*blocks: bytes) -> bytes:
    """Blocks and trailer as Samsung's cameras append them."""
    data, rows, name = b"", [], b"MotionPhoto_Data"
    for block in blocks:
        rows.append((len(data), 8 + len(name) + len(block)))
        data += struct.pack("<HHI", 0, 0x0A30, len(name)) + name + block
    listing = b"SEFH" + struct.pack("<II", 107, len(rows))
    listing += b"".join(struct.pack("<HHII", 0, 0x0A30, len(data) - at, size) for at, size in rows)
    return data + listing + struct.pack("<I", len(listing)) + b"SEFT"


def test_what_samsung_appends_is_found_by_its_trailer_and_ends_where_it_ends() -> None:
    data = with_segments(exif()) + samsung(clip(), b"1700000000000", OTHER)
    assert found(data)[1:] == [(Containment.MEMBER, clip()), (Containment.PREVIEW, OTHER)]


def test_a_clip_cut_short_reaches_to_the_end_of_the_file() -> None:
    text = XMP + b'MicroVideoOffset="%d"' % (len(clip()) - 60)
    assert found(with_segments(text) + clip()[:-60]) == [(Containment.MEMBER, clip()[:-60])]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_previews_of_a_raw_file_are_found_but_not_its_raw_data_nor_the_picture_itself(order: str) -> None:
    lossless = SMALL.replace(b"\xff\xc0", b"\xff\xc3")
    wide = 16 if order == ">" else 0
    at = end_of(4, 4, 4)

    def strip(start: int, size: int, reduced: int) -> dict[int, tuple[int, int, int]]:
        return {0xFE: (4, 1, reduced), 0x103: (3, 1, 7 << wide), 0x111: (4, 1, start), 0x117: (4, 1, size)}

    raw = tiff(
        order,
        strip(at, len(PICTURE), 0),  # the picture itself
        strip(at + len(PICTURE), len(OTHER), 1),
        strip(at + len(PICTURE) + len(OTHER), len(lossless), 0),
        after=PICTURE + OTHER + lossless,
    )
    assert fits(raw)
    assert found(raw) == [(Containment.PREVIEW, OTHER)]


def test_the_first_directory_of_a_cr2_is_of_its_preview() -> None:
    at = end_of(3, mark=8)
    fields = {0x103: (3, 1, 6), 0x111: (4, 1, at), 0x117: (4, 1, len(OTHER))}
    assert found(tiff("<", fields, after=OTHER, mark=b"CR\2\0" + bytes(4))) == [(Containment.PREVIEW, OTHER)]


def test_previews_in_sub_directories_are_found() -> None:
    sub, at = end_of(1), end_of(1) + 30
    data = tiff("<", {0x14A: (4, 1, sub)}, after=directory("<", {0x201: (4, 1, at), 0x202: (4, 1, len(OTHER))}) + OTHER)
    assert found(data) == [(Containment.PREVIEW, OTHER)]


def test_a_picture_without_previews_has_none_and_what_is_no_picture_does_not_fit() -> None:
    assert listed(PICTURE) == []
    assert fits(PICTURE)
    assert not fits(b"\x89PNG\r\n\x1a\n")
    assert not fits(b"")


def test_what_is_no_jpeg_or_lies_beyond_the_file_is_not_listed() -> None:
    not_jpeg = with_segments(exif(thumbnail=b"not a JPEG"))
    beyond = with_segments(exif())[:60]
    assert listed(not_jpeg) == listed(beyond) == []
    with pytest.raises(OSError, match="no preview"):
        Previews(Memory(not_jpeg)).open(Step("preview", 0))


@pytest.mark.parametrize("at", [0, 2**32 - 1, 2**31])
@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_offsets_and_sizes_beyond_the_end_are_not_believed(at: int, size: int) -> None:
    thumb = {0x201: (4, 1, at), 0x202: (4, 1, size), 0x111: (4, 2**32 - 1, at), 0xB002: (7, 2**32 - 1, at)}
    assert listed(with_segments(EXIF + tiff("<", thumb))) == []
    assert listed(tiff(">", thumb, thumb)) == []


def test_directories_that_loop_are_read_once() -> None:
    here = {0x14A: (4, 1, 8), 0x201: (4, 1, end_of(3)), 0x202: (4, 1, len(SMALL))}
    data = b"II*\0\x08\0\0\0" + directory("<", here, 8) + SMALL
    assert found(with_segments(EXIF + data)) == [(Containment.PREVIEW, SMALL)]


def test_a_preview_named_twice_is_listed_once_with_the_larger_size() -> None:
    named = {0x201: (4, 1, end_of(2, 2)), 0x202: (4, 1, len(SMALL) - 9)}
    data = tiff("<", named, {**named, 0x202: (4, 1, len(SMALL))}, after=SMALL)
    assert found(with_segments(EXIF + data)) == [(Containment.PREVIEW, SMALL)]


def test_previews_that_overlap_are_refused_once_they_are_larger_than_the_file() -> None:
    size = 3 * 1000
    rows = b"".join(struct.pack("<IIIHH", 0, size, 300 + 2 * index, 0, 0) for index in range(5))
    data = with_segments(MPF + tiff("<", {0xB002: (7, len(rows), end_of(1))}, after=rows + bytes(100)), marker=0xE2)
    data = data[:300] + b"\xff\xd8" * 2000
    entries = listed(data)
    reasons = [entry.absent.reason for entry in entries if entry.absent]
    assert reasons
    assert set(reasons) == {Reason.LIMIT}
    assert sum(entry.size for entry in entries if not entry.absent) <= len(data)
    refused = next(entry for entry in entries if entry.absent)
    with pytest.raises(RefusedError, match="overlap"):
        Previews(Memory(data)).open(refused.step)


def test_more_previews_than_the_limit_say_so() -> None:
    rows = b"".join(struct.pack("<IIIHH", 0, 4, 1990 + 4 * index, 0, 0) for index in range(100))
    data = with_segments(MPF + tiff("<", {0xB002: (7, len(rows), end_of(1))}, after=rows), marker=0xE2)
    entries = listed(data[:1900].ljust(1900, b"\0") + b"\xff\xd8\xff\xff" * 1000)
    assert len(entries) == 65
    assert [entry.absent.reason for entry in entries if entry.absent] == [Reason.LIMIT]


def hostile() -> Iterator[bytes]:
    """Each kind of file whole, cut short at every 2 %, and with bytes of its structures written over."""
    files = [
        with_segments(exif()) + samsung(clip(), OTHER),
        with_segments(exif(">"), XMP + b'MicroVideoOffset="%d"' % len(clip())) + clip(),
        with_segments(multi_picture(len(OTHER))) + OTHER,
        tiff("<", {0x14A: (4, 2, 100)}, {0x201: (4, 1, end_of(1, 2)), 0x202: (4, 1, len(OTHER))}, after=OTHER),
    ]
    for data in files:
        yield from (data[: len(data) * part // 50] for part in range(51))
        for seed in range(300):
            chance = random.Random(seed)
            changed = bytearray(data)
            for _ in range(chance.choice((1, 2, 8, 32))):
                within = chance.choice((range(min(250, len(data))), range(max(0, len(data) - 80), len(data))))
                changed[chance.choice(within)] = chance.choice((0, 1, 8, 0x7F, 0x80, 0xD8, 0xFF))
            yield bytes(changed)


def test_damaged_pictures_give_what_they_still_name_and_never_an_error() -> None:
    for data in hostile():
        found(data)


def test_a_hostile_picture_takes_no_longer_than_a_second_or_so() -> None:
    fields = dict.fromkeys((0x111, 0x117, 0x14A, 0x201, 0x202, 0xB002), (4, 2**32 - 1, 8))
    segments = bytes(4) + b"\xff\xfe\x00\x02" * 5000
    blocks = samsung(*[clip(0) + b"\0\0\0\x08free" * 4000] * 100)
    start = time.process_time()
    found(with_segments(EXIF + tiff("<", *[fields] * 200)) + blocks)
    found(PICTURE[:2] + segments)
    assert time.process_time() - start < 2


def test_a_picture_without_exif_costs_little() -> None:
    data = PICTURE + bytes(1 << 20)
    start = time.process_time()
    for _ in range(1000):
        list(Previews(Memory(data)).walk())
    assert time.process_time() - start < 0.3  # seconds for 1,000: a few times what it takes


@pytest.mark.skipif(not SHARED.exists(), reason="the shared pictures are not on this machine")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("pil_sample_rgb.jpg", [2187]), ("frame_size.mpo", [10348]), ("ultrahdr.jpg", [5982]), ("hopper.jpg", [])],
)
def test_the_previews_of_real_pictures_are_found(name: str, sizes: list[int]) -> None:
    contents = found((SHARED / "pillow" / "Tests" / "images" / name).read_bytes())
    assert [len(content) for _, content in contents] == sizes
    for _, content in contents:
        assert Image.open(io.BytesIO(content)).size
