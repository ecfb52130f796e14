"""The perceptual look-up against counting bits by hand: nothing within the distance is missed, nothing else found."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.fingerprint.pdq import distance
from mantlet.known import near
from mantlet.settings import PDQ_DISTANCE
from tests.known_sets import flipped

BITS = 256
FLAG = 8
LARGE, SMALL = 20_000_000, 5_000
"""How many hashes choose each way of cutting them."""


def index(hashes: list[bytes | None], cut: near.Tables | None) -> near.Index:
    """An index of hashes (None: a record without), cut like that, or scanned whole."""
    words = np.frombuffer(b"".join(each or bytes(32) for each in hashes), np.uint64).reshape(-1, 4)
    held = np.array([FLAG if each is not None else 0 for each in hashes], np.uint8)
    if cut is None:
        return near.Index(words, held, FLAG, near.tables(0))
    tables, room = len(cut.at), near.room(int((held > 0).sum()))
    starts = np.zeros((tables, (1 << cut.longest) + 1), np.uint32)
    rows, others = np.zeros((tables, room), np.uint32), np.zeros((tables, room), np.uint16)
    for table in range(tables):
        places = int(cut.at[table]), int(cut.width[table]), int(cut.at[cut.other[table]])
        near.sort_table(words, held, FLAG, *places, starts[table], rows[table], others[table])
    return near.Index(words, held, FLAG, cut, starts, rows, others)


def found(indexed: near.Index, asked: bytes, most: int = PDQ_DISTANCE) -> list[tuple[int, int]]:
    rows, distances = indexed.search(asked, most)
    return list(zip(rows.tolist(), distances.tolist(), strict=True))


def by_hand(hashes: list[bytes | None], asked: bytes) -> list[tuple[int, int]]:
    found = [(row, distance(asked, each)) for row, each in enumerate(hashes) if each is not None]
    return sorted((each for each in found if each[1] <= PDQ_DISTANCE), key=lambda pair: (pair[1], pair[0]))


CUTS = [None, near.tables(SMALL), near.tables(LARGE)]


@pytest.mark.parametrize("hashes", [SMALL, LARGE])
def test_the_cut_leaves_no_two_hashes_within_the_distance_apart(hashes: int) -> None:
    """The pigeonhole principle at both levels, and every pattern of so many flipped bits once."""
    cut = near.tables(hashes)
    covered = sorted((int(at), int(at + width)) for at, width in zip(cut.at, cut.width, strict=True))
    assert [end for _, end in covered[:-1]] == [start for start, _ in covered[1:]], "each bit in one half"
    assert (covered[0][0], covered[-1][1]) == (0, BITS)
    groups = {tuple(sorted((table, int(cut.other[table])))) for table in range(len(cut.at))}
    assert all(int(cut.other[other]) == table for table, other in groups)
    assert sum(int(cut.together[one]) + 1 for one, _ in groups) > PDQ_DISTANCE
    for one, other in groups:
        assert int(cut.together[one]) == int(cut.together[other]) <= int(cut.radius[one]) + int(cut.radius[other]) + 1
    for table in range(len(cut.at)):
        for flips in range(int(cut.radius[table]) + 1):
            masks = cut.masks[table, cut.ends[table, flips] : cut.ends[table, flips + 1]].tolist()
            assert set(masks) == {sum(1 << b for b in c) for c in combinations(range(int(cut.width[table])), flips)}
            assert len(masks) == len(set(masks))


@pytest.mark.parametrize("cut", CUTS, ids=["whole", "small", "large"])
def test_records_are_found_up_to_the_distance_and_no_further(cut: near.Tables | None) -> None:
    source = random.Random(1)
    asked = source.randbytes(32)
    hashes: list[bytes | None] = [flipped(asked, bits, source) for bits in range(BITS + 1)]
    assert found(index(hashes, cut), asked) == [(bits, bits) for bits in range(PDQ_DISTANCE + 1)]
    assert found(index(hashes, cut), asked, 4) == [(bits, bits) for bits in range(5)]


def skewed(source: random.Random, count: int) -> list[bytes | None]:
    """Hashes as real ones lie: in clusters, some bits nearly always set, some repeated, some missing."""
    centres = [source.randbytes(32) for _ in range(4)]
    mask = int.from_bytes(source.randbytes(32)) | int.from_bytes(source.randbytes(32))
    hashes: list[bytes | None] = []
    for _ in range(count):
        kind = source.random()
        if kind < 0.1:
            hashes.append(None)
        elif kind < 0.2 and hashes:
            hashes.append(source.choice(hashes))
        elif kind < 0.6:
            hashes.append(flipped(source.choice(centres), source.randint(0, 50), source))
        else:
            hashes.append((int.from_bytes(source.randbytes(32)) & mask).to_bytes(32))
    return [*hashes, bytes(32), b"\xff" * 32]


@pytest.mark.parametrize("cut", CUTS, ids=["whole", "small", "large"])
@given(seed=st.integers(0, 2**32), count=st.integers(0, 300))
@settings(deadline=None, max_examples=15)
def test_the_look_up_agrees_with_counting_bits(cut: near.Tables | None, seed: int, count: int) -> None:
    source = random.Random(seed)
    hashes = skewed(source, count)
    indexed = index(hashes, cut)
    there = [each for each in hashes if each is not None]
    for _ in range(10):
        asked = flipped(source.choice(there), source.randint(0, 40), source)
        assert found(indexed, asked) == by_hand(hashes, asked)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cut", CUTS[1:], ids=["small", "large"])
def test_bits_apart_that_crowd_into_few_places_are_found(cut: near.Tables, seed: int) -> None:
    """31 bits flipped next to each other, or spread as evenly as can be: the worst for any cut."""
    source = random.Random(seed)
    asked = source.randbytes(32)
    hashes: list[bytes | None] = []
    for first in range(0, BITS, 8):
        for step in (1, 2, 8, 16):
            places = {(first + step * number) % BITS for number in range(PDQ_DISTANCE)}
            hashes.append((int.from_bytes(asked) ^ sum(1 << place for place in places)).to_bytes(32))
    indexed = index(hashes, cut)
    assert [row for row, _ in found(indexed, asked)] == [row for row, _ in by_hand(hashes, asked)]
    assert len(found(indexed, asked)) == len(hashes)


@pytest.mark.parametrize("cut", CUTS, ids=["whole", "small", "large"])
def test_more_records_than_there_is_room_for_are_all_found(cut: near.Tables | None) -> None:
    hashes: list[bytes | None] = [bytes(32)] * 3000
    assert found(index(hashes, cut), bytes(32)) == [(row, 0) for row in range(3000)]


def test_a_wider_search_than_the_tables_allow_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="31 bits"):
        index([bytes(32)], None).search(bytes(32), 32)


def test_what_repeats_is_named() -> None:
    source = random.Random(3)
    hashes: list[bytes | None] = [source.randbytes(32) for _ in range(50)]
    hashes += [hashes[7]] * 20
    found = index(hashes, near.tables(SMALL))
    assert found.starts is not None
    assert found.rows is not None

    def row(most: int) -> int | None:
        starts: NDArray[np.uint32] = found.starts[0]  # type: ignore[index]
        rows: NDArray[np.uint32] = found.rows[0]  # type: ignore[index]
        return near.repeated(found.words, starts, rows, most)

    named = row(20)
    assert named is not None
    assert hashes[named] == hashes[7]
    assert row(21) is None


def test_tables_that_a_damaged_file_holds_end_no_process() -> None:
    """Numbers beyond the columns are read as something else that is there, and compared: no match is made up."""
    source = np.random.default_rng(5)
    hashes: list[bytes | None] = [source.bytes(32) for _ in range(200)]
    cut = near.tables(SMALL)
    whole = index(hashes, cut)
    assert whole.rows is not None
    broken = near.Index(
        whole.words, whole.held, FLAG, cut,
        source.integers(0, 2**32, (len(cut.at), (1 << cut.longest) + 1), np.uint32),
        source.integers(0, 2**32, whole.rows.shape, np.uint32),
        source.integers(0, 2**16, whole.rows.shape, np.uint16),
    )  # fmt: skip
    for each in hashes[:20]:
        assert each is not None
        assert all(distance(each, hashes[row] or b"") == bits for row, bits in found(broken, each))


@pytest.mark.parametrize("cut", CUTS[1:], ids=["small", "large"])
def test_a_record_without_a_hash_is_never_found(cut: near.Tables) -> None:
    """Not even by what stands behind the end of a table: its first row has no hash, and zeros for one."""
    source = random.Random(8)
    hashes: list[bytes | None] = [None, *(source.randbytes(32) for _ in range(5001))]
    indexed = index(hashes, cut)
    for bits in range(16):
        asked = bytes([(1 << bits) & 0xFF, (1 << bits) >> 8]) * 2 + bytes(28)
        assert found(indexed, asked) == by_hand(hashes, asked)
        assert found(indexed, b"\xff\xff" + bytes(30)) == by_hand(hashes, b"\xff\xff" + bytes(30))


@pytest.mark.parametrize("cut", CUTS, ids=["whole", "small", "large"])
def test_of_copies_without_end_only_the_nearest_are_given(
    cut: near.Tables | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "_MOST_FOUND", 1000)
    source = random.Random(6)
    hashes: list[bytes | None] = [flipped(bytes(32), source.randint(1, 30), source) for _ in range(5000)]
    got = found(index(hashes, cut), bytes(32))
    furthest = got[-1][1]
    assert 700 < len(got) <= 1000
    assert got == [each for each in by_hand(hashes, bytes(32)) if each[1] <= furthest]
    alike: list[bytes | None] = [flipped(bytes(32), 8, source) for _ in range(5000)]
    assert found(index(alike, cut), bytes(32)) == [(row, 8) for row in range(1000)], "the nearest are too many alone"
    alike[4000] = bytes(32)
    assert found(index(alike, cut), bytes(32)) == [(4000, 0)]
