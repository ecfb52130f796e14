"""Which grade a near copy may take, over arrays, against comparing all by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mantlet.grading.propagation import CONFLICT, NONE, nearest

DISTANCE = 31


def bits(value: NDArray[np.uint8], count: int, source: np.random.Generator) -> NDArray[np.uint8]:
    """A hash at exactly that distance."""
    found = np.unpackbits(value)
    found[source.choice(256, count, replace=False)] ^= 1
    return np.packbits(found)


def by_hand(
    graded: NDArray[np.uint8], grade: NDArray[np.int64], views: NDArray[np.uint8]
) -> list[tuple[int, int, int]]:
    found = []
    for each in views:
        apart = np.unpackbits(graded[:, None] ^ each[None], axis=2).sum(axis=2)
        rows = np.flatnonzero((apart <= DISTANCE).any(axis=1))
        if len(set(grade[rows].tolist())) > 1:
            found.append((CONFLICT, 0, 0))
        elif len(rows):
            row = rows[np.argmin(apart[rows].min(axis=1))]
            view = int(np.argmin(apart[row]))
            found.append((int(row), view, int(apart[row, view])))
        else:
            found.append((NONE, 0, 0))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_comparing_all_finds(seed: int) -> None:
    source = np.random.default_rng(seed)
    centres = source.integers(0, 256, (5, 32), dtype=np.uint8)
    graded = np.array([bits(centres[source.integers(5)], int(source.integers(0, 25)), source) for _ in range(12)])
    grade = source.integers(0, 2, 12)
    views = source.integers(0, 256, (40, 8, 32), dtype=np.uint8)
    for each in views[:34]:
        each[source.integers(8)] = bits(centres[source.integers(5)], int(source.integers(0, 34)), source)
    rows, by, apart = nearest(graded, grade, views, DISTANCE)
    found = by_hand(graded, grade, views)
    assert [row for row, _, _ in found] == rows.tolist()
    taken = rows >= 0
    assert apart[taken].tolist() == [distance for row, _, distance in found if row >= 0]
    assert by[taken].tolist() == [view for row, view, _ in found if row >= 0]
    assert taken.any()
    assert {CONFLICT, NONE} <= set(rows.tolist()), "the draw holds all three"


@pytest.mark.parametrize(("apart", "taken"), [(0, True), (31, True), (32, False), (256, False)])
def test_the_distance_is_the_limit(apart: int, taken: bool) -> None:
    source = np.random.default_rng(3)
    value = source.integers(0, 256, 32, dtype=np.uint8)
    views = np.repeat(bits(value, apart, source)[None, None], 8, axis=1)
    rows, by, _ = nearest(value[None], np.array([0]), views, DISTANCE)
    assert (rows.tolist(), by.tolist()) == ([0 if taken else NONE], [0])


def test_of_neighbours_that_disagree_none_wins_however_near() -> None:
    source = np.random.default_rng(4)
    value = source.integers(0, 256, 32, dtype=np.uint8)
    graded = np.array([value, bits(value, 31, source), value])
    rows, _, _ = nearest(graded, np.array([0, 1, 0]), value[None, None], DISTANCE)
    assert rows.tolist() == [CONFLICT]


def test_nothing_graded_gives_nothing() -> None:
    rows, _, _ = nearest(np.empty((0, 32), np.uint8), np.empty(0, np.int64), np.zeros((2, 8, 32), np.uint8), DISTANCE)
    assert rows.tolist() == [NONE, NONE]
