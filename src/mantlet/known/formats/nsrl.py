"""NSRL RDS 3: SQLite with a table METADATA (complete) or FILE (minimal) of SHA-256, SHA-1 and MD5 as hex digits.

Reference data of software that is known, so benign here. In the complete set FILE is a view of METADATA; views are
not read.
"""

from __future__ import annotations

from typing import Final

from mantlet.known.formats import database
from mantlet.known.formats.source import BadEntryError, Reading, Source

_COLUMNS: Final = {"md5": "md5", "sha1": "sha1", "sha256": "sha256"}


def fits(source: Source) -> bool:
    return source.head.startswith(database.SIGNATURE) and _table(source) is not None


def _table(source: Source) -> tuple[str, dict[str, str]] | None:
    tables = database.tables(source)
    for name in ("metadata", "file"):
        columns = database.digest_columns(tables.get(name, []), _COLUMNS)
        if columns:
            return name, columns
    return None


def read(source: Source) -> Reading:
    found = _table(source)
    if found is None:
        raise BadEntryError("its schema: no table METADATA or FILE has a column of digests")
    return Reading("NSRL RDS 3 (SQLite)", database.records(source, *found), benign=True)
