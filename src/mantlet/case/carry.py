"""Carrying grades over unseen: from trusted records of the same file, and from near copies that a person looked at.

Never by a score, and never over what a person graded by a look. A grade that is carried over names its source; where
that no longer says it, a further decision takes it back. What could take over grades that disagree is `unsettled`, and
a person decides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from mantlet.case import allowed, decisions, queue
from mantlet.case.case import Case
from mantlet.case.decisions import Decision, Said, Seen
from mantlet.case.near_copies import near_copies
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.governance.policy import Policy
from mantlet.grading import mapping
from mantlet.grading.scheme import Scheme
from mantlet.known.records import KnownSet

SETS_DIFFER: Final = "trusted sets give it different grades"
COPIES_DIFFER: Final = "near copies of it were graded differently"
WEAKER: Final = "known only by weaker digests than SHA-256: to be seen"
"""Why a content is not taken over."""


class Carried(msgspec.Struct, frozen=True):
    """How many contents now hold a grade from a trusted record (`known`), and from a near copy (`propagated`); how many
    grades were given and taken back for that; how many are `unsettled`; and why other known ones were left."""

    known: int
    propagated: int
    given: int
    taken_back: int
    unsettled: int
    left: dict[str, int]


class _Wanted(msgspec.Struct, frozen=True):
    """A grade to take over. One that stands already is left if it is the same and comes from any of `sources`: a set by
    its name, a near copy by its SHA-256."""

    said: Said
    sources: Collection[str]


class _Plan(msgspec.Struct):
    """What should stand unseen, by content; and why a person decides on others."""

    wanted: dict[str, _Wanted] = msgspec.field(default_factory=dict)
    unsettled: dict[str, str] = msgspec.field(default_factory=dict)


def carry(case: Case, actor: Actor, scheme: Scheme, policy: Policy, sets: Sequence[KnownSet]) -> Carried:
    """Takes over what the case allows, and takes back what no longer holds; a second run changes nothing.

    `sets`: those of this user, which say by which scheme their records are graded. Of a set that is not among them in
    the version that matched, nothing is taken over.
    """
    steps, plan, left = allowed.in_force(case).steps, _Plan(), Counter[str]()
    if "known" in steps:
        left = _known(case, scheme, policy, sets, plan)
    if "near-copies" in steps:
        _propagated(case, scheme, plan, set(plan.wanted), None)
    given, back = _apply(case, actor, scheme, plan, None)
    queue.arrange(case)
    counts = dict(
        case.reader.execute(
            "SELECT basis, count(*) FROM standing WHERE grade NOT NULL AND basis != 'viewed' GROUP BY 1"
        ).fetchall()
    )
    return Carried(
        counts.get("known", 0),
        counts.get("propagated", 0),
        given,
        back,
        len(plan.unsettled),
        dict(sorted(left.items())),
    )


def decide_stack(
    case: Case, actor: Actor, scheme: Scheme, grade: str, seen: Mapping[str, Seen], note: str = ""
) -> list[Decision]:
    """One decision for a stack: a grade by a look for each content that was looked at, by its SHA-256; the near copies
    of these in the stack take it provisionally, where the case allows that. Raises UsageError as `decisions.decide`."""
    made = decisions.decide_many(case, actor, scheme, [Said(each, grade, how, note) for each, how in seen.items()])
    for stack in dict.fromkeys(_stack_of(case, each) for each in seen):
        follow(case, actor, scheme, stack)
    return made


def undo(case: Case, actor: Actor, scheme: Scheme) -> Decision | None:
    """As `decisions.undo`; and near copies that took the grade over follow."""
    undone = decisions.undo(case, actor)
    if undone is not None:
        follow(case, actor, scheme, _stack_of(case, undone.sha256))
    return undone


def follow(case: Case, actor: Actor, scheme: Scheme, stack: str | None) -> None:
    """Carries grades over within one stack, where the case allows it; None: what is in no stack."""
    if stack is None or "near-copies" not in allowed.in_force(case).steps:
        return
    members = {row["sha256"] for row in case.reader.execute("SELECT sha256 FROM stack WHERE stack = ?", (stack,))}
    plan = _Plan()
    taken = {sha256 for sha256, row in _carried(case, members).items() if row["basis"] == "known"}
    _propagated(case, scheme, plan, taken, stack)
    _apply(case, actor, scheme, plan, members - taken)


def _stack_of(case: Case, sha256: str) -> str | None:
    row = case.reader.execute("SELECT stack FROM stack WHERE sha256 = ?", (sha256,)).fetchone()
    return row["stack"] if row else None


def _known(case: Case, scheme: Scheme, policy: Policy, sets: Sequence[KnownSet], plan: _Plan) -> Counter[str]:
    """Plans what trusted records of the same file say; returns why others are left, with how many."""
    left, graded = Counter[str](), _Grades(scheme, sets)
    for sha256, rows in _exact(case):
        trusted = [row for row in rows if row["trusted"] or row["set_name"] in policy.trusted_sets]
        if not trusted:
            continue
        strong = [row for row in trusted if row["how"] == "sha256"]
        if not strong:
            left[WEAKER] += 1
            continue
        found, why = list[Said](), list[str]()
        for row in strong:
            try:
                found.append(Said(sha256, graded(row), basis="known", source=_source(row)))
            except UsageError as error:
                why.append(str(error))
        if len({each.grade for each in found}) > 1 or {"notable", "benign"} <= {row["status"] for row in rows}:
            plan.unsettled[sha256] = SETS_DIFFER
        elif why:
            left[why[0]] += 1
        else:
            plan.wanted[sha256] = _Wanted(found[0], {row["set_name"] for row in strong})
    return left


def _exact(case: Case) -> Iterator[tuple[str, list[Any]]]:
    """Contents with the records that know them by a digest, but for those that a person graded by a look."""
    rows = case.reader.execute(
        "SELECT * FROM match WHERE how NOT IN ('pdq', 'frames') AND sha256 NOT IN "
        "(SELECT sha256 FROM standing WHERE basis = 'viewed' AND grade NOT NULL) ORDER BY sha256, set_name, record"
    ).fetchall()
    for sha256, group in groupby(rows, key=lambda row: row["sha256"]):
        yield sha256, list(group)


def _source(row: Any) -> dict[str, Any]:
    return {"set": row["set_name"], "version": row["version"], "record": row["record"], "how": row["how"]}


class _Grades:
    """What a record's category is in the scheme of the case, by explicit mapping only."""

    def __init__(self, scheme: Scheme, sets: Sequence[KnownSet]) -> None:
        self._scheme = scheme
        self._profiles = {(each.name, each.version): (each.profile or "").partition(" ")[0] for each in sets}
        self._said: dict[tuple[str, str, str | None], str | UsageError] = {}

    def __call__(self, match: Any) -> str:
        """Raises UsageError, with why, where it cannot be said."""
        key = (match["set_name"], match["version"], match["category"])
        if key not in self._said:
            try:
                self._said[key] = self._grade(*key)
            except UsageError as error:
                self._said[key] = error
        said = self._said[key]
        if isinstance(said, UsageError):
            raise said
        return said

    def _grade(self, name: str, version: str, category: str | None) -> str:
        profile = self._profiles.get((name, version))
        if profile is None:
            raise UsageError(f"The set '{name}' is no longer the one that matched; run `mantlet match` again.")
        if not profile:
            raise UsageError(f"The set '{name}' does not say by which scheme it is graded; import it with --profile.")
        if category is None:
            raise UsageError(f"Records of the set '{name}' that have no category give no grade.")
        return mapping.map_grade(profile, self._scheme.name, category)


