"""What may be done unseen in a case: nothing but what is known, until somebody in authority says more.

Where nothing is allowed, a person looks at every picture. Each step down from that names who allowed it and why, in the
ledger; the last such entry is in force.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, get_args

import msgspec

from mantlet.case.case import Case
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.grading.scheme import one_line

KIND: Final = "way of working"
"""The ledger entries that say what is allowed."""
_LONGEST: Final = 500

Step = Literal["known", "near-copies", "sampling"]
STEPS: Final[dict[Step, str]] = {
    "known": "A trusted grade of the same file, by its SHA-256, is taken over unseen.",
    "near-copies": "What looks the same as a picture that a person graded takes its grade, provisionally.",
    "sampling": "Models rank what is seen first, and a sample supports what is stated of the rest.",
}


class Allowed(msgspec.Struct, frozen=True):
    """The steps that are allowed, in the order of `STEPS`, and who allowed the last one and why; None for what no
    entry says."""

    steps: tuple[Step, ...] = ("known",)
    authority: str | None = None
    reason: str | None = None


def in_force(case: Case) -> Allowed:
    """What is allowed now. An entry whose words were erased allows nothing."""
    last = case.reader.execute(
        "SELECT payload FROM ledger WHERE chain = 'case' AND kind = ? ORDER BY seq DESC LIMIT 1", (KIND,)
    ).fetchone()
    if last is None:
        return Allowed()
    if last["payload"] is None:
        return Allowed(())
    said = json.loads(last["payload"])
    return Allowed(tuple(step for step in STEPS if step in said["steps"]), said["authority"], said["reason"])


def history(case: Case) -> list[dict[str, Any]]:
    """Each change, the first one first: `entry`, `at`, `actor`, `allowed` or `withdrawn` (a step), `steps` (after it),
    `authority`, `reason`; of an entry whose words were erased only the first three."""
    rows = case.reader.execute(
        "SELECT seq AS entry, at, actor, payload FROM ledger WHERE chain = 'case' AND kind = ? ORDER BY seq", (KIND,)
    )
    return [
        {"entry": row["entry"], "at": row["at"], "actor": row["actor"], **json.loads(row["payload"] or "{}")}
        for row in rows
    ]


def allow(case: Case, actor: Actor, step: Step, authority: str, reason: str) -> Allowed:
    """Takes a step down, in the name of `authority`.

    Raises:
        UsageError: no such step, or authority or reason is not said.
    """
    return _change(case, actor, step, "allowed", authority, reason)


def withdraw(case: Case, actor: Actor, step: Step, authority: str | None = None, reason: str | None = None) -> Allowed:
    """Takes a step back. Raises UsageError where there is no such step."""
    return _change(case, actor, step, "withdrawn", authority, reason)


def _change(
    case: Case, actor: Actor, step: Step, what: Literal["allowed", "withdrawn"], authority: str | None,
    reason: str | None,
) -> Allowed:  # fmt: skip
    if step not in get_args(Step):
        raise UsageError(f"'{step}' is nothing that can be allowed; there are {', '.join(STEPS)}.")
    for name, said in (("--authority", authority), ("--reason", reason)):
        if what == "allowed" and not (said or "").strip():
            raise UsageError(f"Say with {name} in whose name and why; without that, nothing more is allowed.")
        if said is not None and not one_line(said, _LONGEST):
            raise UsageError(f"{name} takes one line of at most {_LONGEST} characters.")
    with case.change(actor) as change:
        steps = set(in_force(case).steps) | {step} if what == "allowed" else set(in_force(case).steps) - {step}
        kept = tuple(each for each in STEPS if each in steps)
        change.record(KIND, {what: step, "steps": kept, "authority": authority, "reason": reason})
    return Allowed(kept, authority, reason)
