"""What people say of contents: append-only, each in the ledger with who, when and how it was seen.

Undo is another decision: it restores what stood before and names the decision it undoes; the next undo goes one step
further back.
"""

from __future__ import annotations

from typing import Annotated, Any

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
    """A row of the record. `grade` None: ungraded again. `undoes`: the decision that this one takes back."""

    id: int
    sha256: str
    grade: str | None
    basis: str | None
    actor: str
    at: str
    undoes: int | None


def decide(case: Case, actor: Actor, scheme: Scheme, sha256: str, grade: str, seen: Seen, note: str = "") -> Decision:
    """Grades a content, and with it every exact copy.

    Raises:
        UsageError: not a grade of the scheme, or not a content of the case.
    """
    code = scheme.grade(grade).code
    if case.reader.execute("SELECT 1 FROM content WHERE sha256 = ?", (sha256,)).fetchone() is None:
        raise UsageError("There is no such content in this case.")
    with case.change(actor) as change:
        return _store(change, scheme.name, scheme.version, sha256, code, note, "viewed", seen, None)


def undo(case: Case, actor: Actor) -> Decision | None:
    """Takes back the actor's last decision that is not undone and is still the last word on its content.

    None where there is nothing left to take back.
    """
    try:
        with case.change(actor) as change:
            last = change.tx.execute(
                """
                SELECT d.* FROM decision d WHERE d.actor = ? AND d.undoes IS NULL
                AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id) AND NOT EXISTS
                (SELECT 1 FROM decision o WHERE o.sha256 = d.sha256 AND o.id > d.id AND o.actor != d.actor)
                ORDER BY d.id DESC LIMIT 1
                """,
                (actor.name,),
            ).fetchone()
            if last is None:
                raise _NothingLeftError  # which leaves the case, and its ledger, as they are
            before = change.tx.execute(
                """
                SELECT grade, basis, note, scheme, scheme_version FROM decision d WHERE sha256 = ? AND id < ?
                AND undoes IS NULL AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id)
                ORDER BY id DESC LIMIT 1
                """,
                (last["sha256"], last["id"]),
            ).fetchone()
            grade, basis, note = (before["grade"], before["basis"], before["note"]) if before else (None, None, "")
            scheme, version = ((before or last)[name] for name in ("scheme", "scheme_version"))
            return _store(change, scheme, version, last["sha256"], grade, note, basis, Seen(), last["id"])
    except _NothingLeftError:
        return None


class _NothingLeftError(Exception):
    """There is no decision of this actor to take back."""


def _store(
    change: Change,
    scheme: str,
    version: str,
    sha256: str,
    grade: str | None,
    note: str,
    basis: str | None,
    seen: Seen,
    undoes: int | None,
) -> Decision:
    at = now()
    payload: dict[str, Any] = {
        "at": at, "sha256": sha256, "scheme": scheme, "scheme_version": version, "grade": grade, "note": note,
        "basis": basis, "seen": msgspec.to_builtins(seen), "undoes": undoes,
    }  # fmt: skip
    entry = change.record("decision", payload)
    row = change.tx.execute(
        "INSERT INTO decision (sha256, scheme, scheme_version, grade, note, basis, actor, at, seen, undoes, entry) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
        (
            sha256, scheme, version, grade, note, basis, change.actor.name, at, msgspec.json.encode(seen).decode(),
            undoes, entry,
        ),
    ).fetchone()  # fmt: skip
    return Decision(row["id"], sha256, grade, basis, change.actor.name, at, undoes)


def exposed(case: Case, actor: Actor, sha256: str, seen: Seen) -> None:
    """Records that a content was shown, in the exposure chain."""
    with case.change(actor) as change:
        change.record("shown", {"sha256": sha256, **msgspec.to_builtins(seen)}, chain="exposure")


def hidden(case: Case, actor: Actor, sha256: str, seen: Seen) -> None:
    """Records that a content that was shown is hidden again, after how many milliseconds, in the exposure chain."""
    with case.change(actor) as change:
        change.record("hidden", {"sha256": sha256, **msgspec.to_builtins(seen)}, chain="exposure")
