"""What people say of contents beside their grades: append-only, each time all of it, each in the ledger.

The last marks on a content count, and are those of every exact copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from mantlet.case import appended
from mantlet.case.case import Case
from mantlet.errors import UsageError, plain
from mantlet.governance import ledger
from mantlet.governance.keys import Actor
from mantlet.grading.marks import Marks
from mantlet.grading.scheme import Scheme


class Marked(msgspec.Struct, frozen=True):
    """The marks that count of a content, and who said so, when; both None where nobody has said anything."""

    sha256: str
    marks: Marks = Marks()
    actor: str | None = None
    at: str | None = None


class Escalated(msgspec.Struct, frozen=True):
    """A content on the escalation list: its first address (None where it has none), and who put it there, when."""

    sha256: str
    address: str | None
    actor: str
    at: str


def mark(case: Case, actor: Actor, scheme: Scheme, sha256: str, said: Mapping[str, Any]) -> Marked:
    """Changes the marks of a content that `said` names (fields of `Marks`) and leaves the others as they are: two
    officers who mark one content at once lose nothing of each other.

    Raises:
        UsageError: not a content of the case, or not marks (see `Marks`).
    """
    with case.change(actor) as change:
        before = _last(change.tx, sha256).marks
        try:
            marks = msgspec.convert({**msgspec.to_builtins(before), **said}, Marks)
        except msgspec.ValidationError as error:
            raise UsageError(f"These are no marks: {plain(error)}; correct them.") from error
        marks.check(scheme)
        at = ledger.now()
        payload = {"sha256": sha256, "marks": msgspec.to_builtins(marks), "at": at}
        entry = change.record("marks", payload)
        change.tx.execute(
            "INSERT INTO marking (sha256, marks, actor, at, entry) VALUES (?,?,?,?,?)",
            (sha256, msgspec.json.encode(marks).decode(), change.actor.name, at, entry),
        )
    return Marked(sha256, marks, change.actor.name, at)


def marks_of(case: Case, sha256: str) -> Marked:
    """The marks that count of a content; empty ones where nobody has said anything.

    Raises:
        UsageError: not a content of the case.
    """
    return _last(case.reader, sha256)


def escalated(case: Case) -> list[Escalated]:
    """The contents whose last marks say that somebody shown is at risk now, longest there first; with who said so
    first, since it was last not so."""
    rows = case.reader.execute(
        """
        WITH said AS (
            SELECT id, sha256, actor, at, json_extract(marks, '$.at_risk_now') AS risk,
                max(id) FILTER (WHERE NOT json_extract(marks, '$.at_risk_now')) OVER (PARTITION BY sha256) AS calm
            FROM marking
        )
        SELECT sha256, (SELECT min(address) FROM item WHERE item.sha256 = m.sha256) AS address, actor, at
        FROM marking m WHERE id IN (SELECT min(id) FROM said WHERE risk AND id > coalesce(calm, 0) GROUP BY sha256)
        ORDER BY id
        """
    )
    return [Escalated(*row) for row in rows]


def check(case: Case) -> None:
    """That each marking is as its ledger entry says. Raises IntegrityError as `appended.check`."""
    appended.check(case, "marking", "marks", "marks")


def _last(reader: sqlite3.Connection, sha256: str) -> Marked:
    if reader.execute("SELECT 1 FROM content WHERE sha256 = ?", (sha256,)).fetchone() is None:
        raise UsageError("There is no such content in this case; `mantlet list` shows the SHA-256 of each.")
    query = "SELECT sha256, marks, actor, at FROM marking WHERE sha256 = ? ORDER BY id DESC LIMIT 1"
    row = reader.execute(query, (sha256,)).fetchone()
    if row is None:
        return Marked(sha256)
    return Marked(row["sha256"], msgspec.json.decode(row["marks"], type=Marks), row["actor"], row["at"])
