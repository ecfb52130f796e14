"""What pictures carry within them: the previews that cameras store, and the clip of a motion photo.

A preview may show what the picture itself no longer does (an editor crops and forgets it), and of camera raw files it
is all that can be decoded. Read are JPEG, with what its header names, and TIFF, with the raw formats built on it (DNG,
CR2, NEF, ARW and others). Previews in maker notes, and those of HEIC and CR3, are not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Slice, Stream
from mantlet.types import Absent, Containment, Entry, Reason, Step

_JPEG: Final = b"\xff\xd8"
_TIFF: Final = {b"II*\0": "<", b"MM\0*": ">"}
_WINDOW: Final = 64 * 1024
_MOST: Final = 4096  # segments, fields, values, boxes
_IFDS: Final = 32
_PREVIEWS: Final = 64
_BOX_TYPES: Final = frozenset(b"ftyp moov mdat free skip wide uuid meta udta moof mfra sidx styp pdin emsg".split())
_TAGS: Final = frozenset((0xFE, 0x103, 0x111, 0x117, 0x14A, 0x201, 0x202, 0xB002))
_SIZES: Final = {3: 2, 4: 4, 13: 4}
_OVERLAP: Final = Absent(Reason.LIMIT, "The previews that the picture names overlap: together they are larger than it.")
_MANY: Final = Absent(Reason.LIMIT, f"The picture names more than {_PREVIEWS} previews.")
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_SEGMENT_MARKS: Final = (b"Exif\0\0", b"MPF\0", _XMP)
_ITEM_LENGTH: Final = re.compile(rb"Item:Length(?:=[\"']|>)(\d{1,12})")
_CLIP_OFFSET: Final = re.compile(rb"MicroVideoOffset(?:=[\"']|>)(\d{1,12})")


def fits(head: bytes) -> bool:
    """Whether a file that begins like that may hold previews: JPEG, or TIFF."""
    return head.startswith(_JPEG) or head[:4] in _TIFF


class Previews:
    """The tree of what one picture holds; `at` of a step is the byte offset in the picture's file.

    What it names is believed only where a JPEG begins (FF D8), or a clip (`ftyp`), and as far as it lies inside the
    file. Names may overlap, so that a small file claims many large previews: together they may be as large as it.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def walk(self) -> Iterator[Entry]:
        yield from self._entries.values()

    def open(self, step: Step) -> Stream:
        entry = self._entries.get(step.at)
        if entry is None:
            raise OSError(f"the picture names no preview at byte {step.at:,}")
        if entry.absent:
            raise RefusedError(entry.absent.reason, entry.absent.detail)
        return Slice(self._stream, step.at, entry.size)

    @cached_property
    def _entries(self) -> dict[int, Entry]:
        """By offset: parsed once for all steps, as a step has no size."""
        named = _Named(self._stream)
        head = self._stream.read_at(0, 4)
        if head.startswith(_JPEG):
            _read_jpeg(named)
        elif head in _TIFF:
            _read_tiff(named, 0, self._stream.size, is_picture=True)
        entries: dict[int, Entry] = {}
        left = self._stream.size if named.found else 0
        for at, (size, containment) in sorted(named.found.items())[: _PREVIEWS + 1]:
            absent = _MANY if len(entries) == _PREVIEWS else _OVERLAP if size > left else None
            left -= 0 if absent else size
            entries[at] = Entry(Step("preview", at), size, containment=containment, absent=absent)
        return entries


class _Named:
    """What a picture names: size and containment by offset, once, the longest claim; at most one over the limit."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.found: dict[int, tuple[int, Containment]] = {}

    def preview(self, at: int, size: int) -> None:
        """A JPEG said to be `size` bytes at `at`. At 0 is the picture itself."""
        wanted = len(self.found) <= _PREVIEWS and size > self.found.get(at, (3, None))[0]
        if wanted and 0 < at <= self.stream.size - size and self.stream.read_at(at, 2) == _JPEG:
            self.found[at] = size, Containment.PREVIEW

    def clip(self, at: int) -> None:
        """A clip said to begin at `at`; its boxes say how long it is (ISO 14496-12, 4.2)."""
        if len(self.found) > _PREVIEWS or at <= 0 or at in self.found or self.stream.read_at(at + 4, 4) != b"ftyp":
            return
        end = at
        for _ in range(_MOST):
            head = self.stream.read_at(end, 16)
            if len(head) < 8 or head[4:8] not in _BOX_TYPES:
                break
            size = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
            end = end + size if 8 <= size <= self.stream.size - end else self.stream.size  # 0: to the end; or cut short
        self.found[at] = end - at, Containment.MEMBER


def _read_jpeg(named: _Named) -> None:
    """The first Exif, MPF and XMP segments of a JPEG; a second of a kind would continue none of them."""
    seen: set[bytes] = set()
    for _, at, size, start in _segments(named.stream, 0):
        mark = next((mark for mark in _SEGMENT_MARKS if start.startswith(mark)), None)
        if mark is None or mark in seen:
            continue
        seen.add(mark)
        if mark == _XMP:
            _read_xmp(named, named.stream.read_at(at, size))
        else:
            _read_tiff(named, at + len(mark), size - len(mark), is_picture=False)
    if seen:
        _read_samsung(named)


def _segments(stream: Stream, start: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Marker, offset, size and first bytes of the content of each segment before the scan (ITU-T T.81, B.1.1)."""
    at, base, window = start + 2, 0, b""
    for _ in range(_MOST):
        if at + 36 > base + len(window):
            base, window = at, stream.read_at(at, _WINDOW)
        head = window[at - base : at - base + 36]
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            return
        size = int.from_bytes(head[2:4], "big")
        if head[1] == 0xFF:  # a fill byte
            at += 1
        else:
            yield head[1], at + 4, size - 2, head[4 : 2 + max(2, size)]
            at += 2 + size


