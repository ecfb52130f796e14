"""A queue that learns from grades, over drawn vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise.online import Ranker

WIDTH = 32


def drawn(count: int, targets: int, seed: int, lean: float = 0.0) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Unit vectors of 20 kinds of which one, spread over the rows, is looked for; `lean`: how far all point one way."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(77).standard_normal((20, WIDTH))
    kinds = random.integers(1, 20, count)
    kinds[random.permutation(count)[:targets]] = 0
    vectors = centres[kinds] + 0.7 * random.standard_normal((count, WIDTH)) + lean
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), kinds == 0


def examples(count: int, lean: float = 0.0) -> NDArray[np.float16]:
    return drawn(count, count, seed=1000, lean=lean)[0]


@pytest.mark.parametrize("lean", [0.0, 10.0])
def test_few_examples_find_the_rest_early_and_grades_more_so(lean: float) -> None:
    vectors, wanted = drawn(3000, 30, seed=1, lean=lean)
    ranker = Ranker(vectors, seed=1)
    ranker.teach(examples(5, lean), target=True)
    first = ranker.order()
    assert wanted[first[:60]].sum() >= 24
    seen = 0
    while wanted[ranker.order()].any() and seen < 300:
        for row in ranker.order()[:5]:
            ranker.grade(np.array([row]), bool(wanted[row]))
        seen += 5
    by_first_order = int(np.flatnonzero(wanted[first])[-1]) + 1
    assert seen < by_first_order
    assert seen <= 100


def test_what_is_graded_leaves_the_queue_and_comes_back_when_taken_back() -> None:
    vectors, _ = drawn(200, 10, seed=2)
    ranker = Ranker(vectors, seed=1)
    ranker.teach(examples(5), target=True)
    before, scores = ranker.order(), ranker.scores()
    ranker.grade(before[:3], target=False)
    ranker.grade(before[3:4], target=True)
    assert set(ranker.order().tolist()) == set(range(200)) - set(before[:4].tolist())
    assert not np.array_equal(ranker.scores(), scores)
    ranker.grade(before[:4], target=None)
    assert sorted(ranker.order().tolist()) == list(range(200))
    np.testing.assert_allclose(ranker.scores(), scores, atol=0.2)


def test_a_grade_that_is_changed_counts_as_it_is_now() -> None:
    vectors, wanted = drawn(400, 40, seed=3)
    ranker, other = Ranker(vectors, seed=1), Ranker(vectors, seed=1)
    rows = np.flatnonzero(wanted)[:10]
    ranker.grade(rows, target=False)
    ranker.grade(rows, target=True)
    other.grade(rows, target=True)
    np.testing.assert_array_equal(ranker.order(), other.order())


def test_examples_of_what_is_not_looked_for_push_their_like_down() -> None:
    vectors, wanted = drawn(1000, 30, seed=4)
    ranker = Ranker(vectors, seed=1)
    ranker.teach(examples(5), target=True)
    nearest = ranker.order()[:400]
    mistaken = nearest[~wanted[nearest]][0]
    place = ranker.order().tolist().index(mistaken)
    ranker.teach(vectors[[mistaken]], target=False)
    assert ranker.order().tolist().index(mistaken) > place


def test_the_order_is_that_of_the_scores_and_of_rows_among_equals() -> None:
    vectors, _ = drawn(50, 5, seed=5)
    doubled = np.concatenate([vectors, vectors])
    ranker = Ranker(doubled, seed=1)
    ranker.teach(examples(5), target=True)
    order, scores = ranker.order(), ranker.scores()
    assert (np.diff(scores[order]) <= 0).all()
    for first in range(50):
        if scores[first] == scores[first + 50]:
            assert order.tolist().index(first) < order.tolist().index(first + 50)


def test_the_same_calls_give_the_same_order_from_a_mapped_file_too(tmp_path: Path) -> None:
    vectors, wanted = drawn(2500, 25, seed=6)
    np.save(tmp_path / "vectors.npy", vectors)
    orders = []
    for pool in (vectors, vectors.astype(np.float32), np.load(tmp_path / "vectors.npy", mmap_mode="r")):
        ranker = Ranker(pool, seed=4)
        ranker.teach(examples(5), target=True)
        ranker.grade(np.flatnonzero(wanted)[:3], target=True)
        orders.append(ranker.order().tolist())
    assert orders[0] == orders[1] == orders[2]


def test_without_a_target_there_is_no_order() -> None:
    ranker = Ranker(drawn(50, 5, seed=7)[0], seed=1)
    ranker.teach(examples(5), target=False)
    with pytest.raises(UsageError, match="at least one example"):
        ranker.order()


def test_one_example_and_a_pool_of_one_or_none_are_enough() -> None:
    for count in (0, 1):
        ranker = Ranker(drawn(5, 0, seed=8)[0][:count], seed=1)
        ranker.teach(examples(1), target=True)
        assert ranker.order().tolist() == list(range(count))


def test_values_that_are_no_numbers_are_refused() -> None:
    vectors, _ = drawn(50, 5, seed=9)
    bad = vectors.copy()
    bad[40, 3] = np.nan
    with pytest.raises(UsageError, match="no numbers"):
        Ranker(bad, seed=1)
    with pytest.raises(UsageError, match="no numbers"):
        Ranker(vectors, seed=1).teach(bad[40:41], target=True)


def test_more_grades_than_are_learnt_from_do_not_push_the_targets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mantlet.recognise.online._MOST", 20)
    vectors, wanted = drawn(600, 60, seed=10)
    ranker = Ranker(vectors, seed=1)
    ranker.grade(np.flatnonzero(wanted)[:5], target=True)
    ranker.grade(np.flatnonzero(~wanted)[:300], target=False)
    assert wanted[ranker.order()[:40]].mean() > 0.5
