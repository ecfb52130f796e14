"""Makes containers.tar.xz: one small disk in every container that Mantlet reads, and the disk itself (`disk.raw`).

Every image in it holds the bytes of `disk.raw`, by itself or over a base that lies beside it (`older.*`, the disk as
it was before some regions changed). The disk is drawn from a seed: a FAT12 with a few files, zeros, and noise across
the borders of grains, clusters and blocks, up to its last sector, which ends no chunk.

Needs qemu-img and qemu-io 7.2 (qemu-utils), ewfacquire (ewf-tools), mkfs.vfat (dosfstools) and mcopy (mtools):

    python tests/images/make_containers.py

qemu-img makes no differencing VHD or VHDX; `vhd_over` and `vhdx_over` write them. Sources: Microsoft, Virtual Hard
Disk Image Format Specification 1.0; [MS-VHDX] 2.2 to 2.6.
"""

from __future__ import annotations

import io
import lzma
import os
import random
import struct
import subprocess
import tarfile
import tempfile
import uuid
from pathlib import Path

HERE = Path(__file__).parent
SECTOR = 512
KIB, MIB = 1024, 1024 * 1024
SIZE = 4 * MIB + 3 * SECTOR
BLOCK = 4 * KIB
TIME = 1_600_000_000
CHANGED = ((MIB - 8 * KIB, 12 * KIB), (2 * MIB - 6 * SECTOR, 8 * KIB), (3 * MIB + 5 * SECTOR, SECTOR))
"""Where `older` differs from the disk: offset and length in bytes."""

QEMU = {
    "sparse.vmdk": ("vmdk", "subformat=monolithicSparse"),
    "stream.vmdk": ("vmdk", "subformat=streamOptimized"),
    "flat.vmdk": ("vmdk", "subformat=monolithicFlat"),
    "dynamic.vhd": ("vpc", "subformat=dynamic,force_size=on"),
    "fixed.vhd": ("vpc", "subformat=fixed,force_size=on"),
    "dynamic.vhdx": ("vhdx", "subformat=dynamic,block_size=1M,log_size=1M"),
    "fixed.vhdx": ("vhdx", "subformat=fixed,block_size=1M,log_size=1M"),
    "v1.qcow": ("qcow", ""),
    "packed.qcow": ("qcow", "-c"),
    "v2.qcow2": ("qcow2", "compat=0.10"),
    "v3.qcow2": ("qcow2", "compat=1.1,lazy_refcounts=on"),
    "zlib.qcow2": ("qcow2", "-c,compat=0.10"),
    "zstd.qcow2": ("qcow2", "-c,compression_type=zstd"),
    "small.qcow2": ("qcow2", "cluster_size=512"),
    "large.qcow2": ("qcow2", "-c,cluster_size=2M"),
    "subclusters.qcow2": ("qcow2", "extended_l2=on"),
    "older.vmdk": ("vmdk", "subformat=monolithicSparse"),
    "older.qcow2": ("qcow2", ""),
    "older.vhd": ("vpc", "subformat=dynamic,force_size=on"),
    "older.vhdx": ("vhdx", "subformat=dynamic,block_size=1M,log_size=1M"),
}
"""Name -> format of QEMU, and options; `-c` compresses. `older.*` are made of the older disk."""
EWF = {
    "smart": "-f smart -c fast",
    "ewf": "-f ewf -c best",
    "encase5": "-f encase5 -c best -b 16",
    "encase6": "-f encase6 -c none -S 1048576 -d sha1",
    "linen6": "-f linen6 -c fast -d sha1 -b 1024",
    "ftk": "-f ftk -c empty-block",
}


def run(*arguments: object, folder: Path, check: bool = True) -> None:
    subprocess.run([str(each) for each in arguments], check=check, cwd=folder, stdout=subprocess.PIPE)


def make_disk(folder: Path) -> tuple[bytes, bytes]:
    """The disk, and what it was before."""
    draw = random.Random(7)
    path = folder / "disk.raw"
    run("mkfs.vfat", "-C", "-F", 12, "-i", "01234567", "--invariant", path, 3 * KIB, folder=folder)
    for name, data in (
        ("noise.bin", draw.randbytes(9000)),
        ("words.txt", b"the quick brown fox " * 1500),
        ("long name of a file.txt", b"short"),
    ):
        (folder / name).write_bytes(data)
        os.utime(folder / name, (TIME, TIME))
        run("mcopy", "-m", "-i", path, name, "::", folder=folder)
        (folder / name).unlink()
    disk = bytearray(path.read_bytes().ljust(SIZE, b"\0"))
    older = bytearray(disk)
    for offset, length in CHANGED:
        disk[offset : offset + length] = draw.randbytes(length)
    older[2 * MIB : 2 * MIB + KIB] = draw.randbytes(KIB)
    for data in (disk, older):
        data[-3 * SECTOR :] = random.Random(8).randbytes(3 * SECTOR)
    path.write_bytes(disk)
    return bytes(disk), bytes(older)


