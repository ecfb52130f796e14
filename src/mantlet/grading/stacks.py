"""Contents that look the same: connected by perceptual hashes within a distance of each other.

A stack is for viewing together. It may chain (a looks like b, b like c, a hardly like c), so it never carries a
grade from one member to another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stacks(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """For each row of `hashes` ([n, 32], PDQ) the lowest row index it is connected to.

    Every pair is compared (n^2 / 2 popcounts, in blocks), so nothing within `distance` bits is missed.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    parent = np.arange(len(words))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for row in range(len(words) - 1):
        near = np.bitwise_count(words[row + 1 :] ^ words[row]).sum(axis=1) <= distance
        for other in np.flatnonzero(near) + row + 1:
            a, b = root(row), root(int(other))
            parent[max(a, b)] = min(a, b)
    return np.array([root(row) for row in range(len(words))], dtype=np.int64)
