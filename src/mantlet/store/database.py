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


class Database:
    """A file made by `migrations`: SQL scripts applied once each, in order, each in its own transaction."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._write_lock = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        try:
            self._writer = self._connect()
            try:
                with _alone_in(path.parent):
                    self._writer.execute("PRAGMA journal_mode = WAL")
                    self._writer.execute("PRAGMA synchronous = FULL")
                    self._migrate(migrations)
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.DatabaseError as error:
            raise EvidenceError(f"{path} is not a database Mantlet can use: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection

    def _migrate(self, migrations: Sequence[str]) -> None:
        done: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if done > len(migrations):
            raise EvidenceError(f"{self.path} was written by a newer Mantlet; use that version to open it.")
        for number, script in enumerate(migrations[done:], start=done + 1):
            self._writer.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is stored, or nothing."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # SQLite has taken it back itself where the disk is full, say
                    self._writer.execute("ROLLBACK")
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
