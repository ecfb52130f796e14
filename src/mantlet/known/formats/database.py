"""SQLite files of hashes, opened as untrusted (sqlite.org, "Defense Against The Dark Arts").

Read-only and immutable; an authorizer permits reading and nothing else; only stored columns of stored tables are
asked, since views, virtual tables and generated columns run what the file says; values and steps have limits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mantlet.errors import plain
from mantlet.known.formats.source import REPORT_EVERY, BadEntryError, Source, hexadecimal, unrepeated
from mantlet.known.records import DIGESTS, Record
from mantlet.settings import MIB

SIGNATURE: Final = b"SQLite format 3\0"
_ALLOWED: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_LONGEST_VALUE: Final = MIB
_STEPS_AT_ONCE: Final = 1_000_000
_STEPS_FREE: Final = 100_000_000
_STEPS_A_BYTE: Final = 64
"""Steps of SQLite's machine for each byte of the file: a row of some 100 bytes takes about 30."""


def tables(source: Source) -> dict[str, list[str]]:
    """The stored columns of each stored table, names in lower case. Raises BadEntryError."""
    database = _connect(source)
    try:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
        found = {}
        for (name,) in rows:
            if isinstance(name, str):
                columns = database.execute(f"PRAGMA table_xinfo({_quoted(name)})").fetchall()
                found[name.lower()] = [str(column).lower() for _, column, *_, hidden in columns if hidden == 0]
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise BadEntryError(f"its schema: {plain(error)}") from error
    finally:
        database.close()
    return found


def records(source: Source, table: str, columns: dict[str, str]) -> Iterator[Record]:
    """The records of a table, `unrepeated`, counted as SQLite gives them; `columns` gives the column of each digest.

    SQLite is not asked for distinct rows: it would keep what it has given in a temporary file, in the clear. Raises
    BadEntryError.
    """
    return unrepeated(_rows(source, table, columns))


def _rows(source: Source, table: str, columns: dict[str, str]) -> Iterator[Record]:
    named = ", ".join(map(_quoted, columns.values()))
    database, number = _connect(source), 0
    slots = [(list(DIGESTS).index(kind), kind) for kind in columns]
    try:
        found = database.execute(f"SELECT {named} FROM {_quoted(table)}")  # noqa: S608 - quoted
        while batch := found.fetchmany(REPORT_EVERY):
            digests: list[Sequence[bytes | None]] = [[None] * len(batch)] * len(DIGESTS)
            for (slot, kind), values in zip(slots, zip(*batch, strict=True), strict=True):
                digests[slot] = _digests(kind, values, number + 1)
            if all(None in column for column in digests):
                empty = next((place for place, row in enumerate(zip(*digests, strict=True), 1) if not any(row)), None)
                if empty is not None:
                    raise BadEntryError(f"row {number + empty:,}: it holds no hash")
            yield from map(Record, range(number + 1, number + 1 + len(batch)), *digests)
            number += len(batch)
            # How far SQLite is in the file cannot be asked; a row takes at least its digests.
            source.progress(min(source.size, number * 100))
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise BadEntryError(f"its table {table}, after row {number:,}: {plain(error)}") from error
    finally:
        database.close()
    source.progress(source.size)


def digest_columns(found: list[str], named: dict[str, str]) -> dict[str, str]:
    """Which digest is in which of the columns there are."""
    return {kind: column for kind, column in named.items() if column in found and kind in DIGESTS}


def _digests(kind: str, values: Sequence[Any], first: int) -> Sequence[bytes | None]:
    """One column of a batch whose first row is number `first`; at once where all are hex digits as they should be."""
    size = DIGESTS[kind]
    if set(map(type, values)) == {str} and set(map(len, values)) == {2 * size}:
        try:
            whole = bytes.fromhex("".join(values))
        except ValueError:
            whole = b""
        if len(whole) == size * len(values):  # fromhex would skip spaces
            return [whole[place : place + size] for place in range(0, len(whole), size)]
    return [_digest(kind, value, number) for number, value in enumerate(values, first)]


def _digest(kind: str, value: Any, number: int) -> bytes | None:
    """A digest is NULL, its bytes, or its hex digits."""
    if value is None or value in ("", b""):
        return None
    if isinstance(value, bytes) and len(value) == DIGESTS[kind]:
        return value
    if isinstance(value, str):
        return hexadecimal(kind, value, f"row {number:,}")
    raise BadEntryError(f"row {number:,}: what stands as {kind} is none")


def _connect(source: Source) -> sqlite3.Connection:
    log = Path(f"{source.path}-wal")
    if log.exists() and log.stat().st_size:
        raise BadEntryError(f"its log {log.name}: records may be there alone, so close the program that writes them")
    try:
        uri = f"{source.path.resolve().as_uri()}?mode=ro&immutable=1"
        database = sqlite3.connect(uri, uri=True, isolation_level=None)
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("PRAGMA cell_size_check=ON")
    except sqlite3.Error as error:
        raise BadEntryError(f"its header: {plain(error)}") from error
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    database.set_authorizer(_authorize)
    left = [_STEPS_FREE + source.size * _STEPS_A_BYTE]

    def tired() -> bool:
        left[0] -= _STEPS_AT_ONCE
        return left[0] < 0

    database.set_progress_handler(tired, _STEPS_AT_ONCE)
    return database


def _authorize(action: int, first: str | None, _second: str | None, _database: str | None, view: str | None) -> int:
    """Nothing is read through a view or trigger, whose name SQLite gives as `view`."""
    asked = action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo")
    return sqlite3.SQLITE_OK if asked and view is None else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
