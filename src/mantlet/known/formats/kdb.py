"""Hash databases of The Sleuth Kit and Autopsy (.kdb): SQLite with a table `hashes` (tsk/hashdb/sqlite_hdb.cpp)."""

from __future__ import annotations

from typing import Final

from mantlet.known.formats import database
from mantlet.known.formats.source import BadEntryError, Reading, Source

_COLUMNS: Final = {"md5": "md5", "sha1": "sha1", "sha256": "sha2_256"}


def fits(source: Source) -> bool:
    """Any SQLite file: asked after NSRL, it refuses what is neither."""
    return source.head.startswith(database.SIGNATURE)


def read(source: Source) -> Reading:
    columns = database.digest_columns(database.tables(source).get("hashes", []), _COLUMNS)
    if not columns:
        raise BadEntryError("its schema: no table METADATA or FILE (NSRL) nor hashes (kdb) has a column of digests")
    return Reading("hash database of The Sleuth Kit", database.records(source, "hashes", columns))
