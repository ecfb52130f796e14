"""A case against sets of known material: by digest and by perceptual hash, during a scan and whenever asked.

Needs no exhibit: what is compared are the digests and findings that the case keeps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from mantlet import settings
from mantlet.case import queue, stacks
from mantlet.case.case import Case, Change
from mantlet.fingerprint import FORMS
from mantlet.known.lookup import Look, LookUp
from mantlet.known.records import STRETCHED, WHOLE, Match
from mantlet.types import Content, Finding

_CHUNK: Final = 2000
_RULES: Final = 2
"""Raised when the same sets would know something else by other rules: then everything is matched anew."""
_LOOKS: Final = {"pdq": WHOLE, "pdq-forms": WHOLE, "frames": WHOLE, "pdq-512": STRETCHED}
"""The findings that are looked up, and the convention of each."""


class Matcher:
    """Looks contents up in some sets. `digest` names which sets in which versions, by which convention each, and
    whom the policy trusts: all that the matches depend on."""

    def __init__(self, look_up: LookUp, conventions: dict[str, str] | None = None) -> None:
        """`conventions`: of sets that do not say which they use, what was measured."""
        self.look_up = look_up
        self.chosen = look_up.chosen
        measured = conventions or {}
        self.conventions = {each.name: each.convention or measured.get(each.name, WHOLE) for each in self.chosen}
        about = [(each.name, each.version, each.status, self.conventions[each.name]) for each in self.chosen]
        trust = [look_up.policy.trusted_grades, sorted(look_up.policy.exporters)]
        text = json.dumps([_RULES, sorted(about), trust, sorted(_LOOKS)])
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]

    def __call__(self, change: Change, contents: Sequence[Content], findings: Sequence[Finding]) -> int:
        """Matches what a batch brought, within its transaction; how many of the contents are known.

        What the case had before is left to `match`: more may have been measured of it than a scan does.
        """
        looks: dict[str, list[Look]] = {}
        for finding in findings:
            looks.setdefault(finding.sha256, []).extend(_looks(finding.name, finding.value))
        query = "SELECT 1 FROM matched WHERE sha256 = ?"
        new = [each for each in contents if change.tx.execute(query, (each.sha256,)).fetchone() is None]
        return sum(self.match(change, each.sha256, each.md5, each.sha1, looks.get(each.sha256, [])) for each in new)

    def match(self, change: Change, sha256: str, md5: str, sha1: str, looks: Iterable[Look]) -> bool:
        found: dict[tuple[str, int, str], Match] = {}
        for each in (*self.look_up.exact(md5, sha1, sha256), *self.look_up.near(looks, self.conventions)):
            found.setdefault((each.set, each.record, each.how), each)
        for known in self.chosen:
            change.tx.execute("DELETE FROM match WHERE sha256 = ? AND set_name = ?", (sha256, known.name))
        change.tx.executemany(
            "INSERT INTO match VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                (
                    sha256, m.set, m.version, m.record, m.how, m.view, m.distance, m.category, m.status, m.severity,
                    m.convention, m.trusted,
                )
                for m in found.values()
            ),
        )  # fmt: skip
        change.tx.execute("INSERT OR REPLACE INTO matched VALUES (?, ?)", (sha256, self.digest))
        return bool(found)


def _looks(name: str, value: object) -> list[Look]:
    """The perceptual hashes of a finding; frames too flat to mean anything are left out."""
    convention = _LOOKS.get(name)
    if convention is None or value is None:
        return []
    if isinstance(value, str):
        return [Look("pdq", "upright", convention, bytes.fromhex(value))]
    assert isinstance(value, list)  # noqa: S101 - as `engine.messages` lets them in
    if name == "frames":
        usable = [frame for frame in value if frame["quality"] >= settings.PDQ_QUALITY]
        return [Look("frames", "upright", convention, bytes.fromhex(frame["pdq"])) for frame in usable]
    views = ("upright", *FORMS)[-len(value) :]
    return [Look("pdq", view, convention, bytes.fromhex(form)) for view, form in zip(views, value, strict=True)]


def looks_of(case: Case, sha256: str) -> list[Look]:
    """The perceptual hashes that the case keeps of a content."""
    rows = case.reader.execute("SELECT name, value FROM finding WHERE sha256 = ? AND value NOT NULL", (sha256,))
    return [look for name, value in rows if name in _LOOKS for look in _looks(name, json.loads(value))]


def match(case: Case, matcher: Matcher, progress: Callable[[int], None] = lambda _: None) -> dict[str, int]:
    """Matches every content not yet matched with these very sets, rebuilds the stacks and brings the queue into order.

    Stored only where it changes something, so that a second run leaves the case as it is.
    """
    rows = case.reader.execute(
        "SELECT sha256, md5, sha1 FROM content LEFT JOIN matched USING (sha256) WHERE sets IS NOT ? ORDER BY sha256",
        (matcher.digest,),
    ).fetchall()
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        with case.change() as change:
            for row in chunk:
                matcher.match(change, row["sha256"], row["md5"], row["sha1"], looks_of(case, row["sha256"]))
            sets = {known.name: known.version for known in matcher.chosen}
            change.record("matched", {"contents": len(chunk), "sets": sets, "conventions": matcher.conventions})
        progress(len(chunk))
    _note_sets(case, matcher)
    stacks.rebuild(case)
    queue.arrange(case)
    counted = case.reader.execute(
        "SELECT status, how NOT IN ('pdq', 'frames') AS exact, count(DISTINCT sha256) FROM match "
        "WHERE set_name IN (SELECT value FROM json_each(?)) GROUP BY 1, 2",
        (json.dumps([known.name for known in matcher.chosen]),),
    )
    counts = {f"{status} {'exact' if exact else 'near'}": number for status, exact, number in counted}
    return {"contents": len(rows), **counts}


def _looked_in(case: Case) -> dict[str, Any]:
    """What the last entry of a match in the ledger says; {} where there is none."""
    last = case.reader.execute(
        "SELECT payload FROM ledger WHERE chain = 'case' AND kind = 'matched' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    said: dict[str, Any] = json.loads(last["payload"]) if last and last["payload"] else {}
    return said


def _note_sets(case: Case, matcher: Matcher) -> None:
    """Keeps in which sets was looked, where a scan did all the work or nothing was left to do."""
    sets = {known.name: known.version for known in matcher.chosen}
    said = _looked_in(case)
    if sets and (said.get("sets"), said.get("conventions")) != (sets, matcher.conventions):
        with case.change() as change:
            change.record("matched", {"contents": 0, "sets": sets, "conventions": matcher.conventions})


def sets_used(case: Case) -> list[dict[str, Any]]:
    """Matches by set, version, way and category of the set: distinct contents; and the sets of the last match that
    know nothing here (`how` None)."""
    rows = case.reader.execute(
        'SELECT set_name AS "set", version, status, how, category, count(DISTINCT sha256) AS count FROM match '
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY status != 'notable', status, set_name, min(severity) IS NULL, min(severity), "
        "category, how"
    )
    found = [dict(row) for row in rows]
    looked_in = _looked_in(case).get("sets", {})
    nothing = {"status": None, "how": None, "category": None, "count": 0}
    there = {row["set"] for row in found}
    return [*found, *({"set": name, "version": looked_in[name], **nothing} for name in looked_in if name not in there)]


def overlap(case: Case, look_up: LookUp, name: str) -> Iterator[tuple[str, list[bytes]]]:
    """Contents with a PDQ that a set (by name) knows by digest, and the PDQ of each such record that has one."""
    rows = case.reader.execute(
        "SELECT sha256, md5, sha1 FROM content JOIN finding f USING (sha256) "
        "WHERE f.name = 'pdq' AND f.value NOT NULL ORDER BY sha256"
    )
    for row in rows:
        if hashes := look_up.perceptual(name, row["md5"], row["sha1"], row["sha256"]):
            yield row["sha256"], hashes


def lacking(case: Case, name: str) -> Iterator[str]:
    """Contents that have a PDQ and lack a finding."""
    rows = case.reader.execute(
        "SELECT sha256 FROM finding f WHERE name = 'pdq' AND value NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM finding WHERE sha256 = f.sha256 AND name = ?) ORDER BY sha256",
        (name,),
    )
    return (row["sha256"] for row in rows)


def has_frames(case: Case) -> bool:
    """Whether any clip has key frames to compare."""
    query = "SELECT 1 FROM finding WHERE name = 'frames' AND value NOT NULL LIMIT 1"
    return case.reader.execute(query).fetchone() is not None
