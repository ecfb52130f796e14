"""A released model against the officers who grade after it: does it still miss no more than it was released for?

Only grades given since the release count. What is compared is what the threshold promised (`thresholds`): the share
missed of each stack, a group of near-duplicates, averaged over stacks, so that one scene of many frames counts once.
Its interval is that of Clopper and Pearson on as many trials as there are stacks with a target, as if each were missed
whole or not at all, which spreads most. The alarm is for misses alone: that probabilities run high or low in one case
mostly says that its targets are rarer or more frequent than where the model was taught, so that is told and rings
nothing. What is graded is what people looked at, highest rank first, so targets that nobody came to are in no count
here: a true miss rate may be higher than what this can see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise import intervals
from mantlet.recognise.intervals import CONFIDENCE, EXACT, FEW, Share
from mantlet.types import Absent, Reason

_SURE: Final = 0.99
"""Confidence of all intervals of miss rates of one call together."""
_POOLED: Final = "all cases"


class Graded(msgspec.Struct, frozen=True):
    """What officers graded in one case since the release of a model, for one label: whether it is a target
    (`truth` [n]), what the model had said (`probabilities` [n]), which stack it is of (`stacks` [n]); the threshold of
    the label, and the miss rate that was stated for it."""

    case: str
    label: str
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.floating]
    stacks: NDArray[np.int64]
    threshold: float
    miss: float


class Since(msgspec.Struct, frozen=True):
    """One case, or all, since the release. `missed`: targets below the threshold. `target_stacks`: groups of
    near-duplicates that hold a target. `miss_rate`: the mean over these of the share of their targets that is missed.
    `z`: how many standard deviations the observed share of targets lies above the mean probability, by stacks. `alarm`:
    the low end of the miss rate is above what was stated."""

    case: str
    graded: int
    targets: int
    missed: int
    target_stacks: int
    miss_rate: Share | None
    predicted: float | None
    observed: Share | None
    z: float | None
    alarm: bool
    sentence: str
    absent: dict[str, Absent]


class Drift(msgspec.Struct, frozen=True):
    """One label: each case, and all of them. `confidence` is that of each interval of a miss rate: Bonferroni, so that
    all of them hold together with 99 %, however many cases are looked at."""

    label: str
    miss: float
    threshold: float
    cases: tuple[Since, ...]
    pooled: Since
    confidence: float
    alarm: bool
    sentence: str


def drift(rows: Sequence[Graded]) -> tuple[Drift, ...]:
    """One `Drift` for each label of `rows`, in the order of first mention. The same rows give the same figures.

    Raises:
        UsageError: lengths that differ, or one label with two thresholds or miss rates.
    """
    for row in rows:
        if not len(row.truth) == len(row.probabilities) == len(row.stacks):
            raise UsageError(f"Case {row.case}: truth, probabilities and stacks must be given for each content.")
        if not bool(np.all((row.probabilities >= 0) & (row.probabilities <= 1))):
            raise UsageError(f"Case {row.case}: the model gave values that are no probabilities (not between 0 and 1).")
    labels = {row.label: [each for each in rows if each.label == row.label] for row in rows}
    looks = len(rows) + len(labels)
    return tuple(_label(label, cases, 1 - (1 - _SURE) / looks) for label, cases in labels.items())


def _label(label: str, rows: list[Graded], confidence: float) -> Drift:
    if len({(row.threshold, row.miss) for row in rows}) > 1:
        raise UsageError(
            f"Label {label} has more than one threshold or stated miss rate: compare one release at a time."
        )
    cases = tuple(_since(row, confidence) for row in rows)
    pooled = _since(_pool(rows), confidence)
    alarmed = [each.case for each in (*cases, pooled) if each.alarm]
    if alarmed:
        sentence = (
            f"Alarm for {label}: more is missed of groups of near-duplicates than the stated {_percent(rows[0].miss)}"
            f" in {', '.join(alarmed)}."
        )
    elif not pooled.targets:
        sentence = f"No target of {label} was graded since the release, so nothing can be said of what is missed."
    else:
        stated = _percent(rows[0].miss)
        sentence = f"No sign for {label} that more is missed of groups of near-duplicates than the stated {stated}."
    return Drift(label, rows[0].miss, rows[0].threshold, cases, pooled, confidence, bool(alarmed), sentence)


def _pool(rows: list[Graded]) -> Graded:
    """All cases as one; stacks of different cases stay apart."""
    pairs = [np.stack([np.full(len(row.stacks), at), row.stacks]) for at, row in enumerate(rows)]
    stacks = np.unique(np.concatenate(pairs, axis=1), axis=1, return_inverse=True)[1].reshape(-1)
    truth = np.concatenate([row.truth for row in rows])
    probabilities = np.concatenate([row.probabilities for row in rows])
    return Graded(_POOLED, rows[0].label, truth, probabilities, stacks, rows[0].threshold, rows[0].miss)


def _since(row: Graded, confidence: float) -> Since:
    units = np.unique(row.stacks, return_inverse=True)[1].reshape(-1).astype(np.int64)
    scores = row.probabilities.astype(np.float64)
    missed = row.truth & (scores < row.threshold)
    targets = np.bincount(units[row.truth])
    stacks = int(np.count_nonzero(targets))
    absent: dict[str, Absent] = {}
    rate = None
    if stacks:
        value = float(np.sum(1 / targets[units[missed]])) / stacks
        rate = intervals.made(value, *intervals.exact(value, stacks, confidence), EXACT)
    else:
        absent["miss_rate"] = Absent(Reason.NOT_APPLICABLE, "No target was graded since the release.")
    observed, z = _observed(row.truth, scores, units)
    if observed is None:
        absent |= dict.fromkeys(
            ("predicted", "observed"), Absent(Reason.NOT_APPLICABLE, "Nothing was graded since the release.")
        )
    if z is None:
        absent["z"] = Absent(Reason.NOT_APPLICABLE, f"Fewer than {FEW} stacks hold a target, or something else.")
    alarm = rate is not None and rate.low > row.miss
    predicted = round(float(scores.mean()), 6) if len(scores) else None
    counts = int(targets.sum()), int(missed.sum()), stacks
    said = _sentence(row, counts, rate, confidence, (predicted, observed))
    return Since(row.case, len(scores), *counts, rate, predicted, observed, z, alarm, said, absent)


def _observed(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], units: NDArray[np.int64]
) -> tuple[Share | None, float | None]:
    """The share of targets, and how far it lies from the mean probability; by stacks."""
    observed = intervals.share(truth, units, np.random.default_rng(0))
    if observed is None or intervals.few(truth, units):
        return observed, None
    beyond = np.bincount(units, weights=truth - scores)
    deviation = math.sqrt(float((beyond**2).sum()))
    return observed, round(float(beyond.sum()) / deviation, 3) if deviation else None


def _sentence(
    row: Graded,
    counts: tuple[int, int, int],
    rate: Share | None,
    confidence: float,
    shares: tuple[float | None, Share | None],
) -> str:
    targets, missed, stacks = counts
    if rate is None:
        return f"In {row.case} no target of {row.label} was graded since the release."
    held = "which is more than" if rate.low > row.miss else "which does not go against"
    first = (
        f"In {row.case} officers graded {targets:,} {'target' if targets == 1 else 'targets'} of {row.label} since the"
        f" release, of which {missed:,} {'lies' if missed == 1 else 'lie'} below the threshold. They are {stacks:,}"
        f" {'group' if stacks == 1 else 'groups'} of near-duplicates, and {_percent(rate.value)} of a group is missed"
        f" on average ({_percent(rate.low)} to {_percent(rate.high)} at {100 * confidence:.4g} %), {held} the stated"
        f" {_percent(row.miss)}."
    )
    predicted, observed = shares
    if predicted is None or observed is None:
        return first
    within = "agrees with" if observed.low <= predicted <= observed.high else "differs from"
    return (
        f"{first} The mean probability, {_percent(predicted)}, {within} the share that are targets,"
        f" {_percent(observed.value)} ({_percent(observed.low)} to {_percent(observed.high)}"
        f" at {100 * CONFIDENCE:g} %)."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
