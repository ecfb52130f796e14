"""The order of the queue over arrays: confirmations first, then by score, with some drawn at random mixed in."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.case import schema
from mantlet.grading import queueing
from mantlet.grading.queueing import BENIGN, CONFLICT, EVERY, KNOWN, LOOKS_KNOWN, LOTS, PROVISIONAL, REST, places

NAN = float("nan")
NOT_DRAWN = LOTS - 1


def order(rank: list[int], score: list[float], lots: list[int] | None = None) -> list[int]:
    """The stacks in their order, of contents that are each a stack."""
    lots = lots or [NOT_DRAWN] * len(rank)
    found, _ = places(np.arange(len(rank)), np.array(rank), np.array(score), np.array(lots))
    return np.argsort(found).tolist()


def test_what_must_be_confirmed_comes_first_and_what_is_known_benign_last() -> None:
    rank = [BENIGN, REST, -1, LOOKS_KNOWN, PROVISIONAL, KNOWN, CONFLICT]
    assert order(rank, [NAN] * 7) == [6, 5, 4, 3, 1, 2, 0]


def test_the_rest_is_by_score_and_what_must_be_confirmed_is_not() -> None:
    assert order([-1, -1, KNOWN, KNOWN, -1], [0.1, 0.9, 0.2, 0.8, 0.5]) == [2, 3, 1, 4, 0]


def test_the_strongest_member_counts_for_its_stack() -> None:
    stack = np.array([0, 0, 1, 1, 2])
    rank = np.array([-1, -1, -1, KNOWN, -1])
    found, why = places(stack, rank, np.array([0.1, 0.7, NAN, NAN, 0.5]), np.full(3, NOT_DRAWN))
    assert (found.tolist(), why.tolist()) == ([1, 0, 2], [REST, KNOWN, REST])


def test_without_any_score_the_order_is_that_of_the_stacks() -> None:
    assert order([-1] * 4, [NAN] * 4, [3, 1, 2, 0]) == [0, 1, 2, 3]


def test_what_no_model_scored_is_spread_evenly_and_not_put_last() -> None:
    count, silent = 2000, 200
    score = np.concatenate([np.linspace(1, 0, count - silent), np.full(silent, NAN)])
    lots = np.random.default_rng(1).integers(LOTS // EVERY, LOTS, count)
    found, _ = places(np.arange(count), np.full(count, -1), score, lots)
    in_quarters = np.histogram(found[-silent:], bins=4, range=(0, count))[0]
    assert in_quarters.min() > silent / 8


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places and lots of 20,000 stacks, in the order of their scores."""
    count = 20_000
    lots = np.random.default_rng(2).integers(0, LOTS, count)
    found, _ = places(np.arange(count), np.full(count, -1), np.linspace(1, 0, count), lots)
    return found, lots


def test_about_every_twentieth_place_is_of_one_drawn_however_low_its_score(
    drawn: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    found, lots = drawn
    order_ = np.argsort(found)
    for first in range(0, 10_000, 1000):
        low = [row for row in order_[first : first + 1000] if row >= 10_000]
        assert all(lots[row] < LOTS // EVERY for row in low)
        assert 15 <= len(low) <= 35, "of those drawn half have so low a score"


def test_nothing_comes_later_by_being_drawn_and_the_rest_keeps_its_order(
    drawn: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    found, lots = drawn
    is_drawn = lots < LOTS // EVERY
    rest = found[~is_drawn]
    assert (np.diff(rest) > 0).all()
    later = found - np.arange(len(found))
    assert later.max() <= len(found) / EVERY + EVERY, "by no more than are mixed in before it"
    assert later[is_drawn].max() <= later[~is_drawn].max()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.integers(-1, BENIGN),
            st.one_of(st.just(NAN), st.floats(0, 1)),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 2**32),
)
def test_each_stack_has_a_place_of_its_own_and_ranks_never_mix(
    contents: list[tuple[int, int, float]], seed: int
) -> None:
    names = sorted({stack for stack, _, _ in contents})
    stack = np.array([names.index(each) for each, _, _ in contents])
    lots = np.random.default_rng(seed).integers(0, LOTS, len(names))
    found, why = places(stack, np.array([r for _, r, _ in contents]), np.array([s for _, _, s in contents]), lots)
    assert sorted(found.tolist()) == list(range(len(names)))
    assert (np.diff(why[np.argsort(found)]) >= 0).all()


def test_a_lot_depends_on_seed_and_content_alone_and_all_are_as_likely() -> None:
    contents = [number.to_bytes(32) for number in range(20_000)]
    lots = np.array([queueing.lot(b"case", each) for each in contents])
    assert [queueing.lot(b"case", each) for each in contents[:50]] == lots[:50].tolist()
    assert [queueing.lot(b"other", each) for each in contents[:50]] != lots[:50].tolist()
    assert 0 <= lots.min() <= lots.max() < LOTS
    assert abs(np.mean([queueing.is_drawn(each) for each in lots.tolist()]) - 1 / EVERY) < 0.005


def test_the_case_draws_as_many_as_the_queue_does() -> None:
    """The trigger that follows each decision holds the same two numbers."""
    [(of, drawn_below)] = re.findall(r"coalesce\(lot, (\d+)\) < (\d+)", schema.MIGRATIONS[3])
    assert (int(of), int(drawn_below)) == (LOTS, LOTS // EVERY)
