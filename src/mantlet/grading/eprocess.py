"""Bounds that hold at every moment of looking: an e-process for uniform sampling without replacement.

For "the population holds exactly K targets" the evidence against it, after some looks, is Q / P(K): the probability
of what was seen under a mixture over all K, and under K. If K is true this is a martingale that starts at 1, so it
ever reaches 1 / alpha with probability at most alpha (Ville), however the looking is stopped. This is the
prior-posterior-ratio martingale of Waudby-Smith and Ramdas, Confidence sequences for sampling without replacement
(NeurIPS 2020), with a mixture made for few targets. K is excluded for good once its evidence reached 1 / alpha.

Why so few moments need evaluating. log P is concave in K, so at each moment what is not excluded is an interval. The
mean m of K under the mixture after what was seen lies in it: by concavity log P(m) >= mean of log P(K) = log Q + the
divergence of posterior from prior >= log Q. So each K above the interval exceeds m; a look that finds nothing changes
its evidence by the factor 1 + (K - m) / (unseen - its targets unseen) > 1, and a find by one below 1. The upper end
therefore only falls between finds, and is least just before a find or now.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NONE = 0.5
"""The share of the mixture on a population without any target."""


def moments(outcomes: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many were looked at, and found, just before each find and at the end: two arrays of one length."""
    looked = np.append(np.flatnonzero(outcomes), len(outcomes))
    return looked, np.arange(len(looked))


def upper(population: int, looked: NDArray[np.int64], found: NDArray[np.int64], alpha: float) -> int:
    """The most targets a population can hold, at confidence 1 - `alpha` at all moments together.

    Args:
        looked, found: [moments], as `moments` gives them.
    """
    seen = log_mixture(population, looked, found)
    low, high = int(found[-1]), population - int(looked[-1] - found[-1])
    while low < high:
        middle = (low + high + 1) // 2
        if bool(excluded(population, looked, found, np.int64(middle), seen, alpha).any()):
            high = middle - 1
        else:
            low = middle
    return low


def excluded(
    population: int,
    looked: NDArray[np.int64],
    found: NDArray[np.int64],
    targets: NDArray[np.int64] | np.int64,
    seen: NDArray[np.float64],
    alpha: float,
) -> NDArray[np.bool_]:
    """Whether what was seen up to a moment excludes that the population holds `targets`, or any number above.

    All are of one shape, element by element; `seen` is what `log_mixture` gave for the moments.
    """
    # The likelihood of K rises up to found * (population + 1) / looked and falls from there on.
    falls = targets * looked > found * (population + 1)
    evidence = seen - _log_likelihood(population, looked, found, targets)
    return np.asarray(falls & (evidence >= -np.log(alpha)), dtype=np.bool_)


def log_mixture(population: int, looked: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """log Q. Half of the mixture is "no target"; the rest is shared by beta-binomials, with a = 1/2, that expect 1,
    10, 100 ... targets up to the whole population: so that few cost little, and no number costs much."""
    from scipy.special import betaln

    scales = population / 10.0 ** np.arange(len(str(population)))
    together = np.where(found == 0, np.log(_NONE), -np.inf)
    for scale in scales:
        a, b = 0.5, 0.5 * scale
        part = betaln(a + found, b + looked - found) - betaln(a, b) + np.log((1 - _NONE) / len(scales))
        together = np.logaddexp(together, part)
    return np.asarray(together, dtype=np.float64)


def _log_likelihood(
    population: int, looked: NDArray[np.int64], found: NDArray[np.int64], targets: NDArray[np.int64] | np.int64
) -> NDArray[np.float64]:
    """log P of the sequence seen, if there are so many targets; -inf where there cannot be."""
    from scipy.special import gammaln

    others = population - targets
    falling = gammaln(targets + 1) - gammaln(targets - found + 1)
    falling += gammaln(others + 1) - gammaln(others - (looked - found) + 1)
    return np.asarray(falling + gammaln(population - looked + 1) - gammaln(population + 1), dtype=np.float64)
