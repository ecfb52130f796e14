"""Zip archives, office documents and EPUB among them: read by their central directory, members of any size anywhere.

A member's name is only ever text in an address, so `../` and absolute names are harmless here. The directory is read
here and not by `zipfile`, which keeps 630 MiB for a million members (a phone's extraction has as many); a list of
where each record lies takes 8. Source: PKWARE APPNOTE 6.3.10, whose clauses are named below.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence import inflate
from mantlet.evidence.stream import Cached, Slice, Stream
from mantlet.evidence.trees.member import member as entry_of
from mantlet.settings import MIB
from mantlet.types import Absent, Entry, Reason, Step, escape

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_LOCATOR, _LOCATOR_SIZE, _END_64 = b"PK\x06\x07", 20, b"PK\x06\x06"
_RECORD, _RECORD_SIZE = b"PK\x01\x02", 46
_LOCAL, _LOCAL_SIZE = b"PK\x03\x04", 30
_ENDS: Final = 16
_ENCRYPTED, _UTF8 = 0x1, 0x800
_STORED: Final = 0
_METHODS: Final = {8: inflate.deflate, 12: inflate.bzip2, 93: inflate.zstd, 95: inflate.xz}
_UNREAD_METHODS: Final = {9: "Deflate64", 14: "LZMA", 98: "PPMd", 99: "AES"}


class _Member(msgspec.Struct, frozen=True):
    name: bytes
    flags: int
    method: int
    date: int
    time: int
    crc: int
    packed: int
    size: int
    local: int


def fits(head: bytes) -> bool:
    return head.startswith(SIGNATURES)


class Zip:
    """The tree of a zip archive. Raises OSError when it has no directory."""

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._directory = Cached(stream, memory=MIB)
        self._records = array("Q")
        self._complete = True
        self._more = False
        tail = self._tail()
        candidates = _ends(tail)
        if not candidates:
            raise OSError("it has no directory at its end: it is cut short, or no zip archive")
        # An end without members may have been put behind a real one.
        found = [self._find_directory(self._stream.size - len(tail) + at, tail[at:]) for at in candidates]
        start, length, count, self._prefix = next((each for each in found if each[1]), found[0])
        self._list(start, start + length)
        if len(self._records) % 65536 != count % 65536 or (not self._records and stream.read_at(0, 4) == _LOCAL):
            self._complete = False

    def _tail(self) -> bytes:
        start = max(0, self._stream.size - _END_SIZE - _LONGEST_COMMENT)
        return self._stream.read_at(start, self._stream.size - start)

    def _find_directory(self, end: int, record: bytes) -> tuple[int, int, int, int]:
        """Where the directory begins and how long it is, how many records it says it has, and how far all offsets are
        off because something was put before the archive (4.3.16; 4.3.14 and 4.3.15 for zip64)."""
        count, length, offset = struct.unpack_from("<HII", record, 10)
        locator = self._stream.read_at(max(0, end - _LOCATOR_SIZE), _LOCATOR_SIZE)
        if locator.startswith(_LOCATOR):
            (where,) = struct.unpack_from("<Q", locator, 8)
            head = self._stream.read_at(where, 56)
            if not head.startswith(_END_64):  # something was put before the archive
                where = end - _LOCATOR_SIZE - 56
                head = self._stream.read_at(where, 56)
            if head.startswith(_END_64) and len(head) == 56:
                count, length, offset = struct.unpack_from("<QQQ", head, 32)
                end = where
        if length > end:
            return end, 0, count, 0
        return end - length, length, count, end - length - offset

    def _list(self, at: int, end: int) -> None:
        """All records of the directory: their number is said with 16 bits by many who write more than 65,535."""
        while at < end:
            head = self._directory.read_at(at, _RECORD_SIZE)
            if not head.startswith(_RECORD) or len(head) < _RECORD_SIZE:
                self._complete = False
                return
            if len(self._records) >= settings.MEMBERS:
                self._more = True
                return
            self._records.append(at)
            at += _RECORD_SIZE + sum(struct.unpack_from("<HHH", head, 28))

    def _member(self, number: int) -> _Member:
        """A record of the directory (4.3.12), with what zip64 keeps in its extra field (4.5.3)."""
        at = self._records[number]
        head = self._directory.read_at(at, _RECORD_SIZE)
        flags, method, time, date, crc, packed, size, names, extras = struct.unpack_from("<HHHHIIIHH", head, 8)
        (local,) = struct.unpack_from("<I", head, 42)
        rest = self._directory.read_at(at + _RECORD_SIZE, names + extras)
        large = _zip64(rest[names:])
        size, packed, local = (
            large.pop(0) if value == 0xFFFFFFFF and large else value for value in (size, packed, local)
        )
        name = rest[:names]
        if not flags & _UTF8:
            name = _decoded(name)
        return _Member(name, flags, method, date, time, crc, packed, size, local + self._prefix)

    def walk(self) -> Iterator[Entry]:
        for number in range(len(self._records)):
            member = self._member(number)
            if not member.name.endswith(b"/"):
                yield entry_of(number, escape(member.name), member.size, _modified(member), _refusal(member))
        count = len(self._records)
        if self._more:
            absent = Absent(Reason.LIMIT, f"The archive has more than {settings.MEMBERS:,} members.")
            yield entry_of(count, "...", 0, absent=absent)
        elif not self._complete:
            absent = Absent(Reason.DAMAGED, "The archive's directory is damaged: what follows cannot be listed.")
            yield entry_of(count, "...", 0, absent=absent)

    def open(self, step: Step) -> Stream:
        member = self._member(step.at)
        refusal = _refusal(member)
        if refusal:
            raise RefusedError(refusal.reason, refusal.detail)
        head = self._stream.read_at(member.local, _LOCAL_SIZE)
        if not head.startswith(_LOCAL) or len(head) < _LOCAL_SIZE:
            raise OSError("the member is not where the archive's directory says")
        start = member.local + _LOCAL_SIZE + sum(struct.unpack_from("<HH", head, 26))
        packed = Slice(self._stream, start, member.packed)
        if member.method == _STORED:
            return _Checked(packed, min(packed.size, member.size), member.crc)
        content = inflate.inflated(packed, _METHODS[member.method], member.size, most=member.size)
        return _Checked(content, member.size, member.crc)


def _ends(tail: bytes) -> list[int]:
    """Where records lie that may be the directory's end: first those with a comment as long as what follows, then, in
    an archive with something put behind it, any; the last first."""
    fitting, others, at = list[int](), list[int](), len(tail)
    while (at := tail.rfind(_END, 0, at)) >= 0 and len(others) < _ENDS:
        if len(tail) - at >= _END_SIZE:
            comment = int.from_bytes(tail[at + 20 : at + 22], "little")
            (fitting if at + _END_SIZE + comment == len(tail) else others).append(at)
    return fitting[:_ENDS] + others


class _Checked(Stream):
    """A member's content, whose CRC-32 is taken as it is read from front to back (4.4.7)."""

    def __init__(self, content: Stream, size: int, stated: int) -> None:
        super().__init__(size)
        self.sequential = content.sequential
        self._content, self._stated = content, stated
        self._crc, self._upto = 0, 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = self._content.read_at(offset, length)
        if offset == 0:
            self._crc, self._upto = 0, 0
        if offset == self._upto:
            self._crc, self._upto = zlib.crc32(data, self._crc), offset + len(data)
        return data

    def check_end(self) -> None:
        if self._upto == self.size and self._crc != self._stated:
            raise OSError("the member's bytes are not those that were packed: its checksum differs")


