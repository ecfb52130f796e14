"""A case: a folder with one SQLite file, in which nothing changes without a ledger entry in the same transaction.

The case holds addresses, fingerprints, matches, decisions and the ledger; never a pixel.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from mantlet import __version__
from mantlet.case.schema import MIGRATIONS
from mantlet.errors import EvidenceError, UsageError
from mantlet.governance import ledger
from mantlet.governance.keys import Actor
from mantlet.store.database import Database

FILE: Final = "case.sqlite"


class Exhibit(msgspec.Struct, frozen=True):
    """One seized thing as received. `size` in bytes, None for a folder; `reference` is the force's own."""

    id: str
    path: str
    form: str
    size: int | None
    reference: str | None
    added_at: str


class Change:
    """A transaction on a case: SQL through `tx`, and at least one `record`."""

    def __init__(self, tx: sqlite3.Connection, actor: Actor) -> None:
        self.tx = tx
        self.actor = actor
        self.entries = 0

    @property
    def next_entry(self) -> int:
        """The number that the next entry of the case chain will have."""
        last: int | None = self.tx.execute("SELECT max(seq) FROM ledger WHERE chain = 'case'").fetchone()[0]
        return (last or 0) + 1

    def record(self, kind: str, payload: dict[str, Any], chain: ledger.Chain = "case") -> int:
        self.entries += 1
        return ledger.append(self.tx, chain, self.actor.name, kind, payload)


class Case:
    """An open case. `actor` is needed only to change it."""

    def __init__(self, folder: Path, database: Database, actor: Actor | None) -> None:
        self.folder = folder
        self._database = database
        self._actor = actor

    @property
    def reader(self) -> sqlite3.Connection:
        """For queries; refuses to write."""
        return self._database.read()

    @contextmanager
    def change(self, actor: Actor | None = None) -> Iterator[Change]:
        """All of it is stored, signed, or nothing."""
        by = actor or self._actor
        if by is None:
            raise RuntimeError("this case was opened without an actor")
        with self._database.write() as tx:
            ledger.check_ends(tx)
            change = Change(tx, by)
            yield change
            if not change.entries:
                raise RuntimeError("a case changed without a ledger entry")
            ledger.sign_heads(tx, by)

    @property
    def id(self) -> str:
        value: str = self.reader.execute("SELECT value FROM about WHERE key = 'id'").fetchone()[0]
        return value

    def exhibits(self) -> list[Exhibit]:
        return [Exhibit(*row) for row in self.reader.execute("SELECT * FROM exhibit ORDER BY id")]

    def close(self) -> None:
        self._database.close()


def open_case(folder: Path, actor: Actor | None = None) -> Case:
    """Without an actor it is opened to be read only, and left as it is. Raises EvidenceError where there is no case."""
    if not (folder / FILE).is_file():
        raise EvidenceError(f"There is no case at {folder}; `mantlet scan SOURCE --case {folder}` makes one.")
    database = Database(folder / FILE, MIGRATIONS, read_only=actor is None)
    case = Case(folder, database, actor)
    if database.read().execute("SELECT count(*) FROM about").fetchone()[0] == 0:
        case.close()
        raise EvidenceError(f"The case at {folder} was never finished being made; remove that folder and scan again.")
    return case


def create_or_open(folder: Path, actor: Actor) -> Case:
    """Raises UsageError where `folder` holds something else."""
    if (folder / FILE).exists():
        database = Database(folder / FILE, MIGRATIONS)
    else:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not a case; give --case a new or empty folder.")
        folder.mkdir(parents=True, exist_ok=True)
        database = Database(folder / FILE, MIGRATIONS)
    case = Case(folder, database, actor)
    if case.reader.execute("SELECT count(*) FROM about").fetchone()[0] == 0:
        with case.change() as change:
            identity = str(uuid.uuid4())
            change.tx.execute("INSERT INTO about VALUES ('id', ?)", (identity,))
            change.record("case made", {"case": identity, "mantlet": __version__})
    return case


def refuse_output(case: Case, path: Path) -> None:
    """Raises UsageError for a file that would lie in the case or in one of its exhibits, or replace it."""
    written = path.absolute().parent.resolve() / path.name  # a link is replaced itself, not what it leads to
    for name, there in (
        ("the case", case.folder),
        *((f"exhibit {each.id}", Path(each.path)) for each in case.exhibits()),
    ):
        if any(each.is_relative_to(there.resolve()) for each in (written, path.resolve())):
            raise UsageError(f"{path} lies in {name}, which is not written to; choose another place.")


def add_exhibit(case: Case, exhibit: Exhibit) -> None:
    with case.change() as change:
        change.tx.execute(
            "INSERT INTO exhibit VALUES (?,?,?,?,?,?)",
            (exhibit.id, exhibit.path, exhibit.form, exhibit.size, exhibit.reference, exhibit.added_at),
        )
        change.record("exhibit added", msgspec.to_builtins(exhibit))
