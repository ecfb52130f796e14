"""NSRLFile.txt of the RDS before version 3: CSV with SHA-1 and MD5 (NIST, "Data Formats of the NSRL RDS").

Reference data of software that is known, so benign here. A file that many products hold is there once for each, one
after the other, since the list is sorted by SHA-1; it is taken once.
"""

from __future__ import annotations

from collections.abc import Iterator

from mantlet.known.formats import rows
from mantlet.known.formats.source import Reading, Source, unrepeated
from mantlet.known.records import Record


def fits(source: Source) -> bool:
    return {"sha-1", "md5", "crc32"} <= set(rows.header(source))


def read(source: Source) -> Reading:
    places = rows.places(rows.header(source), sha1="sha-1")
    return Reading("NSRL RDS 2 (text)", unrepeated(_records(source, places)), benign=True)


def _records(source: Source, places: rows.Places) -> Iterator[Record]:
    for number, row in rows.rows(source, places, "replace"):
        yield Record(number, *rows.hashes(number, row, places))
