"""One SQLite file: all or nothing, one writer, and never opened by a version that does not understand it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mantlet.errors import EvidenceError
from mantlet.store import database as module
from mantlet.store.database import Database

FIRST = "CREATE TABLE thing (x INTEGER PRIMARY KEY) STRICT; INSERT INTO thing VALUES (1)"
SECOND = "ALTER TABLE thing ADD COLUMN y TEXT; INSERT INTO thing VALUES (2, 'two')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path, (FIRST,))
    yield database
    database.close()


def things(database: Database) -> list[tuple[object, ...]]:
    return [tuple(row) for row in database.read().execute("SELECT * FROM thing ORDER BY x")]


def test_each_migration_is_applied_once_and_in_order(path: Path) -> None:
    for migrations in ((FIRST,), (FIRST,), (FIRST, SECOND), (FIRST, SECOND)):
        database = Database(path, migrations)
        seen = things(database)
        database.close()
    assert seen == [(1, None), (2, "two")]


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    Database(path, (FIRST,)).close()
    with pytest.raises(EvidenceError, match="no such table: missing"):
        Database(path, (FIRST, f"{SECOND}; INSERT INTO missing VALUES (1)"))
    database = Database(path, (FIRST, SECOND))
    assert things(database) == [(1, None), (2, "two")]
    database.close()


def test_a_file_of_a_newer_version_is_refused_with_a_sentence(path: Path) -> None:
    Database(path, (FIRST, SECOND)).close()
    with pytest.raises(EvidenceError, match="was written by a newer Mantlet; use that version to open it"):
        Database(path, (FIRST,))


def test_many_that_open_a_new_file_at_once_all_can_use_it(path: Path) -> None:
    barrier = threading.Barrier(8)

    def use(number: int) -> int:
        barrier.wait()
        database = Database(path, (FIRST, SECOND))
        with database.write() as tx:
            tx.execute("INSERT INTO thing (x) VALUES (?)", (100 + number,))
        database.close()
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == list(range(8))
    database = Database(path, (FIRST, SECOND))
    assert [x for x, _ in things(database)] == [1, 2, *range(100, 108)]
    database.close()


def test_a_finished_write_is_there_after_opening_again(database: Database, path: Path) -> None:
    with database.write() as tx:
        tx.execute("INSERT INTO thing VALUES (7)")
    again = Database(path, (FIRST,))
    assert things(again) == [(1,), (7,)]
    again.close()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_write_that_raises_leaves_nothing(database: Database, error: type[BaseException]) -> None:
    def write() -> None:
        with database.write() as tx:
            tx.execute("INSERT INTO thing VALUES (7)")
            tx.execute("DELETE FROM thing WHERE x = 1")
            raise error

    with pytest.raises(error):
        write()
    assert things(database) == [(1,)]
    with database.write() as tx:
        tx.execute("INSERT INTO thing VALUES (8)")
    assert things(database) == [(1,), (8,)]


def test_a_full_disk_is_said_as_such_and_leaves_nothing(database: Database) -> None:
    with database.write() as tx:
        pages = tx.execute("PRAGMA page_count").fetchone()[0]
        tx.execute(f"PRAGMA max_page_count = {pages + 1}")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="full"), database.write() as tx:
            tx.executemany("INSERT INTO thing VALUES (?)", ((number,) for number in range(10, 100_000)))
    assert things(database) == [(1,)]


def test_nobody_sees_a_write_before_it_is_finished(database: Database, path: Path) -> None:
    other = Database(path, (FIRST,))
    with database.write() as tx:
        tx.execute("INSERT INTO thing VALUES (7)")
        assert things(database) == things(other) == [(1,)]
    assert things(database) == things(other) == [(1,), (7,)]
    other.close()


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.read().execute("INSERT INTO thing VALUES (7)")
    assert things(database) == [(1,)]


def test_threads_that_write_wait_their_turn(database: Database) -> None:
    def write(number: int) -> None:
        with database.write() as tx:
            (count,) = tx.execute("SELECT count(*) FROM thing").fetchone()
            tx.execute("INSERT INTO thing VALUES (?)", (1000 + count,))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(40)))
    assert [x for (x,) in things(database)] == [1, *range(1001, 1041)]


@pytest.mark.parametrize("data", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 4080], ids=["other", "damaged"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match=f"{path} is not a database Mantlet can use"):
        Database(path, (FIRST,))
    assert path.read_bytes() == data


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="is not a database Mantlet can use"):
        Database(tmp_path, (FIRST,))


def test_a_file_opened_to_be_read_only_is_left_as_it_is(path: Path) -> None:
    Database(path, (FIRST,)).close()
    before = path.read_bytes()
    database = Database(path, (FIRST,), read_only=True)
    assert things(database) == [(1,)]
    with pytest.raises(RuntimeError, match="was opened to be read only"), database.write():
        pass
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.read().execute("DELETE FROM thing")
    database.close()
    assert path.read_bytes() == before
    with pytest.raises(EvidenceError, match="older Mantlet"):
        Database(path, (FIRST, SECOND), read_only=True)
    with pytest.raises(EvidenceError, match="newer Mantlet"):
        Database(path, (), read_only=True)
    assert path.read_bytes() == before


def test_who_reads_sees_what_another_writes(path: Path) -> None:
    writer = Database(path, (FIRST,))
    reader = Database(path, (FIRST,), read_only=True)
    with writer.write() as tx:
        tx.execute("INSERT INTO thing VALUES (7)")
    assert things(reader) == [(1,), (7,)]
    reader.close()
    writer.close()


def test_where_nothing_can_be_made_the_file_is_read_unless_a_log_holds_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(path, (FIRST,)).close()
    monkeypatch.setitem(module._MODES, "ro", "mode=ro&vfs=none")  # fails as it does on a read-only medium
    monkeypatch.setattr(os, "access", lambda *_: False)
    database = Database(path, (FIRST,), read_only=True)
    assert things(database) == [(1,)]
    database.close()
    path.with_name(f"{path.name}-wal").write_bytes(b"more")
    with pytest.raises(EvidenceError, match="is not a database Mantlet can use"):
        Database(path, (FIRST,), read_only=True)
