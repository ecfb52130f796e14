"""What was shown to whom: the exposure chain of the ledger, written and read, and what the case was spared.

The page records that a picture was shown before it sends a pixel of it, and how long it was clear when it is hidden.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from mantlet.case.case import Case
from mantlet.case.decisions import Seen
from mantlet.governance import policy
from mantlet.governance.keys import Actor
from mantlet.grading import exposure, scheme
from mantlet.grading.exposure import Look


def exposed(case: Case, actor: Actor, sha256: str, seen: Seen) -> None:
    """Records that a content was shown, in the exposure chain."""
    _record(case, actor, "shown", sha256, seen)


def hidden(case: Case, actor: Actor, sha256: str, seen: Seen) -> None:
    """Records that a content that was shown is hidden again, after how many milliseconds, in the exposure chain."""
    _record(case, actor, "hidden", sha256, seen)


def _record(case: Case, actor: Actor, kind: str, sha256: str, seen: Seen) -> None:
    with case.change(actor) as change:
        change.record(kind, {"sha256": sha256, **msgspec.to_builtins(seen)}, chain="exposure")


def looks(case: Case) -> list[Look]:
    """Every look, in the order in which they began, with the grade that followed each.

    Those that Mantlet showed are of the exposure chain: clear ones as they were recorded, and each content that was
    graded from its veiled tile as one veiled look. Those that an import tells of are `stated`, by the officer and the
    time that it names. An entry whose payload was withheld says nothing of how or how long, and is left out.
    """
    graded = _Graded(case)
    found = (graded.joined(look) for look in (*_shown(case), *graded.looks()))
    return sorted(found, key=lambda look: (look.at, look.officer, look.sha256))


def _withheld(case: Case) -> int:
    """How many looks there were of which nothing more is to be read, their payload having been withheld or erased."""
    query = "SELECT count(*) FROM ledger WHERE chain = 'exposure' AND kind = 'shown' AND payload IS NULL"
    count: int = case.reader.execute(query).fetchone()[0]
    return count


def _shown(case: Case) -> list[Look]:
    """What the exposure chain tells of. What hides a picture speaks of the last time the officer opened it: a message
    that comes late is joined to another look at the same picture, which leaves every total as it is."""
    found: list[Look] = []
    opened: dict[tuple[str, str], list[int]] = {}
    rows = case.reader.execute(
        "SELECT at, actor, kind, payload FROM ledger "
        "WHERE chain = 'exposure' AND kind IN ('shown', 'hidden') AND payload NOT NULL ORDER BY seq"
    )
    for row in rows:
        said = json.loads(row["payload"])
        waiting = opened.setdefault((row["actor"], said["sha256"]), [])
        if row["kind"] == "shown":
            waiting.append(len(found))
            at = datetime.fromisoformat(row["at"])
            found.append(Look(at, row["actor"], said["sha256"], said["side"], said["clear"], None))
        elif waiting:  # a second message that the same look has ended is the first one sent again
            number = waiting.pop()
            changes = {"side": said["side"] or found[number].side, "milliseconds": said["milliseconds"]}
            found[number] = msgspec.structs.replace(found[number], **changes)
    return found


class _Graded:
    """The grades that were given by a look."""

    def __init__(self, case: Case) -> None:
        self._rows = list(_viewed(case))
        self._targets: dict[str, tuple[str, ...]] = {}
        self._standing: dict[tuple[str, str], list[sqlite3.Row]] = {}
        for row in self._rows:
            if not row["undone"]:
                self._standing.setdefault((row["sha256"], row["actor"]), []).append(row)

    def looks(self) -> Iterator[Look]:
        """Those that only the decisions tell of, the ones that were taken back too: what was seen was seen. A table
        that is imported again tells of no other look."""
        told: set[tuple[str, str]] = set()
        for row in self._rows:
            seen = msgspec.json.decode(row["seen"], type=Seen)
            if seen == Seen() or not (row["source"] or not seen.clear):
                continue
            if row["source"] is None or (row["sha256"], row["source"]) not in told:
                yield self._look(row, seen)
            told.add((row["sha256"], row["source"]))

    def _look(self, row: sqlite3.Row, seen: Seen) -> Look:
        untimed = seen.clear and not seen.milliseconds
        look = Look(
            at=_time(_source(row).get("when")) or datetime.fromisoformat(row["at"]),
            officer=_officer(row),
            sha256=row["sha256"],
            side=seen.side or None,
            clear=seen.clear,
            milliseconds=None if untimed else seen.milliseconds,
            stated=bool(row["source"]),
        )
        return look if row["undone"] else self._with(look, row)

    def joined(self, look: Look) -> Look:
        """The look with the first grade, of those not taken back, that the officer gave the content from then on."""
        if look.stated:
            return look
        rows = self._standing.get((look.sha256, look.officer), ())
        later = next((row for row in rows if datetime.fromisoformat(row["at"]) >= look.at), None)
        return look if later is None else self._with(look, later)

    def _with(self, look: Look, row: sqlite3.Row) -> Look:
        if row["scheme"] not in self._targets:
            self._targets[row["scheme"]] = scheme.load(row["scheme"]).targets
        target = row["grade"] in self._targets[row["scheme"]]
        return msgspec.structs.replace(look, grade=row["grade"], target=target)


def _viewed(case: Case) -> sqlite3.Cursor:
    return case.reader.execute(
        "SELECT sha256, actor, at, scheme, grade, seen, source, "
        "EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id) AS undone "
        "FROM decision d WHERE basis = 'viewed' AND undoes IS NULL ORDER BY id"
    )


def _source(row: sqlite3.Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["source"] or "{}")
    return found


def _officer(row: sqlite3.Row) -> str:
    """Who looked: whom an import names, else who made the decision."""
    return str(_source(row).get("by") or row["actor"])


def _time(text: Any) -> datetime | None:
    """A time as an import states it; None where that is no time with a zone, in the years 1970 to 2999."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo and 1970 <= at.year < 3000 else None


