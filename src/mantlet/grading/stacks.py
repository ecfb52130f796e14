"""Contents that look the same: connected by perceptual hashes within a distance of each other.

A stack is for viewing together. It may chain (a looks like b, b like c, a hardly like c), so it never carries a
grade from one member to another.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel, ones


def stacks(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """For each row of `hashes` ([n, 32], PDQ) the lowest row index it is connected to.

    Every pair is compared, so nothing within `distance` bits is missed: n^2 / 2 comparisons.
    """
    first: NDArray[np.int64] = _connect(np.ascontiguousarray(hashes).view(np.uint64), distance)
    return first


@inner
def _root(parent: NDArray[np.int64], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@kernel(numba.types.Array(numba.uint64, 2, "C", readonly=True), numba.int64)
def _connect(words: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    parent = np.arange(len(words))
    for row in range(len(words)):
        a, b, c, d = words[row]
        for other in range(row + 1, len(words)):
            # Half of the bits nearly always decide: a branch that the processor predicts.
            bits = ones(a ^ words[other, 0]) + ones(b ^ words[other, 1])
            if bits > distance:
                continue
            if bits + ones(c ^ words[other, 2]) + ones(d ^ words[other, 3]) <= distance:
                first, second = _root(parent, row), _root(parent, other)
                parent[max(first, second)] = min(first, second)
    for row in range(len(words)):
        parent[row] = _root(parent, row)
    return parent
