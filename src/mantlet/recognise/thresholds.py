"""From which probability on a label is flagged, so that at most a stated share is missed of each group of
near-duplicates, on average over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

METHOD: Final = "conformal risk control, by stack"
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Chosen:
    """What is flagged is what scores `at` or more. `expected`: the share of a group of near-duplicates like these that
    is missed on average, at most, which is no more than `miss`. Of `examples` in `stacks`. Where those are too few to
    promise anything `at` is 0, `expected` None, and `sentence` tells how many are needed; else that is None."""

    at: float
    miss: float
    expected: float | None
    examples: int
    stacks: int
    sentence: str | None


def threshold(scores: NDArray[np.floating], stacks: NDArray[np.int64], miss: float) -> Chosen:
    """The highest threshold at which the share missed of a group of near-duplicates is expected to be at most `miss`.

    Angelopoulos, Bates, Fisch, Lei and Schuster 2024, "Conformal risk control" (ICLR), theorem 1: with the share missed
    of each of n stacks as the loss, between 0 and 1, the largest `at` with (sum of losses + 1) / (n + 1) <= `miss` has
    an expected loss of at most `miss` on the next stack, a group of near-duplicates. These rise and fall together, so a
    stack counts once however many it holds, and nothing is promised of the share of all targets: where 39 stand alone
    above the threshold and one stack of 60 lies below, 60 of 99 targets are missed, and 1 of 40 stacks.

    What is assumed: the next targets are drawn like these (another device, other years, other material break it: see
    drift), and grades are right. The mean over calibrations is bounded, not each: of 20 stacks at 5 % one may see 15 %
    missed. Scores come from heads that were not taught the picture (folds), while the head in use was taught all: by
    theory such cross-conformal use guarantees only twice `miss` (Vovk 2015; Barber, Candes, Ramdas and Tibshirani
    2021), in practice it errs to the safe side, as a head taught more scores new targets higher: asked for 5 %, 3.4 %
    of the groups of benign photographs were missed and 1.1 % of the rest flagged (8 classes, 100 halvings).

    Args:
        scores: [n] of the targets of one label, out of fold, 0 to 1.
        stacks: [n], one number for each stack.
        miss: the share of a stack that may be missed on average, above 0 and below 1.
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
            f"With examples from {units} {'group' if units == 1 else 'groups'} of near-duplicates no threshold keeps "
            f"what is missed of them to {100 * miss:.3g} %, so none is set: grade examples from at least {least}."
        )
        return Chosen(0.0, miss, None, len(scores), units, sentence)
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    lost = np.concatenate([[0.0], np.cumsum(1 / sizes[unit[order]])])[np.searchsorted(ascending, ascending)]
    kept = np.flatnonzero(lost + 1 <= miss * (units + 1) + _ROUNDING)[-1]
    return Chosen(float(ascending[kept]), miss, float((lost[kept] + 1) / (units + 1)), len(scores), units, None)
