"""Stacks against joining pairs by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.grading.stacks import Act, Connected, Looks, connected, stacks

MOST = 31
"""Bits within which hashes are near."""
Row = tuple[int, int, bytes]
"""A content, a view (0: as it is) and the hash."""


def apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def slow(contents: int, rows: Sequence[Row], pairs: Sequence[tuple[int, int]] = ()) -> list[int]:
    """Joins the groups of each two contents of which a view of one is near the other as it is, and of `pairs`; a group
    is named by its first."""
    group = list(range(contents))
    near = [
        (one, other)
        for (one, view, a), (other, seen, b) in combinations(rows, 2)
        if 0 in (view, seen) and apart(a, b) <= MOST
    ]
    for one, other in (*near, *pairs):
        old, new = max(group[one], group[other]), min(group[one], group[other])
        group = [new if each == old else each for each in group] if old != new else group
    return group


def looks(rows: Sequence[Row]) -> Looks:
    return Looks(
        np.frombuffer(b"".join(value for _, _, value in rows), np.uint8).reshape(-1, 32),
        np.array([content for content, _, _ in rows], np.int32),
        np.array([view for _, view, _ in rows], np.uint8),
    )


def array(hashes: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32)


def flipped(value: bytes, bits: int, source: random.Random) -> bytes:
    number = int.from_bytes(value)
    for bit in source.sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


def hardest(value: bytes, place: int, first: int, turn: int = 0) -> bytes:
    """A hash at the most bits, of which each pair of words differs by four, two in each, but for the one at `place` by
    three, `first` in its first word."""
    wrong = []
    for pair in range(8):
        flips, by = ((first, 3 - first), turn) if pair == place else ((2, 2), 0)
        for word, count in enumerate(flips):
            wrong += [16 * (2 * pair + word) + (15 - bit - by) % 16 for bit in range(count)]
    return (int.from_bytes(value, "little") ^ sum(1 << bit for bit in wrong)).to_bytes(32, "little")


def drawn(source: random.Random, contents: int, views: int) -> list[Row]:
    """Hashes of which half are at about the distance from one before."""
    rows: list[Row] = []
    for content in range(contents):
        for view in range(views):
            near = flipped(source.choice(rows)[2], source.randint(25, 37), source) if rows else b""
            rows.append((content, view, source.choice([near, source.randbytes(32)]) if near else source.randbytes(32)))
    return rows


def check_joins(found: Connected, rows: Sequence[Row]) -> None:
    """Each join is a pair that is so near, none closes a circle, and together they give the stacks."""
    views = {(content, view): value for content, view, value in rows}
    group = list(range(len(found.first)))
    for content, like, view, bits in found.joins.tolist():
        assert apart(views[content, view], views[like, 0]) == bits <= MOST
        assert group[content] != group[like]
        old, new = max(group[content], group[like]), min(group[content], group[like])
        group = [new if each == old else each for each in group]
    assert group == found.first.tolist()


@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([0, 1, 24, 31]))
@settings(deadline=None, max_examples=50)
def test_stacks_are_the_groups_of_hashes_within_a_distance(seed: int, count: int, distance: int) -> None:
    source = random.Random(seed)
    hashes: list[bytes] = []
    for _ in range(count):
        near = flipped(source.choice(hashes), source.randint(0, distance + 4), source) if hashes else b""
        hashes.append(source.choice([near, source.randbytes(32)]) if near else source.randbytes(32))
    group = list(range(count))
    for one, other in combinations(range(count), 2):
        if apart(hashes[one], hashes[other]) <= distance:
            old, new = max(group[one], group[other]), min(group[one], group[other])
            group = [new if each == old else each for each in group]
    assert stacks(array(hashes), distance).tolist() == group


@given(st.integers(0, 2**32), st.integers(0, 14), st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_a_view_of_one_that_looks_like_the_other_joins_them_and_two_views_do_not(
    seed: int, contents: int, views: int
) -> None:
    rows = drawn(random.Random(seed), contents, views)
    found = connected(contents, looks(rows))
    assert found.first.tolist() == slow(contents, rows)
    assert found.finished
    assert len(found.ties) == 0
    check_joins(found, rows)


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("place", range(8))
def test_no_way_to_spread_the_most_bits_is_missed(place: int, first: int, odd: int) -> None:
    """One pair of words alone must tell. The others lie between the two in the order of each word, so that they are not
    met as neighbours."""
    source = random.Random(place)
    one = source.randbytes(32)
    other = hardest(one, place, first, 2 * place + odd)
    assert apart(one, other) == MOST
    others = list[bytes]()
    for number in range(2000):
        at = 4 * place + 2 * (number % 2)
        word = int.from_bytes(one[at : at + 2], "little") ^ source.getrandbits(source.randint(0, 16))
        others.append(source.randbytes(at) + word.to_bytes(2, "little") + source.randbytes(30 - at))
    assert stacks(array([*others, one, other]), MOST).tolist()[-2:] == [2000, 2000]


@pytest.mark.parametrize(("bits", "together"), [(0, True), (30, True), (31, True), (32, False), (256, False)])
def test_the_distance_is_counted_in_bits(bits: int, together: bool) -> None:
    source = random.Random(3)
    one = source.randbytes(32)
    assert stacks(array([one, flipped(one, bits, source)]), MOST).tolist() == [0, 0 if together else 1]


def test_a_distance_beyond_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bits at most"):
        stacks(array([bytes(32)]), 32)


def test_a_chain_is_one_stack() -> None:
    source = random.Random(5)
    chain = [bytes(32)]
    for bit in range(0, 240, 24):
        chain.append((int.from_bytes(chain[-1]) | ((1 << 24) - 1) << bit).to_bytes(32))
    source.shuffle(chain)
    assert set(stacks(array(chain), 24).tolist()) == {0}
    assert set(stacks(array(chain), 23).tolist()) == set(range(len(chain)))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_are_stacks_of_their_own(count: int) -> None:
    assert stacks(array([bytes(32)] * count), MOST).tolist() == list(range(count))


def test_without_a_picture_as_it_is_nothing_is_joined() -> None:
    assert connected(3, looks([(0, 1, bytes(32)), (1, 1, bytes(32))])).first.tolist() == [0, 1, 2]


def test_equal_hashes_are_one_stack() -> None:
    assert stacks(array([b"\xaa" * 32, b"\x55" * 32] * 50), MOST).tolist() == [0, 1] * 50


def test_several_hashes_of_one_content_join_what_each_looks_like() -> None:
    """As the key frames of a clip do."""
    source = random.Random(9)
    frames = [source.randbytes(32) for _ in range(3)]
    rows = [(0, 0, frames[0]), (1, 0, frames[2]), *((2, 0, each) for each in frames), (3, 0, source.randbytes(32))]
    assert connected(4, looks(rows)).first.tolist() == [0, 0, 0, 3]


@pytest.mark.parametrize("spread", [0, 10, 14, 20])
def test_many_that_look_alike_are_one_stack_and_what_only_some_look_like_is_in_it(spread: int) -> None:
    """Large groups are passed over, but not what hangs on to a single member of them."""
    source = random.Random(spread)
    middles = [source.randbytes(32) for _ in range(3)]
    rows: list[Row] = [(number, 0, flipped(middles[number % 3], spread, source)) for number in range(900)]
    rows += [(900 + number, 0, flipped(rows[number][2], MOST, source)) for number in range(100)]
    rows += [(number, 1, flipped(rows[number + 3][2], 5, source)) for number in range(0, 300, 3)]
    rows += [(1000 + number, 0, source.randbytes(32)) for number in range(50)]
    rows += [(1000 + number, 1, flipped(rows[number][2], MOST, source)) for number in range(50)]
    rows += [(number, 2, hardest(rows[number + 1][2], place=number, first=1)) for number in range(2)]
    shuffled = source.sample(range(1050), 1050)
    rows = [(shuffled[content], view, value) for content, view, value in rows]
    found = connected(1050, looks(rows))
    assert found.first.tolist() == slow(1050, rows)
    assert found.finished
    check_joins(found, rows)


def test_where_too_many_are_nearly_alike_it_says_that_it_is_not_finished() -> None:
    source = random.Random(4)
    middle = source.randbytes(32)
    rows = [(number, 0, flipped(middle, 40, source)) for number in range(500)]
    assert connected(500, looks(rows)).finished
    assert not connected(500, looks(rows), budget=20_000).finished


def act(how: str, *contents: int) -> Act:
    return Act("split" if how == "split" else "join", np.array(contents, np.int64))


ALIKE = [(number, 0, bytes(32)) for number in range(4)]


@pytest.mark.parametrize(
    ("acts", "stacks_"),
    [
        ([], [0, 0, 0, 0, 4, 5]),
        ([act("split", 1)], [0, 1, 0, 0, 4, 5]),
        ([act("split", 0)], [0, 1, 1, 1, 4, 5]),
        ([act("split", 1, 2)], [0, 1, 1, 0, 4, 5]),
        ([act("split", 1, 2), act("split", 2)], [0, 1, 2, 0, 4, 5]),
        ([act("split", 1, 4)], [0, 1, 0, 0, 1, 5]),
        ([act("join", 3, 5)], [0, 0, 0, 0, 4, 0]),
        ([act("join", 4, 5), act("split", 5)], [0, 0, 0, 0, 4, 5]),
        ([act("join", 0, 4, 5), act("split", 4)], [0, 0, 0, 0, 4, 0]),
        ([act("split", 1), act("join", 1, 3)], [0, 0, 0, 0, 4, 5]),
        ([act("split", 1), act("join", 1, 3), act("split", 3)], [0, 1, 0, 3, 4, 5]),
        ([act("split", 1), act("split", 2), act("join", 1, 2)], [0, 1, 1, 0, 4, 5]),
    ],
)
def test_what_people_did_is_done_again_in_its_order(acts: list[Act], stacks_: list[int]) -> None:
    found = connected(6, looks(ALIKE), acts=acts)
    assert found.first.tolist() == stacks_
    assert len(found.joins) + len(found.ties) == 6 - len(set(stacks_))


def test_what_was_split_from_between_two_that_look_alike_leaves_them_together() -> None:
    """Though the joins that are kept may run through it."""
    source = random.Random(2)
    middle = source.randbytes(32)
    rows = [(0, 0, flipped(middle, 8, source)), (1, 0, middle), (2, 0, flipped(middle, 8, source))]
    assert connected(3, looks(rows), acts=[act("split", 1)]).first.tolist() == [0, 1, 0]
