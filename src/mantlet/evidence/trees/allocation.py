"""Which blocks a file system claims today: what tells a deleted file that is whole from one written over.

The Sleuth Kit reads a deleted file's blocks whoever owns them now, so the allocation table is asked here, from the
virtual files in which it shows them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import pytsk3

from mantlet import settings

Allocated = Callable[[int], bool]
"""Whether a block, by the number The Sleuth Kit gives it, belongs to a live file."""

_NTFS_BITMAP: Final = 6


def allocation(fs: Any) -> Allocated | None:
    """The allocation of a file system, or None where it cannot be told (ext, ISO 9660, a damaged or huge table)."""
    try:
        kind = fs.info.ftype
        if kind == pytsk3.TSK_FS_TYPE_NTFS:
            return _bits(_whole(fs.open_meta(inode=_NTFS_BITMAP)), lambda block: block)
        if kind == pytsk3.TSK_FS_TYPE_EXFAT:
            return _exfat(fs)
        if kind in _FAT_ENTRIES:
            return _fat(fs, _FAT_ENTRIES[kind])
    except (OSError, struct.error, ZeroDivisionError):
        pass
    return None


def _exfat(fs: Any) -> Allocated:
    """The bitmap of cluster 2 and on (exFAT specification 7.1), clusters beginning at ClusterHeapOffset."""
    boot = fs.open("/$MBR").read_random(0, 512)
    (heap,) = struct.unpack_from("<I", boot, 88)
    sectors = 1 << boot[109]
    return _bits(_whole(fs.open("/$ALLOC_BITMAP")), lambda block: (block - heap) // sectors)


def _fat(fs: Any, entry: Callable[[bytes, int], int]) -> Allocated:
    """An entry other than 0 (FAT specification, section 4): cluster 2 is the first after the root folder."""
    boot = fs.open("/$MBR").read_random(0, 512)
    sector, per_cluster, reserved, tables, root = struct.unpack_from("<HBHBH", boot, 11)
    table = struct.unpack_from("<H", boot, 22)[0] or struct.unpack_from("<I", boot, 36)[0]
    first = reserved + tables * table + -(-root * 32 // sector)
    whole = _whole(fs.open("/$FAT1"))
    return lambda block: entry(whole, (block - first) // per_cluster + 2) != 0


def _fat12(table: bytes, cluster: int) -> int:
    pair: int = struct.unpack_from("<H", table, cluster * 3 // 2)[0]
    return (pair >> 4 if cluster % 2 else pair) & 0xFFF


def _fat16(table: bytes, cluster: int) -> int:
    value: int = struct.unpack_from("<H", table, cluster * 2)[0]
    return value


def _fat32(table: bytes, cluster: int) -> int:
    value: int = struct.unpack_from("<I", table, cluster * 4)[0]
    return value & 0x0FFFFFFF


_FAT_ENTRIES: Final = {
    pytsk3.TSK_FS_TYPE_FAT12: _fat12,
    pytsk3.TSK_FS_TYPE_FAT16: _fat16,
    pytsk3.TSK_FS_TYPE_FAT32: _fat32,
}


def _bits(bitmap: bytes, number: Callable[[int], int]) -> Allocated:
    def allocated(block: int) -> bool:
        cluster = number(block)
        return 0 <= cluster >> 3 < len(bitmap) and bool(bitmap[cluster >> 3] >> (cluster & 7) & 1)

    return allocated


def _whole(file: Any) -> bytes:
    size = file.info.meta.size
    if size > settings.IN_MEMORY_BYTES:
        raise OSError("the allocation table is too large")
    data: bytes = file.read_random(0, size)
    return data
