"""A frozen population: one digest whatever the order, and an order that only digest and seed decide."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.grading.population import digest_of, marks, order

SEED = "5e" * 32


def contents(n: int, start: int = 0) -> NDArray[np.uint8]:
    """[n, 32], SHA-256s of numbers."""
    return np.frombuffer(
        b"".join(hashlib.sha256(bytes([i >> 8, i & 255])).digest() for i in range(start, start + n)), np.uint8
    ).reshape(n, 32)


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_the_digest_is_of_the_set(random: object, n: int) -> None:
    made = contents(n)
    shuffled = made[np.random.default_rng(random.getrandbits(32)).permutation(n)]  # type: ignore[attr-defined]
    assert digest_of(shuffled) == digest_of(made)
    assert digest_of(contents(n + 1)) != digest_of(made)


def test_what_is_ordered_is_the_same_sequence_however_the_rows_lie() -> None:
    made = contents(300)
    digest = digest_of(made)
    sequence = made[order(made, digest, SEED)]
    backwards = made[::-1]
    assert (backwards[order(backwards, digest, SEED)] == sequence).all()
    assert sorted(order(made, digest, SEED)) == list(range(300))


def test_anybody_can_recompute_the_order() -> None:
    made = contents(50)
    digest = digest_of(made)
    assert digest == hashlib.sha256(b"mantlet population/1\n" + b"".join(sorted(map(bytes, made)))).hexdigest()
    key = b"mantlet order/1\n" + bytes.fromhex(digest) + bytes.fromhex(SEED)
    hashes = [hashlib.sha256(key + bytes(each)).digest() for each in made]
    assert order(made, digest, SEED).tolist() == sorted(range(50), key=hashes.__getitem__)
    assert marks(made, digest, SEED).tolist() == [int.from_bytes(each[:8]) for each in hashes]


def test_seed_and_digest_each_change_the_order() -> None:
    made = contents(50)
    digest = digest_of(made)
    first = order(made, digest, SEED).tolist()
    assert first != order(made, digest, "5f" * 32).tolist()
    assert first != order(made, digest_of(contents(51)), SEED).tolist()


def test_every_content_is_as_likely_at_every_place() -> None:
    made, places = contents(8), np.zeros((8, 8))
    for seed in range(2000):
        places[np.arange(8), np.argsort(order(made, digest_of(made), f"{seed:064x}"))] += 1
    chi = ((places - 250) ** 2 / 250).sum()
    assert chi < 94  # 49 degrees of freedom: 1 in 10,000


@pytest.mark.parametrize("seed", ["", "5e", "5e" * 33, "boat"])
def test_a_seed_that_is_none_is_refused(seed: str) -> None:
    with pytest.raises(ValueError, match=r"hex|digits"):
        order(contents(2), digest_of(contents(2)), seed)


def test_contents_that_are_no_set_of_digests_are_refused() -> None:
    with pytest.raises(ValueError, match="comes twice"):
        digest_of(np.concatenate([contents(3), contents(1)]))
    with pytest.raises(ValueError, match=r"\[n, 32\]"):
        digest_of(np.zeros((3, 16), np.uint8))
