"""Which of many perceptual hashes lie near each other: the inner loops of `grading.stacks`, all against all.

Two levels of the pigeonhole principle: the 256 bits are 16 words of 16, two words a pair. Hashes at most 31 bits apart
differ in some pair by at most 3 bits (8 x 4 = 32 > 31), and of its two words one differs by at most 1. So for each word
the rows are sorted by it, and each bucket is compared with itself and the 16 that differ from it in one bit: only by
the other word of the pair, which lies beside the row, four in a word of the machine. One row in some 400 is near enough
there to be compared whole (docs/decisions/0012 has the same for look-ups).

Very many that look alike would still cost the square of their number. So a first pass compares each row with those next
to it in the order of each quarter of the hash, which connects nearly all of them; then each large group of contents is
not compared with itself, in whatever bucket: it lies together there.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from mantlet.compiled import LANES, TOPS, beyond, inner, kernel, ones

WORDS: Final = 16
"""Words of 16 bits in a hash; and bits in a word."""

LEAST: Final = 200_000_000_000
TIMES: Final = 4
"""What may be spent, in comparisons of one word (a quarter to one nanosecond each): so much, and so many times what as
many hashes need that are spread evenly, which is 33 thousand million for a million contents in eight views."""

_BUCKETS = 1 << WORDS
_LARGE = 64  # contents connected by the first pass that are passed over as a whole
_NEXT = 4  # rows with which each is compared in the first pass
_WITHIN = 3  # bits in which a pair of words may differ
_AT_ONCE = 8  # words of the machine looked at together: their far rows need no branch each
_WAITING = 1 << 14  # pairs that wait to be compared, so that their far reads do not wait for each other
_COMPARISON = 64  # what that costs, in comparisons of one word


class Rows(NamedTuple):
    """What is compared. hashes: uint64 [n, 4]; content: int32 [n]; seen: uint8 [n], in which view; part: int32
    [contents], those of different parts are never connected; group: int32 [n], rows of one, from 1, are connected."""

    hashes: NDArray[np.uint64]
    content: NDArray[np.int32]
    seen: NDArray[np.uint8]
    part: NDArray[np.int32]
    group: NDArray[np.int32]


class Found(NamedTuple):
    """What is filled in. parent: int32 [contents]; joins: int32 [contents, 4], as of `stacks.Connected`; state: int64
    [2], how many joins there are, and what is left of the budget, in comparisons of one word."""

    parent: NDArray[np.int32]
    joins: NDArray[np.int32]
    state: NDArray[np.int64]


class Table(NamedTuple):
    """Rows sorted by a word: where each bucket starts, int64 [2**16 + 1]; the rows, int32, and the other word of the
    pair, uint16, both with room for what is looked at together. In a bucket they lie in the order of their groups."""

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    others: NDArray[np.uint16]


def _array(of: types.Type, dimensions: int = 1, *, filled: bool = False) -> types.Array:
    return types.Array(of, dimensions, "C", readonly=not filled)


_ROWS = types.NamedTuple(
    [_array(types.uint64, 2), _array(types.int32), _array(types.uint8), _array(types.int32), _array(types.int32)], Rows
)
_FOUND = types.NamedTuple(
    [_array(types.int32, filled=True), _array(types.int32, 2, filled=True), _array(types.int64, filled=True)], Found
)
_TABLE = types.NamedTuple(
    [_array(types.int64, filled=True), _array(types.int32, filled=True), _array(types.uint16, filled=True)], Table
)


@inner
def _root(parent: NDArray[np.int32], content: int) -> int:
    while parent[content] != content:
        parent[content] = parent[parent[content]]
        content = parent[content]
    return content


@inner
def _apart(hashes: NDArray[np.uint64], one: np.uint64, other: np.uint64) -> np.int64:
    bits = ones(hashes[one, 0] ^ hashes[other, 0]) + ones(hashes[one, 1] ^ hashes[other, 1])
    return bits + ones(hashes[one, 2] ^ hashes[other, 2]) + ones(hashes[one, 3] ^ hashes[other, 3])


@inner
def _connect(rows: Rows, found: Found, one: np.uint64, other: np.uint64, bits: np.int64) -> None:
    """Connects the contents of two rows that are near, if nothing parts them."""
    content, like = rows.content[one], rows.content[other]
    first, second = _root(found.parent, content), _root(found.parent, like)
    if first != second and rows.part[content] == rows.part[like]:
        found.parent[max(first, second)] = min(first, second)
        join = found.joins[found.state[0]]
        join[0], join[1], join[2], join[3] = content, like, rows.seen[one], bits
        found.state[0] += 1


@kernel(_ROWS, _FOUND, _array(types.int32), types.int64)
def neighbours(rows: Rows, found: Found, order: NDArray[np.int32], most: int) -> None:
    """Connects each row of `order` with those of the next few that it is near to."""
    for place in range(len(order)):
        for after in range(place + 1, min(place + 1 + _NEXT, len(order))):
            one, other = np.uint64(order[place]), np.uint64(order[after])
            bits = _apart(rows.hashes, one, other)
            if bits <= most:
                _connect(rows, found, one, other, bits)


@kernel(_array(types.int32, filled=True))
def settle(parent: NDArray[np.int32]) -> None:
    """Points each content at the first that it is connected to."""
    for content in range(len(parent)):
        parent[content] = _root(parent, content)


@kernel(_array(types.uint16, 2), _array(types.int32), types.int64, _TABLE)
def fill(halves: NDArray[np.uint16], order: NDArray[np.int32], word: int, table: Table) -> None:
    """Sorts the rows of `order` by one word of their hashes [n, 16] into a table whose `starts` are zeros."""
    for row in order:
        table.starts[np.int64(halves[row, word]) + 1] += 1
    for bucket in range(_BUCKETS):
        table.starts[bucket + 1] += table.starts[bucket]
    free = table.starts[:-1].copy()
    for row in order:
        own = np.int64(halves[row, word])
        table.rows[free[own]], table.others[free[own]] = row, halves[row, word ^ 1]
        free[own] += 1
    for place in range(len(order), len(table.rows)):  # the rest of the last word is read too
        table.rows[place] = order[0]


@inner
def _after(rows: Rows, table: Table, begin: int, end: int, group: int) -> int:
    """The first of places `begin` to `end` whose group comes after one."""
    while begin < end:
        middle = (begin + end) >> 1
        if rows.group[table.rows[middle]] <= group:
            begin = middle + 1
        else:
            end = middle
    return begin


@inner
def _compare(rows: Rows, found: Found, waiting: NDArray[np.int32], number: int, most: int) -> None:
    for pair in range(number):
        one, other = np.uint64(waiting[pair, 0]), np.uint64(waiting[pair, 1])
        bits = _apart(rows.hashes, one, other)
        if bits <= most:
            _connect(rows, found, one, other, bits)
    found.state[1] -= _COMPARISON * number


@inner
def _collect(
    every: NDArray[np.int32], words: NDArray[np.uint64], word: int, half: np.uint64, bias: np.uint64, one: int,
    waiting: NDArray[np.int32], number: int,
) -> int:  # fmt: skip
    """Adds pairs to those waiting: row `one` with each of those at some words whose other word is near enough."""
    for each in range(np.uint64(word), np.uint64(word + _AT_ONCE)):
        far = beyond(words[each] ^ half, bias)
        if far != TOPS:
            for lane in range(np.uint64(4)):
                if not (far >> (np.uint64(16) * lane + np.uint64(15))) & np.uint64(1):
                    waiting[number, 0], waiting[number, 1] = every[np.uint64(4) * each + lane], one
                    number += 1
    return number


@kernel(_ROWS, _FOUND, _TABLE, _TABLE, _array(types.uint64), types.int64)
def join(rows: Rows, found: Found, upright: Table, every: Table, words: NDArray[np.uint64], most: int) -> None:
    """Connects the contents of upright rows with those of all rows that are near by one word of the hash, unless the
    budget ends before. `words`: `every.others`, four in a word of the machine.

    What is looked at together holds rows of the next buckets too: they are compared as well.
    """
    waiting = np.empty((_WAITING, 2), np.int32)
    number = 0
    for own in range(_BUCKETS):
        start, stop = upright.starts[own], upright.starts[own + 1]
        if start == stop or found.state[1] <= 0:
            continue
        for flipped in range(WORDS + 1):
            bucket, within = (own, _WITHIN) if flipped == WORDS else (own ^ (1 << flipped), _WITHIN - 1)
            bias = np.uint64(0x7FFF - within) * LANES
            first, last = every.starts[bucket], every.starts[bucket + 1]
            group, leave, again = 0, last, last  # the places `leave` to `again` are of the group of the row at hand
            for place in range(start, stop if first < last else start):
                one = upright.rows[place]
                if rows.group[one] != group:
                    group = rows.group[one]
                    leave = _after(rows, every, first, last, group - 1)
                    again = _after(rows, every, leave, last, group)
                found.state[1] -= last - first - (again - leave)
                half = np.uint64(upright.others[place]) * LANES
                for begin, end in ((first, leave), (again, last)):
                    for word in range(begin >> 2, (end + 3) >> 2 if begin < end else 0, _AT_ONCE):
                        far = TOPS
                        for each in range(_AT_ONCE):
                            far &= beyond(words[np.uint64(word + each)] ^ half, bias)
                        if far != TOPS:
                            number = _collect(every.rows, words, word, half, bias, one, waiting, number)
                            if number > _WAITING - 4 * _AT_ONCE:
                                _compare(rows, found, waiting, number, most)
                                number = 0
    _compare(rows, found, waiting, number, most)


def compare(
    hashes: NDArray[np.uint8], content: NDArray[np.int32], view: NDArray[np.uint8], upright: NDArray[np.bool_],
    part: NDArray[np.int32], most: int, budget: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], bool]:  # fmt: skip
    """Connects contents by hashes within `most` bits of one that is upright.

    Args:
        hashes: [n, 32]; content: [n], of each, from 0; view: [n], of each; upright: [n], whether that is as it is.
        part: [contents]; contents of different parts are never connected.
        budget: comparisons of one word that may be made; None: `LEAST` and `TIMES` what is usual.

    Returns:
        For each content the first that it is connected to; joins, int32 [m, 4], each a content, an upright one that it
        looks like in a view, the view, the distance; and whether the budget was enough.
    """
    some = np.flatnonzero(upright).astype(np.int32)
    usual = len(some) * len(view) * (WORDS + 1) * WORDS // _BUCKETS
    state = np.array([0, LEAST + TIMES * usual if budget is None else budget])
    found = Found(np.arange(len(part), dtype=np.int32), np.empty((len(part), 4), np.int32), state)
    if len(some):
        words = np.ascontiguousarray(hashes).view(np.uint64)
        rows = _kept(Rows(words, content, view, part, np.zeros(len(view), np.int32)))
        for word in range(words.shape[1]):
            neighbours(rows, found, some[np.argsort(words[some, word], kind="stable")], most)
        settle(found.parent)
        large = np.bincount(found.parent)[found.parent] >= _LARGE
        group = np.where(large, found.parent + 1, 0).astype(np.int32)[content]
        order = np.argsort(group, kind="stable").astype(np.int32)
        some = order[upright[order]]
        rows = _kept(Rows(words, content, view, part, group))
        for word in range(WORDS):
            every = _sorted(words, order, word)
            join(rows, found, _sorted(words, some, word), every, every.others.view(np.uint64), most)
        settle(found.parent)
    return found.parent, found.joins[: state[0]].copy(), bool(state[1] > 0)


def _sorted(words: NDArray[np.uint64], order: NDArray[np.int32], word: int) -> Table:
    room = (len(order) // 4 + 2 * _AT_ONCE) * 4
    table = Table(np.zeros(_BUCKETS + 1, np.int64), np.empty(room, np.int32), np.zeros(room, np.uint16))
    fill(words.view(np.uint16), order, word, table)
    return table


def _kept(rows: Rows) -> Rows:
    """The same, not to be written to, as the loops are compiled for it."""
    views: list[Any] = [np.ascontiguousarray(each).view() for each in rows]
    for each in views:
        each.flags.writeable = False
    return Rows(*views)
