"""Writes compound files (MS-CFB, version 3) for the tests: no library does."""

from __future__ import annotations

import struct
from typing import Final

Tree = dict[str, "bytes | Tree"]

_END: Final = 0xFFFFFFFE
_FREE: Final = 0xFFFFFFFF
_FAT_SECTOR: Final = 0xFFFFFFFD
_SECTOR: Final = 512
_MINI: Final = 64


def _padded(data: bytes, unit: int, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % unit)


def _chained(table: list[int], sectors: int) -> int:
    """Append a chain of `sectors` to an allocation table; the first of it."""
    if not sectors:
        return _END
    first = len(table)
    table += [*range(first + 1, first + sectors), _END]
    return first


class _Writer:
    def __init__(self) -> None:
        self.entries: list[list[object]] = []  # name, type, left, right, child, start, size
        self.fat: list[int] = []
        self.mini_fat: list[int] = []
        self.body = b""
        self.mini = b""

    def add(self, name: str, content: bytes | Tree) -> int:
        number = len(self.entries)
        entry: list[object] = [name, 2, _FREE, _FREE, _FREE, _END, 0]
        self.entries.append(entry)
        if isinstance(content, dict):
            entry[1] = 1 if number else 5
            previous = entry
            for position, (child, inside) in enumerate(content.items()):
                added = self.add(child, inside)
                previous[3 if position else 4] = added
                previous = self.entries[added]
        elif len(content) < 4096:
            data = _padded(content, _MINI)
            entry[5:] = [_chained(self.mini_fat, len(data) // _MINI), len(content)]
            self.mini += data
        else:
            entry[5:] = [self.stored(content), len(content)]
        return number

    def stored(self, content: bytes) -> int:
        data = _padded(content, _SECTOR)
        self.body += data
        return _chained(self.fat, len(data) // _SECTOR)


def compound_file(tree: Tree) -> bytes:
    """A compound file of these storages and streams, numbered as they come, depth first; of up to 6 MiB."""
    writer = _Writer()
    writer.add("Root Entry", tree)
    writer.entries[0][5:] = [writer.stored(writer.mini), len(writer.mini)]
    mini_table = struct.pack(f"<{len(writer.mini_fat)}I", *writer.mini_fat)
    mini_start = writer.stored(_padded(mini_table, _SECTOR, b"\xff"))
    directory = b"".join(_directory_entry(*entry) for entry in writer.entries)  # type: ignore[arg-type]
    directory_start = writer.stored(directory)
    used, sectors = len(writer.fat), 1
    while used + sectors > sectors * _SECTOR // 4:
        sectors += 1
    places = range(used, used + sectors)
    fat = [*writer.fat, *[_FAT_SECTOR] * sectors]
    table = _padded(struct.pack(f"<{len(fat)}I", *fat), _SECTOR, b"\xff")
    head = struct.pack("<8s16xHHHHH6x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6)
    mini_sectors = -(-len(mini_table) // _SECTOR)
    head += struct.pack("<IIIIIIIII", 0, sectors, directory_start, 0, 4096, mini_start, mini_sectors, _END, 0)
    head += struct.pack("<109I", *places, *[_FREE] * (109 - sectors))
    return head + writer.body + table


def _directory_entry(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII16x4x16xIQ", text, len(text) + 2, kind, 1, left, right, child, start, size)
