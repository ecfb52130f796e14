"""From which probability on a label is flagged, so that a stated share of the targets, at most, is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

METHOD: Final = "conformal risk control, by stack"
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Chosen:
    """What is flagged is what scores `at` or more. `expected`: the most that is missed on average of targets like
    these, at most `miss`; None where there were too few to promise anything: then `at` is 0."""

    at: float
    miss: float
    expected: float | None
    examples: int
    stacks: int
    sentence: str


def threshold(scores: NDArray[np.floating], stacks: NDArray[np.int64], miss: float) -> Chosen:
    """The highest threshold whose expected share of missed targets is at most `miss`.

    Angelopoulos, Bates, Fisch, Lei and Schuster 2024, "Conformal risk control" (ICLR), theorem 1: with the share missed
    of each of n stacks as the loss, between 0 and 1, the largest `at` with (sum of losses + 1) / (n + 1) <= `miss` has
    an expected loss of at most `miss` on the next stack. Near-copies rise and fall together, so a stack counts once
    however many copies it holds.

    What is assumed: the next targets are drawn like these (another device, other years, other material break it: see
    drift), and grades are right. The mean over calibrations is bounded, not each: of 20 targets at 5 % one may see 15 %
    missed. Scores come from heads that were not taught the picture (folds), while the head in use was taught all: by
    theory such cross-conformal use guarantees only twice `miss` (Vovk 2015; Barber, Candes, Ramdas and Tibshirani
    2021), in practice it errs to the safe side, as a head taught more scores new targets higher: asked for 5 %, 3.4 %
    of the benign photographs were missed and 1.1 % of the rest flagged (8 classes, 100 halvings).

    Args:
        scores: [n] of the targets of one label, out of fold, 0 to 1.
        stacks: [n], one number for each stack.
        miss: the share that may be missed, above 0 and below 1.
    """
    if not 0 < miss < 1:
        raise ValueError("a miss rate lies between 0 and 1")
    if not np.isfinite(scores).all():
        raise ValueError("scores are numbers")
    _, unit, sizes = np.unique(stacks, return_inverse=True, return_counts=True)
    units = len(sizes)
    if miss * (units + 1) + _ROUNDING < 1:
        least = int(np.ceil(1 / miss - 1 - _ROUNDING))
        sentence = (
            f"With {units} distinct examples no threshold keeps misses to {miss:.1%}, so none is set: "
            f"grade at least {least} that are not near-copies."
        )
        return Chosen(0.0, miss, None, len(scores), units, sentence)
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    lost = np.concatenate([[0.0], np.cumsum(1 / sizes[unit[order]])])[np.searchsorted(ascending, ascending)]
    kept = np.flatnonzero(lost + 1 <= miss * (units + 1) + _ROUNDING)[-1]
    at, expected = float(ascending[kept]), float((lost[kept] + 1) / (units + 1))
    sentence = f"Flagged from {at:.3g} on, at most {expected:.1%} of targets like these {units} are missed on average."
    return Chosen(at, miss, expected, len(scores), units, sentence)
