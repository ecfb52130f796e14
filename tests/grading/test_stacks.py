"""Stacks against joining pairs by hand."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.grading.stacks import stacks


def slow(hashes: list[bytes], distance: int) -> list[int]:
    """Joins the group of each pair within the distance, until none is left; a group is named by its lowest row."""
    group = list(range(len(hashes)))
    for a, b in combinations(range(len(hashes)), 2):
        if (int.from_bytes(hashes[a]) ^ int.from_bytes(hashes[b])).bit_count() <= distance:
            old, new = max(group[a], group[b]), min(group[a], group[b])
            group = [new if each == old else each for each in group]
    return group


def rows(hashes: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32)


def flipped(value: bytes, bits: int, source: random.Random) -> bytes:
    number = int.from_bytes(value)
    for bit in source.sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([0, 1, 31, 255]))
@settings(deadline=None)
def test_stacks_are_the_groups_of_hashes_within_a_distance(seed: int, count: int, distance: int) -> None:
    source = random.Random(seed)
    hashes: list[bytes] = []
    for _ in range(count):
        near = flipped(source.choice(hashes), source.randint(0, 2 * min(distance, 40) + 1), source) if hashes else b""
        hashes.append(source.choice([near, source.randbytes(32)]) if near else source.randbytes(32))
    assert stacks(rows(hashes), distance).tolist() == slow(hashes, distance)


@pytest.mark.parametrize(("bits", "together"), [(0, True), (30, True), (31, True), (32, False), (256, False)])
def test_the_distance_is_counted_in_bits(bits: int, together: bool) -> None:
    source = random.Random(3)
    one = source.randbytes(32)
    assert stacks(rows([one, flipped(one, bits, source)]), 31).tolist() == [0, 0 if together else 1]


def test_a_chain_is_one_stack() -> None:
    source = random.Random(5)
    chain = [bytes(32)]
    for bit in range(0, 240, 24):
        chain.append((int.from_bytes(chain[-1]) | ((1 << 24) - 1) << bit).to_bytes(32))
    source.shuffle(chain)
    assert set(stacks(rows(chain), 24).tolist()) == {0}
    assert set(stacks(rows(chain), 23).tolist()) == set(range(len(chain)))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_are_stacks_of_their_own(count: int) -> None:
    assert stacks(rows([bytes(32)] * count), 31).tolist() == list(range(count))


def test_equal_hashes_are_one_stack() -> None:
    assert stacks(rows([b"\xaa" * 32, b"\x55" * 32] * 50), 31).tolist() == [0, 1] * 50
