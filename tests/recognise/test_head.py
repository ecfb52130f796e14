"""A head that is taught on drawn clouds of vectors, where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.recognise.calibration import debiased
from mantlet.recognise.head import Taught, network, teach
from mantlet.recognise.membership import membership

WIDTH = 24


def cloud(counts: Sequence[int], seed: int, noise: float = 0.35) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Unit vectors around one centre for each class, which overlap; centres are the same for every seed."""
    centres = np.random.default_rng(99).standard_normal((len(counts), WIDTH)) / np.sqrt(WIDTH)
    labels = np.repeat(np.arange(len(counts)), counts)
    vectors = 1 + centres[labels] + noise * np.random.default_rng(seed).standard_normal((len(labels), WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), labels


def taught(vectors: Any, labels: Any, names: Sequence[str] = ("boat", "camera", "chair")) -> Taught:
    count = len(labels)
    return teach(vectors, labels, names, np.arange(count) % 5, [str(row) for row in range(count)])


@pytest.fixture(scope="module")
def three() -> Taught:
    return taught(*cloud([200, 100, 40], seed=1))


def test_it_tells_apart_what_it_was_taught(three: Taught) -> None:
    vectors, labels = cloud([500, 500, 500], seed=2)
    right = three.head.probabilities(vectors).argmax(axis=1) == labels
    assert right.mean() > 0.75


def test_its_probabilities_mean_what_they_say_also_of_a_rare_label() -> None:
    found = taught(*cloud([1500, 300, 30], seed=3))
    vectors, labels = cloud([15_000, 3_000, 300], seed=4)
    probabilities = found.head.probabilities(vectors)
    assert debiased(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels) < 0.02
    assert probabilities[:, 2].sum() == pytest.approx(300, rel=0.3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_what_is_out_of_fold_is_by_a_head_that_was_not_taught_it() -> None:
    """Labels by chance: a head that had seen the row would be better than guessing."""
    random = np.random.default_rng(5)
    vectors = cloud([200, 200], seed=5)[0]
    labels = random.integers(0, 2, 400)
    found = taught(vectors, labels, ("heads", "tails"))
    right = found.out_of_fold.argmax(axis=1) == labels
    assert right.mean() < 0.58
    assert -np.log(found.out_of_fold[np.arange(400), labels]).mean() > 0.68
    for number, head in enumerate(found.fold_heads):
        rows = np.arange(400) % 5 == number
        np.testing.assert_array_equal(found.out_of_fold[rows], head.probabilities(vectors[rows]))


def test_examples_that_a_line_separates_do_not_make_it_certain() -> None:
    vectors, labels = cloud([100, 100], seed=6, noise=0.02)
    found = taught(vectors, labels, ("boat", "camera"))
    assert (found.out_of_fold.argmax(axis=1) == labels).all()
    assert 0.9 < found.out_of_fold.max() < 0.99999
    assert found.slope < 10


def test_rows_without_label_change_nothing(three: Taught) -> None:
    vectors, labels = cloud([200, 100, 40], seed=1)
    more = np.concatenate([vectors[:50], vectors])
    marked = np.concatenate([np.full(50, -1), labels])
    folds = np.concatenate([np.zeros(50, np.int64), np.arange(340) % 5])
    found = teach(more, marked, ["boat", "camera", "chair"], folds, [str(row) for row in range(390)])
    np.testing.assert_array_equal(found.head.weights, three.head.weights)
    assert found.rows.tolist() == list(range(50, 390))


def test_the_network_is_the_head(three: Taught) -> None:
    import onnx
    import onnxruntime

    data = network(three.head)
    assert data == network(taught(*cloud([200, 100, 40], seed=1)).head)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert 17 <= model.opset_import[0].version <= 21
    assert model.ir_version <= 10
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    vectors = cloud([20, 20, 20], seed=7)[0]
    (scores,) = session.run(["scores"], {"embedding": vectors.astype(np.float32)})
    np.testing.assert_allclose(scores, three.head.probabilities(vectors), atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([0, 0, 0], "nothing to teach from"),
        ([9, 0, 0], "All examples are 'boat': grade some pictures that are something else"),
        ([9, 9, 4], "'chair' has 4 examples and needs 5"),
        ([9, 9, 0], "'chair' has 0 examples and needs 5"),
    ],
)
def test_too_few_examples_are_refused(counts: list[int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        taught(*cloud(counts, seed=1))


def test_five_examples_are_enough() -> None:
    assert taught(*cloud([5, 5, 5], seed=1)).out_of_fold.shape == (15, 3)


def test_copies_of_different_grade_are_refused_with_their_number() -> None:
    vectors, labels = cloud([10, 10], seed=1)
    contents = [str(row) for row in range(20)]
    folds = np.arange(20) % 5
    contents[10], contents[11], contents[12] = "0", "1", "1"
    with pytest.raises(UsageError, match=r"^2 pictures have exact copies with another grade"):
        teach(vectors, labels, ["boat", "camera"], folds, contents)
    labels[:2] = -1
    teach(vectors, labels, ["boat", "camera"], folds, contents)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    vectors, labels = cloud([10, 10], seed=1)
    vectors[3, 2] = bad
    with pytest.raises(UsageError, match="The embeddings of 1 pictures hold values that are no numbers"):
        taught(vectors, labels, ("boat", "camera"))


def test_a_label_of_one_fold_is_refused() -> None:
    vectors, labels = cloud([10, 10], seed=1)
    folds = np.where(labels == 0, np.arange(20) % 5, 3)
    with pytest.raises(UsageError, match="All examples of 'camera' are near-copies"):
        teach(vectors, labels, ["boat", "camera"], folds, [str(row) for row in range(20)])


def test_vectors_that_are_all_alike_teach_only_how_frequent_a_label_is() -> None:
    vectors = np.tile(cloud([1], seed=1)[0], (100, 1))
    found = taught(vectors, np.arange(100) % 4 // 3, ("boat", "camera"))
    np.testing.assert_allclose(found.head.probabilities(vectors[:1]), [[0.75, 0.25]], atol=0.03)


def inferred(labels: NDArray[np.int64], vectors: NDArray[np.float16], stacks: NDArray[np.int64]) -> dict[str, Any]:
    found = taught(vectors, labels, ("heads", "tails"))
    return membership(found, vectors, labels, np.arange(len(labels)) % 5, stacks, seed=1)


def test_an_attacker_gains_nothing_where_there_is_much_to_learn_from_and_much_where_it_was_learnt_by_heart() -> None:
    vectors, labels = cloud([1000, 1000], seed=8)
    little = inferred(labels, vectors, np.arange(2000))
    assert little["auc"] == pytest.approx(0.5, abs=0.02)
    assert little["auc_low"] < little["auc"] < little["auc_high"] < 0.54
    wide = np.random.default_rng(1).standard_normal((60, 600))
    wide = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float16)
    much = inferred(np.arange(60) // 30, wide, np.arange(60))
    assert much["auc"] > 0.95
    assert much["advantage"] > 0.8
    assert much["found_at_1_percent_false"] > little["found_at_1_percent_false"]
    assert (much["members"], much["others"]) == (240, 60)
    assert "names the right one" in much["meaning"]


def test_the_gain_agrees_with_a_slow_count_and_stacks_widen_its_interval() -> None:
    vectors, labels = cloud([40, 40], seed=9)
    found = taught(vectors, labels, ("heads", "tails"))
    folds, rows = np.arange(80) % 5, np.arange(80)
    said = membership(found, vectors, labels, folds, rows, seed=1)
    sure = [head.probabilities(vectors)[rows, labels] for head in found.fold_heads]
    members = np.concatenate([each[folds != number] for number, each in enumerate(sure)])
    others = np.concatenate([each[folds == number] for number, each in enumerate(sure)])
    above = (members[:, None] > others).mean() + (members[:, None] == others).mean() / 2
    assert said["auc"] == pytest.approx(above, abs=1e-4)
    limits = np.concatenate([members, others])
    gains = [(members >= limit).mean() - (others >= limit).mean() for limit in limits]
    assert said["advantage"] == pytest.approx(max(gains), abs=1e-4)
    kept = [(members >= limit).mean() for limit in limits if (others >= limit).mean() <= 0.01]
    assert said["found_at_1_percent_false"] == pytest.approx(max(kept, default=0), abs=1e-4)
    stacked = membership(found, vectors, labels, folds, rows // 10, seed=1)
    assert stacked["auc"] == said["auc"]
    assert stacked["auc_high"] != said["auc_high"]
