"""Thresholds keep what they promise, on drawn scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantlet.recognise.thresholds import threshold

SCORES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=60)


@given(SCORES, st.sampled_from([0.05, 0.1, 0.2, 0.5, 0.9]))
def test_it_is_the_highest_that_the_bound_allows(rows: list[tuple[int, int]], miss: float) -> None:
    scores, stacks = (np.array(column) for column in zip(*rows, strict=True))
    scores = scores / 20
    units = np.unique(stacks)

    def bound(at: float) -> float:
        return (sum((scores[stacks == unit] < at).mean() for unit in units) + 1) / (len(units) + 1)

    allowed = [float(at) for at in scores if bound(at) <= miss + 1e-9]
    found = threshold(scores, stacks, miss)
    assert found.at == max(allowed, default=0.0)
    assert (found.expected is None) == (not allowed)
    if found.expected is not None:
        assert found.expected == pytest.approx(bound(found.at))
    assert (found.examples, found.stacks) == (len(scores), len(units))


def test_on_average_no_more_is_missed_than_was_said() -> None:
    """3,000 calibrations on 50 targets each; the truth is known: a share of `at` ** 2 lies below it."""
    random = np.random.default_rng(1)
    missed = []
    for _ in range(3000):
        scores = np.sqrt(random.random(50))
        missed.append(threshold(scores, np.arange(50), 0.1).at ** 2)
    error = np.std(missed) / np.sqrt(len(missed))
    assert np.mean(missed) <= 0.1 + 3 * error
    assert np.mean(missed) >= 0.1 - 1 / 51 - 3 * error, "nor is it far too careful"


def test_copies_of_one_target_count_once() -> None:
    """Where copies counted, one low stack of many would be all that is looked at."""
    random = np.random.default_rng(2)
    missed, plain = [], []
    for _ in range(1000):
        scores = random.random(60)
        copies = np.where(random.random(60) < 0.1, 30, 1)
        stacks = np.repeat(np.arange(60), copies)
        missed.append(threshold(scores[stacks], stacks, 0.1).at)
        plain.append(threshold(scores[stacks], np.arange(len(stacks)), 0.1).at)
    error = np.std(missed) / np.sqrt(len(missed))
    assert np.mean(missed) <= 0.1 + 3 * error
    assert np.std(plain) > 2 * np.std(missed)


def test_what_is_promised_is_of_groups_and_not_of_targets() -> None:
    scores = np.concatenate([np.linspace(0.9, 1, 39), np.full(60, 0.1)])
    found = threshold(scores, np.concatenate([np.arange(39), np.full(60, 39)]), 0.05)
    assert found.at == 0.9
    assert found.expected == pytest.approx(2 / 41)
    assert (scores < found.at).mean() > 0.6


def test_too_few_targets_flag_everything_and_say_how_many_are_needed() -> None:
    few = threshold(np.full(18, 0.9), np.arange(18), 0.05)
    assert (few.at, few.expected) == (0.0, None)
    assert few.sentence == (
        "With examples from 18 groups of near-duplicates no threshold keeps what is missed of them to 5 %, "
        "so none is set: grade examples from at least 19."
    )
    enough = threshold(np.full(19, 0.9), np.arange(19), 0.05)
    assert (enough.at, enough.expected, enough.sentence) == (0.9, pytest.approx(0.05), None)
    assert threshold(np.full(40, 0.9), np.arange(40) // 10, 0.05).at == 0.0


def test_no_target_at_all_flags_everything() -> None:
    assert threshold(np.zeros(0), np.zeros(0, np.int64), 0.05).at == 0.0


@pytest.mark.parametrize("miss", [0.0, 1.0, -0.1, float("nan")])
def test_a_miss_rate_lies_between_0_and_1(miss: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold(np.ones(40), np.arange(40), miss)


def test_scores_are_numbers() -> None:
    with pytest.raises(ValueError, match="scores are numbers"):
        threshold(np.array([0.5, np.nan]), np.arange(2), 0.5)
