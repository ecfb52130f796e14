"""Counts of each category: bounds that hold whatever was claimed, at every moment, and close when all is seen."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.grading import betting, counts
from mantlet.grading.counts import NONE, UNSEEN, Pile
from mantlet.types import Kind

CATEGORIES = ("boat", "camera")
PILES = (Pile("boat", Kind.STILL, 30), Pile("camera", Kind.STILL, 12), Pile("boat", Kind.MOVING, 5),
         Pile("", Kind.STILL, 60), Pile("", Kind.MOVING, 8))  # fmt: skip
PILE_OF = np.repeat(np.arange(len(PILES)), [pile.size for pile in PILES]).astype(np.uint8)
SIZE = len(PILE_OF)


def marks(seed: int, size: int = SIZE) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64)


def truth(seed: int, right: float = 0.9) -> NDArray[np.int8]:
    """What officers would grade: mostly what is claimed."""
    chance = np.random.default_rng(seed)
    claimed = np.array([CATEGORIES.index(PILES[pile].category) if PILES[pile].category else NONE for pile in PILE_OF])
    return np.where(chance.random(SIZE) < right, claimed, chance.integers(-1, 2, SIZE)).astype(np.int8)


def true_counts(graded: NDArray[np.int8]) -> dict[tuple[str, Kind], int]:
    kinds = np.array([PILES[pile].kind for pile in PILE_OF])
    return {
        (category, kind): int(((graded == code) & (kinds == kind)).sum())
        for code, category in enumerate(CATEGORIES)
        for kind in Kind
    }


def seen(graded: NDArray[np.int8], rows: NDArray[np.int64]) -> NDArray[np.int8]:
    found = np.full(len(graded), UNSEEN, dtype=np.int8)
    found[rows] = graded[rows]
    return found


def certify(sequence: NDArray[np.int64], graded: NDArray[np.int8], scores: Any = None, at: float = 0.95) -> Any:
    return counts.certify(PILES, CATEGORIES, PILE_OF, scores, sequence, graded, confidence=at)


def test_when_all_is_seen_the_bounds_are_the_truth() -> None:
    sequence, graded = counts.order(PILES, PILE_OF, None, marks(1)), truth(1)
    found = certify(sequence, graded)
    wanted = true_counts(graded)
    assert {(each.category, each.kind): (each.at_least, each.at_most) for each in found.bounds} == {
        key: (value, value) for key, value in wanted.items()
    }
    assert found.recall_at_least == pytest.approx(1)
    assert found.looked == tuple(pile.size for pile in PILES)
    assert found.open_share == (0, 0, 0, 1, 1)


def test_the_parts_of_the_risk_are_no_more_than_the_risk() -> None:
    assert counts.COMMON + counts.OWN + counts.REST <= 1 + 1e-12


def test_before_any_look_nothing_is_sure() -> None:
    found = certify(counts.order(PILES, PILE_OF, None, marks(1)), np.full(SIZE, UNSEEN, dtype=np.int8))
    assert {each.at_least for each in found.bounds} == {0}
    assert {(each.category, each.kind): each.at_most for each in found.bounds}["boat", Kind.STILL] == 30 + 12 + 60
    assert found.recall_at_least is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, SIZE), st.sampled_from([0.0, 0.5, 0.97, 1.0]))
def test_the_truth_lies_within_at_a_confidence_that_allows_no_mistake(seed: int, looks: int, right: float) -> None:
    """At 1 - 10^-9 no seed can be unlucky: what fails here is wrong, not chance."""
    graded, scores = truth(seed, right), np.random.default_rng(seed).random(SIZE).astype(np.float32)
    sequence = counts.order(PILES, PILE_OF, scores, marks(seed))
    rows = np.random.default_rng(seed).permutation(SIZE)[:looks]
    found = certify(sequence, seen(graded, rows), scores, 1 - 1e-9)
    wanted = true_counts(graded)
    assert all(each.at_least <= wanted[each.category, each.kind] <= each.at_most for each in found.bounds)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_more_looks_never_loosen_a_bound(seed: int) -> None:
    """At a confidence that allows no mistake: a bound that was wrong gives way to what is then found."""
    graded, sequence = truth(seed), counts.order(PILES, PILE_OF, None, marks(seed))
    before = None
    found = np.full(SIZE, UNSEEN, dtype=np.int8)
    for _ in range(6):
        now = certify(sequence, found, at=1 - 1e-9)
        for was, each in zip(before.bounds if before else now.bounds, now.bounds, strict=True):
            assert each.at_least >= was.at_least
            assert each.at_most <= was.at_most
        before = now
        rows = counts.upcoming(PILES, sequence, found, now.open_share, 20)
        found[rows] = graded[rows]


def test_every_order_of_a_small_pile_is_covered_as_often_as_stated() -> None:
    """Every order of wrong and right in a pile of 8, at the worst moment of each."""
    alpha, size = 0.2, 8
    for wrong in range(size + 1):
        orders = [np.array(each, dtype=np.bool_) for each in product((0, 1), repeat=size) if sum(each) == wrong]
        sizes = np.bincount([4], weights=[size], minlength=len(betting.GUESSES)).astype(np.int64)
        drawn = np.full(size, 4, dtype=np.uint8)
        failed = sum(
            any(
                betting.upper(sizes, drawn[:looks], order[:looks], np.array([alpha]))[0] < wrong
                for looks in range(size + 1)
            )
            for order in orders
        )
        assert failed <= alpha * len(orders)


@pytest.mark.parametrize("scores", ["good", "wrong way round", "missing", "not numbers"])
def test_coverage_holds_whatever_the_scores_are(scores: str) -> None:
    """600 piles of 60, a quarter wrong, drawn by weight: at most 20 % may fail; 26 % would be 3.7 deviations more."""
    chance, failed, size = np.random.default_rng(7), 0, 60
    for _ in range(600):
        wrong = chance.random(size) < 0.25
        told = {
            "good": np.where(wrong, 0.6, 0.95), "wrong way round": np.where(wrong, 0.99, 0.6),
            "missing": np.full(size, np.nan), "not numbers": np.where(wrong, np.inf, -3.0),
        }[scores]  # fmt: skip
        classes = betting.classes(told.astype(np.float32), size)
        drawn = np.argsort(betting.keys(classes, marks(int(chance.integers(2**60)), size)))[:25]
        sizes = np.bincount(classes, minlength=len(betting.GUESSES))
        failed += betting.upper(sizes, classes[drawn], wrong[drawn], np.array([0.2]))[0] < wrong.sum()
    assert failed <= 0.26 * 600


def test_a_score_that_doubts_is_looked_at_sooner() -> None:
    size = 2000
    piles = (Pile("boat", Kind.STILL, size),)
    scores = np.where(np.arange(size) < 1000, 0.999, 0.6).astype(np.float32)
    first = counts.order(piles, np.zeros(size, np.uint8), scores, marks(3, size))[:300]
    assert (first >= 1000).mean() > 0.65
    assert (first < 1000).sum() > 30


def test_only_what_was_seen_without_a_gap_counts() -> None:
    graded, sequence = truth(5), counts.order(PILES, PILE_OF, None, marks(5))
    rows = sequence[[0, 1, 2, 4, 5]]
    assert certify(sequence, seen(graded, rows)).looked == (3, 0, 0, 0, 0)


def test_the_order_is_one_of_all_rows_pile_by_pile() -> None:
    sequence = counts.order(PILES, PILE_OF, None, marks(2))
    assert sorted(sequence) == list(range(SIZE))
    assert (PILE_OF[sequence] == PILE_OF).all()
    assert (sequence == counts.order(PILES, PILE_OF, None, marks(2))).all()
    assert (sequence != counts.order(PILES, PILE_OF, None, marks(3))).any()


def test_what_comes_next_is_of_the_open_piles_and_of_the_rest_by_turns() -> None:
    sequence = counts.order(PILES, PILE_OF, None, marks(2))
    found = np.full(SIZE, UNSEEN, dtype=np.int8)
    share = certify(sequence, found).open_share
    rows = counts.upcoming(PILES, sequence, found, share, 40)
    assert len(set(rows)) == 40
    assert sum(bool(PILES[PILE_OF[row]].category) for row in rows) == 20
    sure = counts.upcoming(PILES, sequence, found, (0.1, 0.1, 0.1, 1.0, 1.0), 40)
    assert 4 <= sum(bool(PILES[PILE_OF[row]].category) for row in sure) <= 6
    assert len(counts.upcoming(PILES, sequence, found, share, 10_000)) == SIZE


def test_claims_that_are_all_wrong_or_all_right_are_told_so() -> None:
    sequence, none = counts.order(PILES, PILE_OF, None, marks(4)), np.full(SIZE, NONE, dtype=np.int8)
    assert {each.at_least for each in certify(sequence, seen(none, sequence[:25])).bounds} == {0}
    boats = np.zeros(SIZE, dtype=np.int8)
    found = {(each.category, each.kind): each for each in certify(sequence, seen(boats, sequence[:47])).bounds}
    assert found["boat", Kind.STILL].at_least == 42


def test_a_pile_seen_whole_still_limits_what_is_common() -> None:
    """Else which pile is the worst would hang on what was seen: the last camera, wrong as all before, tells nothing of
    the boats."""
    sequence, graded = counts.order(PILES, PILE_OF, None, marks(6)), truth(6, 1.0)
    graded[PILE_OF == 1] = NONE
    boats, cameras = sequence[np.r_[:15, 42:47]], sequence[30:42]
    before, after = (
        certify(sequence, seen(graded, np.concatenate([boats, cameras[:looks]])), at=0.8).bounds[0]
        for looks in (11, 12)
    )
    assert before.at_least == after.at_least < 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.0}, "above 0.5"),
        ({"graded": np.zeros(3, np.int8)}, "one grade"),
        ({"graded": np.full(SIZE, 2, np.int8)}, "no category that is counted"),
        ({"graded": np.full(SIZE, -3, np.int8)}, "no category that is counted"),
        ({"categories": ("camera",)}, "count it too"),
        ({"piles": (*PILES, Pile("camera", Kind.MOVING, 0))}, "leave it out"),
        ({"piles": ()}, "from 1 to 255"),
        ({"piles": PILES[:-1]}, "do not hold"),
        ({"piles": (*PILES[:-2], PILES[-1], Pile("", Kind.MOVING, 60))}, "one category and kind"),
    ],
)
def test_numbers_that_do_not_fit_are_a_sentence(change: dict[str, Any], message: str) -> None:
    given_: dict[str, Any] = {
        "piles": PILES, "categories": CATEGORIES, "pile_of": PILE_OF, "scores": None,
        "sequence": np.arange(SIZE), "graded": np.full(SIZE, UNSEEN, np.int8), "confidence": 0.95,
    }  # fmt: skip
    with pytest.raises(UsageError, match=message):
        counts.certify(**{**given_, **change})


@pytest.mark.parametrize("size", [2, 17, 500, 1000, 20_000])
@pytest.mark.parametrize("of", range(len(betting.GUESSES)))
def test_a_pile_that_is_all_wrong_is_never_said_to_hold_a_right_one(size: int, of: int) -> None:
    sizes = np.bincount([of], weights=[size], minlength=len(betting.GUESSES)).astype(np.int64)
    looks = min(size, 100)
    drawn, wrong = np.full(looks, of, dtype=np.uint8), np.ones(looks, dtype=np.bool_)
    assert betting.upper(sizes, drawn, wrong, np.array([0.04, 0.002])) == [size, size]
