"""Which examples are held out together, so that what a head scores was never taught to it, nor a near-copy of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Folds:
    """`numbers` [n]: the fold of each row, from 0; `how`: what was kept apart, for the card."""

    numbers: NDArray[np.int64]
    how: str


def folds(
    stacks: NDArray[np.int64], exhibits: list[str], labels: NDArray[np.int64], count: int = 5, *, seed: int
) -> Folds:
    """Deals rows into at most `count` folds.

    Rows of one stack (near-copies) are always in one fold: a head that was taught one would know the other. Exhibits
    are kept apart where every label then still lies in two folds or more, because pictures of one device are alike in
    what the next device will not have; a stack that spans exhibits goes with the exhibit that holds most of it. Else
    whole stacks are dealt, each label evenly. Label -1: not taught, but dealt too. The same input and seed give the
    same folds.

    Args:
        stacks: [n], one number for each stack.
        exhibits: [n], names.
        labels: [n], from 0, or -1.
    """
    if len(stacks) == 0:
        return Folds(np.zeros(0, np.int64), "nothing to deal")
    names, rows = np.unique(np.asarray(exhibits), return_inverse=True)
    homes = _homes(stacks, rows)
    devices = len(np.unique(homes))
    if devices > 1:
        dealt = _deal(homes, np.zeros_like(labels), min(count, devices), seed)
        if _taught(labels, dealt):
            return Folds(dealt, f"{min(count, devices)} folds of whole exhibits ({devices}), near-copies together")
    every = min(count, len(np.unique(stacks)))
    why = ", because a label would else lie in one fold only" if devices > 1 else ""
    apart = "" if len(names) == 1 else f"; exhibits ({len(names)}) not kept apart{why}"
    return Folds(_deal(stacks, labels, every, seed), f"{every} folds of whole stacks, near-copies together{apart}")


def _homes(stacks: NDArray[np.int64], exhibits: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the exhibit that holds most of its stack; of two that hold as much, the first."""
    pairs, counts = np.unique(np.stack([stacks, exhibits], axis=1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    distinct, first = np.unique(pairs[order, 0], return_index=True)
    home: NDArray[np.int64] = pairs[order[first], 1][np.searchsorted(distinct, stacks)]
    return home


def _taught(labels: NDArray[np.int64], dealt: NDArray[np.int64]) -> bool:
    """Whether every label can be taught without any one fold."""
    used = labels >= 0
    pairs = np.unique(np.stack([labels[used], dealt[used]], axis=1), axis=0)
    return bool((np.unique(pairs[:, 0], return_counts=True)[1] > 1).all())


def _deal(units: NDArray[np.int64], labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Each unit whole into the fold that has the fewest rows of its label, then the fewest in all: rare labels first,
    large units first, by chance among equals. A unit of several labels counts as its rarest."""
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rarest_first = np.argsort(counts[label], kind="stable")
    distinct, first, unit, sizes = np.unique(
        units[rarest_first], return_index=True, return_inverse=True, return_counts=True
    )
    its_label = label[rarest_first][first]
    chance = np.random.default_rng(seed).permutation(len(distinct))
    held = np.zeros((len(counts), count), np.int64)
    full = np.zeros(count, np.int64)
    fold = np.zeros(len(distinct), np.int64)
    for each in np.lexsort((chance, -sizes, its_label, counts[its_label])):
        chosen = np.lexsort((full, held[its_label[each]]))[0]
        fold[each] = chosen
        held[its_label[each], chosen] += sizes[each]
        full[chosen] += sizes[each]
    dealt = np.zeros(len(units), np.int64)
    dealt[rarest_first] = fold[unit]
    return dealt