def _refusal(member: _Member) -> Absent | None:
    if member.flags & _ENCRYPTED:
        return Absent(Reason.ENCRYPTED, "The member is locked by a password, which Mantlet cannot take yet.")
    if member.method != _STORED and member.method not in _METHODS:
        name = _UNREAD_METHODS.get(member.method, f"method {member.method}")
        return Absent(Reason.UNSUPPORTED, f"The member is compressed by {name}, which Mantlet cannot read.")
    if member.size > settings.RATIO_FREE_BYTES and member.size > settings.RATIO * max(1, member.packed):
        return Absent(Reason.LIMIT, f"The member grows more than {settings.RATIO:,}-fold: likely a bomb.")
    return None


def _zip64(extra: bytes) -> list[int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            count = min(length, len(extra) - at - 4) // 8
            return list(struct.unpack_from(f"<{count}Q", extra, at + 4))
        at += 4 + length
    return []


def _decoded(name: bytes) -> bytes:
    """A name without the flag for UTF-8 is in code page 437 (4.4.4, appendix D), but many write UTF-8 all the same."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437").encode()
    return name


def _modified(member: _Member) -> str | None:
    """Zip keeps local time without a zone (4.4.6, as MS-DOS does)."""
    year, month, day = (member.date >> 9) + 1980, member.date >> 5 & 15, member.date & 31
    hour, minute, second = member.time >> 11, member.time >> 5 & 63, (member.time & 31) * 2
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}-00:00"
