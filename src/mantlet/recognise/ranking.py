"""How well a model puts targets first: average precision, and how much of the queue must be seen, with intervals.

Rows are sorted once. Each of the 1,000 resamples of the stacks is a weight for each stack and one compiled pass over
the rows, so nothing is copied or sorted again: 100,000 contents cost about a second for each label. Where few stacks
hold a target the bootstrap is too narrow, and a point where the ranking is perfect. There

- the average precision, a mean of values between 0 and 1 over the targets, gets the binomial interval on the effective
  number of target stacks (Boyd, Eng and Page, "Area under the precision-recall curve: point estimates and confidence
  intervals", 2013);
- the share of the queue to be seen, a quantile over targets, gets the one between two ranks (`intervals.ranks`). Where
  no rank is late enough, always so for all of the targets, its high end is the whole queue: nothing that was measured
  bounds how deep the last target of another queue lies. It is never within the bootstrap's, which alone knows that
  another queue may hold fewer targets or more.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numba import types
from numpy.typing import NDArray

from mantlet.compiled import kernel
from mantlet.recognise import intervals
from mantlet.recognise.intervals import BOOTSTRAP, CONFIDENCE, EXACT, FEW, RESAMPLES, Share

MARKS: Final = tuple(step / 20 for step in range(1, 21))
"""Shares of the targets at which the curves are told."""
_FEW_FOR_A_MEAN: Final = 30
_NUMBERS, _ROWS, _FLAGS = (types.Array(each, 1, "C") for each in (types.float64, types.int64, types.bool_))


class Point(msgspec.Struct, frozen=True, array_like=True):
    """To find a share `found` of the targets, a share `seen` of the queue is seen in the order of rank, and `precision`
    is the share of targets in that part; each with the ends of its interval."""

    found: float
    seen: float
    seen_low: float
    seen_high: float
    precision: float
    precision_low: float
    precision_high: float


class Ranked:
    """Rows of one label in the order of rank, highest first; a tie is seen whole, so that no order of rows matters."""

    def __init__(self, truth: NDArray[np.bool_], scores: NDArray[np.floating], units: NDArray[np.int64]) -> None:
        order = np.argsort(-scores, kind="stable")
        self.truth = np.ascontiguousarray(truth[order])
        self.units = np.ascontiguousarray(units[order])
        ordered = scores[order]
        self.ends = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
        self.last = np.flatnonzero(self.ends)
        self.found = np.cumsum(self.truth)[self.last]

    def depth(self, mark: float) -> int:
        """How many rows are seen when this share of the targets is met; all beyond 1."""
        if mark > 1:
            return len(self.truth)
        return int(self.last[np.searchsorted(self.found, mark * self.found[-1] * (1 - 1e-12), "left")]) + 1

    def walk(self, weights: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [1 + 2 * marks], NaN without any target: the average precision, then for each mark, in rising order,
        the share seen and the precision."""
        out = np.full(1 + 2 * len(marks), np.nan)
        _walk(weights, self.units, self.truth, self.ends, marks, out)
        return out

    def average_precision(self, walked: NDArray[np.float64]) -> Share:
        """The mean over targets of the precision down to their rank. `walked` is of `resample`, here and below; there
        must be a target.

        The step-wise sum of Manning, Raghavan and Schütze ("Introduction to information retrieval", 2008, 8.4), not the
        area under lines between points, which is too hopeful (Davis and Goadrich, 2006).
        """
        value = float(self.walk(np.ones(len(self.units)), np.empty(0))[0])
        stacks = intervals.effective(self.units[self.truth])
        if stacks < _FEW_FOR_A_MEAN or value == 1:
            return intervals.made(value, *intervals.exact(value, stacks, CONFIDENCE), EXACT)
        return intervals.made(value, *intervals.percentiles(walked[:, 0]), BOOTSTRAP)

    def seen(self, mark: int, walked: NDArray[np.float64]) -> Share:
        """The share of the queue to be seen for the share `MARKS[mark]` of the targets."""
        share, total = MARKS[mark], len(self.truth)
        stacks = intervals.effective(self.units[self.truth])
        value = self.depth(share) / total
        low, high = intervals.percentiles(walked[:, 1 + 2 * mark])
        if stacks * min(share, 1 - share) >= FEW:
            return intervals.made(value, low, high, BOOTSTRAP)
        first, last = intervals.ranks(share, stacks)
        return intervals.made(value, min(low, self.depth(first) / total), max(high, self.depth(last) / total), EXACT)

    def curve(self, walked: NDArray[np.float64]) -> tuple[Point, ...]:
        points = []
        for mark, found in enumerate(MARKS):
            seen, precision = self.seen(mark, walked), self._precision(mark, walked)
            points.append(Point(found, seen.value, seen.low, seen.high, precision.value, precision.low, precision.high))
        return tuple(points)

    def _precision(self, mark: int, walked: NDArray[np.float64]) -> Share:
        """The share of targets in the part of the queue that is seen for the share `MARKS[mark]` of them."""
        depth = self.depth(MARKS[mark])
        hits, units = self.truth[:depth], self.units[:depth]
        value = float(hits.mean())
        if intervals.few(hits, units):
            return intervals.made(value, *intervals.exact(value, intervals.effective(units), CONFIDENCE), EXACT)
        return intervals.made(value, *intervals.percentiles(walked[:, 2 + 2 * mark]), BOOTSTRAP)


def resample(ranked: Ranked, stacks: int, draw: np.random.Generator) -> NDArray[np.float64]:
    """float64 [RESAMPLES, 1 + 2 * MARKS]: `Ranked.walk` of one label in each resample of the stacks."""
    marks = np.array(MARKS)
    walked = np.full((RESAMPLES, 1 + 2 * len(marks)), np.nan)
    for round_ in range(RESAMPLES):
        weights = np.bincount(draw.integers(stacks, size=stacks), minlength=stacks).astype(np.float64)
        walked[round_] = ranked.walk(weights, marks)
    return walked


@kernel(_NUMBERS, _ROWS, _FLAGS, _FLAGS, _NUMBERS, _NUMBERS)
def _walk(
    weights: NDArray[np.float64],
    units: NDArray[np.int64],
    truth: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    marks: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """One pass in the order of rank; `weights` are of units. Leaves `out` as it is where no target has weight."""
    total = 0.0
    targets = 0.0
    for row in range(len(units)):
        total += weights[units[row]]
        if truth[row]:
            targets += weights[units[row]]
    if targets == 0:
        return
    seen = found = before = area = 0.0
    mark = 0
    for row in range(len(units)):
        weight = weights[units[row]]
        seen += weight
        if truth[row]:
            found += weight
        if ends[row] and found > before:
            area += (found - before) * (found / seen)
            before = found
            while mark < len(marks) and found >= marks[mark] * targets * (1 - 1e-12):
                out[1 + 2 * mark] = seen / total
                out[2 + 2 * mark] = found / seen
                mark += 1
    out[0] = area / targets
