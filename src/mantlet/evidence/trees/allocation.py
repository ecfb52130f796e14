"""Which blocks a file system claims today: what tells a deleted file that is whole from one written over.

The Sleuth Kit reads a deleted file's blocks whoever owns them now, so the allocation table is asked here, from the
virtual files in which it shows them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytsk3

from mantlet import settings

Allocated = Callable[[int, int], bool]
"""Whether any of so many blocks from a first, numbered as The Sleuth Kit does, belongs to a live file."""

Clusters = Callable[[int, int], bool]
"""Whether any cluster from a first one up to, and without, a last one is claimed."""

_NTFS_BITMAP: Final = 6


def allocation(fs: Any) -> Allocated | None:
    """The allocation of a file system, or None where it cannot be told (ext, ISO 9660, a damaged or huge table)."""
    try:
        kind = fs.info.ftype
        if kind == pytsk3.TSK_FS_TYPE_NTFS:
            return _claimed(_bits(_whole(fs.open_meta(inode=_NTFS_BITMAP))), 0, 1, 0)
        if kind == pytsk3.TSK_FS_TYPE_EXFAT:
            return _exfat(fs)
        if kind in _FAT_ENTRIES:
            return _fat(fs, _FAT_ENTRIES[kind])
    except (OSError, struct.error, ValueError, ZeroDivisionError):
        pass
    return None


def _claimed(clusters: Clusters, first: int, blocks: int, number: int) -> Allocated:
    """The cluster `number` begins at the block `first`; there are `blocks` of them in each."""

    def allocated(start: int, length: int) -> bool:
        low, high = (start - first) // blocks + number, (start + length - 1 - first) // blocks + number
        return clusters(max(0, low), high + 1)

    return allocated


def _exfat(fs: Any) -> Allocated:
    """The bitmap begins with cluster 2 (exFAT specification 7.1), which lies at ClusterHeapOffset."""
    boot = fs.open("/$MBR").read_random(0, 512)
    (heap,) = struct.unpack_from("<I", boot, 88)
    return _claimed(_bits(_whole(fs.open("/$ALLOC_BITMAP"))), heap, 1 << boot[109], 0)


def _fat(fs: Any, entries: Callable[[bytes], Clusters]) -> Allocated:
    """An entry other than 0 (FAT specification, section 4); cluster 2 is the first after the root folder."""
    boot = fs.open("/$MBR").read_random(0, 512)
    sector, per_cluster, reserved, tables, root = struct.unpack_from("<HBHBH", boot, 11)
    table = struct.unpack_from("<H", boot, 22)[0] or struct.unpack_from("<I", boot, 36)[0]
    first = reserved + tables * table + -(-root * 32 // sector)
    return _claimed(entries(_whole(fs.open("/$FAT1"))), first, per_cluster, 2)


def _fat12(table: bytes) -> Clusters:
    data = np.frombuffer(table[: len(table) // 3 * 3], dtype=np.uint8).reshape(-1, 3).astype(np.uint16)
    even, odd = data[:, 0] | (data[:, 1] & 0x0F) << 8, data[:, 1] >> 4 | data[:, 2] << 4
    entries = np.column_stack([even, odd]).reshape(-1)
    return lambda low, high: bool(entries[low:high].any())


def _fat16(table: bytes) -> Clusters:
    entries = np.frombuffer(table[: len(table) // 2 * 2], dtype="<u2")
    return lambda low, high: bool(entries[low:high].any())


def _fat32(table: bytes) -> Clusters:
    entries = np.frombuffer(table[: len(table) // 4 * 4], dtype="<u4")
    return lambda low, high: bool((entries[low:high] & 0x0FFFFFFF).any())


_FAT_ENTRIES: Final = {
    pytsk3.TSK_FS_TYPE_FAT12: _fat12,
    pytsk3.TSK_FS_TYPE_FAT16: _fat16,
    pytsk3.TSK_FS_TYPE_FAT32: _fat32,
}


def _bits(bitmap: bytes) -> Clusters:
    packed = np.frombuffer(bitmap, dtype=np.uint8)

    def any_set(low: int, high: int) -> bool:
        bits = np.unpackbits(packed[low // 8 : -(-high // 8)], bitorder="little")
        return bool(bits[low % 8 : low % 8 + high - low].any())

    return any_set


def _whole(file: Any) -> bytes:
    size = file.info.meta.size
    if size > settings.IN_MEMORY_BYTES:
        raise OSError("the allocation table is too large")
    data: bytes = file.read_random(0, size)
    return data
