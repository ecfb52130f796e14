"""Look-up of digests, exact: rows sorted by the first bits of their digest, so that few are read for each question.

The slow and obviously right one is `(column == digest).all(axis=1).nonzero()`; tests hold the two together.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel

_BYTES = numba.types.Array(numba.uint8, 2, "C", readonly=True)
_READ = numba.types.Array(numba.uint32, 1, "C", readonly=True)
_WRITE = numba.types.Array(numba.uint32, 1, "C")
_HELD = numba.types.Array(numba.uint8, 1, "C", readonly=True)


def width(count: int) -> int:
    """How many first bits of a digest sort `count` rows so that some two share each value."""
    return max(1, int(count).bit_length() - 1)


@inner
def _prefix(digest: NDArray[np.uint8], bits: int) -> np.int64:
    value = np.uint64(0)
    for place in range(8):
        value = (value << np.uint64(8)) | np.uint64(digest[place])
    return np.int64(value >> np.uint64(64 - bits))


@kernel(_BYTES, _HELD, numba.uint8, numba.int64, _WRITE)
def count(
    column: NDArray[np.uint8], held: NDArray[np.uint8], flag: int, bits: int, starts: NDArray[np.uint32]
) -> np.int64:
    """Fills `starts` ([2**bits + 1], zero at first) with where the rows of each value begin; returns the most that
    share one. Only rows whose `held` has `flag` count."""
    for row in range(len(column)):
        if held[row] & flag:
            starts[_prefix(column[row], bits) + 1] += np.uint32(1)
    most = np.uint32(0)
    for value in range(1, len(starts)):
        most = max(most, starts[value])
        starts[value] += starts[value - 1]
    return np.int64(most)


@kernel(_BYTES, _HELD, numba.uint8, numba.int64, _WRITE, _WRITE)
def fill(
    column: NDArray[np.uint8],
    held: NDArray[np.uint8],
    flag: int,
    bits: int,
    starts: NDArray[np.uint32],
    rows: NDArray[np.uint32],
) -> None:
    """Puts the rows into the order that `count` made room for."""
    for row in range(len(column)):
        if held[row] & flag:
            value = _prefix(column[row], bits)
            rows[starts[value]] = row
            starts[value] += np.uint32(1)  # now where the next row goes, in the end where the next value begins
    for place in range(len(starts) - 1, 0, -1):
        starts[place] = starts[place - 1]
    starts[0] = 0


@kernel(_BYTES, _READ, _READ, numba.int64, _BYTES, _WRITE, _WRITE)
def find(
    column: NDArray[np.uint8],
    starts: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    bits: int,
    digests: NDArray[np.uint8],
    found: NDArray[np.uint32],
    of: NDArray[np.uint32],
) -> np.int64:
    """The rows that hold any of `digests` ([m, w]) go into `found`, and which digest each is of into `of`, as far as
    there is room; returns how many there are."""
    number = np.int64(0)
    for which in range(len(digests)):
        value = _prefix(digests[which], bits)
        for place in range(starts[value], min(starts[value + 1], len(rows))):
            row = rows[place]
            same = row < len(column)  # whatever a damaged file says
            for byte in range(column.shape[1] if same else 0):
                if column[row, byte] != digests[which, byte]:
                    same = False
                    break
            if same:
                if number < len(found):
                    found[number] = row
                    of[number] = which
                number += np.int64(1)
    return number


def fullest(
    column: NDArray[np.uint8], held: NDArray[np.uint8], flag: int, bits: int, starts: NDArray[np.uint32]
) -> int:
    """A row of the value that most rows share: to name where a file repeats itself."""
    value = int(np.diff(starts).argmax())
    return next(int(row) for row in np.flatnonzero(held & flag) if int(_prefix(column[row], bits)) == value)
