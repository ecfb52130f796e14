"""The queue: in which order contents are seen, stacks together, and what is still to be seen.

The table is derived. A scan puts what it finds at the end of what it ranks with; a match, a look by a model and a
carry-over bring all of it into order; what is still to be seen follows each decision by itself (`schema`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case import allowed, predictions
from mantlet.case.case import Case, Change
from mantlet.case.queries import findings_of, known, scheme_in_use
from mantlet.grading import queueing
from mantlet.grading import scheme as schemes
from mantlet.grading.queueing import BENIGN, CONFLICT, KNOWN, LOOKS_KNOWN, PROVISIONAL, REST
from mantlet.recognise.manifest import SCORES
from mantlet.types import Address, Reason

TO_SEE, SEEN = 1, 2
"""States of a content: nobody has looked at it who should; a person graded it by a look. 0: neither."""
WHY: Final = {
    CONFLICT: "grades that it could take over disagree",
    KNOWN: "known notable",
    PROVISIONAL: "its grade is provisional",
    LOOKS_KNOWN: "looks like what is known notable",
    REST: "next in the order of the queue",
    BENIGN: "known benign",
}
"""Why a stack comes when it does. Of what was drawn at random nothing else is said than of what a model ranked."""
_LATER: Final = "99999999"
_MATCHED: Final = f"""
    SELECT sha256, min(
        CASE WHEN how IN ('pdq', 'frames') THEN iif(status = 'notable', {LOOKS_KNOWN}, {REST})
        ELSE CASE status WHEN 'notable' THEN {KNOWN} WHEN 'benign' THEN {BENIGN} ELSE {REST} END END
    ) AS rank FROM match
"""  # noqa: S608 - our own numbers
_CONTENTS: Final = f"""
    SELECT c.sha256, coalesce(t.stack, c.sha256) AS stack, k.rank, u.sha256 NOT NULL AS unsettled, s.grade, s.basis,
        q.stack AS old_stack, q.place, q.state, q.lot
    FROM content c LEFT JOIN stack t USING (sha256) LEFT JOIN ({_MATCHED} GROUP BY sha256) k USING (sha256)
    LEFT JOIN unsettled u USING (sha256) LEFT JOIN standing s USING (sha256) LEFT JOIN queue q USING (sha256)
    ORDER BY c.sha256
