"""Makes the columns and tables of a set from its records, in memory that does not grow with them.

For each record: `number` uint64 (left out where records are counted from 1), `category` uint16 (a place in the list of
categories; left out where there is one), `held` uint8 (by the bits of
`FLAGS`, which of the hashes below it has). `md5`, `sha1`, `sha256`, `pdq`, `block`: uint8 [n, width], zeros where a
record has none, each there only if some record has it, with `NAME.starts` and `NAME.rows` (`known.exact`); of `pdq`
instead `near.starts`, `near.rows` and `near.others` (`known.near`). `details`: texts end to end; `details.ends` uint64.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.errors import EvidenceError
from mantlet.known import exact, near
from mantlet.known.columns import Folder
from mantlet.known.records import FLAGS, HASHES, WIDTHS, Record

_BATCH: Final = 8192
_NUMBER, _CODE, _DETAILS = (attrgetter(name) for name in ("number", "category", "details"))
_LONGEST_CATEGORY: Final = 200


class Built(msgspec.Struct, frozen=True):
    """What a folder holds: how many records, how many of each hash, the categories in the order of their numbers and
    how many records are of each, and how many bytes of details."""

    records: int
    hashes: dict[str, int]
    categories: dict[str | None, int]
    details: int


class Builder:
    """Takes records in, then makes the tables. Raises EvidenceError where a set is more than can be kept."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._count = 0
        self._of_each = np.zeros(settings.KNOWN_CATEGORIES, np.int64)
        self._counted = True  # each number so far is that of its row, counted from 1
        self._hashes: set[str] = set()
        self._categories: dict[str | None, int] = {}
        self._details = 0

    def add(self, records: Iterable[Record], after: int = 0) -> int:
        """Adds the records of one file; `after`: the last number of the files before, from which theirs go on, so that
        a number names one record. Returns the last of these."""
        source, last = iter(records), after
        while batch := list(islice(source, _BATCH)):
            if self._count + len(batch) > settings.KNOWN_RECORDS:
                raise EvidenceError(
                    f"The set has more than {settings.KNOWN_RECORDS:,} records; nothing was imported. Split it."
                )
            held = np.zeros(len(batch), np.uint8)
            for name in HASHES:
                self._hash(name, list(map(attrgetter(name), batch)), held)
            self._append("held", held)
            own = np.fromiter(map(_NUMBER, batch), np.uint64, len(batch)) + np.uint64(after)
            last = max(last, int(own.max()))
            self._number(own)
            known = self._categories
            places = [
                known[code] if code in known else self._category(code, record.number)
                for record, code in zip(batch, map(_CODE, batch), strict=True)
            ]
            self._place(np.array(places, np.uint16))
            self._keep_details(list(map(_DETAILS, batch)))
            self._count += len(batch)
        return last

    def add_hashes(self, name: str, numbers: NDArray[np.uint64], hashes: NDArray[np.uint8]) -> None:
        """Adds records that hold nothing but one kind of hash, and no others before or after: `hashes` [m, width], and
        the number of each record."""
        self._hashes.add(name)
        self._append(name, hashes)
        self._append("held", np.full(len(hashes), FLAGS[name], np.uint8))
        self._number(numbers)
        self._place(np.full(len(hashes), self._category(None, 0), np.uint16))
        self._count += len(hashes)

    def _place(self, places: NDArray[np.uint16]) -> None:
        self._of_each += np.bincount(places, minlength=len(self._of_each))
        self._append("category", places)

    def _number(self, numbers: NDArray[np.uint64]) -> None:
        self._counted &= bool(np.array_equal(numbers, np.arange(self._count + 1, self._count + len(numbers) + 1)))
        self._append("number", numbers)

    def _append(self, name: str, values: NDArray[Any]) -> None:
        self._folder.grow(name).write(values.tobytes())

    def _hash(self, name: str, values: list[bytes | None], held: NDArray[np.uint8]) -> None:
        width, without = WIDTHS[name], values.count(None)
        if without == len(values) and name not in self._hashes:
            return
        if name not in self._hashes:  # the records before had none
            self._hashes.add(name)
            self._folder.grow(name).write(bytes(width * self._count))
        nothing = bytes(width)
        self._folder.grow(name).write(b"".join([value or nothing for value in values] if without else values))  # type: ignore[arg-type]
        there = np.array([value is not None for value in values], np.uint8) if without else np.uint8(1)
        held |= there * np.uint8(FLAGS[name])

    def _category(self, code: str | None, number: int) -> int:
        place = self._categories.get(code)
        if place is None:
            if len(self._categories) >= settings.KNOWN_CATEGORIES or len(code or "") > _LONGEST_CATEGORY:
                raise EvidenceError(
                    f"Record {number:,} brings a category too many or too long: a set has at most "
                    f"{settings.KNOWN_CATEGORIES:,}, of {_LONGEST_CATEGORY} characters; nothing was imported."
                )
            if not (code or "").isprintable():
                raise EvidenceError(f"The category of record {number:,} cannot be printed; nothing was imported.")
            place = self._categories[code] = len(self._categories)
        return place

    def _keep_details(self, texts: list[bytes]) -> None:
        if not self._details and not any(texts):
            return
        if not self._details:
            self._folder.grow("details.ends").write(bytes(8 * self._count))
        ends = np.cumsum([len(text) for text in texts], dtype=np.uint64) + np.uint64(self._details)
        self._append("details.ends", ends)
        self._folder.grow("details").write(b"".join(texts))
        self._details = int(ends[-1])

    def finish(self) -> Built:
        """Makes the tables, and puts all on the disk."""
        if not self._count:
            raise EvidenceError("The set holds no record; nothing was imported.")
        folder, count = self._folder, self._count
        held = folder.open("held", np.uint8, (count,))
        hashes = {name: int(np.count_nonzero(held & FLAGS[name])) for name in WIDTHS if name in self._hashes}
        for name, of in hashes.items():
            column = folder.open(name, np.uint8, (count, WIDTHS[name]))
            self._sort(name, of, column, held)
        if self._counted:
            folder.drop("number")
        if len(self._categories) == 1:
            folder.drop("category")
        folder.finish()
        of_each = dict(zip(self._categories, self._of_each.tolist(), strict=False))
        return Built(count, hashes, of_each, self._details)

    def _sort(self, name: str, of: int, column: NDArray[np.uint8], held: NDArray[np.uint8]) -> None:
        if name == "pdq":
            if of > near.SCANNED_WHOLE:
                self._sort_near(of, column.view(np.uint64), held)
            return
        flag, bits = FLAGS[name], exact.width(of)
        starts = self._folder.make(f"{name}.starts", np.uint32, ((1 << bits) + 1,))
        if exact.count(column, held, flag, bits, starts) > settings.KNOWN_REPEATS:
            self._refuse(name, exact.fullest(column, held, flag, bits, starts))
        rows = self._folder.make(f"{name}.rows", np.uint32, (of,))
        exact.fill(column, held, flag, bits, starts, rows)

    def _sort_near(self, of: int, words: NDArray[np.uint64], held: NDArray[np.uint8]) -> None:
        cut = near.tables(of)
        room = (len(cut.at), near.room(of))
        starts = self._folder.make("near.starts", np.uint32, (len(cut.at), (1 << cut.longest) + 1))
        rows = self._folder.make("near.rows", np.uint32, room)
        others = self._folder.make("near.others", np.uint16, room)
        for table in range(len(cut.at)):
            places = int(cut.at[table]), int(cut.width[table]), int(cut.at[cut.other[table]])
            near.sort_table(words, held, FLAGS["pdq"], *places, starts[table], rows[table], others[table])
            if table == 0 and (row := near.repeated(words, starts[0], rows[0], settings.KNOWN_REPEATS)) is not None:
                self._refuse("pdq", row)

    def _refuse(self, name: str, row: int) -> None:
        number = int(self._folder.open("number", np.uint64, (self._count,))[row])
        raise EvidenceError(
            f"The {name} of record {number:,} is that of more than {settings.KNOWN_REPEATS:,} records (or begins like "
            "them): this is no set of distinct files; nothing was imported."
        )
