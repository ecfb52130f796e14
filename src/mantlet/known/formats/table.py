"""Mantlet's own CSV: columns md5, sha1, sha256, pdq, category, note in any order, some of them; "," or ";" between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet.known.formats import rows
from mantlet.known.formats.source import BadEntryError, Reading, Source, details
from mantlet.known.records import Record

COLUMNS: Final = ("md5", "sha1", "sha256", "pdq", "category", "note")


def fits(source: Source) -> bool:
    return not source.head.startswith(b"#") and bool(set(rows.header(source)) & set(COLUMNS))


def read(source: Source) -> Reading:
    columns = rows.header(source)
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise BadEntryError(f"line 1: there is no column '{unknown[0][:80]}'; the columns are {', '.join(COLUMNS)}")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise BadEntryError(f"line 1: the column '{twice[0]}' is there twice")
    return Reading("CSV", _records(source, columns))


def _records(source: Source, columns: list[str]) -> Iterator[Record]:
    places = rows.places(columns)
    category, note = (columns.index(name) if name in columns else None for name in ("category", "note"))
    for number, row in rows.rows(source, places):
        found = rows.hashes(number, row, places)
        code = row[category].strip() or None if category is not None else None
        words = row[note].strip() if note is not None else ""
        yield Record(number, *found, code, details({"note": words}) if words else b"")
