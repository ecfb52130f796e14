"""QEMU images, QCOW (version 1) and QCOW2 (versions 2 and 3), read here and not by libqcow, which gives zeros for the
compressed clusters of a QCOW2 without a word (libqcow-python 20260703, against qemu-img).

Source: QEMU, docs/interop/qcow2.rst; for version 1, block/qcow.c.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections import OrderedDict
from typing import Final

import zstandard

from mantlet.errors import RefusedError
from mantlet.evidence.source import Opened, Source
from mantlet.evidence.stream import Stream
from mantlet.settings import MIB
from mantlet.types import Reason

MARK: Final = b"QFI\xfb"
_BITS: Final = range(9, 22)
"""Clusters of 512 bytes to 2 MiB: what QEMU itself takes."""
_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_DIRTY_CORRUPT_COMPRESSION: Final = 0b1011
"""Incompatible features that do not change where bytes lie; an external data file and extended L2 entries do."""
_ZSTD: Final = 1
_BACKING_FORM: Final = 0xE279_2ACA
_OTHER_IMAGES: Final = (b"KDMV", b"# Disk DescriptorFile", b"conectix", b"vhdxfile")
_WINDOW: Final = 8 * MIB
_TABLES: Final = 256
_CLUSTERS: Final = 64 * MIB


def open_qcow(source: Source) -> Opened:
    """The disk inside, over its backing file if it has one.

    Raises:
        OSError, struct.error: damaged.
        RefusedError: encrypted, or of a kind that is not read.
        MissingPartError: its backing file is not beside it.
    """
    return Opened(_image(source))


def _image(source: Source) -> Stream:
    image = _Qcow(source.stream)
    if image.backing:
        below = source.part(image.backing)
        head, form = below.stream.read_at(0, 512), image.backing_form
        if form in ("qcow", "qcow2") or (not form and head.startswith(MARK)):
            image.parent = _image(below)
        elif form == "raw" or (not form and not head.startswith(_OTHER_IMAGES)):
            image.parent = below.stream
        else:
            text = f"The QCOW image stands on {below.name}, which is neither raw nor QCOW itself."
            raise RefusedError(Reason.UNSUPPORTED, text)
    return image


class _Qcow(Stream):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._tables: OrderedDict[int, bytes] = OrderedDict()
        self._clusters: OrderedDict[int, bytes] = OrderedDict()
        self._zstd = False
        self.parent: Stream | None = None
        head = stream.read_at(0, 112).ljust(112, b"\0")
        (version,) = struct.unpack_from(">I", head, 4)
        if not head.startswith(MARK):
            raise RefusedError(Reason.DAMAGED, "It is no QCOW image, as one that stands on it says.")
        if version == 1:
            name, length, _, size, self._bits, self._l2_bits, crypt, l1 = struct.unpack_from(">QIIQBBxxIQ", head, 8)
            entries = -(-size >> (self._bits + self._l2_bits)) if self._bits in _BITS else 0
        elif version in (2, 3):
            name, length, self._bits, size, crypt, entries, l1 = struct.unpack_from(">QIIQIIQ", head, 8)
            self._l2_bits = self._bits - 3
            self._check_features(head, version)
        else:
            raise RefusedError(
                Reason.UNSUPPORTED, f"It is a QCOW image of version {version}, which Mantlet cannot read."
            )
        if crypt:
            raise RefusedError(Reason.ENCRYPTED, "The QCOW image is encrypted.")
        if self._bits not in _BITS or self._l2_bits > 20 or size >= 1 << 63 or entries > 4 * MIB:
            raise RefusedError(Reason.DAMAGED, "The QCOW image says of itself what cannot be.")
        super().__init__(size)
        self._version = version
        self._l1 = stream.read_at(l1, entries * 8)
        text = stream.read_at(name, min(length, 1024)) if name else b""
        if name and (len(text) != length or length > 1023):
            raise RefusedError(Reason.DAMAGED, "The QCOW image does not say in full which file it stands on.")
        self.backing = text.decode("utf-8", "replace")
        self.backing_form = self._backing_form(head, version, name) if name else ""

    def _backing_form(self, head: bytes, version: int, end: int) -> str:
        """How the file below is stored, where a header extension says so: it may be raw and begin like an image."""
        at = 72 if version == 2 else struct.unpack_from(">I", head, 100)[0] if version == 3 else end
        while at + 8 <= min(end, 1 << self._bits):
            kind, length = struct.unpack(">II", self._stream.read_at(at, 8))
            if kind == _BACKING_FORM:
                return self._stream.read_at(at + 8, min(length, 64)).decode("utf-8", "replace")
            if not kind:
                break
            at += 8 + (length + 7) // 8 * 8
        return ""

    def _check_features(self, head: bytes, version: int) -> None:
        if version < 3:
            return
        (incompatible,) = struct.unpack_from(">Q", head, 72)
        if incompatible & ~_DIRTY_CORRUPT_COMPRESSION:
            raise RefusedError(Reason.UNSUPPORTED, "The QCOW2 image keeps its data in another file or in sub-clusters.")
        self._zstd = bool(incompatible & 0b1000) and head[104] == _ZSTD

    def read_at(self, offset: int, length: int) -> bytes:
        end, pieces = min(offset + length, self.size), []
        with self._lock:
            while offset < end:
                inside = offset & ((1 << self._bits) - 1)
                take = min(end - offset, (1 << self._bits) - inside)
                pieces.append(self._piece(offset >> self._bits, inside, take))
                offset += take
        return b"".join(pieces)

    def _piece(self, cluster: int, inside: int, length: int) -> bytes:
        entry = self._entry(cluster)
        compressed = entry >> (63 if self._version == 1 else 62) & 1
        if compressed:
            return self._inflated(entry)[inside : inside + length]
        at = entry & (_OFFSET if self._version > 1 else (1 << 63) - 1)
        if self._version > 2 and entry & 1:
            return bytes(length)
        if at:
            data = self._stream.read_at(at + inside, length)
            if len(data) != length:
                raise OSError("the QCOW image is cut short")
            return data
        if self.parent is None:
            return bytes(length)
        return self.parent.read_at((cluster << self._bits) + inside, length).ljust(length, b"\0")

    def _entry(self, cluster: int) -> int:
        l1, l2 = cluster >> self._l2_bits, cluster & ((1 << self._l2_bits) - 1)
        if (l1 + 1) * 8 > len(self._l1):
            raise OSError("the QCOW image is cut short")
        (at,) = struct.unpack_from(">Q", self._l1, l1 * 8)
        at &= _OFFSET if self._version > 1 else (1 << 63) - 1
        if not at:
            return 0
        table = self._tables.get(at)
        if table is None:
            table = self._stream.read_at(at, 8 << self._l2_bits)
            self._tables[at] = table
            if len(self._tables) > max(1, _TABLES >> max(0, self._l2_bits - 13)):
                self._tables.popitem(last=False)
        if (l2 + 1) * 8 > len(table):
            raise OSError("the QCOW image is cut short")
        entry: int = struct.unpack_from(">Q", table, l2 * 8)[0]
        return entry

    def _inflated(self, entry: int) -> bytes:
        """A compressed cluster: raw deflate with a window of 4 KiB, or zstd; some are kept for the next read."""
        found = self._clusters.get(entry)
        if found is None:
            if self._version == 1:
                at, packed = entry & ((1 << 63 - self._bits) - 1), entry >> 63 - self._bits & ((1 << self._bits) - 1)
            else:
                shift = 62 - (self._bits - 8)
                at = entry & ((1 << shift) - 1)
                packed = ((entry >> shift & ((1 << self._bits - 8) - 1)) + 1) * 512 - at % 512
            size, data = 1 << self._bits, self._stream.read_at(at, packed)
            try:
                if self._zstd:
                    found = (
                        zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(io.BytesIO(data)).read(size)
                    )
                else:
                    found = zlib.decompressobj(-12).decompress(data, size)
            except (zlib.error, zstandard.ZstdError) as error:
                raise OSError("a compressed cluster of the QCOW image is damaged") from error
            if len(found) != size:
                raise OSError("a compressed cluster of the QCOW image is damaged")
            self._clusters[entry] = found
            if len(self._clusters) > max(1, _CLUSTERS >> self._bits):
                self._clusters.popitem(last=False)
        return found
