"""Look-alikes: the rows of a table of embeddings nearest to a question, by exact cosine, none missed.

Every row is compared, at the speed of memory: 2.5 GB of float16 take some 0.2 s on two cores, so that no index has to
be built, kept or explained, and none can miss anything. Arithmetic in float16 is slow and coarse, and a copy in float32
would take twice the memory, so each value is widened where it is used.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel
from mantlet.errors import EvidenceError, UsageError

_LANES = 64  # sums kept side by side: the compiler adds them together in vectors, in one order on every machine
_CHUNK_BYTES: Final = 16 * 1024 * 1024

_HALVES = numba.types.Array(numba.uint16, 2, "C", readonly=True)
_QUESTION = numba.types.Array(numba.float32, 1, "C", readonly=True)
_WRITE = numba.types.Array(numba.float32, 1, "C")

_EXPONENT = np.uint32(0x0F800000)  # of a half, moved to where a float32 has its own
_REBIASED = np.uint32((127 - 15) << 23)
_SMALLEST = np.float32(2.0**-14)  # of the normal halves
_SMALLEST_BITS = np.uint32((127 - 14) << 23)


def nearest(
    vectors: NDArray[np.float16], query: NDArray[np.float32], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `most` rows of `vectors` [n, d] nearest to `query` [d], nearest first, equally near ones by row.

    Args:
        vectors: float16 in C order, in memory or mapped. Only directions count: neither side needs length 1.
        query: finite, not all zero.
        most: how many rows are wanted; there may be fewer.

    Returns:
        Their numbers, and their cosines, -1 to 1: float32 sums of the stored values, right to some 1e-7.

    Raises:
        UsageError: the two do not fit together, or the query has no direction.
        EvidenceError: a row holds something that is no number, or only zeros.
    """
    direction = _direction(vectors, query, most)
    count = len(vectors)
    halves, cosines = vectors.view(np.uint16), np.empty(count, np.float32)
    step = max(1, _CHUNK_BYTES // vectors[:1].nbytes) if count else 1
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        starts = range(0, count, step)
        list(threads.map(lambda at: _cosines(halves[at : at + step], direction, cosines[at : at + step]), starts))
    if len(bad := np.flatnonzero(~np.isfinite(cosines))):
        raise EvidenceError(
            f"Row {bad[0]} of the stored embeddings is damaged ({len(bad)} in all are): make them again."
        )
    rows = np.arange(count)
    if most < count:
        rows = np.flatnonzero(cosines >= np.partition(cosines, count - most)[count - most])
    rows = rows[np.argsort(-cosines[rows], kind="stable")][:most]
    return rows, np.clip(cosines[rows], -1, 1)


def _direction(vectors: NDArray[np.float16], query: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """The query as a unit vector."""
    if vectors.ndim != 2 or vectors.dtype != np.float16 or not vectors.flags.c_contiguous:
        raise UsageError("Stored embeddings are a table of float16, one row after the other.")
    if query.shape != vectors.shape[1:] or not query.size:
        raise UsageError(
            f"The query has the shape {query.shape}, the stored embeddings have {vectors.shape[1]} numbers each: "
            "ask with an embedding that the same network made."
        )
    if most < 1:
        raise UsageError("Ask for at least 1 look-alike.")
    exact = query.astype(np.float64)
    length = np.linalg.norm(exact)
    if not np.isfinite(length) or length == 0:
        raise UsageError("The query is all zero or holds something that is no number: ask with another picture.")
    return (exact / length).astype(np.float32)


@inner
def _widened(half: np.uint16) -> np.float32:
    """The float32 of the same value as the bits of a half (IEEE 754 binary16), without a branch, so that the compiler
    widens many at once. It works on bits, since a product of tiny numbers would be 0 where a thread flushes them."""
    bits = np.uint32((np.uint32(half) & np.uint32(0x7FFF)) << np.uint32(13))
    exponent = np.uint32(bits & _EXPONENT)
    tiny = np.uint32(bits | _SMALLEST_BITS).view(np.float32) - _SMALLEST
    shifted = np.uint32(bits + _REBIASED)
    shifted = np.uint32(shifted + _REBIASED) if exponent == _EXPONENT else shifted  # infinite, or not a number
    size = tiny if exponent == np.uint32(0) else np.uint32(shifted).view(np.float32)
    value: np.float32 = -size if half & np.uint16(0x8000) else size
    return value


@kernel(_HALVES, _QUESTION, _WRITE)
def _cosines(halves: NDArray[np.uint16], direction: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """`out` [n]: the cosine of each row with a unit vector; not a number for a row without a direction."""
    whole = len(direction) // _LANES * _LANES
    products, squares = np.zeros(_LANES, np.float32), np.zeros(_LANES, np.float32)
    for row in range(len(halves)):
        products[:] = 0
        squares[:] = 0
        for at in range(0, whole, _LANES):
            for lane in range(_LANES):
                value = _widened(halves[row, at + lane])
                products[lane] += value * direction[at + lane]
                squares[lane] += value * value
        for lane in range(len(direction) - whole):
            value = _widened(halves[row, whole + lane])
            products[lane] += value * direction[whole + lane]
            squares[lane] += value * value
        product, square = 0.0, 0.0
        for lane in range(_LANES):
            product += products[lane]
            square += squares[lane]
        out[row] = product / np.sqrt(square)
