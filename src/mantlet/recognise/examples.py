"""Whether there is enough to teach a head from, and whether it agrees with itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mantlet.errors import UsageError

FEWEST: Final = 5
"""Examples a label needs; "find more like these" (`online`) takes fewer."""

Vectors = NDArray[np.float16] | NDArray[np.float32]


def check(
    vectors: Vectors,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    folds: NDArray[np.int64],
    contents: Sequence[str],
) -> None:
    """Refuses what nothing can be learnt from; the arguments are those of `head.teach`, of the rows that have a label.

    Raises:
        UsageError: a sentence that says what to do.
    """
    if len(labels) == 0:
        raise UsageError("There is nothing to teach from: grade some pictures first.")
    wrong = int((~np.isfinite(vectors).all(axis=1)).sum())
    if wrong:
        raise UsageError(f"The embeddings of {wrong} pictures hold values that are no numbers: scan those again.")
    contrary = _contrary(labels, contents)
    if contrary:
        raise UsageError(f"{contrary} pictures have exact copies with another grade: settle those grades first.")
    counts = np.bincount(labels, minlength=len(classes))
    if (counts > 0).sum() < 2:
        only = classes[int(labels[0])]
        raise UsageError(f"All examples are '{only}': grade some pictures that are something else as well.")
    for name, count in zip(classes, counts, strict=True):
        if count < FEWEST:
            raise UsageError(
                f"'{name}' has {count} examples and needs {FEWEST}: grade more of it, or leave this label out."
            )
    for place, name in enumerate(classes):
        if len(np.unique(folds[labels == place])) < 2:
            raise UsageError(
                f"All examples of '{name}' are near-copies of each other or from one exhibit, "
                "so nothing tells how well it is recognised: grade others of it as well."
            )


def _contrary(labels: NDArray[np.int64], contents: Sequence[str]) -> int:
    """How many contents have rows of different labels."""
    first: dict[str, int] = {}
    contrary = set()
    for label, content in zip(labels.tolist(), contents, strict=True):
        if first.setdefault(content, label) != label:
            contrary.add(content)
    return len(contrary)
