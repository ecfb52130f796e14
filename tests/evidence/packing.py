"""Archives of every kind, made by code: each function gives the bytes of one that holds `files` (name -> content)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

Files = Mapping[str, bytes]


def zipped(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def seven_zipped(files: Files) -> bytes:
    """By libarchive, which writes one solid block."""
    import libarchive

    with TemporaryDirectory() as folder:
        path = Path(folder, "a.7z")
        with libarchive.file_writer(str(path), "7zip") as archive:
            for name, data in files.items():
                archive.add_file_from_memory(name, len(data), data)
        return path.read_bytes()


def _vint(number: int) -> bytes:
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def _rar_block(body: bytes, data: bytes = b"") -> bytes:
    sized = _vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(sized)) + sized + data


def rar(files: Files) -> bytes:
    """RAR 5.0, members stored (RAR 5.0 archive format, www.rarlab.com/technote.htm)."""
    blocks = [b"Rar!\x1a\x07\x01\x00", _rar_block(b"\x01\x00\x00")]
    for name, data in files.items():
        encoded = name.encode()
        body = b"\x02\x02" + _vint(len(data)) + b"\x04" + _vint(len(data)) + b"\x00"
        body += struct.pack("<I", zlib.crc32(data)) + b"\x00\x01" + _vint(len(encoded)) + encoded
        blocks.append(_rar_block(body, data))
    return b"".join([*blocks, _rar_block(b"\x05\x00\x00")])


def cabinet(files: Files) -> bytes:
    """A cabinet with one folder, not compressed (MS-CAB, 2.2 to 2.6)."""
    whole = b"".join(files.values())
    blocks = [whole[at : at + 0x8000] for at in range(0, len(whole), 0x8000)]
    entries, at = b"", 0
    for name, data in files.items():
        entries += struct.pack("<IIHHHH", len(data), at, 0, 0x5421, 0, 0x20) + name.encode() + b"\0"
        at += len(data)
    first = 36 + 8 + len(entries)
    data = b"".join(struct.pack("<IHH", 0, len(block), len(block)) + block for block in blocks)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, first + len(data), 0, 36 + 8, 0, 3, 1, 1, len(files), 0, 0, 0)
    return head + struct.pack("<IHH", first, len(blocks), 0) + entries + data
