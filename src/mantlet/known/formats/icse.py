"""CSV of INTERPOL's ICSE: ";" between, MD5 and SHA-1, and a column Baseline that is the category.

The columns are known from IPED's reader alone. PhotoDNA values are kept and never claimed to be matched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet.known.formats import rows
from mantlet.known.formats.source import BadEntryError, Reading, Source, details
from mantlet.known.records import Record

_KEPT: Final = {
    "photodna": "photodna", "image id": "image_id", "is distributed": "distributed",
    "victim identified": "victim_identified", "offender identified": "offender_identified",
    "series name": "series", "number of submissions": "submissions", "media type": "mime",
}  # fmt: skip
_BASELINE: Final = {
    **dict.fromkeys(("true", "yes", "1"), "baseline"), **dict.fromkeys(("false", "no", "0", ""), "not baseline")
}  # fmt: skip


def fits(source: Source) -> bool:
    return {"md5", "photodna", "baseline"} <= set(rows.header(source))


def read(source: Source) -> Reading:
    columns = rows.header(source)
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise BadEntryError(f"line 1: the column '{twice[0][:80]}' is there twice")
    return Reading("INTERPOL ICSE", _records(source, columns), profiles=("icse",), benign=False)


def _records(source: Source, columns: list[str]) -> Iterator[Record]:
    places = rows.places(columns)
    kept = [(_KEPT[name], column) for column, name in enumerate(columns) if name in _KEPT]
    baseline = columns.index("baseline")
    for number, row in rows.rows(source, places):
        found = rows.hashes(number, row, places)
        code = _BASELINE.get(row[baseline].strip().lower())
        if code is None:
            raise BadEntryError(f"line {number:,}: Baseline is '{row[baseline][:80]}', neither true nor false")
        more: dict[str, object] = {name: text for name, column in kept if (text := row[column].strip())}
        yield Record(number, *found, code, details(more))
