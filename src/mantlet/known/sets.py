"""The sets of this user: import whole or not at all, list, open, remove.

A set is a folder of columns that is never changed (`known.columns`); what is in force is a row of `known.sqlite` that
names it. A set imported again gets a folder of its own and then, in one transaction, takes the place of the old one: a
look-up that has the old one open goes on with that, and each match says with which version it was made.
"""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mantlet import settings
from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, UsageError
from mantlet.governance.ledger import now
from mantlet.known import seal
from mantlet.known.columns import Folder
from mantlet.known.records import Category, KnownSet, Status
from mantlet.store.database import Database

if TYPE_CHECKING:
    from mantlet.known.build import Builder
    from mantlet.known.opened import Opened

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
"""The fields of a `KnownSet` that its importer knows; `meanings` says what the codes of its records mean."""
Meanings = Callable[[list[str | None]], list[Category]]


class Sets:
    """The sets of this user. `passwords` open the sealed ones; the first seals what is imported."""

    def __init__(self, folder: Path | None = None, passwords: Sequence[bytes] = ()) -> None:
        self.folder = folder or settings.home() / "known"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = Database(self.folder / "known.sqlite", _MIGRATIONS)
        self._passwords = passwords

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
        where the set is damaged, as far as that shows: a large one is not read whole (`settings.KNOWN_CHECKED`)."""
        from mantlet.known.opened import Opened  # its compiler takes a third of a second to load

        folder = self.folder / known.folder
        try:
            whole = known.salt is None and _size(folder) <= settings.KNOWN_CHECKED
            if whole and (what := self.damage(known)):
                raise IntegrityError(f"The set '{known.name}' is {what}; import it again.")
            return Opened(known, Folder(folder, self._key_of(known)))
        except (IntegrityError, OSError) as error:
            if known.folder in {each.folder for each in self.all()}:
                if isinstance(error, IntegrityError) and folder.is_dir():
                    raise
                why = error.strerror if isinstance(error, OSError) else "they are gone"
                raise IntegrityError(f"The set '{known.name}' cannot be read: {why}; import it again.") from None
            raise UsageError(
                f"The set '{known.name}' was replaced or removed meanwhile; run the same command again."
            ) from None

    def _key_of(self, known: KnownSet) -> bytes | None:
        """What a set was sealed with; None for one that was not."""
        if known.salt is None:
            return None
        if not self._passwords:
            raise UsageError(f"The set '{known.name}' is sealed; give its password by --password-file FILE.")
        for password in self._passwords:
            key = seal.key_of(password, known.salt)
            with suppress(NotAllowedError):
                seal.read(self.folder / known.folder / seal.CHECK, key)
                return key
        raise NotAllowedError(f"No password given is the one that the set '{known.name}' was sealed with.")

    def replace(self, name: str, by: str, fill: Callable[[Builder, Folder], Describe]) -> KnownSet:
        """Puts in force under `name` what `fill` adds to a builder, and tells of it.

        If it fails midway, what was in force stays so. Raises EvidenceError where the disk is full.
        """
        from mantlet.known.build import Builder  # its compiler takes a third of a second to load

        if not self._passwords and any(each.salt for each in self.all() if each.name == name):
            raise UsageError(f"The set '{name}' is sealed: give --password-file FILE, or remove it first.")
        salt = seal.new_salt() if self._passwords else None
        key = seal.key_of(self._passwords[0], salt) if salt else None
        with self._importing():
            path = self.folder / f"set-{uuid.uuid4().hex}"
            path.mkdir(mode=0o700)
            folder = Folder(path, key)
            try:
                if key:
                    seal.write(path / seal.CHECK, b"", key)
                builder = Builder(folder)
                described = fill(builder, folder)
                built = builder.finish()
                meanings: Meanings = described.pop("meanings")
                categories = meanings(list(built.categories))
                if salt:
                    described.pop("foreign_codes", None)
                statuses: Counter[Status] = Counter()
                for category, number in zip(categories, built.categories.values(), strict=True):
                    statuses[category.status] += number
                folder.grow("categories").write(msgspec.json.encode(categories))
                folder.finish()
                made = KnownSet(
                    name=name, imported_at=now(), imported_by=by, records=built.records, hashes=built.hashes,
                    statuses=dict(statuses), details=built.details,
                    folder=path.name, files=folder.digests(), salt=salt, **described,
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

    def damage(self, known: KnownSet) -> str:
        """What of a set is no longer as it was imported, by reading all of it; "" for nothing."""
        try:
            found = Folder(self.folder / known.folder, None).digests()
        except OSError as error:
            return f"unreadable: {error.strerror}"
        wrong = sorted(name for name, digest in known.files.items() if found.get(name) != digest)
        return f"damaged: {', '.join(wrong)}" if wrong else ""

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


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
