"""The certificate "missed": as often true as stated, exact where it can be, and no more looks than it needs."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import product
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.grading import eprocess
from mantlet.grading.missed import certify, plan

CONFIDENCES = [0.6, 0.9, 0.99]
SCHEMES = ["fixed", "any time"]


def looks(n: int, found: int = 0) -> NDArray[np.bool_]:
    """So many looks, the finds first."""
    return np.arange(n) < found


def bound(population: int, n: int, found: int, **more: Any) -> int:
    """The most targets there can be, by the certificate."""
    return found + certify(population, looks(n, found), **more).missed_at_most


def chance(population: int, targets: int, n: int, found: int) -> Fraction:
    """Of exactly so many finds."""
    return Fraction(comb(targets, found) * comb(population - targets, n - found), comb(population, n))


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("population", [1, 2, 7, 24])
def test_a_fixed_sample_is_right_as_often_as_stated_and_no_bound_below_it_would_be(
    population: int, confidence: float
) -> None:
    for n in range(population + 1):
        bounds = [bound(population, n, x, confidence=confidence, scheme="fixed") for x in range(n + 1)]
        for targets in range(population + 1):
            right = sum(chance(population, targets, n, x) for x, most in enumerate(bounds) if most >= targets)
            assert right >= confidence
        for x, most in enumerate(bounds):
            at_most_x = sum(chance(population, most, n, i) for i in range(x + 1))
            assert at_most_x > 1 - confidence


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_at_every_moment_together_it_is_right_as_often_as_stated(confidence: float) -> None:
    """Over every order of 9 contents, through the certificate itself."""
    population = 9
    wrong = np.zeros(population + 1)
    for order in product([False, True], repeat=population):
        targets = sum(order)
        wrong[targets] += any(
            sum(order[:n]) + certify(population, np.array(order[:n]), confidence=confidence).missed_at_most < targets
            for n in range(population)
        )
    assert (wrong <= (1 - confidence) * np.array([comb(population, t) for t in range(population + 1)])).all()


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("population", [30, 60])
def test_at_every_moment_together_it_is_right_for_any_number_of_targets(population: int, confidence: float) -> None:
    """The chance of ever having been wrong, exactly, by dynamic programming over looks and finds."""

    @cache
    def most(n: int, x: int) -> int:
        return eprocess.upper(population, np.array([n]), np.array([x]), 1 - confidence)

    worst = 0.0
    for targets in range(population + 1):
        right = np.zeros(targets + 1)
        right[0] = 1.0
        for n in range(population + 1):
            fine = [n - x <= population - targets and x <= n and most(n, x) >= targets for x in range(targets + 1)]
            right = np.where(fine, right, 0.0)
            if n < population:
                hit = np.clip((targets - np.arange(targets + 1)) / (population - n), 0, 1)
                right = right * (1 - hit) + np.append(0, (right * hit)[:-1])
        worst = max(worst, 1 - right.sum())
    assert (1 - confidence) / 10 < worst <= 1 - confidence


OUTCOMES = st.lists(st.booleans(), max_size=60).map(lambda said: np.array(said, dtype=np.bool_))
RARE = st.lists(st.integers(0, 30).map(lambda n: n == 0), max_size=200).map(lambda said: np.array(said, dtype=np.bool_))


@given(OUTCOMES | RARE, st.integers(1, 200), st.sampled_from(SCHEMES))
def test_one_more_look_without_a_find_never_raises_what_may_be_missed(
    outcomes: NDArray[np.bool_], rest: int, scheme: Any
) -> None:
    population = len(outcomes) + rest
    now = certify(population, outcomes, scheme=scheme)
    then = certify(population, np.append(outcomes, False), scheme=scheme)
    assert then.missed_at_most <= now.missed_at_most <= now.unseen


@given(OUTCOMES | RARE, st.integers(0, 200), st.data(), st.sampled_from(SCHEMES))
def test_a_find_more_never_lowers_how_many_there_may_be(
    outcomes: NDArray[np.bool_], rest: int, data: Any, scheme: Any
) -> None:
    blanks = np.flatnonzero(~outcomes)
    if not len(blanks):
        return
    more = outcomes.copy()
    more[data.draw(st.sampled_from(blanks.tolist()))] = True
    population = len(outcomes) + rest
    fewer, further = (certify(population, each, scheme=scheme) for each in (outcomes, more))
    assert further.found + further.missed_at_most >= fewer.found + fewer.missed_at_most


@given(OUTCOMES | RARE, st.integers(0, 200), st.sampled_from(SCHEMES))
def test_a_higher_confidence_never_states_less(outcomes: NDArray[np.bool_], rest: int, scheme: Any) -> None:
    population = max(1, len(outcomes) + rest)
    stated = [certify(population, outcomes, scheme=scheme, confidence=each).missed_at_most for each in CONFIDENCES]
    assert stated == sorted(stated)


@given(OUTCOMES | RARE, st.integers(1, 10_000))
def test_it_is_no_looser_than_at_any_moment_before(outcomes: NDArray[np.bool_], rest: int) -> None:
    population = len(outcomes) + rest
    now = certify(population, outcomes)
    everywhere = [
        eprocess.upper(population, np.array([n]), np.array([int(outcomes[:n].sum())]), 1 - now.confidence)
        for n in range(len(outcomes) + 1)
    ]
    assert now.missed_at_most == max(0, min(everywhere) - now.found)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("targets", [0, 1, 5, 9, 10])
def test_once_all_is_seen_nothing_is_missed(targets: int, scheme: Any) -> None:
    stated = certify(10, looks(10, targets), scheme=scheme)
    assert (stated.missed_at_most, stated.unseen) == (0, 0)
    assert stated.recall_at_least == (1.0 if targets else None)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_before_the_first_look_all_may_be_missed(scheme: Any) -> None:
    stated = certify(10, looks(0), scheme=scheme)
    assert (stated.missed_at_most, stated.recall_at_least) == (10, None)
    assert stated.absent is not None
    assert "Nothing was found" in stated.absent.detail


@pytest.mark.parametrize("at_most", [0, 1, 5, 10, 20, 100, 1000])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
@pytest.mark.parametrize(("scheme", "most"), [("fixed", 1.001), ("any time", 1.15)])
def test_none_found_needs_hardly_more_than_any_method_can(
    scheme: Any, most: float, confidence: float, at_most: int
) -> None:
    least = 1_000_000 * (1 - (1 - confidence) ** (1 / (at_most + 1)))
    needed = plan(1_000_000, looks(0), at_most=at_most, confidence=confidence, scheme=scheme)
    assert needed is not None
    assert needed <= most * least + 1


def test_recall_counts_all_that_was_found() -> None:
    stated = certify(10_000, looks(2_000, 2), found_before=900, found_beside=8, looked_beside=50)
    assert stated.unseen == 7_950
    assert stated.recall_at_least == 910 / (910 + stated.missed_at_most)
    assert any("out of turn" in each for each in stated.assumptions)
    assert any("900 targets were found before" in each for each in stated.assumptions)


def test_what_was_found_out_of_turn_lowers_what_is_left() -> None:
    plain = certify(10_000, looks(2_000, 2))
    beside = certify(10_000, looks(2_000, 2), found_beside=3, looked_beside=3)
    assert beside.missed_at_most == plain.missed_at_most - 3
    assert certify(100, looks(50, 2), looked_beside=50).missed_at_most == 0


def test_what_small_looks_overlook_is_carried_into_the_bound() -> None:
    """Exactly, over all that chance can do: which are overlooked, the trial of small looks, and the sample."""
    population, targets, n, of, rate, confidence = 30, 8, 20, 40, 0.1, 0.9

    @cache
    def misses(found: int, hits: int) -> int:
        stated = certify(population, looks(n, found), confidence=confidence, scheme="fixed", overlooked=(hits, of))
        return stated.missed_at_most

    def binomial(trials: int, hits: int, p: float) -> float:
        return comb(trials, hits) * p**hits * (1 - p) ** (trials - hits)

    right = sum(
        binomial(targets, seen, 1 - rate) * binomial(of, hits, rate) * float(chance(population, seen, n, found))
        for seen in range(targets + 1)
        for hits in range(of + 1)
        for found in range(seen + 1)
        if found + misses(found, hits) >= targets
    )
    assert confidence <= right < 1


def test_looks_that_overlook_more_state_more() -> None:
    stated = [certify(1_000, looks(700, 5), overlooked=(hits, 200)).missed_at_most for hits in (0, 4, 40, 150, 200)]
    assert stated == sorted(stated)
    assert stated[0] > certify(1_000, looks(700, 5)).missed_at_most
    assert stated[-1] == 995, "looks that overlook everything say nothing"
    assert certify(10, looks(10, 2), overlooked=(5, 50)).missed_at_most > 0, "also of what was looked at"


@given(
    st.integers(0, 60),
    st.integers(0, 3),
    st.integers(1, 400),
    st.sampled_from([{"at_most": 0}, {"at_most": 7}, {"recall": 0.8}, {"recall": 1.0}]),
    st.integers(0, 30),
)
def test_the_plan_suffices_and_one_look_fewer_does_not(
    n: int, found: int, rest: int, goal: dict[str, Any], before: int
) -> None:
    population, outcomes = n + rest, looks(n, found)
    found = int(outcomes.sum())
    more = plan(population, outcomes, found_before=before, **goal)

    def met(further: int) -> bool:
        stated = certify(population, np.append(outcomes, looks(further)), found_before=before)
        return stated.missed_at_most <= goal.get("at_most", 0) or (stated.recall_at_least or 0) >= goal.get("recall", 2)

    assert more is not None
    assert met(more)
    assert more == 0 or not met(more - 1)


def test_a_plan_says_when_no_number_of_looks_would_do() -> None:
    assert plan(1_000, looks(0), recall=0.99, found_before=50, overlooked=(20, 40)) is None
    assert plan(1_000, looks(0), recall=0.5, found_before=50, overlooked=(0, 400)) is not None


def test_a_plan_counts_on_no_luck_with_what_was_seen_out_of_turn() -> None:
    assert plan(100, looks(40), at_most=0, looked_beside=60) == 0
    more = plan(100, looks(0), at_most=0, looked_beside=10, found_beside=2, confidence=0.999)
    assert more is not None
    assert 90 <= more <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"population": 0, "outcomes": looks(0)}, "holds no content"),
        ({"population": 5, "outcomes": looks(6)}, "6 contents looked at are more than the population of 5"),
        ({"population": 5, "outcomes": looks(3), "looked_beside": 3}, "more than the population"),
        ({"population": 5, "outcomes": looks(3), "found_beside": 1}, "found out of turn"),
        ({"population": 5, "outcomes": looks(3), "found_before": -1}, "0 or more"),
        ({"population": 5, "outcomes": looks(3), "confidence": 0.5}, "above 0.5 and below 1"),
        ({"population": 5, "outcomes": looks(3), "confidence": 1.0}, "above 0.5 and below 1"),
        ({"population": 5, "outcomes": looks(3), "confidence": float("nan")}, "above 0.5 and below 1"),
        ({"population": 5, "outcomes": looks(3), "overlooked": (3, 2)}, "give how many, and of how many"),
        ({"population": 5, "outcomes": looks(3), "overlooked": (0, 0)}, "give how many, and of how many"),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        certify(**arguments)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ({}, "one goal"),
        ({"recall": 0.9, "at_most": 3}, "one goal"),
        ({"recall": 0}, "a share above 0"),
        ({"recall": 1.1}, "a share above 0"),
        ({"at_most": -1}, "0 or more"),
        ({"at_most": 1, "scheme": "fixed"}, "before the first look"),
    ],
)
def test_a_goal_that_is_none_is_refused(goal: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(100, looks(3), **goal)
