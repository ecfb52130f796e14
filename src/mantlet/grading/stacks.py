"""Contents that look the same: connected by perceptual hashes within a distance of each other.

A stack is for viewing together. It may chain (a looks like b, b like c, a hardly like c), so it never carries a
grade from one member to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings

UPRIGHT: Final = 0


class Looks(msgspec.Struct, frozen=True):
    """How contents look: any number of hashes of each, as it is and in other views.

    hashes: uint8 [n, 32]; content: int32 [n], from 0; view: uint8 [n], `UPRIGHT` for as it is.
    """

    hashes: NDArray[np.uint8]
    content: NDArray[np.int32]
    view: NDArray[np.uint8]


class Connected(msgspec.Struct, frozen=True):
    """first: int32 [contents], the first content that each is connected to.

    joins: int32 [m, 4], why: a content, one that it looks like in a view, this view, and their distance in bits. They
    hold the stacks together without a circle: two contents of a stack may look alike without a join of their own.
    ties: int32 [k, 2], pairs that only a person connected. finished: False where so many look alike that not all could
    be compared; then what is one stack may be in several.
    """

    first: NDArray[np.int32]
    joins: NDArray[np.int32]
    ties: NDArray[np.int32]
    finished: bool


class Act(msgspec.Struct, frozen=True):
    """What a person did: `contents` became a stack of their own, or one stack with what each of them is connected to.
    contents: int [m], distinct."""

    how: Literal["split", "join"]
    contents: NDArray[np.int64]


def connected(
    contents: int, looks: Looks, most: int = settings.PDQ_DISTANCE, acts: Sequence[Act] = (), budget: int | None = None
) -> Connected:
    """Connects each content with each that one of its views looks like, as that is, within `most` bits (at most 31).

    No such pair is missed, unless it is not finished. What a person split from others stays apart from all of them,
    later ones too, until a person joins it; the last act counts.
    """
    from mantlet.grading import joining  # its compiler takes a third of a second to load

    if most > settings.PDQ_DISTANCE:
        raise ValueError(f"the tables are cut for {settings.PDQ_DISTANCE} bits at most")
    part, together = _acted(contents, acts)
    parent, joins, finished = joining.compare(
        looks.hashes, looks.content, looks.view, looks.view == UPRIGHT, part, most, budget
    )
    ties = _tied(parent, together)
    joining.settle(parent)
    return Connected(parent, joins, ties, finished)


def stacks(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int32]:
    """For each row of `hashes` ([n, 32], PDQ) the lowest row index it is connected to, within `distance` (at most 31)
    bits of each other."""
    rows = np.arange(len(hashes), dtype=np.int32)
    return connected(len(hashes), Looks(hashes, rows, np.full(len(rows), UPRIGHT, np.uint8)), distance).first


def _acted(contents: int, acts: Sequence[Act]) -> tuple[NDArray[np.int32], list[set[int]]]:
    """For each content the part that nothing it looks like is connected to from outside; and what people put
    together."""
    part, together = np.zeros(contents, np.int32), list[set[int]]()
    for number, act in enumerate(acts, start=1):
        these = set(act.contents.tolist())
        if act.how == "split":
            part[act.contents] = number
            together = [some for each in together for some in (each & these, each - these)]
        together = [each for each in (*together, these) if len(each) > 1]
    return part, together


def _tied(parent: NDArray[np.int32], together: Sequence[set[int]]) -> NDArray[np.int32]:
    """Connects what people put together; the pairs that were not connected before."""
    ties = []
    for each in together:
        first, *others = sorted(each)
        for other in others:
            one, two = (_first(parent, content) for content in (first, other))
            if one != two:
                parent[max(one, two)] = min(one, two)
                ties.append((first, other))
    return np.array(ties, np.int32).reshape(-1, 2)


def _first(parent: NDArray[np.int32], content: int) -> int:
    while parent[content] != content:
        content = int(parent[content])
    return content
