"""One SQLite file: writes are transactions that wait their turn, readers never block.

WAL with synchronous=FULL: what a finished `write` stored survives a kill and a power cut
(https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mantlet.errors import EvidenceError

_BUSY_SECONDS: Final = 60
_MODES: Final = {"ro": "mode=ro", "immutable": "mode=ro&immutable=1"}
_NEWER: Final = "{} was written by a newer Mantlet; use that version to open it."


class Database:
    """A file made by `migrations`: SQL scripts applied once each, in order, each in its own transaction.

    `read_only` leaves the file as it is, whatever there is to migrate, and opens it where nothing can be written.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, read_only: bool = False) -> None:
        self.path = path
        self._mode = "ro" if read_only else None
        self._write_lock = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        try:
            if read_only:
                self._open_read_only(len(migrations))
                return
            self._writer = self._connect()
            try:
                with _alone_in(path.parent):
                    self._writer.execute("PRAGMA journal_mode = WAL")
                    self._writer.execute("PRAGMA synchronous = FULL")
                    self._migrate(self._writer, migrations)
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.DatabaseError as error:
            raise EvidenceError(f"{path} is not a database Mantlet can use: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        where = f"{self.path.absolute().as_uri()}?{_MODES[self._mode]}" if self._mode else self.path
        connection = sqlite3.connect(
            where, uri=bool(self._mode), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _open_read_only(self, migrations: int) -> None:
        """Where not even SQLite's own -shm file can be made, the file is taken as one that nobody changes; not so
        where a -wal file holds what is not in it yet."""
        try:
            done = self._version(self.read())
        except sqlite3.OperationalError:
            wal = self.path.with_name(f"{self.path.name}-wal")
            if os.access(self.path.parent, os.W_OK) or (wal.exists() and wal.stat().st_size):
                raise
            self.close()
            self._local, self._mode = threading.local(), "immutable"
            done = self._version(self.read())
        if done < migrations:
            self.close()
            if done:
                how = "any command that writes to it brings it up to date, such as `mantlet match`"
                raise EvidenceError(f"{self.path} was written by an older Mantlet; {how}.")
            raise EvidenceError(f"{self.path} was never finished being made.")
        if done > migrations:
            self.close()
            raise EvidenceError(_NEWER.format(self.path))

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _migrate(self, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
        done = self._version(connection)
        if done > len(migrations):
            raise EvidenceError(_NEWER.format(self.path))
        for number, script in enumerate(migrations[done:], start=done + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is stored, or nothing."""
        writer = self._writer
        if writer is None:
            raise RuntimeError(f"{self.path} was opened to be read only")
        with self._write_lock:
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:  # SQLite has taken it back itself where the disk is full, say
                    writer.execute("ROLLBACK")
                raise

    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading; it refuses to write."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            self._readers.append(connection)
        return connection

    def close(self) -> None:
        """Closes the writer and every thread's reader."""
        for connection in (*self._readers, self._writer):
            if connection is not None:
                connection.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits for others that open a file there: of two that open a new one, both would make its tables."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
