"""Compressed bytes as a stream that can be read anywhere: of a gzip, bzip2, xz or zstd file, or of a zip's member.

Reading on costs one inflation in all. For going back, deflate keeps copies of its state on the way (40 KB each);
the other methods begin again, which a cache of blocks in front (`mantlet.evidence.stream.Cached`) makes rare.
"""

from __future__ import annotations

import bz2
import copy
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import zstandard

from mantlet.errors import RefusedError, plain
from mantlet.evidence.stream import Cached, Slice, Stream
from mantlet.settings import MIB
from mantlet.types import Reason

_PIECE: Final = 64 * 1024
_ZSTD_PIECE: Final = 1024
"""No more at once: 4 bytes of zstd can grow to 128 KiB, and its decoder takes no limit."""
_FIRST_PIECE: Final = 256
"""What is lost at most of a head that is cut short."""
_FINE: Final = 4096
"""Bytes inflated at once, which are lost at most before damage."""
_POINTS: Final = 256
_FIRST_SPACING: Final = 4 * MIB
_WINDOW: Final = 128 * MIB
"""The most memory that a file may make a decoder take for its window or dictionary."""
_ERRORS: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError)


class Reader(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""


Method = Callable[[Stream], Reader]


class _Deflate:
    """Raw deflate, or gzip with any number of members, whose state can be copied."""

    def __init__(self, stream: Stream, window: int) -> None:
        self._stream, self._window = stream, window
        self._at = 0
        self._waiting = b""
        self._zlib = zlib.decompressobj(window)

    def __copy__(self) -> _Deflate:
        other = _Deflate(self._stream, self._window)
        other._at, other._waiting, other._zlib = self._at, self._waiting, self._zlib.copy()
        return other

    def read(self, size: int, /) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            if self._zlib.eof and not self._next_member():
                break
            if not self._waiting:
                self._waiting = self._stream.read_at(self._at, _PIECE)
                self._at += len(self._waiting)
            ended = not self._waiting
            try:
                piece = self._zlib.decompress(self._waiting, min(size, _FINE))
            except zlib.error:
                if pieces:
                    break  # what came before the damage; the next call raises again
                raise
            self._waiting = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if ended and not piece and not self._zlib.eof:
                if pieces:
                    break
                raise EOFError("it ends in the middle")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _next_member(self) -> bool:
        """RFC 1952, 2.2: members follow each other; what else follows is padding."""
        if self._window < 0:
            return False
        if len(self._waiting) < 3:
            more = self._stream.read_at(self._at, _PIECE)
            self._at += len(more)
            self._waiting += more
        if not self._waiting.startswith(b"\x1f\x8b"):
            return False
        self._zlib = zlib.decompressobj(self._window)
        return True


def gzip(stream: Stream) -> Reader:
    return _Deflate(stream, 31)


def deflate(stream: Stream) -> Reader:
    return _Deflate(stream, -15)


def bzip2(stream: Stream) -> Reader:
    return bz2.BZ2File(io.BufferedReader(Slice(stream), _PIECE))


class _Lzma(io.RawIOBase):
    """`lzma.LZMAFile` takes no limit of memory."""

    def __init__(self, stream: Stream) -> None:
        self._stream = Slice(stream)
        self._lzma = lzma.LZMADecompressor(memlimit=_WINDOW)

    def read(self, size: int = -1, /) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            if self._lzma.eof:
                rest = self._lzma.unused_data
                while len(rest := rest.lstrip(b"\0")) < len(_XZ) and (more := self._stream.read(_PIECE)):
                    rest += more
                if not rest.startswith(_XZ):
                    break
                self._lzma = lzma.LZMADecompressor(memlimit=_WINDOW)
            else:
                rest = self._stream.read(_PIECE) if self._lzma.needs_input else b""
                if self._lzma.needs_input and not rest:
                    raise EOFError("it ends in the middle")
            piece = self._lzma.decompress(rest, size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def xz(stream: Stream) -> Reader:
    return _Lzma(stream)


class _Zstd:
    """`zstandard`'s own reader takes a file that ends in the middle of a frame for a whole one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = Slice(stream)
        self._frame: Any = None
        self._waiting = b""
        self._ready = io.BytesIO()

    def read(self, size: int, /) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            piece = self._ready.read(size)
            if not piece:
                self._waiting = self._waiting or self._stream.read(_ZSTD_PIECE)
                if not self._waiting:
                    if self._frame is not None:
                        raise EOFError("it ends in the middle")
                    break
                self._inflate()
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _inflate(self) -> None:
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._ready = io.BytesIO(self._frame.decompress(self._waiting))
        self._waiting = b""
        if self._frame.eof:
            self._waiting, self._frame = self._frame.unused_data, None


def zstd(stream: Stream) -> Reader:
    return _Zstd(stream)


_XZ: Final = b"\xfd7zXZ\x00"
METHODS: Final[tuple[tuple[bytes, str, Method], ...]] = (
    (b"\x1f\x8b\x08", "gzip", gzip),
    (b"BZh", "bzip2", bzip2),
    (_XZ, "xz", xz),
    (b"\x28\xb5\x2f\xfd", "zstd", zstd),
)


class _Inflated(Stream):
    """Where the data are damaged, it ends a little before; reading on from there raises."""

    sequential = True

    def __init__(self, packed: Stream, method: Method, size: int | None, most: int | None) -> None:
        super().__init__(size)
        self._packed, self._method, self._limit = packed, method, most
        self._reader = method(packed)
        self._at = 0
        self._points: list[tuple[int, Reader]] = []
        self._spacing = _FIRST_SPACING
        self._broken_at: int | None = None

    def _measure(self) -> int:
        """By reading on to the end: nothing that a compressed file says of its size is believed."""
        try:
            while self._read(_PIECE):
                pass
        except OSError:
            if not self._at:
                raise
        return self._at

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < self._at:
            self._go_back(offset)
        while self._at < offset:
            if not self._read(min(_PIECE, offset - self._at)):
                return b""
        pieces: list[bytes] = []
        end = offset + length
        while self._at < end:
            try:
                piece = self._read(min(_PIECE, end - self._at))
            except OSError:
                if pieces:
                    break
                raise
            pieces.append(piece)
            if not piece:
                break
        return b"".join(pieces)

    def check_end(self) -> None:
        if self._broken_at is not None:
            raise OSError(f"the compressed data are damaged or cut short at byte {self._broken_at:,} of what they hold")

    def _read(self, length: int) -> bytes:
        if self._at == self._broken_at:
            self.check_end()
        try:
            data = self._reader.read(length)
        except (*_ERRORS, OSError):  # bz2 raises OSError
            self._broken_at = self._at
            self.check_end()
        self._at += len(data)
        if self._limit is not None and self._at > self._limit:
            raise RefusedError(Reason.LIMIT, f"It grows to more than {self._limit // MIB:,} MiB: likely a bomb.")
        self._note()
        return data

    def _note(self) -> None:
        last = self._points[-1][0] if self._points else 0
        if isinstance(self._reader, _Deflate) and self._at >= last + self._spacing:
            self._points.append((self._at, copy.copy(self._reader)))
            if len(self._points) > _POINTS:
                self._points, self._spacing = self._points[1::2], self._spacing * 2

    def _go_back(self, offset: int) -> None:
        before = [point for point in self._points if point[0] <= offset]
        if before:
            self._at, self._reader = before[-1][0], copy.copy(before[-1][1])
        else:
            self._at, self._reader = 0, self._method(self._packed)


def inflated(packed: Stream, method: Method, size: int | None = None, most: int | None = None) -> Stream:
    """What `packed` grows to; beyond `most` bytes it is refused. `size`: where it is known beforehand."""
    return Cached(_Inflated(packed, method, size, most), memory=32 * MIB)


def method_of(head: bytes) -> tuple[str, Method] | None:
    """The compression of a file that begins with `head`, by name and in deed."""
    return next(((name, method) for mark, name, method in METHODS if head.startswith(mark)), None)


def inner_head(stream: Stream, method: Method, length: int) -> tuple[bytes, str]:
    """The first bytes of what a compressed file holds, and why there are no more, where that is not its end."""
    data = bytearray()
    try:
        reader = method(stream)
        while len(data) < length and (piece := reader.read(min(_FIRST_PIECE, length - len(data)))):
            data += piece
    except (*_ERRORS, OSError) as error:
        return bytes(data), plain(error, 100)
    return bytes(data), ""
