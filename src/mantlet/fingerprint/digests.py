"""MD5, SHA-1 and SHA-256 of the same bytes in one read.

Three, because sets of known files are kept in all three. Only SHA-256 names a content: MD5 and SHA-1 collisions
can be made on purpose, so a match on one of them alone never makes a file "known good".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec

from mantlet.settings import MIB

_CHUNK: Final = 256 * 1024


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Medium(Protocol):
    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes: ...

    def check_end(self) -> None: ...


class Digests(msgspec.Struct, frozen=True):
    """Lower-case hex; `size` is the number of bytes read."""

    md5: str
    sha1: str
    sha256: str
    size: int


def of_bytes(data: bytes) -> Digests:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return Digests(md5, sha1, hashlib.sha256(data).hexdigest(), len(data))


def of_stream(file: Readable, beat: Callable[[], None]) -> Digests:
    """Reads to the end in chunks of 256 KiB, calling `beat` at each. Raises OSError."""
    hashes = (
        hashlib.md5(usedforsecurity=False),
        hashlib.sha1(usedforsecurity=False),
        hashlib.sha256(),
    )
    size = 0
    while chunk := file.read(_CHUNK):
        beat()
        size += len(chunk)
        for each in hashes:
            each.update(chunk)
    md5, sha1, sha256 = (each.hexdigest() for each in hashes)
    return Digests(md5, sha1, sha256, size)


class Whole:
    """Digests (by `hashlib`'s names) of a whole medium in one read."""

    def __init__(self, medium: Medium, algorithms: Iterable[str]) -> None:
        self.size = medium.size
        self._medium = medium
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}

    def read(self) -> Iterator[int]:
        """Reads in pieces of 1 MiB, saying at each how many bytes are read. Raises OSError where the medium cannot be
        read to the end it states."""
        for offset in range(0, self.size, MIB):
            chunk = self._medium.read_at(offset, MIB)
            if len(chunk) != min(MIB, self.size - offset):
                raise OSError(f"the medium ends at byte {offset + len(chunk):,} of {self.size:,}")
            for each in self._hashes.values():
                each.update(chunk)
            yield offset + len(chunk)
        self._medium.check_end()

    def digests(self) -> dict[str, str]:
        return {name: each.hexdigest() for name, each in self._hashes.items()}
