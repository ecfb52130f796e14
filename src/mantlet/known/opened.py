"""One set, open for look-ups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import IntegrityError
from mantlet.known import exact, near
from mantlet.known.columns import Folder
from mantlet.known.keyed import SECRET
from mantlet.known.records import DIGESTS, FLAGS, WIDTHS, Category, KnownSet, Record

_RANKS: Final = {"notable": 0, "benign": 1, "ungraded": 2}
_LEAST: Final = 1 << 20  # severity of what has none


class Opened:
    """The columns of a set, all mapped when it is opened: what happens to its folder then changes nothing here. Pages
    are read where a look-up touches them.

    Raises:
        IntegrityError: a column is missing, or has another size than it was made with.
    """

    def __init__(self, known: KnownSet, folder: Folder) -> None:
        self.known = known
        count = known.records
        self._held = folder.open("held", np.uint8, (count,))
        self._numbers = folder.open("number", np.uint64, (count,)) if "number" in known.files else None
        self._category = folder.open("category", np.uint16, (count,)) if "category" in known.files else None
        self._hashes = {name: folder.open(name, np.uint8, (count, WIDTHS[name])) for name in known.hashes}
        self._tables = {name: _table(folder, name, of) for name, of in known.hashes.items() if name != "pdq"}
        self._near = _index(folder, known, self._hashes["pdq"], self._held) if "pdq" in known.hashes else None
        self._categories = _categories(folder)
        self._ranks = np.array(
            [_RANKS[each.status] * 2 * _LEAST + (each.severity or _LEAST) for each in self._categories], np.int64
        )
        self._details = self._ends = np.empty(0, np.uint8)
        if known.details:
            self._details = folder.open("details", np.uint8, (known.details,))
            self._ends = folder.open("details.ends", np.uint64, (count,))
        self._secret, self._files = b"", np.empty((0, 2), np.uint64)
        if known.blocks:
            self._secret = folder.open("secret", np.uint8, (SECRET,)).tobytes()
            self._files = folder.open("files", np.uint64, (known.blocks.files, 2))

    def find(self, name: str, digests: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """Which of some digests of one kind ([m, width]) are there: their places in `digests`, and rows."""
        if name not in self._tables:
            return []
        starts, rows, bits = self._tables[name]
        room = max(16, 2 * len(digests))
        while True:
            found, places = np.empty(room, np.uint32), np.empty(room, np.uint32)
            there = int(exact.find(self._hashes[name], starts, rows, bits, digests, found, places))
            if there <= room:
                return list(zip(places[:there].tolist(), found[:there].tolist(), strict=True))
            room = there

    def exact(self, digests: Mapping[str, bytes]) -> Iterator[tuple[int, list[str]]]:
        """The rows that agree with these digests (by name) in each that they hold, and which those are, the strongest
        first. A row that shares one and differs in another is a collision, and no match."""
        rows = {row for name in DIGESTS for _, row in self.find(name, _one(digests[name]))}
        for row in sorted(rows):
            held = [name for name in reversed(DIGESTS) if self._held[row] & FLAGS[name]]
            if all(self._hashes[name][row].tobytes() == digests[name] for name in held):
                yield row, held

    def near(self, value: bytes) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Rows and distances of the records whose PDQ is within `settings.PDQ_DISTANCE` of one, the nearest first."""
        if self._near is None:
            return np.empty(0, np.uint32), np.empty(0, np.uint8)
        return self._near.search(value)

    def ranks(self, rows: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How severe records are, the most severe lowest: notable by severity, then benign, then ungraded."""
        places = np.zeros(len(rows), np.uint16) if self._category is None else self._category[rows]
        ranks: NDArray[np.int64] = self._ranks[np.minimum(places, len(self._ranks) - 1)]
        return ranks

    def number(self, row: int) -> int:
        """Raises IntegrityError where the column was damaged."""
        number = row + 1 if self._numbers is None else int(self._numbers[row])
        if number >= 2**63:
            raise IntegrityError(f"The set '{self.known.name}' is damaged; import it again.")
        return number

    def category(self, row: int) -> Category:
        """Raises IntegrityError where the column was damaged."""
        place = 0 if self._category is None else int(self._category[row])
        if place >= len(self._categories):
            raise IntegrityError(f"The set '{self.known.name}' is damaged; import it again.")
        return self._categories[place]

    def details(self, row: int) -> bytes:
        """What else the set holds of a record: a JSON object, b"" for nothing."""
        if not self.known.details:
            return b""
        return self._details[int(self._ends[row - 1]) if row else 0 : int(self._ends[row])].tobytes()

    @property
    def secret(self) -> bytes:
        """What the digests of a set of blocks are keyed with."""
        return self._secret

    @property
    def files(self) -> NDArray[np.uint64]:
        """Of each file of a set of blocks ([files, 2]): its bytes, and how many of its blocks are in the set."""
        return self._files

    def record(self, row: int) -> Record:
        """A record as it was imported."""
        hashes = {
            name: column[row].tobytes()
            for name, column in self._hashes.items()
            if name != "block" and self._held[row] & FLAGS[name]
        }
        return Record(self.number(row), category=self.category(row).code, details=self.details(row), **hashes)


def _one(digest: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(digest, np.uint8).reshape(1, -1)


def _table(folder: Folder, name: str, of: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32], int]:
    bits = exact.width(of)
    starts = folder.open(f"{name}.starts", np.uint32, ((1 << bits) + 1,))
    return starts, folder.open(f"{name}.rows", np.uint32, (of,)), bits


def _index(folder: Folder, known: KnownSet, hashes: NDArray[np.uint8], held: NDArray[np.uint8]) -> near.Index:
    of, words = known.hashes["pdq"], hashes.view(np.uint64)
    cut = near.tables(of)
    if of <= near.SCANNED_WHOLE:
        return near.Index(words, held, FLAGS["pdq"], cut)
    room = (len(cut.at), near.room(of))
    starts = folder.open("near.starts", np.uint32, (len(cut.at), (1 << cut.longest) + 1))
    rows, others = folder.open("near.rows", np.uint32, room), folder.open("near.others", np.uint16, room)
    return near.Index(words, held, FLAGS["pdq"], cut, starts, rows, others)


def _categories(folder: Folder) -> list[Category]:
    try:
        kind = Annotated[list[Category], msgspec.Meta(min_length=1)]
        found: list[Category] = msgspec.json.decode(folder.open("categories", np.uint8).tobytes(), type=kind)
        return found
    except ValueError:
        raise IntegrityError(f"{folder.path / 'categories'} is missing or damaged; import the set again.") from None
