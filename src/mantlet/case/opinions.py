"""Second opinions: targets that another officer is to grade too, blind to the first, and where officers differ.

Of each officer the last grade by a look counts that they have not taken back. A content is disputed while two officers
differ and no third has graded it; when one comes round, or a third has spoken, the last decision stands as any other.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from mantlet.case.case import Case
from mantlet.governance import policy
from mantlet.governance.keys import Actor
from mantlet.grading import queueing
from mantlet.grading import scheme as schemes

_LAST: Final = """
    SELECT d.sha256, d.actor, d.scheme, d.grade, d.at FROM decision d WHERE d.id IN (
        SELECT max(id) FROM decision o WHERE {} AND basis = 'viewed' AND undoes IS NULL
        AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = o.id) GROUP BY sha256, actor
    ) ORDER BY d.sha256, d.id
"""
"""The last word of each officer on each content, in the order in which they were said."""


def wanted(case: Case, actor: Actor) -> list[str]:
    """The contents on which this officer's opinion is wanted, by the policy of the force: of the targets that one other
    officer graded, the share that the lots of the case pick; and of those picked, what two others dispute."""
    share = policy.load().second_opinions
    if not share:
        return []
    picked = case.reader.execute(
        "SELECT sha256 FROM queue WHERE state = 2 AND lot >= ?", (round((1 - share) * queueing.LOTS),)
    ).fetchall()
    load = functools.cache(schemes.load)
    found = []
    for sha256, words in _words(case, [row["sha256"] for row in picked]):
        others = [word for word in words if word["actor"] != actor.name]
        if len(others) < len(words):
            continue
        second = len(others) == 1 and others[0]["grade"] in load(others[0]["scheme"]).targets
        if second or _is_disputed(words):
            found.append(sha256)
    return found


def disputed(case: Case) -> list[dict[str, Any]]:
    """What two officers grade differently, and no third has graded: `sha256`, and `grades`, each with `actor`, `grade`
    and `at`, the last one, which stands, last."""
    fields = ("actor", "grade", "at")
    return [
        {"sha256": sha256, "grades": [{name: word[name] for name in fields} for word in words]}
        for sha256, words in _words(case)
        if _is_disputed(words)
    ]


def _is_disputed(words: Sequence[Any]) -> bool:
    return len(words) == len({word["grade"] for word in words}) == 2


def _words(case: Case, contents: Sequence[str] | None = None) -> list[tuple[str, list[Any]]]:
    """The last words on all contents, or some, by content."""
    which = "1" if contents is None else "sha256 IN (SELECT value FROM json_each(:contents))"
    rows = case.reader.execute(_LAST.format(which), {"contents": json.dumps(contents)})
    return [(sha256, list(words)) for sha256, words in groupby(rows.fetchall(), key=lambda row: row["sha256"])]
