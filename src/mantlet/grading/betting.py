"""At most how many of a pile are wrong: a bound from weighted draws without replacement, valid at every moment.

For each g, the hypothesis "g or more of the pile are wrong" is bet against. With a wealth of 1 to start with, each draw
multiplies it by 1 + stake x (g - wrong found - Z), where Z estimates from this draw alone, without bias, how many of
those not drawn yet are wrong: (wrong - guess) / chance of the draw + the guesses of all not drawn yet. Under the
hypothesis the wealth is a nonnegative supermartingale, whatever the guesses are, so it ever reaches 1/a with
probability at most a (Ville 1939). Those g are excluded that were rejected together with all above them; so only the
test of the true number has to hold, not all at once.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024, section 5
(without replacement); Shekhar, Xu, Lipton, Liang and Ramdas, "Risk-limiting financial audits via weighted sampling
without replacement", UAI 2023 (draws by weight, guesses as control variates).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

GUESSES: Final = np.array([0.003, 0.006, 0.012, 0.024, 0.048, 0.1, 0.2, 0.4])
"""How probably wrong a content is taken to be: scores are put into these classes, so that no score, however wild, can
make a draw impossible or its weight unbounded."""
_EDGES: Final = np.sqrt(GUESSES[1:] * GUESSES[:-1])
WEIGHTS: Final = np.sqrt(GUESSES * (1 - GUESSES)) + 0.2
"""How often a class is drawn, per content: by the spread of what is guessed (Neyman 1934), and never rarely."""
_HYPOTHESES: Final = 128
_REFITS: Final = frozenset({0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096})
_STEPS: Final = 14
_TRUST: Final = 20.0
"""For how many draws of its class a guess counts, once draws speak for themselves."""
_CLOSEST: Final = 1e-6
"""Where a hypothesis and the largest estimate are the same number but for rounding, that must not be staked on."""
_SAFE: Final = 0.98
"""Of the stake at which one draw could take everything, how much may be staked."""


def classes(scores: NDArray[np.float32] | None, count: int) -> NDArray[np.uint8]:
    """The class of each content by its score: how probably what is claimed of it is right. A score that is missing,
    NaN or out of range says nothing: it counts as one of the middle; without any scores all are of one class."""
    if scores is None:
        return np.full(count, len(GUESSES) // 2, dtype=np.uint8)
    wrong = np.where(np.isfinite(scores) & (scores >= 0) & (scores <= 1), 1 - scores, GUESSES[len(GUESSES) // 2])
    return np.searchsorted(_EDGES, wrong).astype(np.uint8)


def keys(found: NDArray[np.uint8], marks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Draws by weight without replacement are these numbers sorted, lowest first: exponential races (Efraimidis and
    Spirakis 2006). `marks`: 64 uniform bits for each content."""
    uniform = (marks.astype(np.float64) + 0.5) / 2.0**64
    numbers: NDArray[np.float64] = -np.log(np.minimum(uniform, 1 - 2.0**-53)) / WEIGHTS[found]
    return numbers


def upper(
    sizes: NDArray[np.int64], drawn: NDArray[np.uint8], wrong: NDArray[np.bool_], alphas: NDArray[np.float64]
) -> list[int]:
    """At most how many of a pile are wrong, for each of some risks.

    Args:
        sizes: [classes], contents of the pile in each class.
        drawn: [draws], the class of each draw, in the order of drawing.
        wrong: [draws], whether it was found wrong.
        alphas: risks of being wrong.

    Returns:
        for each risk a number from `wrong.sum()` to that and all not drawn.
    """
    total, found = int(sizes.sum()), int(wrong.sum())
    hypotheses = np.unique(np.concatenate([
        np.geomspace(1, max(total, 1), _HYPOTHESES), np.linspace(1, max(total, 1), _HYPOTHESES // 4)
    ]).round().astype(np.int64))  # fmt: skip
    reached = _wealth(hypotheses.astype(np.float64), sizes.astype(np.float64), drawn, wrong)
    most = found + total - len(drawn)
    bounds = []
    for needed in np.log(1 / alphas):
        still = np.flatnonzero((reached < needed) & (hypotheses <= most))
        first = int(still[-1]) + 1 if len(still) else 0  # it and all above it are rejected
        bound = int(hypotheses[first]) - 1 if first < len(hypotheses) else most
        bounds.append(max(found, min(bound, most)))
    return bounds


def _wealth(
    hypotheses: NDArray[np.float64], sizes: NDArray[np.float64], drawn: NDArray[np.uint8], wrong: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The logarithm of the highest wealth that betting against each hypothesis ever reached."""
    left, wealth, best = sizes.copy(), np.zeros(len(hypotheses)), np.zeros(len(hypotheses))
    seen, met, stakes = np.zeros(len(sizes)), np.zeros(len(sizes)), np.zeros(len(hypotheses))
    for number, (of, is_wrong) in enumerate(zip(drawn, wrong, strict=True)):
        weight = float(left @ WEIGHTS)
        guessed = float(left @ GUESSES)
        chances = WEIGHTS / weight
        rest = hypotheses - met.sum()  # wrong among those not drawn yet, if the hypothesis just holds
        there = left > 0
        estimates = ((1 - GUESSES) / chances + guessed, -GUESSES / chances + guessed)
        top = estimates[0][there].max()
        limit = _SAFE / np.maximum(top - rest, _CLOSEST * top)
        if number in _REFITS:
            likely = np.minimum(GUESSES * (met.sum() + 1) / (seen @ GUESSES + 1), 0.9)
            likely = (met + _TRUST * likely) / (seen + _TRUST)
            stakes = _stakes(rest, left * chances, likely, estimates, limit)
        outcome = estimates[0][of] if is_wrong else estimates[1][of]
        wealth += np.log1p(np.minimum(stakes, limit) * (rest - outcome))
        np.maximum(best, wealth, out=best)
        left[of] -= 1
        seen[of] += 1
        met[of] += is_wrong
    return best


def _stakes(
    rest: NDArray[np.float64],
    chances: NDArray[np.float64],
    guesses: NDArray[np.float64],
    estimates: tuple[NDArray[np.float64], NDArray[np.float64]],
    limit: NDArray[np.float64],
) -> NDArray[np.float64]:
    """For each hypothesis the stake by which wealth grows fastest if the guesses are right (Kelly 1956), found by
    halving, since the growth is concave in the stake."""
    gains = rest[:, None] - np.concatenate(estimates)[None, :]
    probable = np.concatenate([chances * guesses, chances * (1 - guesses)])[None, :]
    low, high = np.zeros(len(rest)), limit.copy()
    for _ in range(_STEPS):
        middle = (low + high) / 2
        rises = (probable * gains / (1 + middle[:, None] * gains)).sum(axis=1) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return low
