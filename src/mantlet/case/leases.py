"""Who sees which stack next: each is lent to one officer for a time, so that two never get the same.

A lease is an entry of the exposure chain. It ends when nothing of the stack is left to be seen, by time, or when the
officer hands it back, for which no reason is asked; what was handed back comes to that officer again only when nothing
else is left.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from mantlet.case import opinions, queue
from mantlet.case.case import Case, Change
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.governance.ledger import now

LONGEST: Final = 24 * 60
"""Minutes of the longest lease."""
MOST: Final = 100
"""Stacks that are lent at once, and contents of one that are told."""

_FREE: Final = (
    "stack NOT IN (SELECT stack FROM lease WHERE actor != :actor) "
    "AND stack NOT IN (SELECT value FROM json_each(:but)) ORDER BY place LIMIT 1"
)
_TO_SEE: Final = f"SELECT place, stack FROM queue WHERE state = 1 AND {_FREE}"  # noqa: S608 - our own words
_AGAIN: Final = f"SELECT place, stack FROM queue WHERE sha256 IN (SELECT value FROM json_each(:again)) AND {_FREE}"  # noqa: S608


class Stack(msgspec.Struct, frozen=True):
    """What an officer is to see together: why it comes now, until when it is theirs (RFC 3339), how many contents are
    in it and how many of them are to be seen; and those, at most `MOST`, as `queue.told`."""

    stack: str
    why: str
    until: str
    contents: int
    to_see: int
    told: list[dict[str, Any]]


def next_stacks(case: Case, actor: Actor, minutes: int, count: int = 1) -> list[Stack]:
    """The first stacks of the queue with something to see for this officer that nobody else has; fewer where there are
    fewer. Asked again before they are graded, it gives the same ones for `minutes` from now.

    Raises:
        UsageError: a lease so long, or so many at once, are not given.
    """
    if not 1 <= minutes <= LONGEST or not 1 <= count <= MOST:
        raise UsageError(f"A lease is for 1 to {LONGEST:,} minutes, of 1 to {MOST} stacks.")
    again = frozenset(opinions.wanted(case, actor))
    returned = _handed_back(case, actor)
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    lent: dict[str, str] = {}
    with case.change(actor) as change:
        change.tx.execute("DELETE FROM lease WHERE until <= ?", (now(),))
        while len(lent) < count:
            found = _first(change, actor, again, [*lent, *returned]) or _first(change, actor, again, [*lent])
            if found is None:
                break
            stack, place = found
            change.tx.execute("INSERT OR REPLACE INTO lease VALUES (?,?,?)", (stack, actor.name, until))
            lent[stack] = place
        change.record("leased", {"stacks": list(lent), "until": until}, chain="exposure")
    return [_stack(case, place, until, again) for place in lent.values()]


def hand_back(case: Case, actor: Actor) -> int:
    """Gives back all that the officer has; how many stacks."""
    mine = [
        row["stack"]
        for row in case.reader.execute("SELECT stack FROM lease WHERE actor = ? AND until > ?", (actor.name, now()))
    ]
    if mine:
        with case.change(actor) as change:
            change.tx.executemany(
                "DELETE FROM lease WHERE stack = ? AND actor = ?", ((stack, actor.name) for stack in mine)
            )
            change.record("handed back", {"stacks": mine}, chain="exposure")
    return len(mine)


def _handed_back(case: Case, actor: Actor) -> list[str]:
    rows = case.reader.execute(
        "SELECT payload FROM ledger WHERE chain = 'exposure' AND kind = 'handed back' AND actor = ?", (actor.name,)
    )
    return [stack for row in rows if row["payload"] for stack in json.loads(row["payload"])["stacks"]]


def _first(change: Change, actor: Actor, again: Collection[str], but: list[str]) -> tuple[str, str] | None:
    """The stack and place of the first content that this officer is to see, but for some stacks."""
    values = {"actor": actor.name, "but": json.dumps(but), "again": json.dumps(list(again))}
    rows = [change.tx.execute(query, values).fetchone() for query in (_TO_SEE, _AGAIN)]
    found = min((row for row in rows if row is not None), key=lambda row: row["place"], default=None)
    return (found["stack"], found["place"]) if found else None


def _stack(case: Case, place: str, until: str, again: Collection[str]) -> Stack:
    members = queue.members(case, place)
    to_see = [row for row in members if row["state"] == queue.TO_SEE or row["sha256"] in again]
    told = [queue.told(case, row, blind=True) for row in to_see[:MOST]]
    return Stack(members[0]["stack"], queue.WHY[int(place[0])], until, len(members), len(to_see), told)
