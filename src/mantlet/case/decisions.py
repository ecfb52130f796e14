"""What people say of contents: append-only, each in the ledger with who, when and how it was seen.

Undo is another decision: it names the one it takes back (`undoes`) and the one that stands again (`restores`), whose
grade, basis, note and author then count. A decision that was taken back stands in nobody's way: the next undo goes one
step further back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from mantlet.case.case import Case, Change
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.governance.ledger import now
from mantlet.grading.scheme import Scheme


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a content was seen when it was decided on: how many pixels the longest side had on the screen, whether it
    was clear or veiled, and for how many milliseconds clear in all."""

    side: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0
    clear: bool = False
    milliseconds: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 0


class Decision(msgspec.Struct, frozen=True):
    """A row of the record, made by `actor`. `grade` None: ungraded again. `undoes`: the decision that this one takes
    back; `restores`: the earlier one that stands again. `graded_by`: who gave the grade that now stands."""

    id: int
    sha256: str
    grade: str | None
    basis: str | None
    actor: str
    at: str
    undoes: int | None
    restores: int | None
    graded_by: str | None


class Said(msgspec.Struct, frozen=True):
    """One grade to be stored. `basis`: "viewed" by a person, "known" (taken over from a trusted record, unseen) or
    "propagated" (from a near copy: provisional until a person confirms). `source`: of what is not viewed here, from
    where it comes."""

    sha256: str
    grade: str
    seen: Seen = Seen()
    note: str = ""
    basis: Literal["viewed", "known", "propagated"] = "viewed"
    source: dict[str, Any] | None = None


def decide(case: Case, actor: Actor, scheme: Scheme, sha256: str, grade: str, seen: Seen, note: str = "") -> Decision:
    """Grades a content, and with it every exact copy.

    Raises:
        UsageError: not a grade of the scheme, or not a content of the case.
    """
    return decide_many(case, actor, scheme, [Said(sha256, grade, seen, note)])[0]


def decide_many(case: Case, actor: Actor, scheme: Scheme, said: Sequence[Said]) -> list[Decision]:
    """Stores several grades in one transaction: all of them, or none.

    Raises:
        UsageError: as `decide`.
    """
    for each in said:
        scheme.grade(each.grade)
        if case.reader.execute("SELECT 1 FROM content WHERE sha256 = ?", (each.sha256,)).fetchone() is None:
            raise UsageError("There is no such content in this case.")
    if not said:
        return []
    with case.change(actor) as change:
        return [_store(change, _words(scheme, each), each.seen) for each in said]


