"""Compound files (MS-CFB): the streams of Outlook messages (.msg), of Word, Excel and PowerPoint documents before 2007
and of Thumbs.db.

- Of a message, properties of type binary are listed, not texts, and an attachment bears its own file name
  (MS-OXMSG 2.2.2; PidTagAttachLongFilename and PidTagAttachFilename of MS-OXPROPS).
- Of Thumbs.db each thumbnail is given without the header before it, so that it is the JPEG file it was.
- Of PowerPoint the stream "Pictures" is split into its pictures (MS-ODRAW 2.2.20 to 2.2.31); metafiles are left out.

Limits: pictures inside Word's "Data", Excel's "Workbook" and "\\x01Ole10Native" are not split from what is around
them, and a document before 2007 that is locked is not recognised as such.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.compound import SIGNATURE, STREAM, Compound, Listed
from mantlet.evidence.stream import Joined, Memory, Slice, Stream
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times, escape

_PROPERTY: Final = re.compile(r"__substg1\.0_[0-9A-F]{4}([0-9A-F]{4})", re.IGNORECASE)
_BINARY: Final = ("0102", "1102")
_ATTACHED: Final = "__substg1.0_37010102"
_FILE_NAMES: Final = ("__substg1.0_3707001F", "__substg1.0_3707001E", "__substg1.0_3704001F", "__substg1.0_3704001E")
"""Long before short, Unicode before code page."""
_NAME_BYTES: Final = 1024
_THUMBNAIL: Final = re.compile(r"\d+(_[0-9a-f]{16})?", re.IGNORECASE)
_BLIPS: Final = range(0xF018, 0xF118)
_PICTURES: Final = (0xF01D, 0xF01E, 0xF01F, 0xF029, 0xF02A)
_DIB: Final = 0xF01F
_STORE_ENTRY: Final = 0xF007


def fits(head: bytes) -> bool:
    """Whether a file whose first 4 KiB are `head` may be a compound file (MS-CFB 2.2)."""
    return head.startswith(SIGNATURE)


class Ole:
    """The tree of a compound file. Steps: `stream`, at its number in the directory; `picture`, at that of a PowerPoint
    stream times 2**32, plus the byte offset in it where the picture's record begins.

    Raises OSError when it cannot be listed.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._file = Compound(stream)
        self._size = stream.size
        names = ((number, self._file.listed(number).name) for number in range(1, self._file.count))
        self._names = {(self._file.parents[number], name): number for number, name in names if name in _FILE_NAMES}

    def walk(self) -> Iterator[Entry]:
        for number in range(1, self._file.count):
            listed = self._file.listed(number)
            if listed.type == STREAM and listed.size:
                yield from self._entries(number, listed)
        if self._file.count >= settings.MEMBERS:
            yield _entry(Step("stream", self._file.count, "..."), 0, Reason.LIMIT, "It holds too many streams to list.")

    def open(self, step: Step) -> Stream:
        if step.kind == "picture":
            return _blip(self._file.open(step.at >> 32), step.at & 0xFFFFFFFF)
        stream = self._file.open(step.at)
        if self._file.path(step.at) == ["EncryptedPackage"]:
            raise RefusedError(Reason.ENCRYPTED, _LOCKED)
        skipped = self._thumbnail_header(step.at)
        return Slice(stream, skipped, stream.size - skipped)

    def _entries(self, number: int, listed: Listed) -> Iterator[Entry]:
        path = self._file.path(number)
        kind = _PROPERTY.match(listed.name)
        if (kind and kind[1] not in _BINARY) or "__nameid_version1.0" in path or path[-1] == "__properties_version1.0":
            return
        step = Step("stream", number, self._name(number, path))
        if listed.size > self._size:
            yield _entry(step, 0, Reason.DAMAGED, "The stream says that it is larger than the whole document.")
        elif path == ["EncryptedPackage"]:
            yield _entry(step, listed.size, Reason.ENCRYPTED, _LOCKED)
        elif listed.name == "Pictures" and (pictures := list(self._pictures(number, step.name))):
            yield from pictures
        else:
            skipped = self._thumbnail_header(number)
            inside = Containment.THUMBNAIL_CACHE if skipped else Containment.MEMBER
            yield Entry(step, listed.size - skipped, Recovery.LIVE, inside)

    def _name(self, number: int, path: list[str]) -> str:
        """The path of a stream; of an attachment, with its own file name in place of the property's."""
        names = [escape(name.encode("utf-8", "surrogateescape")) for name in path]
        if path[-1] == _ATTACHED:
            parent = self._file.parents[number]
            given = (self._file_name(self._names.get((parent, name))) for name in _FILE_NAMES)
            names[-1] = next(filter(None, given), names[-1])
        return "/".join(names)

    def _file_name(self, number: int | None) -> str:
        if number is None:
            return ""
        try:
            name = self._file.open(number).read_at(0, _NAME_BYTES)
        except OSError:
            return ""
        if self._file.listed(number).name.endswith("1F"):
            name = name.decode("utf-16-le", "replace").encode()
        return escape(name.rstrip(b"\0"))

    def _thumbnail_header(self, number: int) -> int:
        """How many bytes lie before the picture of a thumbnail: 12 in Windows XP's Thumbs.db, 24 since Vista."""
        path = self._file.path(number)
        if len(path) != 1 or not _THUMBNAIL.fullmatch(path[0]):
            return 0
        try:
            head = self._file.open(number).read_at(0, 32)
        except OSError:
            return 0
        length = int.from_bytes(head[:4], "little")
        return length if length in (12, 24) and head[length:].startswith((b"\xff\xd8\xff", b"\x89PNG")) else 0

    def _pictures(self, number: int, name: str) -> Iterator[Entry]:
        """One entry for each picture of a store; none where it is not one, as when the document is locked."""
        try:
            store = self._file.open(number)
            for ordinal, offset in enumerate(_records(store)):
                step = Step("picture", (number << 32) + offset, f"{name}/{ordinal}")
                try:
                    yield _entry(step, _blip(store, offset).size)
                except OSError as error:
                    yield _entry(step, 0, Reason.DAMAGED, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        except OSError as error:
            yield _entry(Step("picture", number << 32, f"{name}/..."), 0, Reason.DAMAGED, str(error))


_LOCKED: Final = "The document is locked by a password, which Mantlet cannot take yet."


def _entry(step: Step, size: int, reason: Reason | None = None, detail: str = "") -> Entry:
    absent = Absent(reason, detail) if reason else None
    return Entry(step, size, Recovery.LIVE, Containment.MEMBER, Times(), absent)


def _records(store: Stream) -> Iterator[int]:
    """Where each picture's record begins in an OfficeArtBStoreDelay (MS-ODRAW 2.2.21)."""
    offset = 0
    while offset + 8 <= min(store.size, 1 << 32):
        head = store.read_at(offset, 44)
        kind, length = struct.unpack_from("<HI", head, 2)
        if kind == _STORE_ENTRY and len(head) == 44:  # OfficeArtFBSE, 2.2.32: a name, then the picture's own record
            offset += 44 + head[41]
            continue
        if kind not in _BLIPS:
            if any(head):
                raise OSError("The pictures behind here cannot be found: no record of one begins here.")
            return
        if kind in _PICTURES:
            yield offset
        offset += 8 + length


def _blip(store: Stream, offset: int) -> Stream:
    """The picture file of one record (MS-ODRAW 2.2.23): after one or two digests of 16 bytes and a byte of mark."""
    head = store.read_at(offset, 8)
    if len(head) < 8:
        raise OSError("the picture's record is cut short")
    version, kind, length = struct.unpack("<HHI", head)
    skipped = 17 + 16 * (version >> 4 & 1)
    start, size = offset + 8 + skipped, length - skipped
    if kind not in _PICTURES or size <= 0 or start + size > store.size:
        raise OSError("the picture's record is cut short")
    picture = Slice(store, start, size)
    return Joined([Memory(_bitmap_header(picture)), picture]) if kind == _DIB else picture


def _bitmap_header(dib: Stream) -> bytes:
    """The BITMAPFILEHEADER that a DIB lacks to be a BMP file (wingdi.h, BITMAPINFOHEADER for the fields)."""
    head = dib.read_at(0, 40).ljust(40, b"\0")
    length, bits, method, colours = struct.unpack_from("<I10xHI12xI", head)
    palette = 4 * (colours or (1 << bits if bits <= 8 else 0)) + (12 if method == 3 and length == 40 else 0)
    return struct.pack("<2sIII", b"BM", min(14 + dib.size, 0xFFFFFFFF), 0, min(14 + length + palette, 0xFFFFFFFF))