"""  # noqa: S608 - our own words


def seed(case: Case) -> bytes:
    """What lots are drawn by: SHA-256 of the name under which the case was made, which its ledger holds."""
    return hashlib.sha256(f"mantlet queue {case.id}".encode()).digest()


def extend(case: Case, change: Change, contents: Iterable[str]) -> None:
    """Puts new contents into the queue, within the transaction that stores and matches them."""
    own = seed(case)
    for sha256 in contents:
        rank = change.tx.execute(f"{_MATCHED} WHERE sha256 = ?", (sha256,)).fetchone()["rank"]
        place = f"{REST if rank is None else rank} {_LATER} {sha256} {sha256}"
        row = (sha256, sha256, place, TO_SEE, queueing.lot(own, bytes.fromhex(sha256)))
        change.tx.execute("INSERT OR IGNORE INTO queue VALUES (?,?,?,?,?)", row)


def arrange(case: Case) -> None:
    """Brings the whole queue into order; stored, with an entry in the ledger, only where that changes it. Whoever else
    changes the case waits meanwhile: a grade that came in between would be seen as missing."""
    with suppress(_InOrderError), case.change() as change:
        rows = case.reader.execute(_CONTENTS).fetchall()
        new = _ordered(case, rows)
        changed = [row for row, old in zip(new, rows, strict=True) if row[1:] != tuple(old)[-4:]]
        if not changed:
            raise _InOrderError  # which leaves the case, and its ledger, as they are
        change.tx.executemany("DELETE FROM queue WHERE sha256 = ?", ((row[0],) for row in changed))
        change.tx.executemany("INSERT INTO queue VALUES (?,?,?,?,?)", changed)
        ranked = "sampling" in allowed.in_force(case).steps
        about = {"contents": len(new), "changed": len(changed), "ranked": ranked, "seed": seed(case).hex()}
        change.record("queue arranged", {**about, "drawn": f"1 in {queueing.EVERY}"})


class _InOrderError(Exception):
    """The queue is in order already."""


def _ordered(case: Case, rows: Sequence[sqlite3.Row]) -> list[tuple[str, str, str, int, int]]:
    """What the table is to hold, for each row of `_CONTENTS`."""
    own = seed(case)
    lots = [row["lot"] if row["lot"] is not None else queueing.lot(own, bytes.fromhex(row["sha256"])) for row in rows]
    names = {name: number for number, name in enumerate(sorted({row["stack"] for row in rows}))}
    stack = np.array([names[row["stack"]] for row in rows], np.int64)
    first = np.zeros(len(names), np.int64)
    first[stack[::-1]] = np.arange(len(rows))[::-1]  # a stack has the lot of the first content in it
    rank = np.array([_rank(row, lot) for row, lot in zip(rows, lots, strict=True)], np.int64)
    places, why = queueing.places(stack, rank, _scores(case, rows), np.array(lots, np.int64)[first])
    found, members = [], Counter[int]()
    for row, lot, of in zip(rows, lots, stack.tolist(), strict=True):
        place = f"{why[of]} {places[of]:08} {members[of]:07}"
        members[of] += 1
        found.append((row["sha256"], row["stack"], place, _state(row, lot), lot))
    return found


def _rank(row: sqlite3.Row, lot: int) -> int:
    """Why a content brings its stack forward or back; -1: it does neither."""
    if row["unsettled"]:
        return CONFLICT
    rank = -1 if row["rank"] is None else row["rank"]
    if row["grade"] is not None and row["basis"] == "propagated" and queueing.is_drawn(lot):
        return PROVISIONAL if rank < 0 else min(PROVISIONAL, rank)
    return rank


def _state(row: sqlite3.Row, lot: int) -> int:
    if row["grade"] is None or (row["basis"] == "propagated" and queueing.is_drawn(lot)):
        return TO_SEE
    return SEEN if row["basis"] == "viewed" else 0


class _Scored(msgspec.Struct):
    """What is read of the finding "scores"."""

    scores: dict[str, float]


def _scores(case: Case, rows: Sequence[sqlite3.Row]) -> NDArray[np.float64]:
    """Of each row the highest probability that a model gives a target; NaN where none gives any, or models may not
    rank."""
    found = np.full(len(rows), np.nan)
    if "sampling" not in allowed.in_force(case).steps:
        return found
    scheme = schemes.load(scheme_in_use(case) or schemes.DEFAULT)
    number, decode = {row["sha256"]: at for at, row in enumerate(rows)}, msgspec.json.Decoder(_Scored).decode
    for settings, means in predictions.meanings(case, scheme).items():
        targets = {label for label, grades in means.items() if set(grades) & set(scheme.targets)}
        said = case.reader.execute(
            "SELECT sha256, value FROM finding WHERE name = ? AND settings = ? AND value NOT NULL", (SCORES, settings)
        )
        for row in said:
            scores = [score for label, score in decode(row["value"]).scores.items() if label in targets]
            if scores and (at := number.get(row["sha256"])) is not None:
                found[at] = np.fmax(found[at], max(scores))
    return found


def tally(case: Case) -> dict[str, int]:
    """Distinct contents to grade, previews among them, and how many are graded."""
    read = case.reader.execute
    return {
        "contents": read("SELECT count(*) FROM content").fetchone()[0],
        "graded": read("SELECT count(*) FROM standing WHERE grade NOT NULL").fetchone()[0],
    }


_ROWS: Final = "SELECT q.*, c.kind, c.mime FROM queue q JOIN content c USING (sha256)"
_SEEK: Final = {"after": (">", ""), "from": (">=", ""), "before": ("<", "DESC")}


def read(
    case: Case,
    place: str,
    most: int,
    *,
    ungraded_only: bool,
    seek: Literal["after", "from", "before"] = "after",
    again: Collection[str] = (),
) -> list[dict[str, Any]]:
    """At most `most` contents to grade, in the order of the queue, next to a place in it ("": before the first).

    Each carries its own place, so that the page can go on from there while the scan still adds. Of what is to be seen
    no grade is told, nor of those `again`, which another officer graded and this one is to grade too.
    """
    compare, order = _SEEK[seek]
    rows = case.reader.execute(
        f"{_ROWS} WHERE q.place {compare} ? {f'AND q.state = {TO_SEE}' if ungraded_only else ''} "
        f"ORDER BY q.place {order} LIMIT ?",
        (place, most),
    ).fetchall()
    if ungraded_only and again:
        also = case.reader.execute(
            f"{_ROWS} WHERE q.place {compare} ? AND q.state != ? "  # noqa: S608 - constants of this file
            "AND q.sha256 IN (SELECT value FROM json_each(?))",
            (place, TO_SEE, json.dumps(list(again))),
        )
        rows = sorted([*rows, *also], key=lambda row: row["place"], reverse=bool(order))[:most]
    found = [told(case, row, blind=row["sha256"] in again) for row in rows]
    return found[::-1] if order else found


def place_in_queue(case: Case, sha256: str) -> str | None:
    """Where a content stands in the queue; None where the case has no such content."""
    row = case.reader.execute("SELECT place FROM queue WHERE sha256 = ?", (sha256,)).fetchone()
    return row["place"] if row else None


def members(case: Case, place: str) -> list[sqlite3.Row]:
    """The rows of the stack at a place, in their order."""
    beginning = place.rpartition(" ")[0]
    return case.reader.execute(
        f"{_ROWS} WHERE q.place >= ? AND q.place < ? ORDER BY q.place", (f"{beginning} ", f"{beginning}!")
    ).fetchall()


def told(case: Case, row: sqlite3.Row, *, blind: bool = False) -> dict[str, Any]:
    """A row of the queue with what is known of the content, all but pixels; without a grade that is to be given
    again."""
    found, _, absent = findings_of(case, row["sha256"])
    places = case.reader.execute(
        "SELECT address, recovery, containment, place FROM item WHERE sha256 = ? ORDER BY address",
        (row["sha256"],),
    ).fetchall()
    first = places[0] if places else None
    stands = case.reader.execute("SELECT * FROM standing WHERE sha256 = ?", (row["sha256"],)).fetchone()
    if blind or row["state"] == TO_SEE or stands is None or stands["grade"] is None:
        stands = {"grade": None, "basis": None, "actor": None}
    return {
        **{name: row[name] for name in ("sha256", "kind", "mime", "place", "stack")},
        "grade": stands["grade"],
        "basis": stands["basis"],
        "graded_by": stands["actor"],
        "name": Address.parse(first["address"]).name if first else None,
        "address": first["address"] if first else None,
        "where": first["place"] if first else None,
        "containment": first["containment"] if first else None,
        "recovery": dict(Counter(each["recovery"] for each in places)),
        "copies": len(places),
        "duration": (found.get("media") or {}).get("duration"),
        "sound": (found.get("media") or {}).get("sound"),
        "known": known(case, row["sha256"]),
        "damaged": absent.get("media") or (absent.get("pdq") if Reason.DAMAGED in absent.get("pdq", "") else None),
    }
