"""Folds keep together what belongs together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mantlet.recognise.folds import folds

ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["a", "b", "c"]), st.integers(-1, 2)), min_size=1, max_size=60
)


def together(keys: list[object], numbers: list[int]) -> bool:
    return len(set(zip(keys, numbers, strict=True))) == len(set(keys))


@given(ROWS, st.integers(2, 5), st.integers(0, 3))
def test_a_stack_is_never_in_two_folds(rows: list[tuple[int, str, int]], count: int, seed: int) -> None:
    stacks, exhibits, labels = (list(column) for column in zip(*rows, strict=True))
    found = folds(np.array(stacks), exhibits, np.array(labels), count, seed=seed)
    assert together(stacks, found.numbers.tolist())
    assert set(found.numbers.tolist()) <= set(range(count))
    again = folds(np.array(stacks), exhibits, np.array(labels), count, seed=seed)
    assert found.numbers.tolist() == again.numbers.tolist()


@given(ROWS, st.integers(2, 5))
def test_exhibits_are_kept_apart_where_every_label_can_still_be_taught(
    rows: list[tuple[int, str, int]], count: int
) -> None:
    stacks, exhibits, labels = (list(column) for column in zip(*rows, strict=True))
    stacks = [stack * 3 + "abc".index(exhibit) for stack, exhibit in zip(stacks, exhibits, strict=True)]
    found = folds(np.array(stacks), exhibits, np.array(labels), count, seed=1)
    apart = "folds of whole exhibits" in found.how
    assert not apart or together(exhibits, found.numbers.tolist())
    spread = all(len({e for e, each in zip(exhibits, labels, strict=True) if each == label}) > 1 for label in {*labels})
    assert apart or not (spread and len(set(exhibits)) > 1 and count >= len(set(exhibits)))


def test_one_exhibit_gives_even_folds_with_each_label_in_every_one() -> None:
    labels = np.repeat([0, 1, 2], [500, 50, 5])
    found = folds(np.arange(555), ["one"] * 555, labels, seed=1)
    assert np.bincount(found.numbers).tolist() == [111] * 5
    for label in range(3):
        assert np.ptp(np.bincount(found.numbers[labels == label], minlength=5)) == 0
    assert found.how == "5 folds of whole stacks, near-copies together"


def test_exhibits_are_balanced_by_size() -> None:
    sizes = {"a": 60, "b": 40, "c": 30, "d": 30, "e": 20, "f": 20}
    exhibits = [name for name, size in sizes.items() for _ in range(size)]
    found = folds(np.arange(200), exhibits, np.zeros(200, np.int64), 3, seed=1)
    assert together(exhibits, found.numbers.tolist())
    assert max(np.bincount(found.numbers)) <= 80
    assert found.how == "3 folds of whole exhibits (6), near-copies together"


def test_a_stack_across_exhibits_goes_where_most_of_it_lies() -> None:
    stacks = np.array([0, 1, 2, 3, 9, 9, 9])
    exhibits = ["a", "a", "b", "b", "a", "b", "b"]
    numbers = folds(stacks, exhibits, np.array([0, 1, 0, 1, 0, 0, 0]), seed=1).numbers
    assert numbers[4] == numbers[2] == numbers[3]
    assert numbers[0] != numbers[2]


def test_a_label_of_one_exhibit_is_taught_all_the_same_and_that_is_said() -> None:
    exhibits = ["a"] * 10 + ["b"] * 10
    found = folds(np.arange(20), exhibits, np.array([0] * 15 + [1] * 5), seed=1)
    assert len(set(found.numbers[15:].tolist())) == 5
    assert "exhibits (2) not kept apart, because a label would else lie in one fold only" in found.how


def test_another_seed_deals_otherwise() -> None:
    one, two = (folds(np.arange(50), ["a"] * 50, np.zeros(50, np.int64), seed=seed).numbers for seed in (1, 2))
    assert one.tolist() != two.tolist()


def test_nothing_is_dealt_of_nothing() -> None:
    assert len(folds(np.zeros(0, np.int64), [], np.zeros(0, np.int64), seed=1).numbers) == 0
