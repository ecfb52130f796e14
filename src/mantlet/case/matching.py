"""A case against sets of known material: by digest and by perceptual hash, during a scan and whenever asked.

Needs no exhibit: what is compared are the digests and findings that the case keeps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from mantlet import settings
from mantlet.case.case import Case, Change
from mantlet.known.near import Near
from mantlet.known.sets import KnownSet, Match, Sets
from mantlet.types import Content, Finding

_CHUNK: Final = 2000


class Matcher:
    """Looks contents up in some sets. `digest` names which sets in which versions, and what their records are."""

    def __init__(self, sets: Sets, chosen: list[KnownSet]) -> None:
        self._sets = sets
        self.chosen = chosen
        self._near = Near(sets, chosen)
        versions = json.dumps(sorted((each.name, each.version, each.status) for each in chosen))
        self.digest = hashlib.sha256(versions.encode()).hexdigest()[:16]

    def __call__(self, change: Change, contents: Sequence[Content], findings: Sequence[Finding]) -> int:
        """Matches what a batch brought, within its transaction; how many of the contents are known."""
        hashes: dict[str, list[tuple[str, bytes]]] = {}
        for finding in findings:
            hashes.setdefault(finding.sha256, []).extend(_hashes(finding.name, finding.value))
        return sum(
            self._match(change, each.sha256, each.md5, each.sha1, hashes.get(each.sha256, [])) for each in contents
        )

    def _match(self, change: Change, sha256: str, md5: str, sha1: str, hashes: Iterable[tuple[str, bytes]]) -> bool:
        done = change.tx.execute("SELECT sets FROM matched WHERE sha256 = ?", (sha256,)).fetchone()
        if done and done["sets"] == self.digest:
            return False
        found: dict[tuple[str, int, str], Match] = {}
        for match in self._sets.exact(self.chosen, md5, sha1, sha256):
            found[match.set, match.record, match.how] = match
        for how, value in hashes:
            for match in self._near.matches(value, how):
                key = (match.set, match.record, match.how)
                if key not in found or match.distance < found[key].distance:
                    found[key] = match
        for known in self.chosen:
            change.tx.execute("DELETE FROM match WHERE sha256 = ? AND set_name = ?", (sha256, known.name))
        change.tx.executemany(
            "INSERT INTO match VALUES (?,?,?,?,?,?,?,?,?)",
            (
                (sha256, m.set, m.version, m.record, m.how, m.view, m.distance, m.category, m.status)
                for m in found.values()
            ),
        )
        change.tx.execute("INSERT OR REPLACE INTO matched VALUES (?, ?)", (sha256, self.digest))
        return bool(found)


def _hashes(name: str, value: object) -> list[tuple[str, bytes]]:
    """The perceptual hashes of a finding, with how a match by them is called; too flat ones are left out."""
    if name == "pdq" and isinstance(value, str):
        return [("pdq", bytes.fromhex(value))]
    if name == "frames" and isinstance(value, list):
        usable = [frame for frame in value if frame["quality"] >= settings.PDQ_QUALITY]
        return [("frames", bytes.fromhex(frame["pdq"])) for frame in usable]
    return []


def match(case: Case, matcher: Matcher, progress: Callable[[int], None] = lambda _: None) -> dict[str, int]:
    """Matches every content not yet matched with these very sets, and rebuilds the stacks.

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
                findings = change.tx.execute(
                    "SELECT name, value FROM finding WHERE sha256 = ? AND name IN ('pdq', 'frames') AND value NOT NULL",
                    (row["sha256"],),
                )
                hashes = [pair for name, value in findings for pair in _hashes(name, json.loads(value))]
                matcher._match(change, row["sha256"], row["md5"], row["sha1"], hashes)
            sets = {known.name: known.version for known in matcher.chosen}
            change.record("matched", {"contents": len(chunk), "sets": sets})
        progress(len(chunk))
    _stack(case)
    counted = case.reader.execute(
        "SELECT status, how != 'pdq' AND how != 'frames' AS exact, count(DISTINCT sha256) FROM match GROUP BY 1, 2"
    )
    counts = {f"{status} {'exact' if exact else 'near'}": number for status, exact, number in counted}
    return {"contents": len(rows), **counts}


def _stack(case: Case) -> None:
    """Groups contents that look the same; a stack is named by the content in it that sorts first."""
    rows = case.reader.execute(
        "SELECT sha256, value FROM finding WHERE name = 'pdq' AND value NOT NULL ORDER BY sha256"
    ).fetchall()
    hashes = np.frombuffer(b"".join(bytes.fromhex(json.loads(row["value"])) for row in rows), dtype=np.uint8)
    from mantlet.grading.stacks import stacks  # its compiler takes half a second to load

    firsts = stacks(hashes.reshape(-1, 32), settings.PDQ_DISTANCE)
    new = {row["sha256"]: rows[first]["sha256"] for row, first in zip(rows, firsts, strict=True)}
    old = dict(case.reader.execute("SELECT sha256, stack FROM stack").fetchall())
    if new == old:
        return
    with case.change() as change:
        change.tx.execute("DELETE FROM stack")
        change.tx.executemany("INSERT INTO stack VALUES (?, ?)", new.items())
        change.record(
            "stacked", {"contents": len(new), "stacks": len(set(new.values())), "distance": settings.PDQ_DISTANCE}
        )
