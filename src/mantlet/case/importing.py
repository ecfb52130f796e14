"""Grades that people gave elsewhere, from a CSV table: taken as decisions made on viewing, all of them or none.

Columns: sha256, grade and, where they are known, by (who graded), when, and how it was seen: side (pixels of the
longest side on the screen), clear (yes or no), milliseconds. Each decision names the file, its digest and the line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from mantlet.case.case import Case
from mantlet.case.decisions import Said, Seen, decide_many
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.grading.scheme import Scheme, one_line
from mantlet.store.tables import Row, Table
from mantlet.types import escape

COLUMNS: Final = ("sha256", "grade")
OPTIONAL: Final = ("by", "when", "side", "clear", "milliseconds")
LONGEST_CELL: Final = 200
_CLEAR: Final = {"yes": True, "no": False}


class Imported(msgspec.Struct, frozen=True):
    """`graded`: how many contents. `changed`: those to which the same actor had given another grade. `lines`: of the
    table, without its first. `unseen`: contents of which it does not say how they were seen."""

    graded: int
    changed: int
    lines: int
    unseen: int


def import_grades(case: Case, actor: Actor, scheme: Scheme, path: Path) -> Imported:
    """Takes in a table. Lines that say the same of one content count once.

    Raises:
        UsageError: naming the first line that is wrong, that names a content which is not in the case, or that says
            something else of a content than an earlier line.
    """
    table = Table(path, COLUMNS, OPTIONAL)
    rows: dict[str, tuple[Row, Seen]] = {}
    strange: list[Row] = []
    lines = 0
    for row in table:
        lines += 1
        sha256 = row.cells["sha256"] = table.sha256(row)
        _check(table, row, scheme)
        first, _ = rows.setdefault(sha256, (row, _seen(table, row)))
        if first.cells != row.cells:
            raise table.wrong(row.line, f"it says something else of {sha256} than line {first.line}")
        if case.reader.execute("SELECT 1 FROM content WHERE sha256 = ?", (sha256,)).fetchone() is None:
            strange.append(row)
    if strange:
        others = f" (nor are those of {len(strange) - 1:,} further lines)" if strange[1:] else ""
        raise table.wrong(strange[0].line, f"{strange[0].cells['sha256']} is not in this case{others}; take it out")
    if not rows:
        raise UsageError(f"{path} holds no row: it needs the columns {','.join(COLUMNS)} and a row for each picture.")
    before = _graded_by(case, actor, scheme)
    said = [_said(table, row, seen) for row, seen in rows.values()]
    decide_many(case, actor, scheme, said)
    changed = sum(before.get(each.sha256, each.grade) != each.grade for each in said)
    return Imported(len(said), changed, lines, sum(each.seen == Seen() for each in said))


def _check(table: Table, row: Row, scheme: Scheme) -> None:
    try:
        scheme.grade(row.cells["grade"])
    except UsageError as error:
        raise table.wrong(row.line, str(error).rstrip(".")) from None
    for name in ("by", "when"):
        if not one_line(row.cells.get(name, ""), LONGEST_CELL):
            raise table.wrong(row.line, f"'{name}' is one line of at most {LONGEST_CELL} characters")


def _seen(table: Table, row: Row) -> Seen:
    """How it was seen, as the table says; a row without any of it says nothing. One that tells of a size or a time
    must say whether it was clear: not said is not veiled."""
    found: dict[str, Any] = {}
    for name in ("side", "milliseconds"):
        if cell := row.cells.get(name):
            if not (cell.isascii() and cell.isdigit() and len(cell) <= 8):
                raise table.wrong(row.line, f"'{name}' is {cell[:70]!r} and must be a whole number")
            found[name] = int(cell)
    if cell := row.cells.get("clear"):
        if cell not in _CLEAR:
            raise table.wrong(row.line, f"'clear' is {cell[:70]!r} and must be yes or no")
        found["clear"] = _CLEAR[cell]
    elif found:
        raise table.wrong(row.line, "'clear' is empty where 'side' or 'milliseconds' is not: write yes or no")
    try:
        return msgspec.convert(found, Seen)
    except msgspec.ValidationError as error:
        raise table.wrong(row.line, f"how it was seen cannot be: {error}") from None


def _said(table: Table, row: Row, seen: Seen) -> Said:
    name = escape(os.fsencode(table.path.name))
    source: dict[str, Any] = {"file": name, "sha256": table.digest, "line": row.line}
    source |= {name: row.cells[name] for name in ("by", "when") if row.cells.get(name)}
    return Said(row.cells["sha256"], row.cells["grade"], seen, source=source)


def _graded_by(case: Case, actor: Actor, scheme: Scheme) -> dict[str, str]:
    """The grades that stand and that this actor gave."""
    rows = case.reader.execute(
        "SELECT sha256, grade FROM standing WHERE actor = ? AND scheme = ? AND grade NOT NULL",
        (actor.name, scheme.name),
    )
    return {row["sha256"]: row["grade"] for row in rows}