def everybody(case: Case, sampling: int = 0) -> dict[str, Any]:
    """The totals of all officers, with the fields of `docs/reference.md`; no content is named. Days are those of
    `exposure_zone` in the policy. `sampling`: how many ungraded contents valid certificates speak for."""
    rules, every = policy.load(), looks(case)
    return {"officers": _each(every, lambda look: look.officer), **_figures(case, rules, every, every, sampling)}


def own(case: Case, officer: str, now: datetime, sampling: int = 0) -> dict[str, Any]:
    """One officer's totals, likewise, how that stands by the force's rules at a moment, and each look."""
    rules, every = policy.load(), looks(case)
    mine = [look for look in every if look.officer == officer]
    today = exposure.state(mine, rules, now)
    return {"officer": officer, "today": today, **_figures(case, rules, every, mine, sampling), "looks": mine}


def _figures(case: Case, rules: policy.Policy, every: list[Look], own: list[Look], sampling: int) -> dict[str, Any]:
    zone = ZoneInfo(rules.exposure_zone)
    return {
        "zone": rules.exposure_zone,
        "total": _parted(own),
        "days": _each(own, lambda look: exposure.day(look.at, zone)),
        "withheld": _withheld(case),
        "avoided": _avoided(case, every, sampling),
    }


def _parted(found: list[Look]) -> dict[str, exposure.Total]:
    """What Mantlet showed, and what imports tell of."""
    return {
        "shown": exposure.total(look for look in found if not look.stated),
        "stated": exposure.total(look for look in found if look.stated),
    }


def _each(found: list[Look], by: Callable[[Look], str]) -> dict[str, dict[str, exposure.Total]]:
    parted: dict[str, list[Look]] = {}
    for look in found:
        parted.setdefault(by(look), []).append(look)
    return {key: _parted(parted[key]) for key in sorted(parted)}


def _avoided(case: Case, every: list[Look], sampling: int) -> exposure.Avoided:
    read = case.reader.execute
    carried = "SELECT sha256 FROM standing WHERE grade NOT NULL AND basis = ?"
    return exposure.avoided(
        items=read("SELECT count(*) FROM item").fetchone()[0],
        contents=read("SELECT count(*) FROM content").fetchone()[0],
        looks=every,
        graded=((row["sha256"], _officer(row)) for row in _viewed(case) if not row["undone"]),
        known=(row["sha256"] for row in read(carried, ("known",))),
        near_copy=(row["sha256"] for row in read(carried, ("propagated",))),
        sampling=sampling,
    )
