"""The file system inside a compound file (MS-CFB), by the number of each stream in the directory.

Read by our own hand and not by olefile, which descends by recursion, reads whole streams into memory and believes
the counts of the header, so that a hostile file costs the worker and one broken stream hides the others. Here every
table and chain is at most as long as the file is, nothing recurses, and a stream costs memory only for its chain.

Limit: a file cut off before its allocation table cannot be read.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from mantlet import settings
from mantlet.evidence.stream import Stream

SIGNATURE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
STREAM: Final = 2
"""The type of a directory entry that is a stream."""
_FREE: Final = 0xFFFFFFFF
_ENTRY: Final = struct.Struct("<64sHBxIII36xIQ")
_CUTOFF: Final = 4096
_MINI: Final = 64


class Listed(NamedTuple):
    """A directory entry (MS-CFB 2.6.1)."""

    name: str
    type: int
    left: int
    right: int
    child: int
    start: int
    size: int


class _Chain(Stream):
    """A stream whose sectors lie anywhere in another; `first` is where sector 0 lies."""

    def __init__(self, stream: Stream, sectors: Sequence[int], sector: int, first: int, size: int) -> None:
        super().__init__(size)
        self._stream, self._sectors, self._sector, self._first = stream, sectors, sector, first

    def read_at(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        length = min(length, self.size - offset)
        while length > 0:
            number, inside = divmod(offset, self._sector)
            run = 1
            while run * self._sector < inside + length and self._sectors[number + run] == self._sectors[number] + run:
                run += 1
            wanted = min(length, run * self._sector - inside)
            piece = self._stream.read_at(self._first + self._sectors[number] * self._sector + inside, wanted)
            if len(piece) != wanted:
                raise OSError("the document is cut short: a part of the stream lies behind its end")
            pieces.append(piece)
            offset, length = offset + wanted, length - wanted
        return b"".join(pieces)


class Compound:
    """A compound file: its allocation tables, its directory, its streams. Raises OSError when it cannot be listed."""

    def __init__(self, stream: Stream) -> None:
        head = stream.read_at(0, 512)
        if len(head) < 512 or not head.startswith(SIGNATURE):
            raise OSError("the header of the compound file is cut short")
        shift, mini_shift = struct.unpack_from("<HH", head, 30)
        if shift not in (9, 12) or mini_shift != 6:
            raise OSError("the header of the compound file gives no valid sector size")
        self._stream, self._sector = stream, 1 << shift
        self._sectors = -(-max(0, stream.size - self._sector) // self._sector)
        self._fat = self._table(self._table_sectors(head))
        first_directory, first_mini = struct.unpack_from("<I8xI", head, 48)
        self._mini_fat = self._table(self._chain(first_mini, self._fat, len(self._fat)))
        most = settings.MEMBERS * _ENTRY.size // self._sector
        self._directory = b"".join(map(self._read, self._chain(first_directory, self._fat, most)))
        self.count = len(self._directory) // _ENTRY.size
        if not self.count:
            raise OSError("the directory of the compound file cannot be read")
        self.parents = self._parents()
        root = self.listed(0)
        sectors = self._chain(root.start, self._fat, -(-root.size // self._sector))
        size = min(root.size, len(sectors) * self._sector)
        self._mini_stream = _Chain(stream, sectors, self._sector, self._sector, size)

    def _read(self, sector: int) -> bytes:
        """One sector, filled up with the mark of free ones where the file ends before."""
        data = self._stream.read_at((sector + 1) * self._sector, self._sector) if sector < self._sectors else b""
        return data.ljust(self._sector, b"\xff")

    def _table_sectors(self, head: bytes) -> list[int]:
        """Where the FAT lies (MS-CFB 2.5): never more sectors of it than this file can need."""
        each = self._sector // 4
        needed = -(-self._sectors // each)
        found = [sector for sector in struct.unpack_from("<109I", head, 76) if sector < self._sectors]
        after = struct.unpack_from("<I", head, 68)[0]
        while len(found) < needed and after < self._sectors:
            *more, after = struct.unpack(f"<{each}I", self._read(after))
            more = [sector for sector in more if sector < self._sectors]
            if not more:
                break
            found += more
        return found[:needed]

    def _table(self, sectors: Sequence[int]) -> array[int]:
        table = array("I")
        for sector in sectors:
            table.extend(struct.unpack(f"<{self._sector // 4}I", self._read(sector)))
        return table

    def _chain(self, first: int, table: Sequence[int], most: int) -> Sequence[int]:
        """The sectors from `first` on, each once: a chain that bites its tail ends there."""
        sectors, most = array("I"), min(most, len(table))
        while first < len(table) and len(sectors) < most:
            sectors.append(first)
            first = table[first]
        return sectors if len(sectors) < most else array("I", dict.fromkeys(sectors))

    def listed(self, number: int) -> Listed:
        name, length, kind, left, right, child, start, size = _ENTRY.unpack_from(self._directory, number * _ENTRY.size)
        text = name[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        return Listed(text, kind, left, right, child, start, size if self._sector > 512 else size & _FREE)

    def _parents(self) -> array[int]:
        """The storage of each entry. One that none leads to keeps the mark of free ones, and is listed all the same."""
        parents = array("I", [_FREE]) * self.count
        waiting = [(self.listed(0).child, 0)]
        while waiting:
            number, parent = waiting.pop()
            if 0 < number < self.count and parents[number] == _FREE:
                parents[number] = parent
                entry = self.listed(number)
                waiting += [(entry.left, parent), (entry.right, parent), (entry.child, number)]
        return parents

    def path(self, number: int) -> list[str]:
        """The names of the storages around an entry and its own; of absurd depths the innermost."""
        names: list[str] = []
        while 0 < number < self.count and len(names) < settings.TREE_DEPTH:
            names.append(self.listed(number).name)
            number = self.parents[number]
        return names[::-1]

    def open(self, number: int) -> Stream:
        """The bytes of a stream. Raises OSError where its chain of sectors is too short."""
        if not 0 < number < self.count or self.listed(number).type != STREAM:
            raise OSError("there is no such stream in the compound file")
        entry = self.listed(number)
        small = entry.size < _CUTOFF
        sector = _MINI if small else self._sector
        needed = -(-entry.size // sector)
        sectors = self._chain(entry.start, self._mini_fat if small else self._fat, needed)
        if len(sectors) < needed:
            raise OSError("the chain of sectors that the stream lies in is broken")
        if small:
            return _Chain(self._mini_stream, sectors, sector, 0, entry.size)
        return _Chain(self._stream, sectors, sector, sector, entry.size)
