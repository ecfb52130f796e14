"""Sets of known material, kept in the user's own folder: import whole or not at all, look up, remove.

A set is named, has a status (notable or benign), and a version that is the digest of the file it came from; every
match names set, version and record, so that it can be traced to the line that made it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from mantlet import settings
from mantlet.errors import UsageError
from mantlet.governance.ledger import now
from mantlet.store.database import Database

Status = Literal["notable", "benign"]

_MIGRATIONS: Final = (
    """
    CREATE TABLE known_set (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL, status TEXT NOT NULL,
        source TEXT NOT NULL, records INTEGER NOT NULL, imported_at TEXT NOT NULL, imported_by TEXT NOT NULL
    ) STRICT;
    CREATE TABLE record (
        set_id INTEGER NOT NULL REFERENCES known_set, number INTEGER NOT NULL,
        md5 BLOB, sha1 BLOB, sha256 BLOB, pdq BLOB, category TEXT, note TEXT, PRIMARY KEY (set_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX record_md5 ON record (md5) WHERE md5 IS NOT NULL;
    CREATE INDEX record_sha1 ON record (sha1) WHERE sha1 IS NOT NULL;
    CREATE INDEX record_sha256 ON record (sha256) WHERE sha256 IS NOT NULL;
    CREATE TABLE looked_up (at TEXT NOT NULL, actor TEXT NOT NULL, sha256 TEXT NOT NULL, found INTEGER NOT NULL) STRICT;
    """,
)


class Record(msgspec.Struct, frozen=True):
    """One line of a set: `number` is its line in the file it came from; at least one digest is there."""

    number: int
    md5: bytes | None = None
    sha1: bytes | None = None
    sha256: bytes | None = None
    pdq: bytes | None = None
    category: str | None = None
    note: str | None = None


class KnownSet(msgspec.Struct, frozen=True):
    id: int
    name: str
    version: str
    status: Status
    source: str
    records: int
    imported_at: str
    imported_by: str


class Match(msgspec.Struct, frozen=True):
    """Why a content is known: by which digest or hash (`how`), at what Hamming distance (0 for digests), from which
    set, version and record. `view` says how the picture was turned for it: "upright" until turned forms are looked
    up too."""

    set: str
    version: str
    record: int
    how: str
    view: str
    distance: int
    category: str | None
    status: Status


class Sets:
    """The sets of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or settings.home() / "known"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = Database(folder / "known.sqlite", _MIGRATIONS)

    @property
    def _reader(self) -> sqlite3.Connection:
        return self._database.read()

    def all(self) -> list[KnownSet]:
        return [KnownSet(*row) for row in self._reader.execute("SELECT * FROM known_set ORDER BY name")]

    def named(self, names: Sequence[str]) -> list[KnownSet]:
        """The sets of these names, all where `names` is empty. Raises UsageError for a name there is not."""
        there = {each.name: each for each in self.all()}
        for name in names:
            if name not in there:
                known = ", ".join(there) or "none"
                raise UsageError(f"There is no set '{name}' (there are: {known}); `mantlet known import` makes one.")
        return [there[name] for name in names] if names else list(there.values())

    def replace(
        self, name: str, version: str, status: Status, source: str, by: str, records: Iterable[Record]
    ) -> KnownSet:
        """Puts `records` in force under `name`; if reading them fails midway, what was in force stays so."""
        with self._database.write() as tx:
            tx.execute("DELETE FROM record WHERE set_id = (SELECT id FROM known_set WHERE name = ?)", (name,))
            tx.execute("DELETE FROM known_set WHERE name = ?", (name,))
            number = tx.execute(
                "INSERT INTO known_set (name, version, status, source, records, imported_at, imported_by) "
                "VALUES (?,?,?,?,0,?,?)",
                (name, version, status, source, now(), by),
            ).lastrowid
            tx.executemany(
                "INSERT INTO record VALUES (?,?,?,?,?,?,?,?)",
                ((number, *msgspec.structs.astuple(record)) for record in records),
            )
            tx.execute(
                "UPDATE known_set SET records = (SELECT count(*) FROM record WHERE set_id = ?) WHERE id = ?",
                (number, number),
            )
        return self.named([name])[0]

    def remove(self, name: str) -> None:
        self.named([name])
        with self._database.write() as tx:
            tx.execute("DELETE FROM record WHERE set_id = (SELECT id FROM known_set WHERE name = ?)", (name,))
            tx.execute("DELETE FROM known_set WHERE name = ?", (name,))

    def exact(self, sets: Sequence[KnownSet], md5: str, sha1: str, sha256: str) -> Iterator[Match]:
        """Records that agree with these digests in every digest that they hold.

        A record that shares an MD5 and differs in SHA-256 is a collision, and no match. A record of a benign set that
        holds MD5 alone, or SHA-1 alone, matches nothing: collisions of either can be made, and would hide a content.

        Raises:
            UsageError: one of the sets is no longer in force in that version.
        """
        by_name = {each.name: each for each in sets}
        wanted = {"sha256": bytes.fromhex(sha256), "sha1": bytes.fromhex(sha1), "md5": bytes.fromhex(md5)}
        rows = self._reader.execute(
            "SELECT name, r.* FROM known_set s JOIN (SELECT * FROM record WHERE sha256 = :sha256 "
            "UNION SELECT * FROM record WHERE sha1 = :sha1 UNION SELECT * FROM record WHERE md5 = :md5) r "
            "ON r.set_id = s.id",
            wanted,
        ).fetchall()
        self._check_in_force(sets)  # after reading: so what was read is of these versions
        for row in rows:
            held = [name for name in wanted if row[name] is not None]
            owner = by_name.get(row["name"])
            if owner and all(row[name] == wanted[name] for name in held):
                if owner.status == "benign" and held in (["sha1"], ["md5"]):
                    continue
                yield Match(
                    owner.name,
                    owner.version,
                    row["number"],
                    held[0],
                    "upright",
                    0,
                    row["category"],
                    owner.status,
                )

    def perceptual(self, known: KnownSet) -> Iterator[tuple[int, bytes, str | None]]:
        """Record number, PDQ and category of each record that holds a PDQ. Raises UsageError as `exact` does."""
        rows = self._reader.execute(
            "SELECT number, pdq, category FROM record WHERE set_id = (SELECT id FROM known_set WHERE name = ?) "
            "AND pdq IS NOT NULL ORDER BY number",
            (known.name,),
        ).fetchall()
        self._check_in_force([known])
        yield from rows

    def _check_in_force(self, sets: Sequence[KnownSet]) -> None:
        """That a set imported anew while it is in use is not read as if it were the one chosen."""
        there = {tuple(row) for row in self._reader.execute("SELECT name, version, status FROM known_set")}
        for each in sets:
            if (each.name, each.version, each.status) not in there:
                raise UsageError(
                    f"The set '{each.name}' was replaced or removed while it was in use (it was version "
                    f"{each.version}); run the same command again, which goes on with what is in force now."
                )

    def log_look_up(self, actor: str, sha256: str, found: int) -> None:
        """Keeps who asked about which file: a set is not an oracle."""
        with self._database.write() as tx:
            tx.execute("INSERT INTO looked_up VALUES (?,?,?,?)", (now(), actor, sha256, found))

    def close(self) -> None:
        self._database.close()
