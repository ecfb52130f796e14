"""Look-up of perceptual hashes: every record within `settings.PDQ_DISTANCE` bits of a question, none missed.

Multi-index hashing (Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index Hashing", 2014), with
two levels of the pigeonhole principle. The 256 bits are cut into groups: hashes at most 31 bits apart are, in some
group, at most R bits apart, as long as the sum of R + 1 over the groups is 32. A group is cut into two halves, and in
one of them they are at most r bits apart, where r + r' + 1 = R for the radii of both. Each half has a table, sorted by
its bits: of the rows whose half lies within r of the question's only those are read whose other half, kept beside the
row, is no further than R allows. That spares all but one in some hundred of the far reads.

The slow and obviously right one is `fingerprint.pdq.distance` of every record; tests hold the two together. Any 256
bits may be asked and stored: nothing rests on PDQ having half of its bits set.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import msgspec
import numba
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.compiled import LANES, TOPS, beyond, inner, kernel, ones

Words = NDArray[np.uint64]
"""[n, 4]: the 32 bytes of a hash as four words of the machine, little-endian."""

SCANNED_WHOLE: Final = 4096
"""Up to so many hashes are compared one by one: quicker than any table."""
_LARGE: Final = 20_000_000
"""From so many hashes on fewer, longer groups: they take less memory, and read fewer rows."""


class Group(NamedTuple):
    """Two halves, next to each other: their lengths in bits, the radius of both together, and of each."""

    first: int
    second: int
    together: int
    first_radius: int
    second_radius: int


_EIGHT: Final = (Group(16, 16, 3, 1, 1),) * 8
_SIX: Final = (Group(21, 21, 5, 2, 2),) * 2 + (Group(21, 22, 4, 2, 1),) * 4


class Tables(NamedTuple):
    """How the tables cut a hash, one number a table: where its bits begin and how many they are, which table has the
    other half of its group, how far its half may differ, and how far both. `masks`: by table, the patterns of flipped
    bits, in order of their number; `ends` [t, r]: how many have less than r."""

    at: NDArray[np.int64]
    width: NDArray[np.int64]
    other: NDArray[np.int64]
    radius: NDArray[np.int64]
    together: NDArray[np.int64]
    masks: Words
    ends: NDArray[np.int64]

    @property
    def longest(self) -> int:
        return int(self.width.max())


def tables(hashes: int) -> Tables:
    """The tables for so many hashes."""
    columns: list[list[int]] = [[], [], [], [], []]
    at = 0
    for group in _SIX if hashes >= _LARGE else _EIGHT:
        number = len(columns[0])
        for column, values in zip(
            columns,
            (
                (at, at + group.first),
                (group.first, group.second),
                (number + 1, number),
                (group.first_radius, group.second_radius),
                (group.together, group.together),
            ),
            strict=True,
        ):
            column.extend(values)
        at += group.first + group.second
    patterns = [
        [[sum(1 << bit for bit in bits) for bits in combinations(range(width), flips)] for flips in range(radius + 1)]
        for width, radius in zip(columns[1], columns[3], strict=True)
    ]
    masks = np.zeros((len(patterns), max(sum(map(len, each)) for each in patterns)), np.uint64)
    ends = np.zeros((len(patterns), max(columns[3]) + 2), np.int64)
    for table, each in enumerate(patterns):
        flat = [mask for masks_of in each for mask in masks_of]
        masks[table, : len(flat)] = flat
        ends[table, 1 : len(each) + 1] = np.cumsum([len(masks_of) for masks_of in each])
    at_, width, other, radius, together = (np.array(column, np.int64) for column in columns)
    return Tables(at_, width, other, radius, together, masks, ends)


_ROWS = numba.types.Array(numba.uint64, 2, "C", readonly=True)
_INTEGERS = numba.types.Array(numba.int64, 1, "C", readonly=True)
_HELD = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_PLACES = numba.types.Array(numba.uint32, 1, "C")
_OTHERS = numba.types.Array(numba.uint16, 1, "C")
_ALL_PLACES = numba.types.Array(numba.uint32, 2, "C", readonly=True)
_ALL_OTHERS = numba.types.Array(numba.uint64, 2, "C", readonly=True)

_AT_ONCE = 8  # words looked at together: their far rows need no branch each
_ROOM = 256
_MOST_FOUND = 1 << 20  # rows found for one question, as often as they are
_WAITING = 1 << 14  # rows to be compared that wait for each other's memory; more than one bucket's words can add


@inner
def _bits(value: Words, at: int, width: int) -> np.uint64:
    """`width` bits of one hash ([4]) from bit `at` on; at most 63."""
    word, shift = at >> 6, np.uint64(at & 63)
    bits = value[word] >> shift
    if shift + np.uint64(width) > np.uint64(64):
        bits |= value[word + 1] << (np.uint64(64) - shift)
    kept: np.uint64 = bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
    return kept


@kernel(_ROWS, _HELD, numba.uint8, numba.int64, numba.int64, numba.int64, _PLACES, _PLACES, _OTHERS)
def sort_table(
    words: Words,
    held: NDArray[np.uint8],
    flag: int,
    at: int,
    width: int,
    other_at: int,
    starts: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    others: NDArray[np.uint16],
) -> None:
    """Sorts the rows whose `held` has `flag` by the half at bit `at`, and puts 16 bits of the other half beside each.
    `starts`: zeros at first, at least 2**width + 1."""
    for row in range(len(words)):
        if held[row] & flag:
            starts[np.int64(_bits(words[row], at, width)) + 1] += np.uint32(1)
    for value in range(1, len(starts)):
        starts[value] += starts[value - 1]
    free = starts[:-1].copy()
    for row in range(len(words)):
        if held[row] & flag:
            half = np.int64(_bits(words[row], at, width))
            rows[free[half]] = row
            others[free[half]] = np.uint16(_bits(words[row], other_at, 16))
            free[half] += np.uint32(1)
    for place in range(starts[-1], len(rows)):
        rows[place] = rows[0]  # the rest of the last word is read too: it must be of a row that has a hash


@inner
def _apart(one: Words, other: Words) -> np.int64:
    bits = ones(one[0] ^ other[0]) + ones(one[1] ^ other[1])
    return bits + ones(one[2] ^ other[2]) + ones(one[3] ^ other[3])


@inner
def _compare(
    words: Words,
    waiting: NDArray[np.uint32],
    number: int,
    value: Words,
    most: int,
    found: NDArray[np.uint32],
    distances: NDArray[np.uint8],
    kept: int,
) -> int:
    for place in range(number):
        row = waiting[place]
        bits = _apart(words[row], value)
        if bits <= most:
            if kept < len(found):
                found[kept] = row
                distances[kept] = bits
            kept += 1
    return kept


@inner
def _near_lanes(
    others: Words, first: int, last: int, half: np.uint64, bias: np.uint64, rows: NDArray[np.uint32],
    most_row: np.uint32, waiting: NDArray[np.uint32], number: int,
) -> int:  # fmt: skip
    """Adds the rows of the words `first` to `last` whose other half is near enough to those waiting."""
    for word in range(first, last):
        far = beyond(others[word] ^ half, bias)
        if far != TOPS:
            for lane in range(4):
                if not (far >> np.uint64(16 * lane + 15)) & np.uint64(1):
                    waiting[number] = min(rows[4 * word + lane], most_row)  # whatever a damaged file says
                    number += 1
    return number


@kernel(
    _ROWS, _INTEGERS, _INTEGERS, _INTEGERS, _INTEGERS, _INTEGERS, _ROWS,
    numba.types.Array(numba.int64, 2, "C", readonly=True), _ALL_PLACES, _ALL_PLACES, _ALL_OTHERS,
    numba.types.Array(numba.uint64, 1, "C", readonly=True), numba.int64, _PLACES,
    numba.types.Array(numba.uint8, 1, "C"),
)  # fmt: skip
def _search(
    words: Words, at: NDArray[np.int64], width: NDArray[np.int64], other: NDArray[np.int64],
    radius: NDArray[np.int64], together: NDArray[np.int64], masks: Words, ends: NDArray[np.int64],
    starts: NDArray[np.uint32], rows: NDArray[np.uint32], others: Words, value: Words, most: int,
    found: NDArray[np.uint32], distances: NDArray[np.uint8],
) -> int:  # fmt: skip
    """Puts rows within `most` bits of one hash ([4]) into `found` and their distances beside them; returns how many
    there are, or, where there is no room for all, some number beyond the room. A row may come more than once.

    A word at the edge of a bucket holds rows of the next one too: they are compared as well, which costs less than to
    leave them out.
    """
    waiting = np.empty(_WAITING, np.uint32)
    first, last = np.empty(masks.shape[1], np.int64), np.empty(masks.shape[1], np.int64)
    most_row, room = np.uint32(len(words) - 1), np.uint32(rows.shape[1])
    number = kept = 0
    for table in range(len(at)):
        own = _bits(value, at[table], width[table])
        half = _bits(value, at[other[table]], 16) * LANES
        for mask in range(ends[table, radius[table] + 1]):  # all at once: each waits for memory
            bucket = np.int64(own ^ masks[table, mask])
            first[mask], last[mask] = starts[table, bucket], min(starts[table, bucket + 1], room)
        for flips in range(radius[table] + 1):
            bias = np.uint64(0x7FFF - (together[table] - flips)) * LANES
            for mask in range(ends[table, flips], ends[table, flips + 1]):
                if first[mask] >= last[mask]:
                    continue
                word, end = first[mask] >> 2, (last[mask] + 3) >> 2
                while word < end:
                    stop = min(word + _AT_ONCE, end)
                    far = TOPS
                    for each in range(word, stop):
                        far &= beyond(others[table, each] ^ half, bias)
                    if far != TOPS:
                        if kept > len(found):
                            return kept
                        number = _near_lanes(
                            others[table], word, stop, half, bias, rows[table], most_row, waiting, number
                        )
                        if number > _WAITING - 4 * _AT_ONCE:
                            kept = _compare(words, waiting, number, value, most, found, distances, kept)
                            number = 0
                    word = stop
    return _compare(words, waiting, number, value, most, found, distances, kept)


@kernel(
    _ROWS, _HELD, numba.uint8, numba.types.Array(numba.uint64, 1, "C", readonly=True),
    numba.types.Array(numba.uint8, 1, "C"),
)  # fmt: skip
def _apart_all(words: Words, held: NDArray[np.uint8], flag: int, value: Words, distances: NDArray[np.uint8]) -> None:
    """Fills in how far each row is from one hash, at most 255; 255 for a row without `flag`."""
    for row in range(len(words)):
        distances[row] = min(_apart(words[row], value), np.int64(255)) if held[row] & flag else 255


@kernel(
    _ROWS, _HELD, numba.uint8, numba.types.Array(numba.uint64, 1, "C", readonly=True), numba.int64, _PLACES,
    numba.types.Array(numba.uint8, 1, "C"),
)  # fmt: skip
def _scan(
    words: Words, held: NDArray[np.uint8], flag: int, value: Words, most: int, found: NDArray[np.uint32],
    distances: NDArray[np.uint8],
) -> int:  # fmt: skip
    """As `_search`, by comparing with every row whose `held` has `flag`."""
    kept = 0
    for row in range(len(words)):
        bits = _apart(words[row], value)
        if bits <= most and held[row] & flag:
            if kept < len(found):
                found[kept] = row
                distances[kept] = bits
            kept += 1
    return kept


def room(hashes: int) -> int:
    """Places of one table for so many hashes: whole runs of words."""
    return -(-hashes // (4 * _AT_ONCE)) * 4 * _AT_ONCE


def repeated(words: Words, starts: NDArray[np.uint32], rows: NDArray[np.uint32], most: int) -> int | None:
    """A row whose hash more than `most` rows have, by one table; None where there is none."""
    buckets = np.flatnonzero(np.diff(starts) > most)
    found = (_alike(words, rows[starts[bucket] : starts[bucket + 1]], most, 0) for bucket in buckets)
    return next((row for row in found if row is not None), None)


def _alike(words: Words, rows: NDArray[np.uint32], most: int, word: int) -> int | None:
    """Of rows whose hashes agree before `word`, one whose hash more than `most` of them have. A word at a time, since
    whole hashes of a file that holds one of them ten million times would fill the memory."""
    if word == words.shape[1]:
        return int(rows[0])
    ordered = rows[np.argsort(words[rows, word])]
    values = words[ordered, word]
    edges = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1], [True])))
    del values
    for place in np.flatnonzero(np.diff(edges) > most):
        row = _alike(words, ordered[edges[place] : edges[place + 1]], most, word + 1)
        if row is not None:
            return row
    return None


class Index(msgspec.Struct, frozen=True):
    """The hashes of a set as they lie in memory; `starts`, `rows`, `others` are None where they are scanned whole.

    words: [n, 4]; held: [n], whether a row has a hash at all (`flag`); starts: uint32 [t, 2**longest + 1]; rows: uint32
    and others: uint16 [t, m rounded up to whole words].
    """

    words: NDArray[np.uint64]
    held: NDArray[np.uint8]
    flag: int
    cut: Tables
    starts: NDArray[np.uint32] | None = None
    rows: NDArray[np.uint32] | None = None
    others: NDArray[np.uint16] | None = None

    def search(self, value: bytes, most: int = settings.PDQ_DISTANCE) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Rows and distances of every hash within `most` (at most 31) bits of `value` (32 bytes), the nearest first.

        Where they are so many that they would fill the memory, the nearest `_MOST_FOUND` are given: what is further is
        left out by whole bits, and of the nearest bit by their order if those alone are too many.
        """
        if most > settings.PDQ_DISTANCE:
            raise ValueError(f"the tables are cut for {settings.PDQ_DISTANCE} bits at most")
        asked, room = np.frombuffer(value, np.uint64), _ROOM
        while True:
            found, distances = np.empty(room, np.uint32), np.empty(room, np.uint8)
            if self.starts is None or self.rows is None or self.others is None:
                there = _scan(self.words, self.held, self.flag, asked, most, found, distances)
            else:
                tables = (*self.cut, self.starts, self.rows, self.others.view(np.uint64))
                there = _search(self.words, *tables, asked, most, found, distances)
            if there <= room:
                rows, first = np.unique(found[:there], return_index=True)
                order = np.argsort(distances[first], kind="stable")
                return rows[order], distances[first][order]
            if room == _MOST_FOUND:  # counted as often as they were found
                return self._crowded(asked, most)
            room = _MOST_FOUND

    def _crowded(self, asked: NDArray[np.uint64], most: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        distances = np.empty(len(self.words), np.uint8)
        _apart_all(self.words, self.held, self.flag, asked, distances)
        within = np.cumsum(np.bincount(distances, minlength=256))[: most + 1]
        least = int(np.argmax(within > 0))
        widest = max(least, int(np.searchsorted(within, _MOST_FOUND, side="right")) - 1)
        rows = np.flatnonzero(distances <= widest)[:_MOST_FOUND].astype(np.uint32)
        order = np.argsort(distances[rows], kind="stable")
        return rows[order], distances[rows][order]
