"""Hostile images of disks, by code: folders and partitions that hold themselves, and images that name files of the
host as parts of them. `tests/engine/hostile.py` has the archives and documents."""

from __future__ import annotations

import lzma
import struct
import zlib
from pathlib import Path
from typing import Final

IMAGES: Final = Path(__file__).parents[1] / "images"
_SECTOR: Final = 512


def image(name: str) -> bytes:
    """An image of tests/images, unpacked."""
    packed = IMAGES / f"{name}.xz"
    return lzma.decompress(packed.read_bytes()) if packed.exists() else (IMAGES / name).read_bytes()


def pointing_out(folder: Path, outside: Path) -> None:
    """Images whose parts or parents are said to be files of the host, files `outside`, or the image itself."""
    targets = ["/etc/passwd", "/dev/sda", "/dev/zero", *map(str, outside.iterdir()), "../outside/canary.png", "."]
    for number, target in enumerate(targets):
        (folder / f"flat{number}.vmdk").write_text(descriptor(f'RW 2048 FLAT "{target}" 0'))
        (folder / f"parent{number}.vmdk").write_text(descriptor('RW 2048 ZERO ""', target))
        (folder / f"backed{number}.qcow2").write_bytes(qcow(target))
        (folder / f"parent{number}.vhd").write_bytes(differencing(target))
    (folder / "self.vmdk").write_text(descriptor('RW 2048 FLAT "self.vmdk" 0', "self.vmdk"))
    (folder / "many.vmdk").write_text(descriptor('RW 2048 FLAT "many.vmdk" 0\n' * 5000))
    (folder / "self.vhd").write_bytes(differencing("self.vhd"))
    for one, other in (("self", "self"), ("ring0", "ring1"), ("ring1", "ring0")):
        (folder / f"{one}.qcow2").write_bytes(qcow(f"{other}.qcow2"))


def sparse(folder: Path) -> None:
    """Disks of 1 TiB and of 1 EiB that hold nothing."""
    with (folder / "disk.dd").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "disk.qcow2").write_bytes(qcow("", size=1 << 60, bits=21))


def descriptor(extents: str, parent: str = "") -> str:
    """Of a VMDK (VMware Virtual Disk Format 5.0)."""
    below = f'parentCID=12345678\nparentFileNameHint="{parent}"\n' if parent else "parentCID=ffffffff\n"
    kind = "monolithicSparse" if parent else "monolithicFlat"
    return (
        f'# Disk DescriptorFile\nversion=1\nCID=fffffffe\n{below}createType="{kind}"\n\n'
        f'# Extent description\n{extents}\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = "ide"\n'
    )


def qcow(backing: str, size: int = 1 << 20, bits: int = 16) -> bytes:
    """A QCOW2 without a cluster of its own: all of it is read from its backing file."""
    name, entries = backing.encode(), max(1, min(-(-size >> (2 * bits - 3)), 1 << 20))
    place = 112 if name else 0
    head = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 2, place, len(name), bits, size, 0, entries, 1 << 16)
    return (head.ljust(112, b"\0") + name).ljust(1 << 16, b"\0") + bytes(entries * 8)


def differencing(parent: str, size: int = 1 << 20) -> bytes:
    """A VHD over `parent` (Virtual Hard Disk Image Format Specification 1.0)."""
    name = parent.encode("utf-16-le")
    footer = struct.pack(">8sIIQI4sI4sQQIII16sB427x", b"conectix", 2, 0x10000, 512, 0, b"test", 1, b"Wi2k",
                         size, size, 0, 4, 0, b"\1" * 16, 0)  # fmt: skip
    locator = struct.pack(">4sIIIQ", b"W2ku", 512, len(name), 0, 2048)
    header = struct.pack(">8sQQIII I16sII512s", b"cxsparse", 2**64 - 1, 1536, 0x10000, 1, 0x200000,
                         0, b"\1" * 16, 0, 0, parent.encode("utf-16-be"))  # fmt: skip
    header = bytearray((header + locator).ljust(1024, b"\0"))
    struct.pack_into(">I", header, 36, ~sum(header) & 0xFFFFFFFF)
    ends = bytearray(footer)
    struct.pack_into(">I", ends, 64, ~sum(ends) & 0xFFFFFFFF)
    return bytes(ends + header + b"\xff" * 512 + name.ljust(512, b"\0") + ends)


