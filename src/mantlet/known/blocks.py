"""Makes a set of block digests of known files, by which `mantlet triage` finds them without a file system.

Only the set's own secret, keyed digests and of each file its size are kept, no name and no digest of a whole file. A
file's number is its place among the distinct files in the order of their SHA-256: who holds the files can tell which it
is, the set cannot.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.errors import EvidenceError, UsageError
from mantlet.known.columns import Folder
from mantlet.known.keyed import BLOCK, DIGEST, SECRET, keyed, says_nothing
from mantlet.known.records import Blocks, Category, KnownSet
from mantlet.known.sets import Sets

if TYPE_CHECKING:
    from mantlet.known.build import Builder

_READ: Final = 256 * BLOCK
_BATCH: Final = 1 << 18


def build(
    sets: Sets,
    folders: Sequence[Path],
    name: str,
    by: str,
    provenance: str | None = None,
    licence: str | None = None,
    progress: Callable[[int, int], None] = lambda _files, _bytes: None,
) -> KnownSet:
    """Puts in force as `name` the blocks that one file alone has, of all files under the folders, which are only read.

    Links are not followed. Files are cut from their beginning; what is left at their end is in no block. A file that is
    there twice counts once. `progress` is told how many files and bytes were read.

    Raises:
        EvidenceError: something cannot be read, or no block is left; what was in force stays so.
        UsageError: one of the folders is none.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give folders that hold the files.")

    def fill(builder: Builder, kept_in: Folder) -> dict[str, Any]:
        secret = secrets.token_bytes(SECRET)
        kept_in.grow("secret").write(secret)
        read = _Read(secret)
        size = 0
        for number, path in enumerate(_files(folders), 1):
            size += read.add(path)
            progress(number, size)
        order = sorted(read.sizes)
        sizes = np.array([read.sizes[each] for each in order], np.uint64)
        kept = read.keep(builder, order)
        kept_in.grow("files").write(np.stack([sizes, kept], axis=1).tobytes())
        digest = hashlib.sha256(b"".join(order)).hexdigest()
        return {
            "version": digest[:16],
            "status": "notable",
            "form": f"blocks of {BLOCK:,} bytes",
            "sources": [folder.name or str(folder) for folder in folders],
            "digest": digest,
            "provenance": provenance,
            "licence": licence,
            "blocks": Blocks(
                files=len(order), bytes=int(sizes.sum()), blocks=int((sizes // np.uint64(BLOCK)).sum()),
                kept=int(kept.sum()), files_without_blocks=int(np.count_nonzero(kept == 0)),
                bytes_without_blocks=int(sizes[kept == 0].sum()),
            ),
            "meanings": lambda codes: [Category(code, "notable") for code in codes],
        }  # fmt: skip

    return sets.replace(name, by, fill)


class _Read:
    """The distinct files read so far, and the digests of their blocks that say something: 16 bytes a block."""

    def __init__(self, secret: bytes) -> None:
        self.sizes: dict[bytes, int] = {}
        self._secret = secret
        self._digests = bytearray()
        self._counts: list[int] = []

    def add(self, path: Path) -> int:
        """Reads a file; its size in bytes. Raises EvidenceError."""
        before, size, whole = len(self._digests), 0, hashlib.sha256()
        try:
            with _open(path) as file:
                while data := file.read(_READ):
                    whole.update(data)
                    size += len(data)
                    self._take(memoryview(data)[: len(data) // BLOCK * BLOCK])
        except OSError as error:
            raise EvidenceError(f"{path} cannot be read: {error.strerror}; nothing was imported.") from error
        if whole.digest() in self.sizes:
            del self._digests[before:]
        else:
            self.sizes[whole.digest()] = size
            self._counts.append((len(self._digests) - before) // DIGEST)
        if len(self._digests) > settings.KNOWN_RECORDS * DIGEST:
            raise EvidenceError(
                f"The files have more than {settings.KNOWN_RECORDS:,} blocks; nothing was imported. Make several sets."
            )
        return size

    def _take(self, data: memoryview) -> None:
        if not data:
            return
        blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK)
        for place in np.flatnonzero(~says_nothing(blocks)).tolist():
            self._digests += keyed(data[place * BLOCK : (place + 1) * BLOCK], self._secret)

    def keep(self, builder: Builder, order: list[bytes]) -> NDArray[np.uint64]:
        """Adds the blocks that one file alone has; how many of each file these are. Raises EvidenceError."""
        rank = {sha256: number for number, sha256 in enumerate(order, 1)}
        numbers = np.repeat(np.array([rank[each] for each in self.sizes], np.uint32), self._counts)
        digests = np.frombuffer(self._digests, np.uint8).reshape(-1, DIGEST)
        first, often = _of_one_file(digests.view(np.uint64), numbers)
        if not len(first):
            raise EvidenceError(f"No file there has a block of {BLOCK:,} bytes that tells it; nothing was imported.")
        for at in range(0, len(first), _BATCH):
            rows = first[at : at + _BATCH]
            builder.add_hashes("block", numbers[rows].astype(np.uint64), digests[rows])
        return np.bincount(numbers[first] - 1, often, len(order)).astype(np.uint64)


def _of_one_file(words: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the digests ([m, 2]) that are of one file alone: where each is first, and how often it is there."""
    order = np.lexsort((words[:, 1], words[:, 0]))
    if not len(order):
        return order, order
    ordered, of = words[order], numbers[order]
    starts = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)))
    alone = np.minimum.reduceat(of, starts) == np.maximum.reduceat(of, starts)
    often = np.diff(np.append(starts, len(order)))
    return order[starts[alone]], often[alone]


def _open(path: Path) -> BinaryIO:
    """Never by a link, nor held up by what is no file any more."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    """The regular files under the folders, in an order that stays. Raises EvidenceError."""

    def refuse(error: OSError) -> None:
        raise EvidenceError(f"{error.filename} cannot be read: {error.strerror}; nothing was imported.") from error

    for folder in folders:
        for at, below, names in os.walk(folder, onerror=refuse):
            below.sort()
            for name in sorted(names):
                path = Path(at) / name
                try:
                    regular = stat.S_ISREG(path.lstat().st_mode)
                except OSError as error:
                    refuse(error)
                if regular:
                    yield path
