"""SQLite databases: the blobs in tables, where phones keep thumbnails, avatars and messages' attachments.

The database is read from memory, with a schema that is not trusted (https://sqlite.org/security.html, "Untrusted
SQLite Database Files"): an authorizer permits reading and nothing else, and views, virtual tables and generated
columns, which run what the file says, are not asked. Blobs under 64 bytes are left out: no picture is that small.

Limits: databases over `settings.IN_MEMORY_BYTES`; the "-wal" file or rollback journal beside a database is not
read, so what was last written may be missing; text that holds base64 is not decoded; deleted rows are not recovered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory, Stream
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times, escape

SIGNATURE: Final = b"SQLite format 3\0"
_LEAST: Final = 64
_ALLOWED: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_FUNCTIONS: Final = {"length", "typeof"}
_COLUMNS_AT_ONCE: Final = 500
_ERRORS: Final = (sqlite3.Error, ValueError, OverflowError, MemoryError)


def fits(head: bytes) -> bool:
    """Whether a file whose first 4 KiB are `head` may be a database (https://sqlite.org/fileformat2.html, 1.3.1)."""
    return head.startswith(SIGNATURE)


class Sqlite:
    """The tree of a database. A step's name is table/column; its kind says what `at` is: `blob` the rowid,
    `negative` of a negative rowid r the number -1 - r, `row` the ordinal in a table without rowids.

    Raises OSError, sqlite3.Error, or RefusedError for a database too large.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        if stream.size > settings.IN_MEMORY_BYTES:
            most = f"at most {settings.IN_MEMORY_BYTES // MIB:,}"
            raise RefusedError(Reason.LIMIT, f"The database is {stream.size // MIB:,} MiB; Mantlet reads {most}.")
        data = bytearray(stream.read_at(0, stream.size))
        # A write-ahead log cannot be had in memory, and without it the file alone is a valid, older database (1.3.3).
        data[18:20] = bytes(1 if version == 2 else version for version in data[18:20])
        self._size = len(data)
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        self._database.deserialize(data)
        # The last lets a schema that is damaged in one place be read in the others.
        for setting in ("trusted_schema=OFF", "cell_size_check=ON", "temp_store=MEMORY", "writable_schema=ON"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.set_authorizer(_authorize)
        self._tables = self._list_tables()

    def _list_tables(self) -> list[str]:
        """Tables that are stored: of a virtual one the root page is 0 (fileformat2, 2.6)."""
        rows = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
        return [name for (name,) in rows if isinstance(name, str)]

    def walk(self) -> Iterator[Entry]:
        listed = 0
        for ordinal, table in enumerate(self._tables):
            whole = Step("table", ordinal, _escaped(table))
            try:
                for entry in self._blobs(table):
                    if listed >= settings.MEMBERS:
                        yield _absent(whole, Reason.LIMIT, "The database has too many blobs to list.")
                        return
                    listed += 1
                    yield entry
            except _ERRORS as error:
                detail = f"The table cannot be read to its end: {str(error)[:200]}."
                yield _absent(whole, Reason.DAMAGED, detail)

    def _blobs(self, table: str) -> Iterator[Entry]:
        columns = self._columns(table)
        if not columns:
            raise sqlite3.DatabaseError("its columns are not known")
        rowid = self._rowid(table, columns)
        for start in range(0, len(columns), _COLUMNS_AT_ONCE):
            some = columns[start : start + _COLUMNS_AT_ONCE]
            lengths = ", ".join(f"CASE typeof({_quoted(c)}) WHEN 'blob' THEN length({_quoted(c)}) END" for c in some)
            rows = self._database.execute(f"SELECT {rowid or 'NULL'}, {lengths} FROM {_quoted(table)} NOT INDEXED")  # noqa: S608 - quoted
            for ordinal, (identity, *sizes) in enumerate(rows):
                if ordinal > self._size:
                    raise sqlite3.DatabaseError("it has more rows than the file has bytes")
                for column, size in zip(some, sizes, strict=True):
                    if size is not None and size >= _LEAST:
                        yield self._entry(_step(identity, ordinal, _name(table, column)), size)

    def _entry(self, step: Step, size: int) -> Entry:
        if size > self._size:
            return _absent(step, Reason.DAMAGED, "The blob says that it is larger than the whole database.")
        return Entry(step, size, Recovery.LIVE, Containment.MEMBER)

    def _columns(self, table: str) -> list[str]:
        """The columns that are stored: those with another mark are hidden or generated (pragma.html, table_xinfo)."""
        rows = self._database.execute(f"PRAGMA table_xinfo({_quoted(table)})")
        return [name for _, name, _, _, _, _, hidden in rows if hidden == 0]

    def _rowid(self, table: str, columns: list[str]) -> str:
        """The word by which rows are known, or "" where there is none (https://sqlite.org/rowidtable.html)."""
        taken = {column.lower() for column in columns}
        for word in ("rowid", "_rowid_", "oid"):
            if word not in taken:
                try:
                    self._database.execute(f"SELECT {word} FROM {_quoted(table)} LIMIT 0")  # noqa: S608 - quoted
                except sqlite3.OperationalError:
                    return ""
                return word
        return ""

    def open(self, step: Step) -> Stream:
        table, column = self._place(step)
        rowid = self._rowid(table, self._columns(table))
        if step.kind == "row":
            where, value = "LIMIT 1 OFFSET ?", step.at
        else:
            where, value = f"WHERE {rowid} = ?", step.at if step.kind == "blob" else -1 - step.at
        query = f"SELECT {_quoted(column)} FROM {_quoted(table)} NOT INDEXED {where}"  # noqa: S608 - quoted
        row: Any = self._database.execute(query, (value,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise OSError("there is no such blob in the database")
        return Memory(row[0])

    def _place(self, step: Step) -> tuple[str, str]:
        for table in self._tables:
            if step.name.startswith(_name(table, "")):
                for column in self._columns(table):
                    if _name(table, column) == step.name:
                        return table, column
        raise OSError("there is no such column in the database")


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, by: str | None) -> int:
    """Only what listing needs (https://sqlite.org/c3ref/set_authorizer.html); nothing for a view, which `by` names."""
    if by is not None:
        return sqlite3.SQLITE_DENY
    allowed = action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS)
    allowed = allowed or (action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _escaped(name: str) -> str:
    return escape(name.encode("utf-8", "surrogateescape")).replace("/", "%2F")


def _name(table: str, column: str) -> str:
    """One table and column have one name: a "/" within either is escaped."""
    return f"{_escaped(table)}/{_escaped(column)}"


def _step(identity: Any, ordinal: int, name: str) -> Step:
    if not isinstance(identity, int):
        return Step("row", ordinal, name)
    return Step("blob", identity, name) if identity >= 0 else Step("negative", -1 - identity, name)


def _absent(step: Step, reason: Reason, detail: str) -> Entry:
    return Entry(step, 0, Recovery.LIVE, Containment.MEMBER, Times(), Absent(reason, detail))