def carry_over(change: Change, scheme: Scheme, gone: Iterable[str], said: Iterable[Said]) -> tuple[int, int]:
    """Within a transaction, takes back what was carried over to the contents `gone`, then stores others of `said`; how
    many it gave, and how many it took back. What a person graded by a look, it leaves as it is."""

    def stands(sha256: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = change.tx.execute(
            "SELECT s.* FROM decision d JOIN decision s ON s.id = coalesce(d.restores, d.id) "
            "WHERE d.sha256 = ? ORDER BY d.id DESC LIMIT 1",
            (sha256,),
        ).fetchone()
        return found if found is not None and found["grade"] is not None else None

    given, back = 0, 0
    for sha256 in gone:
        row = stands(sha256)
        if row is not None and row["basis"] != "viewed":
            _store(change, _Words(row["scheme"], row["scheme_version"], sha256), Seen(), row["id"])
            back += 1
    for each in said:
        row = stands(each.sha256)
        if row is None or row["basis"] != "viewed":
            _store(change, _words(scheme, each), each.seen)
            given += 1
    return given, back


def undo(case: Case, actor: Actor) -> Decision | None:
    """Takes back the actor's last grade by a look that is not undone and still stands on its content.

    None where there is nothing left to take back.
    """
    try:
        with case.change(actor) as change:
            last = change.tx.execute(
                """
                SELECT d.* FROM decision d WHERE d.actor = ? AND d.undoes IS NULL AND d.basis = 'viewed'
                AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id) AND NOT EXISTS
                (SELECT 1 FROM decision o WHERE o.sha256 = d.sha256 AND o.id > d.id AND o.actor != d.actor
                    AND o.undoes IS NULL AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = o.id))
                ORDER BY d.id DESC LIMIT 1
                """,
                (actor.name,),
            ).fetchone()
            if last is None:
                raise _NothingLeftError  # which leaves the case, and its ledger, as they are
            before = change.tx.execute(
                """
                SELECT * FROM decision d WHERE sha256 = ? AND id < ?
                AND undoes IS NULL AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id)
                ORDER BY id DESC LIMIT 1
                """,
                (last["sha256"], last["id"]),
            ).fetchone()
            said = _Words(last["scheme"], last["scheme_version"], last["sha256"])
            if before:
                said = _Words(*(before[name] for name in _Words.__struct_fields__))
            return _store(change, said, Seen(), last["id"], before)
    except _NothingLeftError:
        return None


class _NothingLeftError(Exception):
    """There is no decision of this actor to take back."""


class _Words(msgspec.Struct, frozen=True):
    """What a decision says, by the columns that hold it."""

    scheme: str
    scheme_version: str
    sha256: str
    grade: str | None = None
    note: str = ""
    basis: str | None = None
    source: str | None = None


def _words(scheme: Scheme, said: Said) -> _Words:
    source = msgspec.json.encode(said.source).decode() if said.source else None
    return _Words(scheme.name, scheme.version, said.sha256, said.grade, said.note, said.basis, source)


def _store(
    change: Change, said: _Words, seen: Seen, undoes: int | None = None, restored: sqlite3.Row | None = None
) -> Decision:
    restores = restored["id"] if restored else None
    held: dict[str, Any] = {**msgspec.structs.asdict(said), "at": now(), "undoes": undoes, "restores": restores}
    entry = change.record("decision", {**held, "seen": msgspec.to_builtins(seen)})
    row = change.tx.execute(
        "INSERT INTO decision (sha256, scheme, scheme_version, grade, note, basis, actor, at, seen, undoes, restores, "
        "source, entry) VALUES (:sha256, :scheme, :scheme_version, :grade, :note, :basis, :actor, :at, :seen, :undoes, "
        ":restores, :source, :entry) RETURNING id",
        {**held, "actor": change.actor.name, "seen": msgspec.json.encode(seen).decode(), "entry": entry},
    ).fetchone()
    by = change.actor.name
    graded_by = restored["actor"] if restored else by if said.grade else None
    return Decision(row["id"], said.sha256, said.grade, said.basis, by, held["at"], undoes, restores, graded_by)


def viewed_grades(case: Case, scheme: str) -> Iterator[dict[str, Any]]:
    """What each officer who viewed a content said of it last by a scheme, as far as that was not taken back: one row
    for each officer and content, with the content's digests and PDQ."""
    rows = case.reader.execute(
        """
        SELECT d.sha256, c.md5, c.sha1, c.size, c.kind, json_extract(f.value, '$') AS pdq,
            d.grade, d.scheme_version AS version, d.actor AS by, d.at
        FROM decision d JOIN content c USING (sha256)
        LEFT JOIN finding f ON f.sha256 = d.sha256 AND f.name = 'pdq' AND f.value NOT NULL
        WHERE d.basis = 'viewed' AND d.id IN (
            SELECT max(id) FROM decision e WHERE e.scheme = ? AND e.grade NOT NULL AND e.undoes IS NULL
            AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = e.id) GROUP BY sha256, actor
        ) ORDER BY d.sha256, d.id
        """,
        (scheme,),
    )
    return (dict(row) for row in rows)


def schemes(case: Case) -> list[str]:
    """The schemes by which something in the case is graded."""
    rows = case.reader.execute("SELECT DISTINCT scheme FROM standing WHERE grade NOT NULL ORDER BY 1")
    return [row["scheme"] for row in rows]
