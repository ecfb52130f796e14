"""Shares of rows that come in stacks of near-duplicates, with intervals by stack.

The unit is the stack: near-duplicates stand or fall together, so two hundred frames of one scene are one piece of
evidence. Intervals come in two ways, and each says which:

- `BOOTSTRAP`: percentiles over 1,000 seeded resamples of the stacks (Efron and Tibshirani, "An introduction to the
  bootstrap", 1993, 13.3). Stacks that are alike (as many rows, as many hits) are drawn together, as one multinomial
  count: the same distribution, in milliseconds also for 100,000 rows.
- `EXACT`: where fewer than `FEW` stacks speak for or against, the bootstrap is too narrow, and a point where all are
  right. Then the interval of Clopper and Pearson (Biometrika 26, 1934) on the effective number of stacks (Kish,
  "Survey sampling", 1965: the square of the sum of their sizes over the sum of their squares), as if all rows of a
  stack went one way. Never narrower than stated for stacks of one row, and then wider than need be.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 1_000
FEW: Final = 10
BOOTSTRAP: Final = "bootstrap by stack"
EXACT: Final = "exact on stacks"
_DIGITS: Final = 6


class Share(msgspec.Struct, frozen=True):
    """A share, 0 to 1, the ends of its interval, and by which way that was found."""

    value: float
    low: float
    high: float
    how: str


def made(value: float, low: float, high: float, how: str) -> Share:
    """Ends that hold the value, within 0 and 1, to six digits (the ends outwards)."""
    unit = 10**_DIGITS
    low, high = max(0.0, min(low, value)), min(1.0, max(high, value))
    return Share(round(value, _DIGITS), math.floor(low * unit) / unit, math.ceil(high * unit) / unit, how)


def share(hits: NDArray[np.bool_], units: NDArray[np.int64], draw: np.random.Generator) -> Share | None:
    """The share of rows that are hits; `units` [n], small numbers from 0 on, tell the stack of each row. None of no
    row."""
    if not len(hits):
        return None
    value = float(hits.mean())
    if few(hits, units):
        low, high = exact(value, effective(units), CONFIDENCE)
        return made(value, low, high, EXACT)
    low, high = percentiles(resampled(hits, units, draw))
    return made(value, low, high, BOOTSTRAP)


def few(hits: NDArray[np.bool_], units: NDArray[np.int64]) -> bool:
    """Whether too few stacks hold a hit, or too few a miss, for the bootstrap; or a few stacks hold most rows."""
    least = min(np.count_nonzero(np.bincount(units[hits])), np.count_nonzero(np.bincount(units[~hits])))
    return bool(least < FEW or effective(units) < 2 * FEW)


def resampled(hits: NDArray[np.bool_], units: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.float64]:
    """float64 [RESAMPLES]: the share of hits in each resample of the stacks."""
    sizes = np.bincount(units)
    held = np.bincount(units, weights=hits).astype(np.int64)
    alike, counts = np.unique(np.stack([sizes, held])[:, sizes > 0], axis=1, return_counts=True)
    drawn = draw.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    return np.asarray((drawn @ alike[1]) / (drawn @ alike[0]), np.float64)


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """The ends between which the middle 95 % lie."""
    each = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(values, [each, 100 - each])
    return float(low), float(high)


def effective(units: NDArray[np.int64]) -> float:
    """How many stacks of equal size tell as much as these, if all rows of a stack go one way (Kish 1965)."""
    sizes = np.bincount(units).astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(units) else 0.0


def exact(value: float, number: float, confidence: float) -> tuple[float, float]:
    """The interval of Clopper and Pearson for a share `value` of `number` trials, which need not be whole."""
    from scipy.special import betaincinv

    hits, each = value * number, (1 - confidence) / 2
    low = float(betaincinv(hits, number - hits + 1, each)) if value > 0 else 0.0
    high = float(betaincinv(hits + 1, number - hits, 1 - each)) if value < 1 else 1.0
    return low, high


def ranks(share_: float, number: float) -> tuple[float, float]:
    """Between which shares of `number` values, sorted, the quantile `share_` of what they were drawn from lies.

    By order statistics (David and Nagaraja, "Order statistics", 2003, 7.1). The later end is infinite where no rank is
    late enough: then the values do not bound the quantile.
    """
    from scipy.special import bdtr

    count, each = max(1, math.floor(number)), (1 - CONFIDENCE) / 2
    below = bdtr(np.arange(count), count, share_)  # the chance that at most so many lie below the quantile
    first = int(np.searchsorted(below, each, "right"))
    last = int(np.searchsorted(below, 1 - each, "left")) + 1
    return first / count, last / count if last <= count else math.inf
