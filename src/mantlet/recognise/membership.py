"""What a head shows of who taught it: the gain of an attacker who holds a picture and asks "was this taught?"."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mantlet.recognise.examples import Vectors
from mantlet.recognise.head import Taught

_RESAMPLES: Final = 200
_FALSE_CLAIMS: Final = 0.01


def membership(
    taught: Taught,
    vectors: Vectors,
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    stacks: NDArray[np.int64],
    *,
    seed: int,
) -> dict[str, float | str]:
    """What the threshold attack gains (Yeom, Giacomelli, Fredrikson and Jha 2018): claim that a picture was taught
    when the head is sure of its true label.

    Each fold's head is attacked with the rows that taught it (members) and those held out from it (others), which are
    alike but for that. Said are: how often a member scores above another (AUC, with a 95 % bootstrap interval by
    stack), the largest difference between the shares of members and others claimed (advantage), and the share of
    members found while at most 1 % of others are claimed (Carlini, Chien, Nasr, Song, Terzis and Tramer 2022). The
    released head was taught a little more than each of these, so it shows slightly less. Attacks that teach heads of
    their own find more.

    Args: as given to `teach`; `stacks` [n], one number for each stack.
    """
    fold, true, unit = folds[taught.rows], labels[taught.rows], np.unique(stacks[taught.rows], return_inverse=True)[1]
    rows = np.arange(len(true))
    parts = [head.probabilities(vectors[taught.rows])[rows, true] for head in taught.fold_heads]
    numbers = np.unique(fold)
    _, level = np.unique(np.concatenate(parts), return_inverse=True)
    member = np.concatenate([fold != number for number in numbers])
    owner = np.tile(unit, len(numbers))
    one = np.ones(len(owner))
    auc, advantage, found = _attack(level, member, one)
    random = np.random.default_rng(seed)
    units = int(unit.max()) + 1
    drawn = [
        _attack(level, member, np.bincount(random.integers(units, size=units), minlength=units)[owner].astype(float))[0]
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    meaning = (
        f"Of two pictures, one of them taught, whoever holds both and knows their labels names the right one {auc:.0%} "
        f"of the time (guessing: 50%), and finds {found:.1%} of those taught while wrong of 1 in 100 others at most. "
        "Stronger attacks may find more."
    )
    return {
        "auc": round(auc, 4),
        "auc_low": round(float(low), 4),
        "auc_high": round(float(high), 4),
        "advantage": round(advantage, 4),
        "found_at_1_percent_false": round(found, 4),
        "members": float(member.sum()),
        "others": float((~member).sum()),
        "meaning": meaning,
    }


def _attack(
    level: NDArray[np.int64], member: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float, float]:
    """AUC, advantage, and share of members found at the limit of false claims; `level`: rank of the confidence, ties
    equal, from 0."""
    size = int(level.max()) + 1
    inside = np.bincount(level[member], weights[member], size)
    outside = np.bincount(level[~member], weights[~member], size)
    inside, outside = inside / inside.sum(), outside / outside.sum()
    below = np.cumsum(outside) - outside
    auc = float(inside @ (below + outside / 2))
    claimed = np.append(np.cumsum(inside[::-1])[::-1], 0.0)
    wrongly = np.append(np.cumsum(outside[::-1])[::-1], 0.0)
    return auc, float((claimed - wrongly).max()), float(claimed[wrongly <= _FALSE_CLAIMS].max())