def changes(disk: bytes, older: bytes) -> list[int]:
    """The offsets of the blocks of 4 KiB in which the two differ."""
    older = older.ljust(len(disk), b"\0")
    return [at for at in range(0, len(disk), BLOCK) if disk[at : at + BLOCK] != older[at : at + BLOCK]]


def write_changes(folder: Path, name: str, kind: str, disk: bytes, older: bytes) -> None:
    """Writes what differs into an image that was made over `older`."""
    for at in changes(disk, older):
        piece = disk[at : at + BLOCK]
        (folder / "piece").write_bytes(piece)
        run("qemu-io", "-f", kind, "-c", f"write -s piece {at} {len(piece)}", name, folder=folder)
    (folder / "piece").unlink()


def checksum(data: bytes) -> int:
    """The complement of the sum of all bytes (VHD, "Hard Disk Footer Format")."""
    return ~sum(data) & 0xFFFF_FFFF


def vhd_over(parent: bytes, name: str, disk: bytes, older: bytes) -> bytes:
    """A differencing VHD over the dynamic one `parent`: blocks of 2 MiB, of which the changed sectors are here."""
    footer, size = bytearray(parent[:SECTOR]), 2 * MIB
    blocks = -(-len(disk) // size)
    footer[60:64] = struct.pack(">I", 4)  # differencing
    footer[68:84] = uuid.UUID(int=random.Random(9).getrandbits(128)).bytes
    footer[64:68] = bytes(4)
    footer[64:68] = struct.pack(">I", checksum(footer))
    head = bytearray(1024)
    struct.pack_into(">8sQQIII", head, 0, b"cxsparse", (1 << 64) - 1, 1536, 0x10000, blocks, size)
    head[40:56] = parent[68:84]
    head[64 : 64 + 2 * len(name)] = name.encode("utf-16-be")
    head[36:40] = struct.pack(">I", checksum(head))
    table, data, at = [0xFFFF_FFFF] * blocks, b"", 1536 + SECTOR
    for number in range(blocks):
        bits, content = bytearray(SECTOR), bytearray(size)
        for sector in range(min(size, len(disk) - number * size) // SECTOR):
            start = number * size + sector * SECTOR
            if disk[start : start + SECTOR] != older[start : start + SECTOR]:
                bits[sector // 8] |= 0x80 >> sector % 8
                content[sector * SECTOR : (sector + 1) * SECTOR] = disk[start : start + SECTOR]
        if any(bits):
            table[number] = (at + len(data)) // SECTOR
            data += bits + content
    entries = struct.pack(f">{blocks}I", *table).ljust(SECTOR, b"\xff")
    return bytes(footer + head) + entries + data + bytes(footer)


def vhdx_over(parent: bytes, name: str, made: bytes, disk: bytes, older: bytes) -> bytes:
    """A differencing VHDX over `parent`, from a dynamic one of the same disk: of the blocks of 1 MiB the first
    has a bitmap of its sectors, the last is left to the parent, the others are whole.

    libvhdi finds the parent's name in `absolute_win32_path` alone."""
    image = bytearray(made)
    headers = [parent[at : at + 4 * KIB] for at in (64 * KIB, 128 * KIB)]
    newest = max(headers, key=lambda head: int(struct.unpack_from("<Q", head, 8)[0]))
    linkage = f"{{{uuid.UUID(bytes_le=newest[32:48])}}}"
    regions = {bytes(image[at : at + 16]): at for at in range(192 * KIB + 16, 192 * KIB + 80, 32)}
    places = {
        key: struct.unpack_from("<QI", image, regions[uuid.UUID(key).bytes_le] + 16)
        for key in ("2dc27766-f623-4200-9d64-115e9bfd4a08", "8b7ca206-4790-4b9a-b8fe-575f050f886e")
    }
    (table, _), (meta, _) = places.values()
    (count,) = struct.unpack_from("<H", image, meta + 10)
    entries = {bytes(image[at : at + 16]): at for at in range(meta + 32, meta + 32 + 32 * count, 32)}
    parameters = entries[uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le]
    (offset,) = struct.unpack_from("<I", image, parameters + 16)
    image[meta + offset + 4] |= 2  # HasParent
    pairs = {"parent_linkage": linkage, "relative_path": f".\\{name}", "absolute_win32_path": f"C:\\images\\{name}"}
    heap, rows, at = b"", b"", 20 + 12 * len(pairs)
    for key, value in pairs.items():
        one, two = key.encode("utf-16-le"), value.encode("utf-16-le")
        rows += struct.pack("<IIHH", at + len(heap), at + len(heap) + len(one), len(one), len(two))
        heap += one + two
    locator = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913").bytes_le + struct.pack("<HH", 0, len(pairs))
    locator += rows + heap
    image[meta + 128 * KIB : meta + 128 * KIB + len(locator)] = locator
    entry = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
    entry += struct.pack("<IIII", 128 * KIB, len(locator), 4, 0)
    image[meta + 32 + 32 * count : meta + 64 + 32 * count] = entry
    image[meta + 10 : meta + 12] = struct.pack("<H", count + 1)
    bits = bytearray(MIB)
    block = struct.unpack_from("<Q", image, table)[0] >> 20 << 20
    for sector in range(MIB // SECTOR):
        if disk[sector * SECTOR : (sector + 1) * SECTOR] != older[sector * SECTOR : (sector + 1) * SECTOR]:
            bits[sector // 8] |= 1 << sector % 8
        else:
            image[block + sector * SECTOR : block + (sector + 1) * SECTOR] = b"\xff" * SECTOR
    image[table] = image[table] & 0xF8 | 7  # partly here
    image[table + 32 : table + 40] = bytes(8)  # not here
    bitmaps = table + 8 * 4096  # one for every 2^23 sectors, behind the blocks that it is of
    image += bytes(-len(image) % MIB)
    image[bitmaps : bitmaps + 8] = struct.pack("<Q", len(image) | 6)
    return bytes(image + bits)


def split_vmdk(folder: Path, disk: bytes) -> None:
    """split.vmdk: a descriptor of two sparse extents, which QEMU makes only of disks over 2 GiB."""
    extents, last = "", ""
    for number, half in enumerate((disk[: 2 * MIB], disk[2 * MIB :]), 1):
        (folder / "half").write_bytes(half)
        options = ("-o", "subformat=twoGbMaxExtentSparse", "half", "half.vmdk")
        run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", *options, folder=folder)
        (folder / "half-s001.vmdk").rename(folder / f"split-s{number:03}.vmdk")
        last = (folder / "half.vmdk").read_text().rstrip("\0")
        extents += f'RW {len(half) // SECTOR} SPARSE "split-s{number:03}.vmdk"\n'
        (folder / "half").unlink()
        (folder / "half.vmdk").unlink()
    lines = [extents.rstrip() if line.startswith("RW ") else line for line in last.splitlines()]
    (folder / "split.vmdk").write_text("\n".join([*lines, ""]))
    run("qemu-img", "compare", "-f", "raw", "-F", "vmdk", "disk.raw", "split.vmdk", folder=folder)


def make(folder: Path) -> None:
    """All files of the archive, in `folder`."""
    disk, older = make_disk(folder)
    (folder / "older.raw").write_bytes(older)
    for name, (kind, options) in QEMU.items():
        packed = ["-c"] if options.startswith("-c") else []
        rest = options.removeprefix("-c").removeprefix(",")
        source = "older.raw" if name.startswith("older") else "disk.raw"
        extra = ["-o", rest] if rest else []
        # `qemu-img convert -c` to QCOW 1 ends with 1, without a word, and is complete: hence the comparison.
        command = ("qemu-img", "convert", "-f", "raw", "-O", kind, *packed, *extra, source, name)
        run(*command, folder=folder, check=kind != "qcow")
        run("qemu-img", "compare", "-f", "raw", "-F", kind, source, name, folder=folder)
    short = older[: 3 * MIB]
    (folder / "older.raw").write_bytes(short)
    for name, kind, base, base_kind, before in (
        ("over.vmdk", "vmdk", "older.vmdk", "vmdk", older),
        ("over.qcow2", "qcow2", "older.qcow2", "qcow2", older),
        ("over raw.qcow2", "qcow2", "older.raw", "raw", short),
    ):
        size = [] if kind == "vmdk" else [SIZE]
        run("qemu-img", "create", "-q", "-f", kind, "-b", base, "-F", base_kind, name, *size, folder=folder)
        write_changes(folder, name, kind, disk, before)
    split_vmdk(folder, disk)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", "older.qcow2", "snapshot.qcow2", folder=folder)
    run("qemu-img", "snapshot", "-c", "before", "snapshot.qcow2", folder=folder)
    write_changes(folder, "snapshot.qcow2", "qcow2", disk, older)
    (folder / "over.vhd").write_bytes(vhd_over((folder / "older.vhd").read_bytes(), "older.vhd", disk, older))
    made = (folder / "dynamic.vhdx").read_bytes()
    parent = (folder / "older.vhdx").read_bytes()
    (folder / "over.vhdx").write_bytes(vhdx_over(parent, "older.vhdx", made, disk, older))
    for name, options in EWF.items():
        run("ewfacquire", "-u", "-q", "-t", name, *options.split(), "disk.raw", folder=folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, packed = Path(temporary), io.BytesIO()
        make(folder)
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path in sorted(folder.iterdir()):
                info = tarfile.TarInfo(path.name)
                info.size, info.mtime, info.mode = path.stat().st_size, TIME, 0o444
                with path.open("rb") as file:
                    archive.addfile(info, file)
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 128 * MIB}]
        (HERE / "containers.tar.xz").write_bytes(lzma.compress(packed.getvalue(), filters=filters))


if __name__ == "__main__":
    main()
