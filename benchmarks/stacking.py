"""Groups of look-alikes among 10,000 hashes: `python -m benchmarks.stacking ours|numpy`."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from benchmarks.known import hashes
from mantlet.grading.stacks import stacks
from mantlet.settings import PDQ_DISTANCE

COUNT = 10_000


def plain(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """What a script does: each hash against all that follow, and the group of the first that is near."""
    first = np.arange(len(words))
    for row in range(len(words)):
        apart = np.bitwise_count(words[row + 1 :] ^ words[row]).sum(axis=1)
        for other in np.flatnonzero(apart <= PDQ_DISTANCE) + row + 1:
            one, two = sorted((first[row], first[other]))
            first[first == two] = one
    return first


if __name__ == "__main__":
    words = hashes("random", COUNT)
    words[1::10] = words[::10] ^ np.uint64(0x0F)  # every tenth has a look-alike
    found = stacks(words.view(np.uint8), PDQ_DISTANCE) if sys.argv[1] == "ours" else plain(words)
    print(len(set(found.tolist())))
