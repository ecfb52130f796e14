"""The queue of the page: what a person is shown next."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal

from mantlet.case.case import Case
from mantlet.case.queries import findings_of, known
from mantlet.types import Address, Reason

# A place in the queue: how strongly a content is known (0 is notable, 1 looks notable, 2 nothing known, 3 is benign),
# then its stack. The strongest member ranks the whole stack, so that look-alikes stay together.
_PLACES: Final = """
    SELECT c.sha256, c.kind, c.mime, coalesce(t.stack, c.sha256) AS stack,
        coalesce(k.rank, 2) || ' ' || coalesce(t.stack, c.sha256) || ' ' || c.sha256 AS place
    FROM content c LEFT JOIN stack t USING (sha256) LEFT JOIN (
        SELECT coalesce(t.stack, m.sha256) AS stack, min(
            CASE WHEN how IN ('pdq', 'frames') THEN iif(status = 'notable', 1, 2)
            ELSE CASE status WHEN 'notable' THEN 0 WHEN 'benign' THEN 3 ELSE 2 END END
        ) AS rank
        FROM match m LEFT JOIN stack t USING (sha256) GROUP BY 1
    ) k ON k.stack = coalesce(t.stack, c.sha256)
"""


def tally(case: Case) -> dict[str, int]:
    """Distinct contents to grade, previews among them, and how many are graded."""
    read = case.reader.execute
    return {
        "contents": read("SELECT count(*) FROM content").fetchone()[0],
        "graded": read("SELECT count(*) FROM standing WHERE grade NOT NULL").fetchone()[0],
    }


_SEEK: Final = {"after": (">", ""), "from": (">=", ""), "before": ("<", "DESC")}


def read(
    case: Case, place: str, most: int, *, ungraded_only: bool, seek: Literal["after", "from", "before"] = "after"
) -> list[dict[str, Any]]:
    """At most `most` contents to grade, in the order of the queue, next to a place in it ("": before the first).

    Each carries its own place, so that the page can go on from there while the scan still adds.
    """
    compare, order = _SEEK[seek]
    rows = case.reader.execute(
        f"""
        SELECT p.*, s.grade, s.basis, s.actor FROM ({_PLACES}) p LEFT JOIN standing s USING (sha256)
        WHERE p.place {compare} :place AND (s.grade IS NULL OR NOT :ungraded) ORDER BY p.place {order} LIMIT :most
        """,  # noqa: S608 - constants of this file
        {"ungraded": ungraded_only, "place": place, "most": most},
    ).fetchall()
    found = [_queued(case, row) for row in rows]
    return found[::-1] if order else found


def place_in_queue(case: Case, sha256: str) -> str | None:
    """Where a content stands in the queue; None where the case has no such content."""
    row = case.reader.execute(f"SELECT place FROM ({_PLACES}) WHERE sha256 = ?", (sha256,)).fetchone()  # noqa: S608
    return row["place"] if row else None


def _queued(case: Case, row: Any) -> dict[str, Any]:
    found, _, absent = findings_of(case, row["sha256"])
    places = case.reader.execute(
        "SELECT address, recovery, containment, place FROM item WHERE sha256 = ? ORDER BY address",
        (row["sha256"],),
    ).fetchall()
    first = places[0] if places else None
    return {
        **{name: row[name] for name in ("sha256", "kind", "mime", "grade", "basis", "place", "stack")},
        "graded_by": row["actor"] if row["grade"] else None,
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
