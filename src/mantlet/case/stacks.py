"""Stacks: which contents look the same, why, and what people split and joined.

The tables `stack` and `alike` are derived: a match makes them anew, and a person's act changes them at once, for the
stacks that it touches. What people did is append-only (`stacking`), each act in the ledger, and is done again in its
order on what the hashes say.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np

from mantlet import settings
from mantlet.case import appended, queue
from mantlet.case.case import Case
from mantlet.errors import UsageError
from mantlet.fingerprint import FORMS
from mantlet.governance import ledger
from mantlet.governance.keys import Actor
from mantlet.grading.stacks import Act, Connected, Looks, connected
from mantlet.types import Address

MOST: Final = 10_000
"""Contents that one act names."""
_SHORTEST: Final = 8
_VIEWS: Final = ("upright", *FORMS)
_BY_PERSON: Final = "person"


class Join(msgspec.Struct, frozen=True):
    """Why a content is in a stack. `how`: "pdq", that one of the two looks like the other, in that `view` of it, at so
    many bits of 256; "frames", the same of a key frame of a clip; "person", that a person joined them (view and
    distance None)."""

    to: str
    how: str
    view: str | None
    distance: int | None


class Member(msgspec.Struct, frozen=True):
    """A content of a stack. `name`: of its first address, None where it has none. `joined`: to one that is nearer to
    the first of the stack, which itself has none."""

    sha256: str
    name: str | None
    kind: str
    grade: str | None
    basis: str | None
    joined: Join | None


class Stack(msgspec.Struct, frozen=True):
    """Contents that look the same, the first in the order of SHA-256 first. `finished`: False where so many contents of
    the case look alike that not all were compared: then more may belong here."""

    stack: str
    members: list[Member]
    finished: bool


class _Built(msgspec.Struct, frozen=True):
    """`names`: SHA-256 of the contents in order; `found`: how they are connected; `moving`: numbers of the clips;
    `last`: the last act that is in it."""

    names: list[str]
    found: Connected
    moving: set[int]
    last: int

    def stacks(self) -> dict[str, str]:
        return {name: self.names[first] for name, first in zip(self.names, self.found.first.tolist(), strict=True)}

    def joins(self) -> list[tuple[str, str, str, str | None, int | None]]:
        names, ties = self.names, self.found.ties.tolist()
        looks = [
            (names[one], names[other], "frames" if {one, other} & self.moving else "pdq", _VIEWS[view], bits)
            for one, other, view, bits in self.found.joins.tolist()
        ]
        return [*looks, *((names[one], names[other], _BY_PERSON, None, None) for one, other in ties)]


def rebuild(case: Case) -> None:
    """Makes the stacks anew from all hashes and acts of the case; stored only where that changes something."""
    built = _built(case.reader, None)
    if not _changed(case.reader, built, None)[1] and finished(case) == built.found.finished:
        return
    with case.change() as change:
        _store(change.tx, built, None)
        stacks = int(np.sum(built.found.first == np.arange(len(built.names))))
        about = {"contents": len(built.names), "stacks": stacks, "distance": settings.PDQ_DISTANCE}
        change.record("stacked", {**about, "finished": built.found.finished})
        later = change.tx.execute("SELECT contents FROM stacking WHERE id > ?", (built.last,)).fetchall()
        if later:
            _rebuild_touched(change.tx, {sha256 for row in later for sha256 in json.loads(row["contents"])})


def finished(case: Case) -> bool:
    """Whether all contents were compared when the stacks were last made."""
    row = case.reader.execute(
        "SELECT payload FROM ledger WHERE chain = 'case' AND kind = 'stacked' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return bool(json.loads(row["payload"]).get("finished", True)) if row and row["payload"] else True


def split(case: Case, actor: Actor, contents: Sequence[str]) -> str:
    """Makes contents a stack of their own, apart from all others that look like them, later ones too; its name.

    Raises:
        UsageError: nothing to split, not contents of the case, or too many.
    """
    return _act(case, actor, "split", contents)


def join(case: Case, actor: Actor, contents: Sequence[str]) -> str:
    """Makes the stacks of contents one stack; its name.

    Raises:
        UsageError: as `split`.
    """
    return _act(case, actor, "join", contents)


def stack_of(case: Case, sha256: str) -> Stack:
    """The stack that a content is in, alone where nothing looks like it.

    Raises:
        UsageError: not a content of the case.
    """
    named = case.reader.execute(
        "SELECT coalesce(t.stack, c.sha256) AS stack FROM content c LEFT JOIN stack t USING (sha256) WHERE sha256 = ?",
        (sha256,),
    ).fetchone()
    if named is None:
        raise UsageError("There is no such content in this case; `mantlet list` shows the SHA-256 of each.")
    rows = case.reader.execute(
        "SELECT c.sha256, c.kind, s.grade, s.basis, (SELECT min(address) FROM item WHERE sha256 = c.sha256) AS address "
        "FROM content c LEFT JOIN standing s USING (sha256) "
        "WHERE c.sha256 = :it OR c.sha256 IN (SELECT sha256 FROM stack WHERE stack = :it) ORDER BY c.sha256",
        {"it": named["stack"]},
    ).fetchall()
    joins = _towards(case.reader, named["stack"])
    members = [
        Member(
            row["sha256"], Address.parse(row["address"]).name if row["address"] else None, row["kind"], row["grade"],
            row["basis"] if row["grade"] else None, joins.get(row["sha256"]),
        )
        for row in rows
    ]  # fmt: skip
    return Stack(named["stack"], members, finished(case))


def content_named(case: Case, start: str) -> str:
    """The content whose SHA-256 starts so. Raises UsageError where none does, or several, or less than 8 digits say."""
    start = start.lower()
    if len(start) < _SHORTEST or not set(start) <= set("0123456789abcdef"):
        raise UsageError(f"'{start}' names no content; give at least the first {_SHORTEST} digits of a SHA-256.")
    query = "SELECT sha256 FROM content WHERE sha256 >= ? AND sha256 < ? LIMIT 2"
    found = [row["sha256"] for row in case.reader.execute(query, (start, f"{start}g"))]
    if len(found) != 1:
        many = "several contents" if found else "no content"
        raise UsageError(f"'{start}' starts the SHA-256 of {many} of this case; `mantlet list` shows each.")
    name: str = found[0]
    return name


def check(case: Case) -> None:
    """That each split and join is as its ledger entry says. Raises IntegrityError as `appended.check`."""
    appended.check(case, "stacking", "stacking", "contents")


def _act(case: Case, actor: Actor, act: Literal["split", "join"], contents: Sequence[str]) -> str:
    these = sorted(set(contents))
    if len(these) > MOST:
        raise UsageError(f"At most {MOST:,} contents are split or joined at once; take them in several steps.")
    if len(these) < (2 if act == "join" else 1):
        raise UsageError("Name the contents by the SHA-256 that `mantlet list` shows: one to split, two to join.")
    with case.change(actor) as change:
        _refuse_idle(change.tx, act, these)
        at = ledger.now()
        entry = change.record("stacking", {"act": act, "contents": these, "at": at})
        change.tx.execute(
            "INSERT INTO stacking (act, contents, actor, at, entry) VALUES (?,?,?,?,?)",
            (act, json.dumps(these), change.actor.name, at, entry),
        )
        _rebuild_touched(change.tx, these)
        name: str = change.tx.execute("SELECT stack FROM stack WHERE sha256 = ?", (these[0],)).fetchone()["stack"]
    queue.arrange(case)
    return name


def _refuse_idle(tx: sqlite3.Connection, act: str, these: Sequence[str]) -> None:
    """Raises UsageError for contents that are not in the case, and for what would change nothing."""
    rows = tx.execute(
        "SELECT sha256, coalesce(stack, sha256) AS stack FROM content LEFT JOIN stack USING (sha256) "
        "WHERE sha256 IN (SELECT value FROM json_each(?))",
        (json.dumps(these),),
    ).fetchall()
    if len(rows) < len(these):
        raise UsageError("There is no such content in this case; `mantlet list` shows the SHA-256 of each.")
    stacks = {row["stack"] for row in rows}
    if len(stacks) > 1:
        return
    if act == "join":
        raise UsageError("They are in one stack already; nothing was changed.")
    (members,) = tx.execute("SELECT count(*) FROM stack WHERE stack = ?", tuple(stacks)).fetchone()
    if members <= len(these):
        raise UsageError("They are a stack of their own already; nothing was changed.")


def _rebuild_touched(tx: sqlite3.Connection, contents: Collection[str]) -> None:
    """Makes the stacks of some contents anew."""
    rows = tx.execute(
        "SELECT sha256 FROM stack WHERE stack IN "
        "(SELECT stack FROM stack WHERE sha256 IN (SELECT value FROM json_each(?)))",
        (json.dumps(list(contents)),),
    )
    touched = {*contents, *(row["sha256"] for row in rows)}
    _store(tx, _built(tx, touched), touched)


def _built(reader: sqlite3.Connection, only: Collection[str] | None) -> _Built:
    """How the contents with hashes, and those that people acted on, are connected: all of them, or only some."""
    acts = reader.execute("SELECT id, act, contents FROM stacking ORDER BY id").fetchall()
    said = [(row["act"], json.loads(row["contents"])) for row in acts]
    acted = {sha256 for _, contents in said for sha256 in contents}
    waiting = sorted(acted if only is None else acted & set(only), reverse=True)
    names, moving = list[str](), set[int]()
    hashes, content, view = bytearray(), array("i"), bytearray()
    for sha256, name, value in _values(reader, only):
        if not names or names[-1] != sha256:
            while waiting and waiting[-1] <= sha256:
                names += [extra for extra in (waiting.pop(),) if extra != sha256]
            names.append(sha256)
        found = _hashes(name, value)
        if name == "frames":
            moving.add(len(names) - 1)
        hashes += bytes.fromhex("".join(found))
        content.extend([len(names) - 1] * len(found))
        view += bytes(range(1, 8)) if name == "pdq-forms" else bytes(len(found))
    names += reversed(waiting)
    looks = Looks(
        np.frombuffer(hashes, np.uint8).reshape(-1, 32), np.frombuffer(content, np.int32), np.frombuffer(view, np.uint8)
    )
    numbers = {name: number for number, name in enumerate(names)} if said else {}
    done = [
        Act(how, np.array([numbers[sha256] for sha256 in contents if sha256 in numbers], np.int64))
        for how, contents in said
    ]
    return _Built(names, connected(len(names), looks, acts=done), moving, acts[-1]["id"] if acts else 0)


def _values(reader: sqlite3.Connection, only: Collection[str] | None) -> sqlite3.Cursor:
    query = "SELECT sha256, name, value FROM finding WHERE name IN ('pdq', 'pdq-forms', 'frames') AND value NOT NULL "
    if only is None:
        return reader.execute(query + "ORDER BY sha256, name")
    query += "AND sha256 IN (SELECT value FROM json_each(?)) ORDER BY sha256, name"
    return reader.execute(query, (json.dumps(list(only)),))


def _hashes(name: str, value: str) -> list[str]:
    """The hashes of a finding as hex; frames too flat to mean anything are left out."""
    found: Any = msgspec.json.decode(value)
    if name == "frames":
        return [frame["pdq"] for frame in found if frame["quality"] >= settings.PDQ_QUALITY]
    return [found] if name == "pdq" else list(found)


def _changed(
    reader: sqlite3.Connection, built: _Built, only: Collection[str] | None
) -> tuple[dict[str, str], set[str]]:
    """In which stack each content is now, and the names of the stacks, old and new, whose contents are others."""
    query = "SELECT sha256, stack FROM stack"
    if only is not None:
        query += " WHERE sha256 IN (SELECT value FROM json_each(?))"
    old = dict(reader.execute(query, () if only is None else (json.dumps(list(only)),)).fetchall())
    (joins,) = reader.execute("SELECT count(*) FROM alike").fetchone()
    if only is None and joins != len(old) - len(set(old.values())):
        old = {}  # of a case from before the joins were kept
    moved = [(old.get(name), stack) for name, stack in built.stacks().items() if old.get(name) != stack]
    return old, {stack for pair in moved for stack in pair if stack is not None}


def _store(tx: sqlite3.Connection, built: _Built, only: Collection[str] | None) -> None:
    old, touched = _changed(tx, built, only)
    new = built.stacks()
    if only is None and not old:
        tx.execute("DELETE FROM stack")
        tx.execute("DELETE FROM alike")
    gone = [(name,) for name, stack in old.items() if stack in touched]
    tx.executemany("DELETE FROM stack WHERE sha256 = ?", gone)
    tx.executemany("DELETE FROM alike WHERE sha256 = ?", gone)
    tx.executemany("INSERT INTO stack VALUES (?, ?)", (pair for pair in new.items() if pair[1] in touched))
    joins = (row for row in built.joins() if new[row[0]] in touched)
    tx.executemany("INSERT INTO alike VALUES (?,?,?,?,?)", joins)


def _towards(reader: sqlite3.Connection, stack: str) -> dict[str, Join]:
    """For each content of a stack but the first, by which join it hangs on to that."""
    beside: dict[str, list[tuple[str, Join]]] = defaultdict(list)
    for row in reader.execute(
        "SELECT * FROM alike WHERE sha256 IN (SELECT sha256 FROM stack WHERE stack = ?) ORDER BY 1, 2", (stack,)
    ):
        for one, other in ((row["sha256"], row["other"]), (row["other"], row["sha256"])):
            beside[one].append((other, Join(one, row["how"], row["view"], row["distance"])))
    found: dict[str, Join] = {}
    reached = [stack]
    for at in reached:
        for other, why in beside[at]:
            if other != stack and other not in found:
                found[other] = why
                reached.append(other)
    return found
