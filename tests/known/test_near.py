"""The perceptual look-up against counting bits by hand: nothing within the distance is missed, nothing else found."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mantlet.known.near import Near
from mantlet.known.sets import KnownSet, Match, Record, Sets, Status
from mantlet.settings import PDQ_DISTANCE

BITS = 256


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def flipped(value: bytes, bits: int, source: random.Random) -> bytes:
    """A hash at exactly that distance."""
    number = int.from_bytes(value)
    for bit in source.sample(range(BITS), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


def put(sets: Sets, name: str, hashes: list[bytes | None], status: Status = "notable") -> KnownSet:
    records = (Record(number, md5=bytes(16), pdq=value, category=str(number)) for number, value in enumerate(hashes))
    return sets.replace(name, "1", status, "", "", records)


def test_records_are_found_up_to_the_distance_and_no_further(sets: Sets) -> None:
    source = random.Random(1)
    asked = source.randbytes(32)
    known = put(sets, "force", [flipped(asked, bits, source) for bits in range(BITS + 1)])
    assert list(Near(sets, [known]).matches(asked)) == [
        Match("force", "1", bits, "pdq", "upright", bits, str(bits), "notable") for bits in range(PDQ_DISTANCE + 1)
    ]


@given(st.integers(0, 2**32), st.integers(0, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_the_look_up_agrees_with_counting_bits(sets: Sets, seed: int, count: int) -> None:
    source = random.Random(seed)
    asked = source.randbytes(32)
    hashes = [
        source.choice([source.randbytes(32), flipped(asked, source.randint(24, 38), source)]) for _ in range(count)
    ]
    known = [put(sets, "even", hashes[::2]), put(sets, "odd", hashes[1::2], "benign")]
    near = Near(sets, known)
    found = {(match.set, match.record, match.distance, match.status) for match in near.matches(asked)}
    assert len(near) == count
    assert found == {
        (("even", "odd")[at % 2], at // 2, distance(asked, value), ("notable", "benign")[at % 2])
        for at, value in enumerate(hashes)
        if distance(asked, value) <= PDQ_DISTANCE
    }


def test_records_without_a_perceptual_hash_are_left_out(sets: Sets) -> None:
    near = Near(sets, [put(sets, "force", [None, bytes(32), None])])
    assert len(near) == 1
    assert [match.record for match in near.matches(bytes(32), "frames")] == [1]
    assert [match.how for match in near.matches(bytes(32), "frames")] == ["frames"]


@pytest.mark.parametrize("hashes", [None, [], [None]])
def test_sets_without_any_hash_match_nothing(sets: Sets, hashes: list[bytes | None] | None) -> None:
    near = Near(sets, [] if hashes is None else [put(sets, "force", hashes)])
    assert len(near) == 0
    assert list(near.matches(bytes(32))) == []
