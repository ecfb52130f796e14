"""Exact bounds for a sample whose size was fixed before the first look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def upper(population: int, looked: int, found: int, alpha: float) -> int:
    """The most targets a population can hold, at confidence 1 - `alpha`: one-sided, exact, without replacement.

    The greatest T for which `found` or fewer in a sample of `looked` still have a chance above `alpha`. The chance
    falls as T grows, so T is found by halving. Source: Buonaccorsi, The American Statistician 41 (1987) 215.
    """
    low, high = found, population - (looked - found)
    while low < high:
        middle = (low + high + 1) // 2
        if chance(population, middle, looked, found) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def chance(population: int, targets: int, looked: int, found: int) -> float:
    """The chance of at most `found` targets in a sample of `looked` from a population that holds `targets`."""
    each = np.arange(found + 1)
    return float(
        np.exp(
            _log_choose(targets, each)
            + _log_choose(population - targets, looked - each)
            - _log_choose(population, np.array([looked]))
        ).sum()
    )


def binomial_upper(most: int, overlooked: float, alpha: float, population: int) -> int:
    """The most targets there can be, when at most `most` would be noticed and each is overlooked independently with
    probability `overlooked`: the greatest K up to `population` with P(Bin(K, 1 - overlooked) <= most) > `alpha`."""
    from scipy.special import bdtr

    low, high = most, population
    while low < high:
        middle = (low + high + 1) // 2
        if bdtr(most, middle, 1 - overlooked) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def rate_upper(hits: int, of: int, alpha: float) -> float:
    """The greatest rate that `hits` of `of` independent trials allow at confidence 1 - `alpha` (Clopper and Pearson,
    Biometrika 26 (1934) 404)."""
    from scipy.special import betaincinv

    return 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 1 - alpha))


def _log_choose(of: int, some: NDArray[np.int64]) -> NDArray[np.float64]:
    """log of `of` over `some`, element by element; -inf where that is none."""
    from scipy.special import gammaln

    # gammaln is +inf at 0, -1, -2 ..., which are the impossible choices.
    return np.asarray(gammaln(of + 1) - gammaln(some + 1) - gammaln(of - some + 1), dtype=np.float64)
