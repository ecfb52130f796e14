"""All embeddings of a case, as one array."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case.case import Case
from mantlet.case.recognition import matrix
from mantlet.errors import EvidenceError, IntegrityError

_FOLDER: Final = "vectors"
_HEADER: Final = struct.Struct("<8sQQQ")
_MAGIC: Final = b"mantletv"
_DIGEST: Final = 32
_AT_ONCE: Final = 4096


class Vectors(msgspec.Struct, frozen=True):
    """Every embedding of a case by one network: row by row, `digests` ([n, 32]) the content's SHA-256, `numbers`
    ([n, d] float16) of length 1. A clip has a row for each frame that was looked at."""

    digests: NDArray[np.uint8]
    numbers: NDArray[np.float16]

    def content(self, row: int) -> str:
        return bytes(self.digests[row]).hex()


def vectors(case: Case, embedding: str) -> Vectors:
    """All embeddings of one kind, from a file beside the case that is made anew when there are more.

    The file holds what the case holds and nothing else, so that a million can be compared without a database between:
    a header, the digests, the numbers. Where it cannot be written, it stays in memory.

    Raises:
        EvidenceError: there is none.
    """
    path = case.folder / _FOLDER / f"{embedding}.f16"
    rows, last, dimensions = _shape(case, embedding)
    if not rows:
        raise EvidenceError(f"Nothing in {case.folder} has an embedding of that kind.")
    header = _HEADER.pack(_MAGIC, rows, last, dimensions)
    size = _HEADER.size + rows * (_DIGEST + 2 * dimensions)
    digests: NDArray[np.uint8]
    numbers: NDArray[np.float16]
    try:
        _refuse_link(path)
        if not (path.is_file() and path.stat().st_size == size and _begins(path, header)):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _build(case, embedding, path, header, rows, dimensions)
        digests = np.memmap(path, np.uint8, "r", _HEADER.size, (rows, _DIGEST))
        numbers = np.memmap(path, np.dtype("<f2"), "r", _HEADER.size + rows * _DIGEST, (rows, dimensions))
    except OSError:
        digests, numbers = np.empty((rows, _DIGEST), np.uint8), np.empty((rows, dimensions), np.float16)
        _fill(case, embedding, last, digests, numbers)
    return Vectors(digests, numbers)


def _refuse_link(path: Path) -> None:
    if path.parent.is_symlink() or path.is_symlink():
        raise EvidenceError(f"{path} is a link; remove it: what a case holds lies in its folder.")


def _begins(path: Path, header: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(header)) == header


def _shape(case: Case, embedding: str) -> tuple[int, int, int]:
    """Rows, the last one's number in the database, and dimensions."""
    first = case.reader.execute(
        "SELECT value FROM finding WHERE name = 'embedding' AND settings = ? AND sha256 = "
        "(SELECT sha256 FROM vector WHERE settings = ? LIMIT 1)",
        (embedding, embedding),
    ).fetchone()
    if first is None:
        return 0, 0, 0
    dimensions = json.loads(first["value"])["dimensions"]
    total, last = case.reader.execute(
        "SELECT total(length(numbers)), max(rowid) FROM vector WHERE settings = ?", (embedding,)
    ).fetchone()
    return int(total) // (2 * dimensions), last, dimensions


def _build(case: Case, embedding: str, path: Path, header: bytes, rows: int, dimensions: int) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    last = _HEADER.unpack(header)[2]
    try:
        with scratch.open("xb") as file:
            file.write(header)
            file.truncate(len(header) + rows * (_DIGEST + 2 * dimensions))
        digests = np.memmap(scratch, np.uint8, "r+", len(header), (rows, _DIGEST))
        numbers = np.memmap(scratch, np.dtype("<f2"), "r+", len(header) + rows * _DIGEST, (rows, dimensions))
        _fill(case, embedding, last, digests, numbers)
        digests.flush()
        numbers.flush()
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def check(case: Case) -> None:
    """Compares each such file, as far as it is of now, with what the case holds. Raises IntegrityError where they
    differ."""
    for path in sorted((case.folder / _FOLDER).glob("*.f16")):
        _refuse_link(path)
        rows, last, dimensions = _shape(case, path.stem)
        size = _HEADER.size + rows * (_DIGEST + 2 * dimensions)
        if not rows or path.stat().st_size != size or not _begins(path, _HEADER.pack(_MAGIC, rows, last, dimensions)):
            continue  # it will be made anew
        digests = np.memmap(path, np.uint8, "r", _HEADER.size, (rows, _DIGEST))
        numbers = np.memmap(path, np.dtype("<u2"), "r", _HEADER.size + rows * _DIGEST, (rows, dimensions))
        for at, digest, vectors in _rows(case, path.stem, last, dimensions):
            own = slice(at, at + len(vectors))
            if not (digests[own] == digest).all() or not (numbers[own] == vectors.view(np.uint16)).all():
                raise IntegrityError(f"{path} is not what the case holds; remove it, and it is made anew.")


def _fill(case: Case, embedding: str, last: int, digests: NDArray[np.uint8], numbers: NDArray[np.float16]) -> None:
    for at, digest, vectors in _rows(case, embedding, last, numbers.shape[1]):
        numbers[at : at + len(vectors)] = vectors
        digests[at : at + len(vectors)] = digest


def _rows(
    case: Case, embedding: str, last: int, dimensions: int
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.float16]]]:
    """Where each content's rows begin, its digest and its vectors, up to the `last` row of the database: a scan may be
    adding others."""
    at = 0
    found = case.reader.execute(
        "SELECT sha256, numbers FROM vector WHERE settings = ? AND rowid <= ? ORDER BY rowid", (embedding, last)
    )
    while some := found.fetchmany(_AT_ONCE):
        for row in some:
            vectors = matrix(row["numbers"], dimensions)
            yield at, np.frombuffer(bytes.fromhex(row["sha256"]), np.uint8), vectors
            at += len(vectors)
