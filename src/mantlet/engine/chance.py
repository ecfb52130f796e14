"""What a random sample of windows tells of a whole medium: in which order they are drawn, how many it takes, what may
have been missed, how much there may be.

`windows`: how many the medium has; `holding`: how many of them hold what is looked for; `drawn`: how many were read.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 8
_BISECTIONS: Final = 100
_TERMS: Final = 1 << 20
_NOTHING: Final = -700.0  # the logarithm of a chance that no float can hold much less of


def shuffled(places: NDArray[np.uint64], windows: int, seed: int) -> NDArray[np.uint64]:
    """The windows at these places of an order of all of them that the seed decides, the same on every machine.

    A Feistel network, walked on until it comes to a window (Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
    CT-RSA 2002, methods 2 and 3): so nothing that was drawn need be remembered, however large the medium.
    """
    half = max(3, (max(1, windows - 1).bit_length() + 1) // 2)
    keys = np.frombuffer(hashlib.shake_256(f"mantlet triage {seed}".encode()).digest(8 * _ROUNDS), "<u8")
    found = places.astype(np.uint64)
    out = np.ones(len(found), np.bool_)
    while out.any():
        found[out] = _step(found[out], np.uint64(half), keys)
        out &= found >= windows
    return found


def _step(values: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return (left << half) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each bit of the outcome depends on all bits (Steele, Lea, Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014, mix64variant13)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def of_a_miss(windows: int, holding: int, drawn: int) -> float:
    """The chance that none of `drawn` windows is one of `holding`, drawn without putting back.

    C(windows - holding, drawn) / C(windows, drawn), as the product of (windows - most - i) / (windows - i) over the
    lesser of the two numbers, which are interchangeable: a sum of logarithms that are each exact to the last digits,
    where a difference of log-gammas of such size keeps six.
    """
    least, most = sorted((holding, drawn))
    if least + most > windows:
        return 0.0
    log = 0.0
    for at in range(0, least, _TERMS):
        remaining = np.float64(windows) - np.arange(at, min(at + _TERMS, least))
        log += float(np.log1p(-most / remaining).sum())
        if log < _NOTHING:
            return 0.0
    return math.exp(log)


def least_kept(files: NDArray[np.uint64], amount: int) -> int:
    """How many blocks of a set different whole files that have `amount` bytes together hold at least, whichever they
    are; all of them, where they have less. `files` ([n, 2]): the bytes of each and its blocks in the set, of which it
    has one at least.

    Those with the fewest for their bytes are taken first, and of the last one only what the amount takes: no choice of
    whole files can have fewer (the bound of Dantzig, "Discrete-variable extremum problems", Operations Research 5,
    1957). Rounded down.
    """
    order = np.argsort(files[:, 1] / files[:, 0], kind="stable")
    sizes, kept = np.cumsum(files[order], axis=0, dtype=np.uint64).T
    last = int(np.searchsorted(sizes, np.uint64(amount)))
    if last == len(order):
        return int(kept[-1])
    size, blocks = map(int, files[order[last]])
    left = int(sizes[last]) - amount
    return max(1, (int(kept[last]) * size - left * blocks) // size)


def least_drawn(windows: int, holding: int, confidence: float) -> int:
    """How many windows must be read until the chance of a miss is at most 1 - `confidence`: all, if less never does."""
    high = 1
    while high < windows and of_a_miss(windows, holding, high) > 1 - confidence:
        high *= 2  # from below: there the sum has few terms
    low, high = high // 2, min(high, windows)
    while low < high:
        middle = (low + high) // 2
        if of_a_miss(windows, holding, middle) <= 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low


def interval(windows: int, drawn: int, hits: int, confidence: float) -> tuple[int, int]:
    """At least and at most how many windows hold what was found in `hits` of `drawn`.

    By Clopper and Pearson ("The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934): never narrower than stated, and wider than need be as windows are not put back. Never less
    than was found, nor more than leaves room for what was read without a hit.
    """
    if not drawn:
        return 0, windows
    each = (1 - confidence) / 2
    low = 1 - _most_likely(drawn - hits, drawn, each)
    high = _most_likely(hits, drawn, each)
    most = windows - (drawn - hits)
    return max(hits, math.floor(low * windows)), min(most, math.ceil(high * windows))


def _most_likely(hits: int, drawn: int, chance: float) -> float:
    """The largest share of hits with which at most `hits` of `drawn` still have that chance."""
    if hits == drawn:
        return 1.0
    low, high = hits / drawn, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if low < middle < high:
            low, high = (middle, high) if _at_most(hits, drawn, middle) > chance else (low, middle)
    return high


def _at_most(hits: int, drawn: int, share: float) -> float:
    """The chance of at most `hits` of `drawn`, of a binomial whose mean lies at or above `hits`: so its terms fall."""
    log = math.lgamma(drawn + 1) - math.lgamma(hits + 1) - math.lgamma(drawn - hits + 1)
    term = math.exp(log + hits * math.log(share) + (drawn - hits) * math.log1p(-share))
    total, count = term, hits
    while count > 0 and term > total * 1e-17:
        term *= count * (1 - share) / ((drawn - count + 1) * share)
        total += term
        count -= 1
    return total
