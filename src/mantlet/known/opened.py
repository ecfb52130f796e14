"""One set, open for look-ups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.known.columns import Folder
from mantlet.known.records import DIGESTS, FLAGS, WIDTHS, Category, KnownSet, Record

if TYPE_CHECKING:
    from mantlet.known import near


class Opened:
    """The columns of a set, read where a look-up touches them."""

    def __init__(self, known: KnownSet, folder: Folder) -> None:
        self.known = known
        self._folder = folder

    def _column(self, name: str) -> NDArray[np.uint8]:
        return self._folder.open(name, np.uint8, (self.known.records, WIDTHS[name]))

    @cached_property
    def _held(self) -> NDArray[np.uint8]:
        return self._folder.open("held", np.uint8, (self.known.records,))

    def find(self, name: str, digests: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """Which of some digests of one kind ([m, width]) are there: their places in `digests`, and rows."""
        of = self.known.hashes.get(name, 0)
        if not of:
            return []
        from mantlet.known import exact  # its compiler takes a third of a second to load

        bits = exact.width(of)
        starts = self._folder.open(f"{name}.starts", np.uint32, ((1 << bits) + 1,))
        rows = self._folder.open(f"{name}.rows", np.uint32, (of,))
        room = max(16, 2 * len(digests))
        while True:
            found, places = np.empty(room, np.uint32), np.empty(room, np.uint32)
            there = int(exact.find(self._column(name), starts, rows, bits, digests, found, places))
            if there <= room:
                return list(zip(places[:there].tolist(), found[:there].tolist(), strict=True))
            room = there

    def exact(self, digests: Mapping[str, bytes]) -> Iterator[tuple[int, list[str]]]:
        """The rows that agree with these digests (by name) in each that they hold, and which those are, the strongest
        first. A row that shares one and differs in another is a collision, and no match."""
        rows = {row for name in DIGESTS for _, row in self.find(name, _one(digests[name]))}
        for row in sorted(rows):
            held = [name for name in reversed(DIGESTS) if self._held[row] & FLAGS[name]]
            if all(self._column(name)[row].tobytes() == digests[name] for name in held):
                yield row, held

    @cached_property
    def _near(self) -> near.Index | None:
        of, held = self.known.hashes.get("pdq", 0), self._held
        if not of:
            return None
        from mantlet.known import near  # as above

        words, cut = self._column("pdq").view(np.uint64), near.tables(of)
        if of <= near.SCANNED_WHOLE:
            return near.Index(words, held, FLAGS["pdq"], cut)
        room = (len(cut.at), near.room(of))
        starts = self._folder.open("near.starts", np.uint32, (len(cut.at), (1 << cut.longest) + 1))
        rows, others = (
            self._folder.open("near.rows", np.uint32, room),
            self._folder.open("near.others", np.uint16, room),
        )
        return near.Index(words, held, FLAGS["pdq"], cut, starts, rows, others)

    def near(self, value: bytes) -> list[tuple[int, int]]:
        """Row and distance of the records whose PDQ is within `settings.PDQ_DISTANCE` of one, the nearest first; at
        most `settings.KNOWN_MATCHES`."""
        return self._near.search(value)[: settings.KNOWN_MATCHES] if self._near else []

    def number(self, row: int) -> int:
        return int(self._folder.open("number", np.uint64, (self.known.records,))[row])

    def category(self, row: int) -> Category:
        place = int(self._folder.open("category", np.uint16, (self.known.records,))[row])
        return self.known.categories[place]

    def details(self, row: int) -> bytes:
        """What else the set holds of a record: a JSON object, b"" for nothing."""
        if not self.known.details:
            return b""
        ends = self._folder.open("details.ends", np.uint64, (self.known.records,))
        text = self._folder.open("details", np.uint8, (self.known.details,))
        return text[int(ends[row - 1]) if row else 0 : int(ends[row])].tobytes()

    def secret(self, size: int) -> bytes:
        """What the digests of a set of blocks are keyed with."""
        return self._folder.open("secret", np.uint8, (size,)).tobytes()

    def record(self, row: int) -> Record:
        """A record as it was imported."""
        hashes = {
            name: self._column(name)[row].tobytes()
            for name, of in self.known.hashes.items()
            if of and name != "block" and self._held[row] & FLAGS[name]
        }
        return Record(self.number(row), category=self.category(row).code, details=self.details(row), **hashes)


def _one(digest: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(digest, np.uint8).reshape(1, -1)
