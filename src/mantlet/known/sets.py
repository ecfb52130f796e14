"""The sets of this user: import whole or not at all, list, open, remove.

A set is a folder of columns that is never changed (`known.columns`); what is in force is a row of `known.sqlite` that
names it. A set imported again gets a folder of its own and then, in one transaction, takes the place of the old one: a
look-up that has the old one open goes on with that, and each match says with which version it was made.
"""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mantlet import settings
from mantlet.errors import EvidenceError, UsageError
from mantlet.governance.ledger import now
from mantlet.known import seal
from mantlet.known.columns import Folder
from mantlet.known.opened import Opened
from mantlet.known.records import Category, KnownSet
from mantlet.store.database import Database

if TYPE_CHECKING:
    from mantlet.known.build import Builder

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
    """
    DROP TABLE record;  -- sets of before are to be imported again
    DROP TABLE known_set;
    CREATE TABLE known_set (name TEXT PRIMARY KEY, about TEXT NOT NULL) STRICT, WITHOUT ROWID;
    ALTER TABLE looked_up RENAME COLUMN sha256 TO what;
    """,
)

Describe = dict[str, Any]
"""The fields of a `KnownSet` that its importer knows."""


class Sets:
    """The sets of this user. `password` opens the sealed ones, and seals what is imported."""

    def __init__(self, folder: Path | None = None, password: bytes | None = None) -> None:
        self.folder = folder or settings.home() / "known"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = Database(self.folder / "known.sqlite", _MIGRATIONS)
        self._password = password
        self._keys: dict[str, bytes] = {}

    def all(self) -> list[KnownSet]:
        rows = self._database.read().execute("SELECT about FROM known_set ORDER BY name")
        return [msgspec.json.decode(row["about"], type=KnownSet) for row in rows]

    def named(self, names: Sequence[str]) -> list[KnownSet]:
        """The sets of these names, all where `names` is empty. Raises UsageError for a name there is not."""
        there = {each.name: each for each in self.all()}
        for name in names:
            if name not in there:
                known = ", ".join(there) or "none"
                raise UsageError(f"There is no set '{name}' (there are: {known}); `mantlet known import` makes one.")
        return [there[name] for name in dict.fromkeys(names)] if names else list(there.values())

    def open(self, known: KnownSet) -> Opened:
        """Raises UsageError for a sealed set without its password, NotAllowedError where that is wrong, IntegrityError
        where the set is damaged."""
        folder = self.folder / known.folder
        if not folder.is_dir():
            raise UsageError(f"The set '{known.name}' was replaced or removed meanwhile; run the same command again.")
        if known.salt is None:
            return Opened(known, Folder(folder, None))
        if self._password is None:
            raise UsageError(f"The set '{known.name}' is sealed; give its password by --password-file FILE.")
        key = self._key(known.salt)
        seal.read(folder / seal.CHECK, key)
        return Opened(known, Folder(folder, key))

    def _key(self, salt: str) -> bytes:
        if salt not in self._keys:
            self._keys[salt] = seal.key_of(self._password or b"", salt)
        return self._keys[salt]

    def replace(self, name: str, by: str, fill: Callable[[Builder, Folder], Describe]) -> KnownSet:
        """Puts in force under `name` what `fill` adds to a builder, and tells of it.

        If it fails midway, what was in force stays so. Raises EvidenceError where the disk is full.
        """
        from mantlet.known.build import Builder  # its compiler takes a third of a second to load

        salt = seal.new_salt() if self._password is not None else None
        with self._importing():
            path = self.folder / f"set-{uuid.uuid4().hex}"
            path.mkdir(mode=0o700)
            folder = Folder(path, self._key(salt) if salt else None)
            try:
                if salt:
                    seal.write(path / seal.CHECK, b"", self._key(salt))
                builder = Builder(folder)
                described = fill(builder, folder)
                built = builder.finish()
                meaning: Callable[[str | None], Category] = described.pop("meaning")
                made = KnownSet(
                    name=name, imported_at=now(), imported_by=by, records=built.records, hashes=built.hashes,
                    categories=[meaning(code) for code in built.categories], details=built.details, folder=path.name,
                    salt=salt, **described,
                )  # fmt: skip
                with self._database.write() as tx:
                    text = msgspec.json.encode(made).decode()
                    tx.execute("INSERT OR REPLACE INTO known_set VALUES (?, ?)", (name, text))
            except OSError as error:
                raise EvidenceError(f"The set cannot be kept: {error.strerror}; nothing was imported.") from error
            finally:
                folder.close()
                self._clear()
        return made

    @contextmanager
    def _importing(self) -> Iterator[None]:
        with (self.folder / "import.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError("Another import is running; wait for it, or stop it first.") from None
            self._clear()  # what an import left that was killed
            yield

    def _clear(self) -> None:
        """Removes the folders of sets that are not in force."""
        kept = {each.folder for each in self.all()}
        for path in self.folder.glob("set-*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def remove(self, name: str) -> None:
        self.named([name])
        with self._importing():
            with self._database.write() as tx:
                tx.execute("DELETE FROM known_set WHERE name = ?", (name,))
            self._clear()

    def log_look_up(self, actor: str, what: str, found: int) -> None:
        """Keeps who asked about what: a set is not an oracle."""
        with self._database.write() as tx:
            tx.execute("INSERT INTO looked_up VALUES (?,?,?,?)", (now(), actor, what, found))

    def close(self) -> None:
        self._database.close()
