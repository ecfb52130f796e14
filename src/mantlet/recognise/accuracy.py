"""How good a model is, on contents whose grade is known: arrays in, figures with intervals of 95 % out.

Intervals are by stacks of near-duplicates: `mantlet.recognise.intervals` says how, `ranking` for what depends on the
order, `calibration` for the probabilities. Absent is not zero: what cannot be said is null, and `absent` tells why by
the name of the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise import calibration, intervals, ranking
from mantlet.recognise.calibration import Bin, CalibrationError
from mantlet.recognise.intervals import BOOTSTRAP, EXACT, RESAMPLES, Share
from mantlet.recognise.ranking import MARKS, Point, Ranked
from mantlet.types import Absent, Reason

ASKED: Final = (80, 95, 100)
"""Percent of the targets for which it is told how much of the queue must be seen."""
_MOST_LABELS: Final = 1_000
_BOTH: Final = 0.975
"""Of two intervals that are to hold together with 95 % (Bonferroni)."""
_NO_TARGET: Final = Absent(Reason.NOT_APPLICABLE, "No content here is a target of this label.")
_ALL_TARGETS: Final = Absent(Reason.NOT_APPLICABLE, "Every content here is a target of this label.")
_NO_THRESHOLD: Final = "No threshold is set, so nothing is flagged."
_NO_FLAGGED: Final = Absent(Reason.NOT_APPLICABLE, "No content here is flagged for this label.")
_NO_CONTENT: Final = Absent(Reason.NOT_APPLICABLE, "There is no content to measure on.")
_NO_RATE: Final = Absent(Reason.NOT_RUN, "No base rate was stated.")


class AtBaseRate(msgspec.Struct, frozen=True):
    """What "flagged" means where a share `base_rate` of the contents are targets: their share of the flagged.

    By Bayes' rule from the recall and the false-positive rate measured here, which are taken to hold there too.
    """

    base_rate: float
    precision: Share
    sentence: str


class ExhibitAccuracy(msgspec.Struct, frozen=True):
    exhibit: str
    contents: int
    targets: int
    flagged: int | None
    precision: Share | None
    recall: Share | None
    absent: dict[str, Absent]


class LabelAccuracy(msgspec.Struct, frozen=True):
    """One label against all else. `target_stacks`: groups of near-duplicates that hold a target. `seen_for`: by
    percent of the targets, the share of the queue. `ece`: of the probability of this label. `bins`: for the plot."""

    label: str
    contents: int
    targets: int
    target_stacks: int
    threshold: float | None
    flagged: Share | None
    precision: Share | None
    recall: Share | None
    false_positive_rate: Share | None
    average_precision: Share | None
    seen_for: dict[str, Share] | None
    ece: CalibrationError | None
    at_base_rate: AtBaseRate | None
    bins: tuple[Bin, ...]
    curve: tuple[Point, ...]
    exhibits: tuple[ExhibitAccuracy, ...]
    absent: dict[str, Absent]


class Evaluation(msgspec.Struct, frozen=True):
    """What `measure` found. `flagged`: the share flagged for any label. `ece` and `accuracy` are of the most probable
    label, where each content has exactly one."""

    contents: int
    stacks: int
    exhibits: tuple[str, ...]
    labels: tuple[LabelAccuracy, ...]
    flagged: Share | None
    accuracy: Share | None
    ece: CalibrationError | None
    absent: dict[str, Absent]
    seed: int
    resamples: int = RESAMPLES
    confidence: float = intervals.CONFIDENCE


def measure(
    labels: Sequence[str],
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.floating],
    stacks: NDArray[np.int64],
    exhibits: Sequence[str],
    thresholds: Sequence[float | None],
    base_rate: float | None = None,
    *,
    seed: int,
    no_threshold: str = _NO_THRESHOLD,
) -> Evaluation:
    """Measures a model on n contents and k labels, at most 1,000.

    `truth` [n, k]: whether the content is a target of the label (of several, or of none). `probabilities` [n, k],
    0 to 1. `stacks` [n]: equal numbers are near-duplicates. `exhibits` [n]: names. `thresholds` [k]: a content is
    flagged from this probability on; None: nothing is flagged, and what needs it is absent for the reason that the
    sentence `no_threshold` tells. `base_rate`: the share of targets that the reader expects elsewhere. The same input
    and seed give the same figures.

    Raises:
        UsageError: shapes that do not fit each other, values that are no probabilities, or too many labels.
    """
    _check(truth, probabilities, (len(stacks), len(exhibits)), (len(labels), len(thresholds)))
    if not all(0 <= value <= 1 for value in (*thresholds, base_rate) if value is not None):
        raise UsageError("A threshold and the base rate are shares: give numbers between 0 and 1.")
    units = np.unique(np.asarray(stacks), return_inverse=True)[1].astype(np.int64).reshape(-1)
    names = np.asarray(exhibits, dtype=np.str_)
    unset = Absent(Reason.NOT_RUN, no_threshold)
    found, any_flag = [], np.zeros(len(truth), np.bool_)
    for at, (label, threshold) in enumerate(zip(labels, thresholds, strict=True)):
        column = _Column(label, truth[:, at], probabilities[:, at], units, threshold, unset, (seed, at))
        found.append(column.measured(names, base_rate))
        if column.flags is not None:
            any_flag |= column.flags
    draw = np.random.default_rng([seed, 2])
    top = _top(truth, probabilities, units, draw)
    flagging = any(threshold is not None for threshold in thresholds)
    return Evaluation(
        contents=len(truth),
        stacks=int(units.max(initial=-1)) + 1,
        exhibits=tuple(str(name) for name in np.unique(names)),
        labels=tuple(found),
        flagged=intervals.share(any_flag, units, draw) if flagging else None,
        accuracy=top[0],
        ece=top[1],
        absent=top[2] | ({} if flagging else {"flagged": unset}),
        seed=seed,
    )


class _Column:
    """One label, against all else. `unset`: why nothing is flagged, where there is no threshold."""

    def __init__(
        self,
        label: str,
        truth: NDArray[np.bool_],
        scores: NDArray[np.floating],
        units: NDArray[np.int64],
        threshold: float | None,
        unset: Absent,
        seeds: tuple[int, int],
    ) -> None:
        self.label, self.truth, self.scores, self.units = label, truth, scores, units
        self.threshold, self.unset, (self.seed, at) = threshold, unset, seeds
        self.draw = np.random.default_rng([self.seed, 1, at])
        self.flags = None if threshold is None else scores.astype(np.float64) >= threshold

    def measured(self, names: NDArray[np.str_], rate: float | None) -> LabelAccuracy:
        truth, units = self.truth, self.units
        everywhere = np.ones(len(truth), np.bool_)
        precision, recall, absent = self._flagging(everywhere)
        flagged = None if self.flags is None else intervals.share(self.flags, units, self.draw)
        others = None if self.flags is None else intervals.share(self.flags[~truth], units[~truth], self.draw)
        if flagged is None:
            absent["flagged"] = self.unset if self.flags is None else _NO_CONTENT
        if others is None:
            absent["false_positive_rate"] = self.unset if self.flags is None else _ALL_TARGETS
        average, seen, curve = self._ranked()
        if average is None:
            absent |= dict.fromkeys(("average_precision", "seen_for"), _NO_TARGET)
        error = calibration.calibration(self.scores, truth, units, self.draw)
        if error is None:
            absent["ece"] = _NO_CONTENT
        at_rate = self._at_base_rate(rate, recall, others, absent)
        return LabelAccuracy(
            label=self.label,
            contents=len(truth),
            targets=int(truth.sum()),
            target_stacks=len(np.unique(units[truth])),
            threshold=self.threshold,
            flagged=flagged,
            precision=precision,
            recall=recall,
            false_positive_rate=others,
            average_precision=average,
            seen_for=seen,
            ece=error,
            at_base_rate=at_rate,
            bins=calibration.reliability(self.scores, truth, units, self.draw),
            curve=curve,
            exhibits=tuple(self._exhibit(str(name), names == name) for name in np.unique(names)),
            absent=absent,
        )

    def _ranked(self) -> tuple[Share | None, dict[str, Share] | None, tuple[Point, ...]]:
        """What depends on the order: average precision, what must be seen, and the curve; nothing without a target."""
        if not self.truth.any():
            return None, None, ()
        ranked = Ranked(self.truth, self.scores, self.units)
        walked = ranking.resample(ranked, int(self.units.max()) + 1, np.random.default_rng([self.seed, 0]))
        seen = {str(percent): ranked.seen(MARKS.index(percent / 100), walked) for percent in ASKED}
        return ranked.average_precision(walked), seen, ranked.curve(walked)

    def _flagging(self, rows: NDArray[np.bool_]) -> tuple[Share | None, Share | None, dict[str, Absent]]:
        """Precision and recall of these rows, and why one is absent."""
        if self.flags is None:
            return None, None, dict.fromkeys(("precision", "recall"), self.unset)
        flagged, targets = self.flags & rows, self.truth & rows
        precision = intervals.share(self.truth[flagged], self.units[flagged], self.draw)
        recall = intervals.share(self.flags[targets], self.units[targets], self.draw)
        absent = {"precision": _NO_FLAGGED} if precision is None else {}
        return precision, recall, absent | ({"recall": _NO_TARGET} if recall is None else {})

    def _exhibit(self, name: str, rows: NDArray[np.bool_]) -> ExhibitAccuracy:
        precision, recall, absent = self._flagging(rows)
        flagged = None if self.flags is None else int((self.flags & rows).sum())
        if flagged is None:
            absent["flagged"] = self.unset
        targets = int((self.truth & rows).sum())
        return ExhibitAccuracy(name, int(rows.sum()), targets, flagged, precision, recall, absent)

    def _at_base_rate(
        self, rate: float | None, recall: Share | None, others: Share | None, absent: dict[str, Absent]
    ) -> AtBaseRate | None:
        """By Bayes' rule. Recall and false-positive rate are resampled apart, as a stack hardly ever holds a target and
        something else; where either is exact, from the ends of both at 97.5 %."""
        if rate is None or recall is None or others is None or self.flags is None:
            absent["at_base_rate"] = _NO_RATE if rate is None else absent.get("recall") or absent["false_positive_rate"]
            return None
        parts = [(self.flags[rows], self.units[rows]) for rows in (self.truth, ~self.truth)]
        (hits, _), (alarms, _) = parts
        if rate * hits.mean() + (1 - rate) * alarms.mean() == 0:
            absent["at_base_rate"] = _NO_FLAGGED
            return None
        value = _precision(rate, float(hits.mean()), float(alarms.mean()))
        if any(intervals.few(*part) for part in parts):
            of_hits, of_alarms = (
                intervals.exact(float(flags.mean()), intervals.effective(units), _BOTH) for flags, units in parts
            )
            ends = _precision(rate, of_hits[0], of_alarms[1]), _precision(rate, of_hits[1], of_alarms[0])
            precision = intervals.made(value, *ends, EXACT)
        else:
            drawn = [intervals.resampled(*part, self.draw) for part in parts]
            ends = intervals.percentiles(rate * drawn[0] / (rate * drawn[0] + (1 - rate) * drawn[1]))
            precision = intervals.made(value, *ends, BOOTSTRAP)
        return AtBaseRate(rate, precision, f"Of 100 flagged, about {_hundred(precision.value)} are.")


def _precision(rate: float, recall: float, false_positives: float) -> float:
    """The share of targets among the flagged, 0 where nothing would be."""
    flagged = rate * recall + (1 - rate) * false_positives
    return rate * recall / flagged if flagged else 0.0


def _hundred(share: float) -> str:
    """Of a hundred, in words that never round something to none or to all."""
    percent = 100 * share
    if 0 < percent < 1:
        return "less than 1"
    return str(99 if 99 < percent < 100 else round(percent))


def _top(
    truth: NDArray[np.bool_], probabilities: NDArray[np.floating], units: NDArray[np.int64], draw: np.random.Generator
) -> tuple[Share | None, CalibrationError | None, dict[str, Absent]]:
    """Accuracy and calibration error of the most probable label, where each content has exactly one."""
    one = truth.sum(axis=1) == 1
    if truth.shape[1] < 2:
        reason = "There is one label only, so none is the most probable one."
    elif not len(truth):
        reason = _NO_CONTENT.detail
    elif not one.all():
        reason = f"{int((~one).sum()):,} of {len(one):,} contents have no label or more than one, so no label is right."
    else:
        right = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
        error = calibration.calibration(probabilities.max(axis=1), right, units, draw)
        return intervals.share(right, units, draw), error, {}
    return None, None, dict.fromkeys(("accuracy", "ece"), Absent(Reason.NOT_APPLICABLE, reason))


def _check(
    truth: NDArray[np.bool_], probabilities: NDArray[np.floating], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    if truth.ndim != 2 or truth.shape != probabilities.shape or truth.dtype != np.bool_:
        raise UsageError("Truth and probabilities must be tables of the same shape: contents by labels.")
    if set(rows) != {len(truth)} or set(columns) != {truth.shape[1]}:
        raise UsageError("Stacks and exhibits must be given for each content, labels and thresholds for each column.")
    if columns[0] > _MOST_LABELS:
        raise UsageError(f"There are {columns[0]:,} labels, and at most {_MOST_LABELS:,} can be measured at a time.")
    if not columns[0]:
        raise UsageError("There is no label to measure: give at least one.")
    if not bool(np.all((probabilities >= 0) & (probabilities <= 1))):
        raise UsageError("The model gave values that are no probabilities (not between 0 and 1): check its recipe.")
