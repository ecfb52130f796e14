"""Which grade a picture may take from one that a person looked at: from a direct near copy, never through a chain."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import kernel, ones

NONE, CONFLICT = -1, -2
"""Instead of a source: nothing is near enough; what is near has different grades."""


def nearest(
    graded: NDArray[np.uint8], grade: NDArray[np.int64], views: NDArray[np.uint8], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each picture of one stack the row of `graded` that is nearest to it; by which view; at how many bits.

    `graded`: [s, 32], the PDQ of pictures that a person graded by a look, with the `grade` of each, [s]. `views`:
    [n, v, 32], each picture as it is, turned and mirrored. All within `distance` bits must have the same grade, else
    the row is `CONFLICT`; where there is none it is `NONE`. Of several as near, the first one.
    """
    words = np.ascontiguousarray(graded).view(np.uint64)
    rows, by, bits = _nearest(words, grade, np.ascontiguousarray(views).view(np.uint64), distance)
    return rows, by, bits


@kernel(
    numba.types.Array(numba.uint64, 2, "C", readonly=True),
    numba.types.Array(numba.int64, 1, "C", readonly=True),
    numba.types.Array(numba.uint64, 3, "C", readonly=True),
    numba.int64,
)
def _nearest(
    graded: NDArray[np.uint64], grade: NDArray[np.int64], views: NDArray[np.uint64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    rows = np.full(len(views), -1)
    by = np.zeros(len(views), np.int64)
    least = np.full(len(views), distance + 1)
    for each in range(len(views)):
        for row in range(len(graded)):
            for view in range(views.shape[1]):
                bits = np.int64(0)
                for word in range(4):
                    bits += ones(graded[row, word] ^ views[each, view, word])
                if bits > distance:
                    continue
                if rows[each] == -2 or (rows[each] >= 0 and grade[row] != grade[rows[each]]):
                    rows[each] = -2
                elif bits < least[each]:
                    rows[each], by[each], least[each] = row, view, bits
        if rows[each] < 0:
            least[each] = 0
    return rows, by, least