def _read_tiff(named: _Named, base: int, length: int, is_picture: bool) -> None:
    """The JPEGs that the image file directories name (TIFF 6.0, sections 2 and 22; EXIF 2.32, 4.6.8).

    Offsets count from `base`. Directories lie within `length`; what they name may lie anywhere in the file. With
    `is_picture` the first directory is of the picture itself, unless it says that it is a reduced one.
    """
    head = named.stream.read_at(base, 16)
    order = _TIFF.get(head[:4])
    if order is None or len(head) < 8:
        return
    is_picture = is_picture and head[8:10] != b"CR"  # the first directory of a CR2 is of its preview
    pending = [struct.unpack_from(order + "I", head, 4)[0]]
    seen: set[int] = set()
    while pending and len(seen) < _IFDS:
        at = pending.pop(0)
        if at in seen or not 8 <= at < length:
            continue
        tags, following = _directory(named.stream, base, at, order)
        pending += [following, *tags.get(0x14A, ())[:_IFDS]]
        if seen or not is_picture or tags.get(0xFE, (0,))[0] & 1:
            _read_directory(named, base, tags)
        seen.add(at)


def _read_directory(named: _Named, base: int, tags: dict[int, tuple[int, ...]]) -> None:
    starts, sizes = tags.get(0x201, ()), tags.get(0x202, ())
    if starts and sizes:
        named.preview(base + starts[0], sizes[0])
    starts, sizes = tags.get(0x111, ()), tags.get(0x117, ())
    if len(starts) == len(sizes) == 1 and tags.get(0x103) in ((6,), (7,)):
        at = base + starts[0]
        if all(marker != 0xC3 for marker, *_ in _segments(named.stream, at)):  # lossless: the raw data of the sensor
            named.preview(at, sizes[0])
    if 0xB002 in tags:
        _read_mpf(named, base, tags[0xB002])


def _read_mpf(named: _Named, base: int, fields: tuple[int, ...]) -> None:
    """The further images of a Multi-Picture Format file (CIPA DC-007, 5.2.3.3), and a clip right after the last. A
    last size that is too long, as Pillow writes it, ends with the file."""
    end = 0
    for index in range(0, len(fields) - 3, 4):
        size, offset = fields[index + 1], fields[index + 2]
        start = base + offset if offset else 0  # 0 is the picture itself
        named.preview(start, min(size, named.stream.size - start))
        end = max(end, start + size)
    named.clip(end)


def _directory(stream: Stream, base: int, at: int, order: str) -> tuple[dict[int, tuple[int, ...]], int]:
    """The tags of interest of one directory, and where the next one is (0: nowhere)."""
    data = stream.read_at(base + at, 2)
    count = struct.unpack(order + "H", data)[0] if len(data) == 2 else 0
    body = stream.read_at(base + at + 2, min(count, _MOST) * 12 + 4)
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(min(count, _MOST, len(body) // 12)):
        tag, kind, number = struct.unpack_from(order + "HHI", body, index * 12)
        if tag in _TAGS and tag not in tags:
            values = _values(stream, base, body[index * 12 + 8 : index * 12 + 12], order, tag, kind, number)
            tags |= {tag: values} if values else {}
    following = body[count * 12 : count * 12 + 4]
    return tags, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def _values(stream: Stream, base: int, field: bytes, order: str, tag: int, kind: int, number: int) -> tuple[int, ...]:
    """The numbers of one field. The list of MPF is bytes by type, and numbers of four bytes by content."""
    if tag == 0xB002:
        kind, number = 4, number // 4
    width = _SIZES.get(kind)
    if width is None:
        return ()
    if number * width > 4:
        field = stream.read_at(base + struct.unpack(order + "I", field)[0], min(number, _MOST) * width)
    number = min(number, len(field) // width)
    return struct.unpack_from(f"{order}{number}{'H' if width == 2 else 'I'}", field)


def _read_xmp(named: _Named, text: bytes) -> None:
    """What lies after a JPEG by its XMP: a motion photo's clip, a gain map (Google, Motion Photo 1.0 and its forerunner
    Micro Video; Ultra HDR 1.1). Lengths count from the end of the file, where the last item ends."""
    end = named.stream.size
    for offset in _CLIP_OFFSET.findall(text)[:1]:
        named.clip(end - int(offset))
    for length in map(int, reversed(_ITEM_LENGTH.findall(text)[:_PREVIEWS])):
        end -= length
        named.preview(end, length)
        named.clip(end)


def _read_samsung(named: _Named) -> None:
    """The blocks that Samsung's cameras append, and list in a trailer ("SEFH" ... "SEFT"; ExifTool, Samsung.pm)."""
    end = named.stream.size
    tail = named.stream.read_at(end - 8, 8) if end > 8 else b""
    if tail[4:] != b"SEFT":
        return
    size = int.from_bytes(tail[:4], "little")
    start = end - 8 - size
    listing = named.stream.read_at(start, min(size, 12 * _MOST)) if 12 <= size < end - 8 else b""
    if listing[:4] != b"SEFH":
        return
    for index in range(min(int.from_bytes(listing[8:12], "little"), (len(listing) - 12) // 12)):
        back, length = struct.unpack_from("<II", listing, 12 * index + 16)
        block = start - back
        inside = 8 + int.from_bytes(named.stream.read_at(block + 4, 4), "little") if block > 0 else length
        if inside < length:
            named.preview(block + inside, length - inside)
            named.clip(block + inside)