def _propagated(case: Case, scheme: Scheme, plan: _Plan, taken: set[str], stack: str | None) -> None:
    """Plans what near copies that a person graded say, in all stacks or in one, but for what is `taken`."""
    for found in near_copies(case, scheme, stack):
        if found.sha256 in taken or found.sha256 in plan.unsettled:
            continue
        if found.grade is None:
            plan.unsettled[found.sha256] = COPIES_DIFFER
        else:
            source = {"sha256": found.source, "view": found.view, "distance": found.distance}
            said = Said(found.sha256, found.grade, basis="propagated", source=source)
            plan.wanted[found.sha256] = _Wanted(said, found.alike)


def _carried(case: Case, only: set[str] | None) -> dict[str, Any]:
    """The grades that stand unseen; of all contents or of some."""
    query = "SELECT sha256, scheme, grade, basis, source FROM standing WHERE grade NOT NULL AND basis != 'viewed'"
    if only is None:
        rows = case.reader.execute(query)
    else:
        listed = "AND sha256 IN (SELECT value FROM json_each(?))"
        rows = case.reader.execute(f"{query} {listed}", (json.dumps(sorted(only)),))
    return {row["sha256"]: row for row in rows}


def _holds(row: Any, wanted: _Wanted | None, scheme: Scheme) -> bool:
    """Whether a grade that stands unseen is still the one to stand."""
    if wanted is None or (row["scheme"], row["grade"], row["basis"]) != (
        scheme.name, wanted.said.grade, wanted.said.basis,
    ):  # fmt: skip
        return False
    source = json.loads(row["source"])
    return source.get("set", source.get("sha256")) in wanted.sources


def _apply(case: Case, actor: Actor, scheme: Scheme, plan: _Plan, only: set[str] | None) -> tuple[int, int]:
    """Brings what stands unseen, of all contents or of some, to the plan; how many grades were given and taken back."""
    stand = _carried(case, only)
    held = {sha256 for sha256, row in stand.items() if _holds(row, plan.wanted.get(sha256), scheme)}
    gone = [sha256 for sha256 in stand if sha256 not in held]
    said = [wanted.said for sha256, wanted in plan.wanted.items() if sha256 not in held]
    before = {
        row["sha256"]: row["why"]
        for row in case.reader.execute("SELECT sha256, why FROM unsettled")
        if only is None or row["sha256"] in only
    }
    if not gone and not said and before == plan.unsettled:
        return 0, 0
    with case.change(actor) as change:
        given, back = decisions.carry_over(change, scheme, gone, said)
        change.tx.executemany("DELETE FROM unsettled WHERE sha256 = ?", ((sha256,) for sha256 in before))
        change.tx.executemany("INSERT OR REPLACE INTO unsettled VALUES (?, ?)", sorted(plan.unsettled.items()))
        change.record("carried over", {"given": given, "taken_back": back, "unsettled": len(plan.unsettled)})
    return given, back
