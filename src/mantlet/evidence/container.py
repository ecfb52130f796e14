"""What an exhibit is stored as: from a path to bytes, by what the file begins with.

`open_container` tries the formats in the order below. Formats that are known and not read are refused by name,
so that nobody takes "nothing found" for "nothing there".
"""

from __future__ import annotations

import stat
import zlib
from pathlib import Path
from typing import Final

import msgspec

from mantlet.errors import EvidenceError
from mantlet.evidence.containers import ewf, raw
from mantlet.evidence.stream import Stream

_REFUSED: Final = (
    (0, b"EVF2\r\n\x81\x00", "an Ex01 image"),
    (0, b"LVF\x09\x0d\x0a\xff\x00", "an L01 logical image"),
    (0, b"LEF2\r\n\x81\x00", "an Lx01 logical image"),
    (0, b"ADSEGMENTEDFILE\x00", "an AD1 logical image"),
    (0, b"AFF10\r\n\x00", "an AFF image"),
    (0, b"KDMV", "a VMDK image"),
    (0, b"# Disk DescriptorFile", "a VMDK image"),
    (0, b"QFI\xfb", "a QCOW image"),
    (0, b"vhdxfile", "a VHDX image"),
    (0, b"conectix", "a VHD image"),
    (64, b"\x7f\x10\xda\xbe", "a VDI image"),
    (0, b"\x1f\x8b", "a gzip-compressed file"),
    (0, b"BZh", "a bzip2-compressed file"),
    (0, b"\xfd7zXZ\x00", "an xz-compressed file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd-compressed file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
)
_AFF4_MARK: Final = b"aff4://"
_HEAD: Final = 4096


class Container(msgspec.Struct, frozen=True):
    """An opened exhibit: its media, in what form it came, and the digests stored with it."""

    form: str
    stream: Stream
    stored: dict[str, str]


def form_of(path: Path) -> str:
    """ "folder", "E01", "split raw", "device", "zip" or "raw": by the file's kind and first bytes alone.

    Raises:
        EvidenceError: there is nothing to read at `path`, or it is a format known but not read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)
            return "folder"
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise EvidenceError(f"{path} is neither a file, a folder nor a block device.")
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if stat.S_ISREG(mode) and path.stat().st_size >= 512:
                file.seek(-512, 2)
                tail = file.read(512)
            else:
                tail = b""
    except FileNotFoundError:
        raise EvidenceError(f"{path} does not exist; check the path.") from None
    except PermissionError:
        raise EvidenceError(f"{path} may not be read by you; ask for the right to read it.") from None
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}.") from error
    if stat.S_ISBLK(mode):
        return "device"
    if not head:
        raise EvidenceError(f"{path} is an empty file: nothing was acquired, or the copy failed.")
    refuse_unread(path, head, tail)
    if head.startswith(ewf.SIGNATURE):
        ewf.segments(path)
        return "E01"
    if len(raw.split_segments(path)) > 1:
        return "split raw"
    return "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else "raw"


_TAR: Final = (257, b"ustar", "a tar archive")
_DISK_MARKS: Final = ((512, b"EFI PART"), (3, b"NTFS    "), (3, b"EXFAT   "), (54, b"FAT1"), (82, b"FAT32"))


def unopened(head: bytes) -> str | None:
    """What a file inside an exhibit is, in words, if it holds files that Mantlet does not open yet; else None.

    `head`: its first 4 KiB. A gzip file is judged by what is in it: most are logs and manuals.
    """
    if head.startswith(b"\x1f\x8b"):
        try:
            inner = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error:
            return "a damaged gzip-compressed file"
        return f"{unopened(inner)}, compressed" if unopened(inner) else None
    if head.startswith(ewf.SIGNATURE):
        return "an E01 image"
    for offset, mark, name in (*_REFUSED, _TAR):
        if head[offset : offset + len(mark)] == mark:
            return name
    if any(head[offset : offset + len(mark)] == mark for offset, mark in _DISK_MARKS):
        return "a disk image"
    return None


def refuse_unread(path: Path, head: bytes, tail: bytes) -> None:
    for offset, mark, name in _REFUSED:
        if head[offset : offset + len(mark)] == mark:
            raise EvidenceError(f"{path} is {name}, which Mantlet cannot read yet; convert it to raw or E01.")
    if tail.startswith(b"conectix"):
        raise EvidenceError(f"{path} is a VHD image, which Mantlet cannot read yet; convert it to raw or E01.")
    if path.suffix.lower() == ".aff4" or (head.startswith(b"PK") and _AFF4_MARK in tail + head):
        raise EvidenceError(f"{path} is an AFF4 image, which Mantlet cannot read yet; convert it to raw or E01.")


def open_container(path: Path) -> Container:
    """The media of an exhibit that is not a folder. Raises EvidenceError as `form_of`."""
    form = form_of(path)
    if form == "E01":
        stream, stored = ewf.open_ewf(path)
        return Container(form, stream, stored)
    return Container(form, raw.open_raw(path), {})
