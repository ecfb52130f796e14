"""Whether probabilities mean what they say: of what scores 0.8, are eight in ten targets?"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.recognise import intervals
from mantlet.recognise.intervals import Share

_BINS: Final = 15
_DRAWS: Final = 4_000
_BISECTIONS: Final = 30
_TENTHS: Final = 10
_SIGMAS: Final = 1.96


class CalibrationError(msgspec.Struct, frozen=True):
    """The expected calibration error: the mean distance of probability and observed share. `value` is debiased, and 0
    where that came out below 0, which `note` says; `plain` is what it is before."""

    value: float
    low: float
    high: float
    plain: float
    note: str = ""


class Bin(msgspec.Struct, frozen=True):
    """Contents that score within one tenth: how many, their mean score, and the share of them that are targets."""

    contents: int
    score: float
    observed: Share


def debiased(
    confidence: NDArray[np.floating],
    correct: NDArray[np.bool_],
    bins: int = _BINS,
    units: NDArray[np.int64] | None = None,
) -> float:
    """The debiased l1 calibration error over bins of equal mass, which may come out a little below 0.

    Kumar, Liang and Ma, "Verified uncertainty calibration" (NeurIPS 2019), 5 and their `get_calibration_error`: the
    gap of a bin, observed share less mean score, is taken as normal around its true value with the variance s² of the
    observed share. The mean of |N(gap, s²)| less |gap|, the folded normal's, is what noise adds to a gap of this size,
    and is taken off. Of perfectly calibrated scores that removes part of what noise makes, not all: 30 to 40 % was
    measured. `units` [n]: stacks, whose rows are not independent.
    """
    gaps, masses, spread, _ = _gaps(confidence, correct, bins, units)
    return _debiased(gaps, masses, np.sqrt(np.diag(spread)))


def calibration(
    confidence: NDArray[np.floating],
    correct: NDArray[np.bool_],
    units: NDArray[np.int64],
    draw: np.random.Generator,
) -> CalibrationError | None:
    """The debiased error with its interval of 95 %; None of no row.

    The error cannot be negative, so percentiles of a bootstrap miss 0 when it is 0: a resample has noise twice. The
    ends are found by turning a test round instead: errors are simulated from the covariance of the gaps by stack, with
    true gaps that are t times the observed ones. The low end is the error at the t where one as large as the observed
    has a chance of 2.5 %, and 0 where perfect calibration gives it more; the high end likewise for one as small, but
    not below the plain error, nor 1.96 standard deviations above the debiased. The variance of a gap is never taken to
    be less than what the scores themselves claim: a bin of which all are right is not certain. In simulations with 300
    and 2,000 stacks this held the true error in 92 to 100 of 100 runs.
    """
    if not len(confidence):
        return None
    gaps, masses, spread, claimed = _gaps(confidence, correct, _BINS, units)
    plain = float(masses @ np.abs(gaps))
    value = _debiased(gaps, masses, np.sqrt(np.diag(spread)))
    variances = np.diag(spread)
    widened = np.sqrt(np.maximum(variances, claimed) / np.where(variances > 0, variances, 1))
    spread = spread * np.outer(widened, widened) + np.diag(np.where(variances > 0, 0, claimed))
    low, high = _ends(gaps, masses, spread, draw)
    note = "" if value >= 0 else f"The estimate came out at {value:.5f}, below 0 by chance, and is shown as 0."
    high = max(high, plain, value + _SIGMAS * math.sqrt(float(masses**2 @ np.diag(spread))))
    shown = intervals.made(max(0.0, value), low, high, "")
    return CalibrationError(shown.value, shown.low, shown.high, round(plain, 6), note)


def reliability(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], units: NDArray[np.int64], draw: np.random.Generator
) -> tuple[Bin, ...]:
    """Tenths of the scale that hold a content, lowest first. Not the bins of the error: for a rare label nearly all of
    those lie at 0, where a plot shows nothing."""
    tenths = np.minimum((scores.astype(np.float64) * _TENTHS).astype(np.int64), _TENTHS - 1)
    found = []
    for tenth in range(_TENTHS):
        rows = tenths == tenth
        observed = intervals.share(truth[rows], units[rows], draw)
        if observed is not None:
            found.append(Bin(int(rows.sum()), round(float(scores[rows].mean(dtype=np.float64)), 6), observed))
    return tuple(found)


def _gaps(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int, units: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each bin: its gap and its share of the rows; the covariance of the gaps, by stack; and what the scores claim
    as the variance of each. Equal scores are in one bin, so there may be fewer bins than asked for."""
    order = np.argsort(confidence, kind="stable")
    scores = confidence[order].astype(np.float64)
    right = correct[order].astype(np.float64)
    count = len(scores)
    wanted = [scores[min(count - 1, round(edge * count / bins))] for edge in range(1, bins)]
    starts = np.unique([0, *np.searchsorted(scores, wanted, "left")])
    bin_ = np.searchsorted(starts, np.arange(count), "right") - 1
    sizes = np.bincount(bin_)
    observed = np.bincount(bin_, weights=right) / sizes
    gaps = observed - np.bincount(bin_, weights=scores) / sizes
    stack = np.arange(count) if units is None else np.unique(units[order], return_inverse=True)[1].reshape(-1)
    width = len(starts)
    place, places = stack * width + bin_, (int(stack.max()) + 1) * width
    residual = np.bincount(place, (right - observed[bin_]) / sizes[bin_], places).reshape(-1, width)
    weights = np.bincount(place, 1 / sizes[bin_], places).reshape(-1, width)
    claimed = np.bincount(bin_, scores * (1 - scores)) / sizes * (weights**2).sum(axis=0)
    return gaps, sizes / count, np.asarray(residual.T @ residual, np.float64), claimed


def _debiased(gaps: NDArray[np.float64], masses: NDArray[np.float64], deviations: NDArray[np.float64]) -> float:
    folded = [_folded(abs(float(gap)), float(each)) for gap, each in zip(gaps, deviations, strict=True)]
    return float(masses @ (2 * np.abs(gaps) - np.array(folded)))


def _folded(mean: float, deviation: float) -> float:
    """The mean of |N(mean, deviation²)| (Leone, Nelson and Nottingham, "The folded normal distribution", 1961)."""
    if deviation == 0:
        return mean
    ratio = mean / deviation
    return deviation * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + mean * math.erf(ratio / math.sqrt(2))


def _ends(
    gaps: NDArray[np.float64], masses: NDArray[np.float64], spread: NDArray[np.float64], draw: np.random.Generator
) -> tuple[float, float]:
    """The ends of the interval, as `calibration` says."""
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0))
    noise = draw.standard_normal((_DRAWS, len(gaps))) @ root.T
    plain = float(masses @ np.abs(gaps))
    each = (1 - intervals.CONFIDENCE) / 2

    def quantile(times: float, share: float) -> float:
        return float(np.quantile(np.abs(times * gaps + noise) @ masses, share))

    def reached(share: float) -> float:
        """The least number of times the observed gaps at which this quantile is as large as the observed error."""
        if plain == 0 or quantile(0, share) >= plain:
            return 0.0
        low, high = 0.0, 8.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if quantile(middle, share) >= plain else (middle, high)
        return high

    return plain * reached(1 - each), plain * reached(each)
