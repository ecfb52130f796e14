"""Random-access bytes, read only: what every layer of evidence takes and gives."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import Any, Final

from mantlet.errors import RefusedError
from mantlet.settings import MIB


class Stream(io.RawIOBase):
    """Bytes that can be read anywhere; usable wherever Python wants a binary file.

    `sequential`: reading on is cheap, and going back may cost as much as reading all again.
    """

    sequential = False

    def __init__(self, size: int | None) -> None:
        super().__init__()
        self._size = size
        self._position = 0

    @property
    def size(self) -> int:
        """In bytes. Of a stream that inflates it may be known only by reading it to its end."""
        if self._size is None:
            self._size = self._measure()
        return self._size

    def _measure(self) -> int:
        raise NotImplementedError

    def read_at(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer only at the end. Raises OSError where they cannot be read."""
        raise NotImplementedError

    def check_end(self) -> None:
        """Raises OSError where it ends because what lies behind is damaged; only streams that inflate can tell."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = self.size if whence == io.SEEK_END else self._position if whence == io.SEEK_CUR else 0
        if start + offset < 0:
            raise ValueError("seek before the start")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = max(0, self.size - self._position) if size is None or size < 0 else size
        data = self.read_at(self._position, wanted) if wanted else b""
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Slice(Stream):
    """`size` bytes of another stream, from `start`: a volume of a disk. `size` None: all the rest."""

    def __init__(self, stream: Stream, start: int = 0, size: int | None = None) -> None:
        if size is not None and not stream.sequential:
            size = max(0, min(size, stream.size - start))
        super().__init__(size)
        self.sequential = stream.sequential
        self._stream = stream
        self._start = start

    def _measure(self) -> int:
        return max(0, self._stream.size - self._start)

    def check_end(self) -> None:
        self._stream.check_end()

    def read_at(self, offset: int, length: int) -> bytes:
        if self._size is not None:
            length = min(length, self._size - offset)
        return self._stream.read_at(self._start + offset, length) if length > 0 else b""


class Joined(Stream):
    """Streams end to end: the segments of a split image."""

    def __init__(self, parts: list[Stream]) -> None:
        super().__init__(sum(part.size for part in parts))
        self._parts = parts

    def read_at(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        for part in self._parts:
            if offset < part.size and length > 0:
                wanted = min(length, part.size - offset)
                piece = part.read_at(offset, wanted)
                if len(piece) != wanted:
                    raise OSError("a segment is shorter than it was")
                pieces.append(piece)
                length -= len(piece)
                offset = 0
            else:
                offset = max(0, offset - part.size)
        return b"".join(pieces)


class Memory(Stream):
    """Bytes already in memory."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class ForLibyal(Slice):
    """A stream as a library of libyal is given it: where it cannot be read it is short, which they take for an error.

    An exception that passes through their Python bindings is never let go, nor is what its frames hold: on damaged
    media a worker's memory filled with caches of streams that nobody read any more (libvhdi-python 20260901).
    """

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return super().read_at(offset, length)
        except (OSError, RefusedError):
            return b""


class Library(Stream):
    """What a library of libyal opened (https://github.com/libyal): they keep a position, hence the lock.

    `name` is what it is, in words, for the error.
    """

    def __init__(self, opened: Any, size: int, name: str) -> None:
        super().__init__(size)
        self._opened = opened
        self._name = name
        self._lock = threading.Lock()

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        with self._lock:
            try:
                data: bytes = self._opened.read_buffer_at_offset(length, offset)
            except OSError as error:
                raise OSError(f"{self._name} is damaged or cut short at byte {offset:,} of what it holds") from error
        return data


_BLOCK: Final = MIB // 4


class Cached(Stream):
    """Another stream read in aligned blocks, the last few kept: for media where a small read costs a large one.

    An E01 chunk (32 KiB) must be inflated whole for any byte of it; without this, a file system's small reads
    inflate each chunk many times (measured: 25 s of CPU a GB, against 6 with a cache).
    """

    def __init__(self, stream: Stream, memory: int = 16 * MIB) -> None:
        super().__init__(None)
        self.sequential = stream.sequential
        self._stream = stream
        self._most = max(1, memory // _BLOCK)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def _measure(self) -> int:
        return self._stream.size

    def check_end(self) -> None:
        self._stream.check_end()

    def read_at(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        while length > 0:
            number, inside = divmod(offset, _BLOCK)
            block = self._block(number)
            piece = block[inside : inside + length]
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
            if len(block) < _BLOCK:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            block = self._stream.read_at(number * _BLOCK, _BLOCK)
            self._blocks[number] = block
            if len(self._blocks) > self._most:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block
