"""HashKeeper sets (.hsh): CSV whose column "hash" is an MD5 (The Sleuth Kit, tsk/hashdb/hashkeeper.c).

Names of files are in any code page; they are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from mantlet.known.formats import rows
from mantlet.known.formats.source import BadEntryError, Reading, Source
from mantlet.known.records import Record


def fits(source: Source) -> bool:
    return rows.header(source)[:2] == ["file_id", "hashset_id"]


def read(source: Source) -> Reading:
    columns = rows.header(source)
    if "hash" not in columns:
        raise BadEntryError("line 1: a HashKeeper set has a column 'hash', which is not there")
    return Reading("HashKeeper", _records(source, rows.places(columns, md5="hash")))


def _records(source: Source, places: rows.Places) -> Iterator[Record]:
    for number, row in rows.rows(source, places, "replace"):
        yield Record(number, *rows.hashes(number, row, places))
