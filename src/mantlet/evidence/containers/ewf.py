"""EnCase evidence files, E01 and split (`.E01`, `.E02`, ...), and SMART's S01.

Read here and not by libewf: that gives zeros for a chunk whose checksum is wrong, without a word, and the inflater in
its Python wheel takes 11 s of CPU for each GB, against 3 by zlib (`make bench`). Source: J. Metz, Expert Witness
Compression Format specification (libewf, documentation), whose sections are named below.
"""

from __future__ import annotations

import string
import struct
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from mantlet.errors import RefusedError
from mantlet.evidence.source import MissingPartError, Opened, Source
from mantlet.evidence.stream import Stream
from mantlet.settings import MIB
from mantlet.types import Reason

SIGNATURE: Final = b"EVF\x09\x0d\x0a\xff\x00"
_HEADER: Final = 13
_DESCRIPTOR: Final = struct.Struct("<16sQQ40xI")
_VOLUME: Final = struct.Struct("<4xIIIQ")
_TABLE: Final = struct.Struct("<I4xQ4xI")
_LARGEST_CHUNK: Final = 16 * MIB
_LARGEST_VOLUME: Final = 4096
_KEPT: Final = 16 * MIB
"""Bytes of inflated chunks that are kept: a file system's small reads would inflate each chunk many times."""
_TABLES: Final = 64
_LOOK_AHEAD: Final = 16
"""How many names behind the last segment are tried, to find one missing in the middle."""


class _Table(NamedTuple):
    """Where one table lies that says where chunks lie, and where the data of the last of them end."""

    segment: int
    at: int
    chunks: int
    base: int
    end: int


def open_ewf(source: Source) -> Opened:
    """The medium, and the digests the imaging tool stored of it.

    Raises:
        OSError: damaged.
        RefusedError: not the first segment.
        MissingPartError: a segment is missing.
    """
    image = _Ewf(source.name, list(segments(source)))
    return Opened(image, image.stored)


class _Ewf(Stream):
    """The medium: chunks of 32 KiB as a rule, each compressed by zlib or stored, each with a checksum."""

    def __init__(self, name: str, files: list[Stream]) -> None:
        super().__init__(None)
        self.stored: dict[str, str] = {}
        self._files = files
        self._chunk = 0
        self._sectors_end = 0
        self._tables: list[_Table] = []
        self._firsts = array("Q")
        self._chunks = 0
        self._open: OrderedDict[int, array[int]] = OrderedDict()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lost_table = False
        last = b""
        for number in range(len(files)):
            last = self._read_sections(number)
            if last != b"next":
                break
        if last == b"next":
            later = next(islice(_later_names(name), len(files) - 1, None), "that is next")
            raise MissingPartError(f"{name}: the segment {later} is missing. Put it beside the others.")
        if not self._chunk:
            raise OSError("it says nothing of the medium it holds")

    def _read_sections(self, segment: int) -> bytes:
        """All sections of one file (3.2). Answers the last one's kind; b"" where one is damaged or cut short, as it is
        then not known which chunks the tables behind it speak of: what lies before can be read."""
        file, at = self._files[segment], _HEADER
        while True:
            head = file.read_at(at, _DESCRIPTOR.size)
            if len(head) < _DESCRIPTOR.size or zlib.adler32(head[:-4]) != _DESCRIPTOR.unpack(head)[3]:
                return b""
            name, after, size, _ = _DESCRIPTOR.unpack(head)
            kind: bytes = name.rstrip(b"\0")
            if self._lost_table and kind != b"table2":
                return b""
            self._read_section(segment, kind, at + _DESCRIPTOR.size, at + size)
            if kind in (b"next", b"done"):
                return kind
            if after <= at:
                return b""
            at = after

    def _read_section(self, segment: int, kind: bytes, at: int, end: int) -> None:
        file = self._files[segment]
        if kind in (b"volume", b"disk", b"data") and not self._chunk:
            data = file.read_at(at, min(end - at, _LARGEST_VOLUME))
            if not _is_whole(data):
                raise OSError(f"what segment {segment + 1} says of the medium is damaged")
            _, per_chunk, per_sector, sectors = _VOLUME.unpack_from(data)
            self._chunk = per_chunk * per_sector
            self._size = sectors * per_sector
            if not 0 < self._chunk <= _LARGEST_CHUNK or self._size >= 1 << 62:
                raise OSError("it says of its medium what cannot be")
        elif kind == b"sectors":
            self._sectors_end = end
        elif kind == b"table" or (kind == b"table2" and self._lost_table):
            count, base, checksum = _TABLE.unpack(file.read_at(at, _TABLE.size))
            self._lost_table = zlib.adler32(file.read_at(at, _TABLE.size - 4)) != checksum
            if self._lost_table:  # `table2` is its copy
                return
            start = at + _TABLE.size
            data_end = self._sectors_end if self._sectors_end and self._sectors_end <= at else end
            self._firsts.append(self._chunks)
            self._tables.append(_Table(segment, start, count, base, data_end))
            self._chunks += count
        elif kind == b"digest":
            self._store(file.read_at(at, 80), md5=slice(16), sha1=slice(16, 36))
        elif kind == b"hash":
            self._store(file.read_at(at, 36), md5=slice(16))

    def _store(self, data: bytes, **parts: slice) -> None:
        """Takes the digests of a section, but none that is damaged, or zero since it was not computed (3.17, 3.18)."""
        found = {name: data[part] for name, part in parts.items()}
        if _is_whole(data):
            self.stored |= {name: value.hex() for name, value in found.items() if any(value)}

    def _measure(self) -> int:
        raise OSError("it says nothing of the medium it holds")

    def read_at(self, offset: int, length: int) -> bytes:
        end, pieces = min(offset + length, self.size), []
        while offset < end:
            number, inside = divmod(offset, self._chunk)
            piece = self._keep_chunk(number)[inside : inside + end - offset]
            if not piece:
                raise OSError(f"the E01 image is cut short at byte {offset:,} of its medium")
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def _keep_chunk(self, number: int) -> bytes:
        chunk = self._kept.get(number)
        if chunk is None:
            chunk = self._kept[number] = self._read_chunk(number)
            if len(self._kept) * self._chunk > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(number)
        return chunk

    def _read_chunk(self, number: int) -> bytes:
        if number >= self._chunks:
            raise OSError(f"the E01 image is cut short at byte {number * self._chunk:,} of its medium")
        which = bisect_right(self._firsts, number) - 1
        table, entries, index = self._tables[which], self._entries(which), number - self._firsts[which]
        at = table.base + (entries[index] & 0x7FFF_FFFF)
        end = table.base + (entries[index + 1] & 0x7FFF_FFFF) if index + 1 < table.chunks else table.end
        if not 0 < end - at <= 2 * self._chunk + 1024:
            raise OSError(f"the E01 image is damaged at byte {number * self._chunk:,} of its medium")
        data = self._files[table.segment].read_at(at, end - at)
        if entries[index] >> 31:
            inflater, chunk = zlib.decompressobj(), b""
            with suppress(zlib.error):  # one byte more: zlib compares the checksum only if it has room left behind it
                chunk = inflater.decompress(data, self._chunk + 1)
            if inflater.eof and len(chunk) <= self._chunk:
                return chunk
        elif _is_whole(data) and len(data) - 4 <= self._chunk:
            return data[:-4]
        raise OSError(f"the E01 image is damaged at byte {number * self._chunk:,} of its medium")

    def _entries(self, which: int) -> array[int]:
        """Offsets of chunks, the highest bit telling which are compressed (3.9)."""
        found = self._open.get(which)
        if found is None:
            table = self._tables[which]
            data = self._files[table.segment].read_at(table.at, table.chunks * 4)
            if len(data) != table.chunks * 4:
                raise OSError("a table of the E01 image is cut short")
            found = array("Q", struct.unpack(f"<{table.chunks}I", data))
            self._open[which] = found
            if len(self._open) > _TABLES:
                self._open.popitem(last=False)
        return found