def directory_loops(folder: Path) -> None:
    """File systems in which a folder holds itself or the one above, and a file's blocks go round."""
    for name in ("fat16.img", "fat32.img"):
        data = bytearray(image(name))
        for at, own in _fat_folders(data):
            (parent,) = struct.unpack_from("<H", data, at + _ENTRY + 26)
            for number, entry in enumerate(range(at + 2 * _ENTRY, at + _SECTOR, _ENTRY)):
                if data[entry] not in (0, 0xE5) and data[entry + 11] == 0x10:
                    struct.pack_into("<H", data, entry + 26, parent if number % 2 else own)
        (folder / f"folders in {name}").write_bytes(data)
    data = bytearray(image("fat16.img"))
    (reserved,) = struct.unpack_from("<H", data, 14)
    struct.pack_into("<60000H", data, reserved * _SECTOR + 4, *(2 + number ^ 1 for number in range(60000)))
    (folder / "chains.img").write_bytes(data[: len(image("fat16.img"))])
    for name in ("ext2.img", "ext4.img"):
        data = bytearray(image(name))
        for at, own in _ext_folders(data):
            (parent,) = struct.unpack_from("<I", data, at + 12)
            entry = at + 12 + struct.unpack_from("<H", data, at + 16)[0]
            while entry < at + 1024 and struct.unpack_from("<H", data, entry + 4)[0] >= 12:
                if data[entry + 7] == 2:  # a folder
                    struct.pack_into("<I", data, entry, parent if entry % 8 else own)
                entry += struct.unpack_from("<H", data, entry + 4)[0]
        (folder / f"folders in {name}").write_bytes(data)
    data = bytearray(image("iso.img"))
    root = struct.unpack_from("<I", data, 0x8000 + 158)[0] * 2048
    at = root
    while data[at]:
        if data[at + 25] & 2:  # a folder: its place and size are those of the root
            data[at + 2 : at + 18] = data[0x8000 + 158 : 0x8000 + 174]
        at += data[at]
    (folder / "folders in iso.img").write_bytes(data)


_ENTRY: Final = 32


def _fat_folders(data: bytearray) -> list[tuple[int, int]]:
    """Where a folder's first sector lies, and its cluster."""
    dot, two = b".".ljust(11) + b"\x10", b"..".ljust(11) + b"\x10"
    places = range(0, len(data), _SECTOR)
    found = [at for at in places if data.startswith(dot, at) and data.startswith(two, at + _ENTRY)]
    return [(at, struct.unpack_from("<H", data, at + 26)[0]) for at in found]


def _ext_folders(data: bytearray) -> list[tuple[int, int]]:
    """Where a folder's first block lies, and its inode: it begins with "." and ".."."""
    found = [at for at in range(0, len(data) - 1024, 1024) if data[at + 4 : at + 9] == b"\x0c\0\x01\x02."]
    return [(at, struct.unpack_from("<I", data, at)[0]) for at in found if data[at + 18 : at + 22] == b"\x02\x02.."]


def partition_loops(folder: Path) -> None:
    """Partition tables that hold themselves, without end or in absurd numbers."""
    size = 4096
    (folder / "itself.dd").write_bytes(_mbr([(0x83, 0, size)], size))
    (folder / "overlapping.dd").write_bytes(_mbr([(0x83, 0, size), (0x07, 1, size - 1), (5, 0, size)], size))
    (folder / "extended to itself.dd").write_bytes(_mbr([(5, 0, size)], size))
    chain = bytearray(_mbr([(5, 64, size - 64)], size))
    chain[64 * _SECTOR : 65 * _SECTOR] = _mbr([(0x83, 1, 8), (5, 0, size - 64)], 1)
    (folder / "extended chain.dd").write_bytes(chain)
    ring = bytearray(_mbr([(5, 64, size - 64)], size))
    ring[64 * _SECTOR : 65 * _SECTOR] = _mbr([(0x83, 1, 8), (5, 64, 64)], 1)
    ring[128 * _SECTOR : 129 * _SECTOR] = _mbr([(0x83, 1, 8), (5, 0, 64)], 1)
    (folder / "extended ring.dd").write_bytes(ring)
    each_sector = _mbr([(0x83, 1, size), (0x83, 2, size), (0x83, 3, size), (0x83, 4, size)], 1)
    (folder / "tower.dd").write_bytes(each_sector * size)
    for number, (count, each) in enumerate([(2**32 - 1, 128), (128, 2**32 - 1), (2**20, 0), (4096, 128)]):
        (folder / f"gpt{number}.dd").write_bytes(_gpt(count, each, size))


def _mbr(parts: list[tuple[int, int, int]], sectors: int) -> bytes:
    """A table of (type, first sector, sectors)."""
    table = b"".join(struct.pack("<B3xB3xII", 0, *part) for part in parts).ljust(64, b"\0")
    return (bytes(446) + table + b"\x55\xaa").ljust(sectors * _SECTOR, b"\0")


def _gpt(count: int, each: int, sectors: int) -> bytes:
    """A table that says to have `count` entries of `each` bytes; all that are there name the whole disk."""
    entry = struct.pack("<16s16sQQQ72s", b"\1" * 16, b"\2" * 16, 0, sectors - 1, 0, "x".encode("utf-16-le"))
    entries = entry * min(count, 4096)
    head = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, sectors - 1, 2, sectors - 1, b"\3" * 16,
                       2, count, each, zlib.crc32(entries))  # fmt: skip
    head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
    disk = _mbr([(0xEE, 1, sectors - 1)], 1) + head.ljust(_SECTOR, b"\0") + entries
    return disk.ljust(sectors * _SECTOR, b"\0")[: sectors * _SECTOR * 2]
