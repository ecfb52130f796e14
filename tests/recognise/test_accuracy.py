"""Measures of a model agree with the slow or well-known way, and their intervals hold what they promise."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise import accuracy, calibration, intervals
from mantlet.recognise.ranking import Ranked, resample

Arrays = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


def stacked(seed: object, stacks: int, rate: float = 0.15, apart: float = 2.0) -> Arrays:
    """Truth, probabilities and stacks: a fifth of the stacks have up to five rows, near-equal in score."""
    draw = np.random.default_rng(seed)  # type: ignore[arg-type]
    targets = draw.random(stacks) < rate
    scores = draw.normal(targets * apart, 1)
    sizes = np.where(draw.random(stacks) < 0.2, draw.integers(2, 6, stacks), 1)
    units = np.repeat(np.arange(stacks), sizes)
    shaken = scores[units] + 0.05 * draw.normal(size=len(units))
    return targets[units], 1 / (1 + np.exp(-shaken)), units


def measured(truth: Any, probabilities: Any, stacks: Any = None, threshold: Any = 0.5, **more: Any) -> Any:
    """One label, as a program reads it."""
    truth = np.asarray(truth, np.bool_)[:, None]
    stacks = np.arange(len(truth)) if stacks is None else stacks
    exhibits = more.pop("exhibits", ["EX1"] * len(truth))
    found = accuracy.measure(
        ["boat"], truth, np.asarray(probabilities, np.float32)[:, None], stacks, exhibits, [threshold], seed=1, **more
    )
    return json.loads(msgspec.json.encode(found))


def covers(share: intervals.Share | None, truth: float) -> bool:
    assert share is not None
    return share.low <= truth <= share.high


# what is measured


def test_average_precision_is_that_of_scikit_learn_ties_seen_whole() -> None:
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(1)
    for size in (1, 2, 50, 3_000):
        truth = draw.random(size) < 0.3
        truth[0] = True
        scores = draw.integers(0, 20, size) / 20
        found = measured(truth, scores)["labels"][0]["average_precision"]["value"]
        assert found == pytest.approx(average_precision_score(truth, scores), abs=1e-6)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_share_seen_is_that_of_the_slow_way(rows: list[tuple[bool, int]]) -> None:
    truth = np.array([target for target, _ in rows])
    scores = np.array([score / 5 for _, score in rows])
    truth[0] = True
    found = measured(truth, scores)["labels"][0]["seen_for"]
    for percent in (80, 95, 100):
        enough = [cut for cut in scores if truth[scores >= cut].sum() >= percent / 100 * truth.sum() - 1e-9]
        assert found[str(percent)]["value"] == pytest.approx((scores >= max(enough)).mean(), abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_resample_by_weights_is_what_copies_of_the_rows_would_be(seed: int) -> None:
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(seed)
    truth, scores, units = stacked(seed, 30, 0.4)
    truth[0] = True
    weights = np.bincount(draw.integers(30, size=30), minlength=30)
    weights[units[0]] += 1
    rows = np.repeat(np.arange(len(units)), weights[units])
    walked = Ranked(truth, scores, units).walk(weights.astype(np.float64), np.array([0.5, 0.95]))
    copied = Ranked(truth[rows], scores[rows], np.arange(len(rows)))
    assert walked[0] == pytest.approx(average_precision_score(truth, scores, sample_weight=weights[units]))
    assert walked[1] == pytest.approx(copied.depth(0.5) / len(rows))
    assert walked[3] == pytest.approx(copied.depth(0.95) / len(rows))


def test_shares_are_drawn_alike_whether_stacks_that_are_alike_are_drawn_together_or_one_by_one() -> None:
    truth, _, units = stacked(3, 200)
    draw = np.random.default_rng(1)
    together = intervals.resampled(truth, units, draw)
    slow = []
    for _ in range(1_000):
        weights = np.bincount(draw.integers(200, size=200), minlength=200)[units]
        slow.append((weights * truth).sum() / weights.sum())
    assert together.mean() == pytest.approx(np.mean(slow), abs=0.004)
    assert together.std() == pytest.approx(np.std(slow), rel=0.12)


def test_figures_of_a_small_table_by_hand() -> None:
    truth = [True, True, False, True, False, False, False, False, False, False]
    scores = [0.9, 0.8, 0.7, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0]
    label = measured(truth, scores, base_rate=0.01)["labels"][0]
    assert (label["targets"], label["contents"]) == (3, 10)
    assert label["precision"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert label["recall"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert label["flagged"]["value"] == 0.3
    assert label["false_positive_rate"]["value"] == pytest.approx(1 / 7, abs=1e-6)
    assert label["average_precision"]["value"] == pytest.approx((1 + 1 + 3 / 4) / 3, abs=1e-6)
    assert {name: each["value"] for name, each in label["seen_for"].items()} == {"80": 0.4, "95": 0.4, "100": 0.4}
    recall, alarms = 2 / 3, 1 / 7
    bayes = 0.01 * recall / (0.01 * recall + 0.99 * alarms)
    assert label["at_base_rate"]["precision"]["value"] == pytest.approx(bayes, abs=1e-6)
    assert label["at_base_rate"]["sentence"] == "Of 100 flagged, about 5 are."
    for name in ("precision", "recall", "average_precision", "ece"):
        assert label[name]["low"] <= label[name]["value"] <= label[name]["high"], name


def test_a_threshold_flags_from_itself_on() -> None:
    assert measured([True], [0.5], threshold=0.5)["labels"][0]["recall"]["value"] == 1


def test_the_same_seed_gives_the_same_bytes_and_the_order_of_rows_does_not_matter() -> None:
    truth, scores, units = stacked(5, 300)
    order = np.random.default_rng(0).permutation(len(truth))
    first = measured(truth, scores, units, base_rate=0.01)
    assert measured(truth, scores, units, base_rate=0.01) == first
    again = measured(truth[order], scores[order], units[order], base_rate=0.01)
    assert again["labels"][0]["seen_for"]["80"]["value"] == first["labels"][0]["seen_for"]["80"]["value"]
    assert again["labels"][0]["average_precision"] == first["labels"][0]["average_precision"]
    assert again["labels"][0]["recall"] == first["labels"][0]["recall"]


def test_exhibits_are_measured_apart() -> None:
    exhibits = ["EX1", "EX1", "EX2", "EX2", "EX3"]
    rows = measured([True, True, True, False, False], [0.9, 0.1, 0.9, 0.9, 0.0], exhibits=exhibits)
    one, two, three = rows["labels"][0]["exhibits"]
    assert (one["exhibit"], one["targets"], one["flagged"], one["recall"]["value"]) == ("EX1", 2, 1, 0.5)
    assert (two["precision"]["value"], two["recall"]["value"]) == (0.5, 1)
    assert three["recall"] is None
    assert three["precision"] is None
    assert "target" in three["absent"]["recall"]["detail"]
    assert "flagged" in three["absent"]["precision"]["detail"]


def test_the_most_probable_label_counts_where_each_content_has_one() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.bool_)
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]], np.float32)

    def whole(table: NDArray[np.bool_], thresholds: list[float | None]) -> accuracy.Evaluation:
        return accuracy.measure(["boat", "camera"], table, scores, np.arange(4), ["EX1"] * 4, thresholds, seed=1)

    found = whole(truth, [0.85, 0.85])
    assert found.accuracy is not None
    assert found.accuracy.value == 0.75
    assert found.flagged is not None
    assert found.flagged.value == 0.5
    truth[0] = True
    found = whole(truth, [None, None])
    assert found.accuracy is None
    assert found.absent["accuracy"].detail.startswith("1 of 4 contents")
    assert found.flagged is None
    assert "threshold" in found.absent["flagged"].detail


# what is absent, and what is refused


def test_a_label_without_target_is_null_with_its_reason() -> None:
    label = measured([False] * 5, [0.9, 0.2, 0.1, 0.1, 0.0])["labels"][0]
    for name in ("recall", "average_precision", "seen_for"):
        assert label[name] is None
        assert "No content here is a target" in label["absent"][name]["detail"]
    assert label["precision"]["value"] == 0
    assert label["precision"]["high"] > 0.9, "one wrong flag says little"
    assert label["curve"] == []


def test_nothing_flagged_has_no_precision_and_a_recall_of_zero() -> None:
    label = measured([True, False, False], [0.2, 0.1, 0.1], base_rate=0.01)["labels"][0]
    assert label["precision"] is None
    assert "flagged" in label["absent"]["precision"]["detail"]
    assert label["recall"]["value"] == 0
    assert label["recall"]["high"] > 0.9
    assert label["at_base_rate"] is None


def test_without_threshold_nothing_is_taken_silently() -> None:
    label = measured([True, False], [0.9, 0.1], threshold=None, base_rate=0.01)["labels"][0]
    for name in ("precision", "recall", "flagged", "false_positive_rate", "at_base_rate"):
        assert label[name] is None
        assert "threshold" in label["absent"][name]["detail"]
    assert label["average_precision"]["value"] == 1


def test_who_sets_no_threshold_on_purpose_says_why() -> None:
    why = "The thresholds were chosen on these same contents."
    found = measured([True, False], [0.9, 0.1], threshold=None, base_rate=0.01, no_threshold=why)
    (label,) = found["labels"]
    for name in ("precision", "recall", "flagged", "false_positive_rate", "at_base_rate"):
        assert label["absent"][name]["detail"] == why, name
    assert {each["detail"] for each in label["exhibits"][0]["absent"].values()} == {why}
    assert found["absent"]["flagged"]["detail"] == why


def test_a_label_has_the_figures_that_it_has_alone() -> None:
    """Labels are resampled one after the other, all alike."""
    truth, scores, units = stacked(5, 100)
    both = accuracy.measure(
        ["boat", "camera"],
        np.stack([truth, ~truth], axis=1),
        np.stack([scores, 1 - scores], axis=1),
        units,
        ["EX1"] * len(units),
        [0.5, None],
        seed=1,
    )
    alone = accuracy.measure(
        ["camera"], ~truth[:, None], 1 - scores[:, None], units, ["EX1"] * len(units), [None], seed=1
    )
    assert both.labels[1].seen_for == alone.labels[0].seen_for
    assert both.labels[1].average_precision == alone.labels[0].average_precision


def test_a_thousand_labels_are_measured_and_no_more() -> None:
    def of(count: int) -> accuracy.Evaluation:
        table = np.zeros((1, count))
        names = [str(each) for each in range(count)]
        return accuracy.measure(names, table > 0, table, np.zeros(1, np.int64), ["EX1"], [None] * count, seed=1)

    assert len(of(1_000).labels) == 1_000
    with pytest.raises(UsageError, match=r"There are 1,001 labels, and at most 1,000 can be measured at a time\."):
        of(1_001)


def test_every_null_of_a_label_has_a_reason() -> None:
    for truth, threshold in (([True], 0.5), ([False], 0.5), ([True], None), ([False], 1.0), ([], 0.5)):
        label = measured(truth, [0.7] * len(truth), threshold=threshold)["labels"][0]
        nulls = {name for name, value in label.items() if value is None} - {"threshold"}
        assert nulls == set(label["absent"])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"probabilities": np.full((2, 1), 1.5)}, "no probabilities"),
        ({"probabilities": np.full((2, 1), math.nan)}, "no probabilities"),
        ({"probabilities": np.zeros((2, 2))}, "same shape"),
        ({"truth": np.zeros((2, 1))}, "same shape"),
        ({"stacks": np.zeros(3, np.int64)}, "for each content"),
        ({"exhibits": ["EX1"]}, "for each content"),
        ({"thresholds": []}, "for each column"),
        ({"thresholds": [1.5]}, "between 0 and 1"),
        ({"base_rate": -0.1}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed: dict[str, Any], word: str) -> None:
    right = {
        "labels": ["boat"],
        "truth": np.zeros((2, 1), np.bool_),
        "probabilities": np.zeros((2, 1)),
        "stacks": np.zeros(2, np.int64),
        "exhibits": ["EX1", "EX1"],
        "thresholds": [0.5],
    }
    accuracy.measure(**right, seed=1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=word):
        accuracy.measure(**{**right, **changed}, seed=1)  # type: ignore[arg-type]


# intervals, by simulation


@pytest.mark.parametrize(("stacks", "cut", "least"), [(40, 0.8, 0.93), (300, 0.8, 0.91), (60, 0.45, 0.93)])
def test_intervals_of_recall_and_precision_hold_as_often_as_stated(stacks: int, cut: float, least: float) -> None:
    truth, scores, _ = stacked(99, 300_000)
    recall, precision = (scores >= cut)[truth].mean(), truth[scores >= cut].mean()
    draw = np.random.default_rng(1)
    held = []
    for run in range(300):
        some, given_, units = stacked((7, run), stacks)
        flags = given_ >= cut
        if some.any():
            held.append(covers(intervals.share(flags[some], units[some], draw), recall))
        if flags.any():
            held.append(covers(intervals.share(some[flags], units[flags], draw), precision))
    assert np.mean(held) >= least


def test_an_interval_that_ignores_stacks_would_hold_too_rarely() -> None:
    """Else the test above could pass because stacks did not matter."""
    draw = np.random.default_rng(1)
    by_stack, by_row = [], []
    for run in range(200):
        targets = np.random.default_rng(run).random(60) < 0.5
        units = np.repeat(np.arange(60), 8)
        by_stack.append(covers(intervals.share(targets[units], units, draw), 0.5))
        by_row.append(covers(intervals.share(targets[units], np.arange(480), draw), 0.5))
    assert np.mean(by_stack) >= 0.91
    assert np.mean(by_row) < 0.7


@pytest.mark.parametrize(("stacks", "apart"), [(150, 2.0), (400, 2.0), (150, 4.0)])
def test_intervals_of_what_depends_on_rank_hold_as_often_as_stated(stacks: int, apart: float) -> None:
    truth, scores, units = stacked(99, 300_000, apart=apart)
    marks = np.array([0.8, 0.95])
    ideal = Ranked(truth, scores, units).walk(np.ones(300_000), marks)[[0, 1, 3]]
    held = []
    for run in range(80):
        some, given_, units = stacked((3, run), stacks, apart=apart)
        ranked = Ranked(some, given_, units)
        walked = resample(ranked, stacks, np.random.default_rng(run))
        found = ranked.average_precision(walked), ranked.seen(15, walked), ranked.seen(18, walked)
        held.append([covers(each, value) for each, value in zip(found, ideal, strict=True)])
    assert np.mean(held, axis=0).min() >= 0.88  # 95 % less three standard deviations of 80 runs


def test_a_perfect_ranking_of_few_is_not_certain() -> None:
    label = measured([True] * 5 + [False] * 95, [0.9] * 5 + [0.1] * 95)["labels"][0]
    low = 0.025 ** (1 / 5)
    assert label["recall"] | {"how": ""} == {"value": 1, "low": pytest.approx(low, abs=2e-6), "high": 1, "how": ""}
    assert label["average_precision"]["low"] == pytest.approx(low, abs=2e-6)
    assert label["seen_for"]["95"]["high"] == 1
    assert label["precision"]["how"] == "exact on stacks"


def test_all_of_another_queue_may_need_all_of_it() -> None:
    truth, scores, units = stacked(5, 4_000)
    found = measured(truth, scores, units)["labels"][0]["seen_for"]
    assert found["80"]["high"] < 1
    assert found["100"]["high"] == 1
    assert found["100"]["low"] <= found["100"]["value"] < 1


def test_one_stack_is_one_piece_of_evidence_however_large() -> None:
    truth, scores = [True] * 50 + [False] * 50, [0.9] * 50 + [0.1] * 50
    label = measured(truth, scores, np.repeat([0, 1], 50))["labels"][0]
    assert label["target_stacks"] == 1
    assert label["recall"]["low"] == pytest.approx(0.025, abs=1e-5)


@given(st.integers(1, 60), st.integers(0, 60))
def test_exact_intervals_are_those_of_scipy(number: int, hits: int) -> None:
    from scipy.stats import binomtest

    hits = min(hits, number)
    theirs = binomtest(hits, number).proportion_ci(0.95, "exact")
    low, high = intervals.exact(hits / number, number, 0.95)
    assert low == pytest.approx(theirs.low, abs=1e-9)
    assert high == pytest.approx(theirs.high, abs=1e-9)


# calibration


def calibrated(seed: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    scores = draw.beta(6, 1.5, count)
    return scores, draw.random(count) < scores


def test_the_folded_normal_takes_off_what_kumar_and_others_simulate() -> None:
    scores, right = calibrated(1, 600)
    order = np.argsort(scores)
    bins = [(scores[rows], right[rows]) for rows in np.array_split(order, 15)]
    plain = np.mean([abs(hits.mean() - given_.mean()) for given_, hits in bins])
    draw = np.random.default_rng(2)
    noisy = [
        np.abs(draw.normal(hits.mean(), np.sqrt(hits.mean() * (1 - hits.mean()) / 40), 40_000) - given_.mean())
        for given_, hits in bins
    ]
    assert calibration.debiased(scores, right) == pytest.approx(2 * plain - np.mean(noisy), abs=3e-4)


def test_well_calibrated_scores_come_out_nearer_to_zero_than_the_plain_error() -> None:
    draw = np.random.default_rng(1)
    found = [calibration.calibration(*calibrated(run, 2_000), np.arange(2_000), draw) for run in range(30)]
    values = [each.value for each in found if each]
    assert np.mean(values) < 0.65 * np.mean([each.plain for each in found if each])
    assert np.mean(values) < 0.02
    assert sum(each.low == 0 for each in found if each) >= 28, "0 is held, as it is true"


def test_overconfident_scores_come_out_as_wrong_as_they_are() -> None:
    draw = np.random.default_rng(1)
    held = []
    for run in range(40):
        scores = draw.uniform(0.2, 0.8, 1_500)
        found = calibration.calibration(scores + 0.1, draw.random(1_500) < scores, np.arange(1_500), draw)
        assert found is not None
        held.append(found.low <= 0.1 <= found.high)
        assert found.value == pytest.approx(0.1, abs=0.05)
        assert found.low > 0, run
    assert np.mean(held) >= 0.88


def test_copies_in_stacks_do_not_make_a_calibration_error() -> None:
    draw = np.random.default_rng(1)
    low = []
    for run in range(30):
        scores, right = calibrated(run, 300)
        rows = np.repeat(np.arange(300), 5)
        found = calibration.calibration(scores[rows], right[rows], rows, draw)
        assert found is not None
        low.append(found.low)
        assert calibration.debiased(scores[rows], right[rows]) > found.value
    assert np.mean(np.array(low) == 0) >= 0.9


def test_an_estimate_below_zero_is_shown_as_zero_and_said() -> None:
    draw = np.random.default_rng(1)
    scores = np.repeat(np.arange(1, 10) / 10, 100)
    right = np.concatenate([np.arange(100) < 10 * tenth for tenth in range(1, 10)])
    found = calibration.calibration(scores, right, np.arange(900), draw)
    assert found is not None
    assert found.value == 0
    assert "below 0" in found.note
    assert calibration.debiased(scores, right) < 0


def test_equal_scores_lie_in_one_bin_whatever_the_order_of_rows() -> None:
    scores = np.repeat([0.3, 0.7], 50)
    right = np.tile([True, False], 50)
    order = np.random.default_rng(1).permutation(100)
    assert calibration.debiased(scores, right) == calibration.debiased(scores[order], right[order])


def test_the_plot_of_reliability_holds_every_content_once() -> None:
    truth, scores, units = stacked(4, 500)
    bins = calibration.reliability(
        np.append(scores, 1.0), np.append(truth, True), np.append(units, 500), np.random.default_rng(1)
    )
    assert sum(each.contents for each in bins) == len(truth) + 1
    assert all(each.observed.low <= each.observed.value <= each.observed.high for each in bins)