def _is_whole(data: bytes) -> bool:
    """Whether data that end with their own checksum are as they were written."""
    return zlib.adler32(memoryview(data)[:-4]) == int.from_bytes(data[-4:], "little")


def is_later_segment(head: bytes) -> bool:
    """Whether a file that begins with `head` is a segment of an E01 image other than the first (3.1)."""
    return head.startswith(SIGNATURE) and head[9:11] != b"\x01\x00"


def segments(source: Source) -> Iterator[Stream]:
    """The segment files of an image, of which `source` is the first. Raises as `open_ewf`."""
    if is_later_segment(source.stream.read_at(0, 16)):
        raise RefusedError(Reason.UNREADABLE, "It is a later segment of an E01 image: give the first one, named .E01.")
    yield source.stream
    missing, last = "", 0
    for number, name in enumerate(_later_names(source.name)):
        found = source.beside(name)
        if found is None:
            missing = missing or name
            if number - last > _LOOK_AHEAD:
                return
        elif missing:
            raise MissingPartError(
                f"{source.name}: the segment {missing} is missing, and {name} is there. Put it beside the others."
            )
        elif found.read_at(0, 11) != SIGNATURE + b"\x01" + (number + 2).to_bytes(2, "little"):
            raise RefusedError(Reason.DAMAGED, f"{name} is not segment {number + 2} of the image, as its name says.")
        else:
            last = number
            yield found


def _later_names(first: str) -> Iterator[str]:
    """`.E02` to `.E99`, then `.EAA` to `.EZZ`, `.FAA` and so on to `.ZZZ` (2.1)."""
    stem, kind = first[:-3], first[-3:-2]
    if not (kind.isascii() and kind.isalpha()) or first[-4:-3] != ".":
        return
    letters = string.ascii_uppercase if kind.isupper() else string.ascii_lowercase
    yield from (f"{stem}{kind}{number:02}" for number in range(2, 100))
    for one in letters[letters.index(kind) :]:
        yield from (f"{stem}{one}{two}{three}" for two in letters for three in letters)
