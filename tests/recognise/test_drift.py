"""A released model against the officers after it: what rings, what does not, and what is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise.drift import Graded, drift
from mantlet.recognise.thresholds import threshold


def graded(case: str, targets: int, missed: int, others: int = 50, label: str = "boat", **more: Any) -> Graded:
    """So many targets, of which some lie below the threshold of 0.5, and others at 0.1."""
    scores = np.array([0.1] * missed + [0.9] * (targets - missed) + [0.1] * others)
    truth = np.arange(len(scores)) < targets
    stacks = more.get("stacks", np.arange(len(scores)))
    return Graded(case, label, truth, scores, stacks, more.get("threshold", 0.5), 0.05)


def test_a_model_that_misses_much_more_than_stated_rings() -> None:
    (found,) = drift([graded("case-1", 60, 1), graded("case-2", 60, 30)])
    assert [each.alarm for each in found.cases] == [False, True]
    assert found.alarm
    assert "case-2" in found.sentence
    assert "case-1" not in found.sentence
    assert found.pooled.targets == 120
    assert found.pooled.missed == 31
    said = found.cases[1].sentence
    assert "30 lie below the threshold. They are 60 groups of near-duplicates, and 50 % of a group is missed" in said
    assert "which is more than the stated 5 %" in said


def test_the_interval_of_a_miss_rate_is_corrected_for_the_looks() -> None:
    from scipy.stats import binomtest

    (found,) = drift([graded("case-1", 60, 6), graded("case-2", 40, 3)])
    assert found.confidence == pytest.approx(1 - 0.01 / 3)
    theirs = binomtest(6, 60).proportion_ci(found.confidence, "exact")
    rate = found.cases[0].miss_rate
    assert rate is not None
    assert (rate.low, rate.high) == (pytest.approx(theirs.low, abs=2e-6), pytest.approx(theirs.high, abs=2e-6))


def test_a_model_as_good_as_stated_hardly_ever_rings() -> None:
    draw = np.random.default_rng(1)
    rung = 0
    for _ in range(150):
        rows = [graded(f"case-{at}", 80, int(draw.binomial(80, 0.05))) for at in range(4)]
        rung += drift(rows)[0].alarm
    assert rung <= 3


def test_near_copies_of_one_missed_target_ring_nothing() -> None:
    assert drift([graded("case-1", 60, 30)])[0].alarm
    stacks = np.concatenate([np.zeros(30), np.arange(1, 31), np.arange(100, 150)]).astype(np.int64)
    (found,) = drift([graded("case-1", 60, 30, stacks=stacks)])
    assert not found.alarm
    assert (found.cases[0].missed, found.cases[0].target_stacks) == (30, 31)
    assert found.cases[0].miss_rate is not None
    assert found.cases[0].miss_rate.value == pytest.approx(1 / 31, abs=1e-6)


def test_near_copies_of_one_found_target_hide_nothing() -> None:
    stacks = np.concatenate([np.arange(30), np.full(500, 30), np.arange(100, 150)]).astype(np.int64)
    (found,) = drift([graded("case-1", 530, 30, stacks=stacks)])
    assert found.alarm
    assert found.cases[0].miss_rate is not None
    assert found.cases[0].miss_rate.value == pytest.approx(30 / 31, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_miss_rate_is_the_loss_that_the_threshold_was_chosen_by(rows: list[tuple[int, bool, bool]]) -> None:
    stacks, truth, below = (np.array(column) for column in zip(*rows, strict=True))
    shares = [below[truth & (stacks == each)].mean() for each in set(stacks[truth])]
    scores = np.where(below, 0.1, 0.9)
    since = drift([Graded("case-1", "boat", truth, scores, stacks, 0.5, 0.05)])[0].cases[0]
    assert since.target_stacks == len(shares)
    assert (since.miss_rate is None) == (not shares)
    if since.miss_rate is not None:
        assert since.miss_rate.value == pytest.approx(np.mean(shares), abs=1e-6)
        assert since.miss_rate.low <= since.miss_rate.value <= since.miss_rate.high


def test_a_threshold_holds_what_it_promised_on_groups_of_every_size() -> None:
    """The large groups are the hard ones, so of all targets more is missed than was stated, and of groups is not."""
    draw = np.random.default_rng(1)

    def targets(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        hard = draw.random(count) < 0.04
        stacks = np.repeat(np.arange(count), np.where(hard, 40, 1))
        return np.where(hard, 0.1, draw.uniform(0.8, 1, count))[stacks], stacks

    scores, stacks = targets(400)
    at = threshold(scores, stacks, 0.05).at
    later, groups = targets(400)
    (found,) = drift([Graded("case-1", "boat", np.ones(len(later), np.bool_), later, groups, at, 0.05)])
    assert found.pooled.missed / found.pooled.targets > 0.5
    assert not found.alarm


def test_no_target_since_the_release_is_said_and_is_no_zero() -> None:
    (found,) = drift([graded("case-1", 0, 0)])
    assert not found.alarm
    assert found.pooled.miss_rate is None
    assert "No target" in found.sentence
    assert found.cases[0].absent["miss_rate"].detail
    (empty,) = drift([graded("case-1", 0, 0, others=0)])
    assert empty.pooled.predicted is None
    assert empty.pooled.absent["observed"].detail


def test_probabilities_that_run_low_are_told_with_their_distance() -> None:
    draw = np.random.default_rng(1)
    scores = draw.uniform(0.1, 0.5, 400)

    def case(times: float) -> Graded:
        return Graded("case-1", "boat", draw.random(400) < times * scores, scores, np.arange(400), 0.0, 0.05)

    low, right = drift([case(1.8)])[0], drift([case(1.0)])[0]
    assert low.cases[0].z is not None
    assert low.cases[0].z > 4
    assert "differs from" in low.cases[0].sentence
    assert right.cases[0].z is not None
    assert abs(right.cases[0].z) < 3
    assert not low.alarm


def test_labels_are_told_apart_and_one_label_has_one_threshold() -> None:
    found = drift([graded("case-1", 20, 0), graded("case-1", 20, 15, label="camera")])
    assert [(each.label, each.alarm) for each in found] == [("boat", False), ("camera", True)]
    with pytest.raises(UsageError, match="more than one threshold"):
        drift([graded("case-1", 20, 0), graded("case-2", 20, 0, threshold=0.6)])
    with pytest.raises(UsageError, match="for each content"):
        drift([graded("case-1", 20, 0, stacks=np.arange(3))])
    assert drift([]) == ()
