"""Writes small FAT16 volumes in memory, deleted files included: demo evidence needs no mkfs and no mount.

Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03 (fatgen103), whose sections the
docstrings below name.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

SECTOR: Final = 512
"""Bytes per sector."""

_CLUSTER_SECTORS: Final = 4
_CLUSTER: Final = _CLUSTER_SECTORS * SECTOR
_RESERVED: Final = 1
_FATS: Final = 2
_ROOT_SLOTS: Final = 512
_SLOT: Final = 32
_LONG_BYTES: Final = 26  # of UTF-16 in one long entry
_END_OF_CHAIN: Final = 0xFFFF
_DELETED: Final = 0xE5
_LABEL: Final = 0x08
_LONG_NAME: Final = 0x0F
_FOLDER: Final = 0x10
_ARCHIVE: Final = 0x20
_SHORT_CHARACTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")


@dataclass
class _Node:
    """A file or folder: its directory slots (byte offsets), its clusters and, in a folder, what it holds."""

    slots: list[int] = field(default_factory=list)
    clusters: list[int] = field(default_factory=list)
    used: int = 0
    short_names: set[bytes] = field(default_factory=set)


class Volume:
    """A FAT16 volume of `size` bytes (8 to 127 MiB) that starts `hidden` sectors into its disk.

    Files lie in contiguous clusters in the order they were written, and neither clusters nor directory slots
    are used twice, so whatever is deleted stays recoverable. Paths use "/" and their folders must exist.
    """

    def __init__(self, size: int, label: str = "MANTLET", hidden: int = 0) -> None:
        sectors = size // SECTOR
        root_sectors = _ROOT_SLOTS * _SLOT // SECTOR
        # Section "FAT Volume Initialization": its formula is at times a sector or two too large.
        fat_sectors = -(-(sectors - _RESERVED - root_sectors) // (256 * _CLUSTER_SECTORS + _FATS))
        clusters = (sectors - _RESERVED - _FATS * fat_sectors - root_sectors) // _CLUSTER_SECTORS
        if not 4085 <= clusters < 65525:
            raise ValueError(f"{size} bytes do not make a FAT16 volume")
        self._fat = [0xFFF8, _END_OF_CHAIN] + [0] * clusters
        self._next_cluster = 2
        self._fat_bytes = fat_sectors * SECTOR
        self._data_at = (_RESERVED + _FATS * fat_sectors + root_sectors) * SECTOR
        self._image = bytearray(sectors * SECTOR)
        name = label.encode("ascii").ljust(11)
        self._image[:SECTOR] = _boot_sector(sectors, fat_sectors, hidden, name)
        # The root lies before cluster 2 and is in no chain: as if in clusters up to 1.
        self._nodes = {"": _Node(clusters=list(range(2 - root_sectors // _CLUSTER_SECTORS, 2)))}
        self._add("", _slot(name, _LABEL, datetime(1980, 1, 1), 0, 0))

    def mkdir(self, path: str, modified: datetime) -> None:
        """Makes the folder `path`, stamped `modified` (local time)."""
        parent = path.rpartition("/")[0]
        cluster = self._allocate(1)
        self._enter(path, _FOLDER, modified, 0, cluster)
        above = self._nodes[parent].clusters[0] if parent else 0
        for name, first in ((b".", cluster[0]), (b"..", above)):
            self._add(path, _slot(name.ljust(11), _FOLDER, modified, first, 0))

    def write(self, path: str, data: bytes, modified: datetime) -> None:
        """Writes the file `path`, stamped `modified` (local time)."""
        start = self._cluster_at(self._next_cluster)
        clusters = self._allocate(-(-len(data) // _CLUSTER))
        self._image[start : start + len(data)] = data
        self._enter(path, _ARCHIVE, modified, len(data), clusters)

    def delete(self, path: str) -> None:
        """Deletes a file, or a folder with all it holds, as an operating system does: the data stays."""
        if not path or path not in self._nodes:
            raise FileNotFoundError(path)
        for name in [n for n in self._nodes if n == path or n.startswith(path + "/")]:
            node = self._nodes.pop(name)
            for slot in node.slots:
                self._image[slot] = _DELETED
            for cluster in node.clusters:
                self._fat[cluster] = 0

    def to_bytes(self) -> bytes:
        """The volume as it would lie on the disk."""
        tables = struct.pack(f"<{len(self._fat)}H", *self._fat).ljust(self._fat_bytes, b"\0") * _FATS
        self._image[_RESERVED * SECTOR : _RESERVED * SECTOR + len(tables)] = tables
        return bytes(self._image)

    def _cluster_at(self, cluster: int) -> int:
        return self._data_at + (cluster - 2) * _CLUSTER

    def _allocate(self, count: int) -> list[int]:
        first, end = self._next_cluster, self._next_cluster + count
        if end > len(self._fat):
            raise ValueError("the volume is full")
        clusters = list(range(first, end))
        self._fat[first:end] = [*clusters, _END_OF_CHAIN][1:]
        self._next_cluster = end
        return clusters

    def _enter(self, path: str, attributes: int, modified: datetime, size: int, clusters: list[int]) -> None:
        parent, _, name = path.rpartition("/")
        if path in self._nodes:
            raise ValueError(f"{path} exists already")
        short = _short_name(name, self._nodes[parent].short_names)
        entries = b"" if _plain(short) == name else _long_slots(name, short)
        entries += _slot(short, attributes, modified, clusters[0] if clusters else 0, size)
        self._nodes[path] = _Node(self._add(parent, entries), clusters)
        self._nodes[parent].short_names.add(short)

    def _add(self, folder: str, entries: bytes) -> list[int]:
        """Appends directory slots to `folder`, which grows by a cluster when full; returns where they lie."""
        node = self._nodes[folder]
        slots = []
        for start in range(0, len(entries), _SLOT):
            index, within = divmod(node.used * _SLOT, _CLUSTER)
            if index == len(node.clusters):
                if not folder:
                    raise ValueError("the root folder is full")
                node.clusters += self._allocate(1)
                self._fat[node.clusters[-2]] = node.clusters[-1]
            at = self._cluster_at(node.clusters[index]) + within
            self._image[at : at + _SLOT] = entries[start : start + _SLOT]
            node.used += 1
            slots.append(at)
        return slots


def _boot_sector(sectors: int, fat_sectors: int, hidden: int, label: bytes) -> bytes:
    """Section "Boot Sector and BPB": 255 heads of 63 sectors, fixed disk, serial number 2026-0314."""
    small, large = (sectors, 0) if sectors < 0x10000 else (0, sectors)
    sector = struct.pack("<3s8sHBH", b"\xeb\x3c\x90", b"MSWIN4.1", SECTOR, _CLUSTER_SECTORS, _RESERVED)
    sector += struct.pack("<BHHBHHHII", _FATS, _ROOT_SLOTS, small, 0xF8, fat_sectors, 63, 255, hidden, large)
    sector += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x20260314, label, b"FAT16   ")
    return sector.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _slot(name: bytes, attributes: int, modified: datetime, cluster: int, size: int) -> bytes:
    """Section "FAT Directory Structure": one 32-byte short entry, all three time stamps `modified`."""
    date = (modified.year - 1980) << 9 | modified.month << 5 | modified.day
    time = modified.hour << 11 | modified.minute << 5 | modified.second // 2
    created = struct.pack("<11sBBBHH", name, attributes, 0, 0, time, date)
    return created + struct.pack("<HHHHHI", date, 0, time, date, cluster, size)


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """Section "The Numeric-Tail Generation Algorithm": 11 bytes, with a ~N tail where needed."""
    stem, dot, extension = name.upper().rpartition(".")
    if not dot:
        stem, extension = extension, ""
    base, suffix = _short_part(stem), _short_part(extension)
    short = base[:8].ljust(8) + suffix[:3].ljust(3)
    fits = (base, suffix) == (stem.encode(), extension.encode()) and len(base) <= 8 and len(suffix) <= 3
    if fits and short not in taken:
        return short
    tails = (b"~%d" % number for number in itertools.count(1))
    tried = ((base[: 8 - len(tail)] + tail).ljust(8) + short[8:] for tail in tails)
    return next(short for short in tried if short not in taken)


def _short_part(text: str) -> bytes:
    kept = text.replace(" ", "").replace(".", "").encode("ascii", "replace")
    return bytes(code if code in _SHORT_CHARACTERS else ord("_") for code in kept)


def _plain(short: bytes) -> str:
    stem, extension = short[:8].decode().rstrip(), short[8:].decode().rstrip()
    return f"{stem}.{extension}" if extension else stem


def _long_slots(name: str, short: bytes) -> bytes:
    """Section "FAT Long Directory Entries": the entries of `name`, last part first, tied by a checksum."""
    checksum = 0
    for code in short:
        checksum = (((checksum & 1) << 7) + (checksum >> 1) + code) & 0xFF
    units = name.encode("utf-16-le")
    if len(units) % _LONG_BYTES:
        units += b"\0\0"
    parts = [units[at : at + _LONG_BYTES] for at in range(0, len(units), _LONG_BYTES)]
    slots = b""
    for order in range(len(parts), 0, -1):
        part = parts[order - 1].ljust(_LONG_BYTES, b"\xff")
        head = order | (0x40 if order == len(parts) else 0)
        slots += struct.pack("<B10sBBB", head, part[:10], _LONG_NAME, 0, checksum)
        slots += struct.pack("<12sH4s", part[10:22], 0, part[22:])
    return slots
