"""Frozen populations: what a certificate speaks of, and which looks at it count.

A population is frozen in two ledger entries. The first holds the plan and the digest of the contents; only then is the
seed drawn, and the second holds it. So nobody can choose contents or a plan to fit the order of looking, and everybody
can make that order again.
"""

from __future__ import annotations

import bisect
import json
import secrets
import sqlite3
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case.case import Case
from mantlet.case.claims import Claims, claims
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance.keys import Actor
from mantlet.grading import counts, missed, population
from mantlet.grading.counts import Pile
from mantlet.grading.scheme import Scheme

SIDE: Final = 256
"""Pixels on the screen of the longest side of a look that feeds a certificate by itself."""
FROZEN: Final = "population frozen"
DRAWN: Final = "seed drawn"
WIDTH: Final = 32
"""Bytes of a content in a population."""


Found = dict[str, dict[str, int]]
"""Grade -> still or moving -> how many."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided before the seed is drawn.

    "missed" samples what nobody has looked at for targets; "counts" samples all, to count each of the `targets`.
    `targets`: the grades that are looked for. A look counts if the picture was shown clear, its longest side at least
    `side` pixels on the screen, or all of a picture that is smaller. Below `SIDE` a trial must be named, in
    `overlooked`: of the second number of targets shown that small, the first were overlooked.
    """

    kind: Literal["missed", "counts"]
    scheme: str
    scheme_version: str
    targets: tuple[str, ...]
    confidence: Annotated[float, msgspec.Meta(gt=0.5, lt=1)]
    side: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = SIDE
    overlooked: tuple[int, int] | None = None


class Frozen(msgspec.Struct, frozen=True):
    """A population: its plan, and the ledger entry that froze it, when and by whom.

    `size` in contents; `found_before`: targets that were settled before; `left_out`: contents that nobody can be shown.
    `contents`: [size, 32], SHA-256s in the order of looking; `claims`: what is claimed of each, of the kind "counts".
    """

    id: int
    plan: Plan
    digest: str
    seed: str
    size: int
    found_before: Found
    left_out: int
    entry: int
    at: str
    actor: str
    contents: NDArray[np.uint8]
    claims: Claims | None

    def content(self, place: int) -> str:
        """The SHA-256 at a place in the order of looking."""
        return bytes(self.contents[place]).hex()


class Look(msgspec.Struct, frozen=True):
    """A grade that stands by a look after the freeze: at which place in the order of looking, on what kind of content,
    whether the look feeds a certificate (`counts`), whether it was smaller than `SIDE` and than the picture (`small`),
    and whether that is as an imported table states it (`stated`)."""

    place: int
    grade: str
    kind: str
    counts: bool
    small: bool
    stated: bool


class Beyond(msgspec.Struct, frozen=True):
    """What contents that were settled before the freeze, and so are no part of the population, say now: `found`
    targets; and how many of these contents are settled no more."""

    found: Found
    lost: int


def plan_of(
    kind: Literal["missed", "counts"],
    scheme: Scheme,
    confidence: float | None = None,
    side: int | None = None,
    overlooked: tuple[int, int] | None = None,
) -> Plan:
    """A plan; without a confidence at `missed.CONFIDENCE`, without a side by looks of `SIDE`.

    Raises:
        UsageError: a scheme without a grade that counts as a target, or numbers that make no plan.
    """
    confidence, side = missed.CONFIDENCE if confidence is None else confidence, SIDE if side is None else side
    if not scheme.targets:
        raise UsageError(f"No grade of the scheme {scheme.name} counts as a target; its file says what counts as what.")
    if not 0.5 < confidence < 1:
        raise UsageError("The confidence is above 0.5 and below 1, such as 0.99.")
    if not 1 <= side <= 65_536:
        raise UsageError("The longest side of a look that counts is 1 to 65,536 pixels.")
    if overlooked is None and side < SIDE:
        raise UsageError(
            f"Looks of fewer than {SIDE} pixels count only with what a trial of such looks overlooked: "
            "add --overlooked M/N."
        )
    if overlooked is not None and not 0 <= overlooked[0] <= overlooked[1] > 0:
        raise UsageError("Overlooked are some of at least one target that was shown: give how many, and of how many.")
    if overlooked is not None and kind == "counts":
        raise UsageError("What small looks overlook is carried into the certificate 'missed' alone; leave it out.")
    return Plan(kind, scheme.name, scheme.version, scheme.targets, confidence, side, overlooked)


def freeze(case: Case, actor: Actor, plan: Plan) -> Frozen:
    """Freezes what is not settled: for "missed" by a look that counts, a look that found a target, or a trusted record;
    for "counts" by a look that counts.

    Raises:
        UsageError: nothing is left to look at.
    """
    with case.change(actor) as change:
        held = _held(case, plan, change.next_entry)
        if not len(held.members):
            raise UsageError("Nothing in this case is left to be looked at, so there is nothing to sample.")
        claimed = claims(case, plan.scheme, plan.targets, held.kinds, held.carried) if plan.kind == "counts" else None
        about = {"plan": msgspec.to_builtins(plan), **held.about}
        if claimed:
            about |= {"piles": msgspec.to_builtins(claimed.piles), "claims": claimed.digest}
        entry = change.record(FROZEN, about)
    with case.change(actor) as change:
        seed = secrets.token_hex(WIDTH)
        order = _order(held.members, held.about["digest"], seed, claimed)
        ordered = claimed.ordered(order) if claimed else None
        row = {
            "kind": plan.kind, "plan": msgspec.json.encode(plan).decode(), "digest": held.about["digest"], "seed": seed,
            "contents": held.members[order].tobytes(), "piles": ordered.pile_of.tobytes() if ordered else None,
            "scores": ordered.scores.tobytes() if ordered and ordered.scores is not None else None, "entry": entry,
        }  # fmt: skip
        made = change.tx.execute(
            "INSERT INTO population (kind, plan, digest, seed, contents, piles, scores, entry) VALUES "
            "(:kind, :plan, :digest, :seed, :contents, :piles, :scores, :entry) RETURNING id",
            row,
        ).fetchone()
        change.record(DRAWN, {"population": entry, "seed": seed})
    return next(each for each in frozen(case) if each.id == made["id"])


def frozen(case: Case) -> Iterator[Frozen]:
    """The populations of a case, the oldest first. Raises IntegrityError for one that the ledger does not know."""
    rows = case.reader.execute(
        "SELECT p.*, l.at, l.actor, l.payload FROM population p LEFT JOIN "
        "ledger l ON l.chain = 'case' AND l.seq = p.entry AND l.kind = ? ORDER BY p.id",
        (FROZEN,),
    )
    for row in rows:
        if row["payload"] is None:
            raise IntegrityError(f"The ledger does not say how population {row['id']} was frozen.")
        try:
            yield _frozen(row)
        except (ValueError, KeyError, msgspec.ValidationError) as error:
            raise IntegrityError(
                f"The population frozen by ledger entry {row['entry']} cannot be read; `mantlet verify` says more."
            ) from error


def _frozen(row: sqlite3.Row) -> Frozen:
    about = json.loads(row["payload"])
    claimed = None
    if row["piles"] is not None:
        scores = np.frombuffer(row["scores"], np.float32) if row["scores"] is not None else None
        piles = msgspec.convert(about.get("piles", ()), tuple[Pile, ...])
        claimed = Claims(piles, np.frombuffer(row["piles"], np.uint8), scores)
    return Frozen(
        row["id"], msgspec.convert(about["plan"], Plan), row["digest"], row["seed"], about["size"],
        about["found_before"], about["left_out"], row["entry"], row["at"], row["actor"],
        np.frombuffer(row["contents"], np.uint8).reshape(-1, WIDTH), claimed,
    )  # fmt: skip


_STOOD: Final = """
    SELECT d.sha256, s.grade, s.basis, s.scheme, s.scheme_version, s.seen, s.source, s.entry, c.kind FROM decision d
    JOIN decision s ON s.id = coalesce(d.restores, d.id) JOIN content c ON c.sha256 = d.sha256
    WHERE d.id IN (SELECT max(id) FROM decision WHERE id >= :first AND id < :end GROUP BY +sha256)
"""
"""The last word on each content of those in some run of decisions. The + keeps SQLite from reading all others."""
_STOOD_ON: Final = """
    SELECT d.sha256, s.grade, s.basis, s.scheme, s.scheme_version, s.seen FROM decision d
    JOIN decision s ON s.id = coalesce(d.restores, d.id)
    WHERE d.id = (SELECT max(id) FROM decision WHERE sha256 = :sha256 AND id < :end)
"""


def looks(case: Case, since: Frozen, before: int) -> tuple[list[Look], Beyond]:
    """What stood just before a ledger entry by looks after the freeze on contents of the population; and what changed
    beyond it."""
    plan = since.plan
    first = decision_after(case, since.entry)
    rows = case.reader.execute(_STOOD, {"first": first, "end": decision_after(case, before)}).fetchall()
    places = places_of(since.contents, [row["sha256"] for row in rows])
    found, lost = list[Look](), 0
    beyond = {grade: dict(kinds) for grade, kinds in since.found_before.items()}
    for row, place in zip(rows, places.tolist(), strict=True):
        if place < 0:
            then = case.reader.execute(_STOOD_ON, {"sha256": row["sha256"], "end": first}).fetchone()
            was, stays = _settled(case, plan, then, since.entry), _settled(case, plan, row, since.entry)
            for settled, grade, one in ((was, then and then["grade"], -1), (stays, row["grade"], 1)):
                if settled and grade in plan.targets:
                    _add(beyond, grade, row["kind"], one)
            lost += was and not stays
        elif row["basis"] == "viewed" and row["scheme"] == plan.scheme and row["entry"] > since.entry:
            counts, small = _seen(case, plan, row, since.entry)
            found.append(Look(place, row["grade"], row["kind"], counts, small, row["source"] is not None))
    return found, Beyond(beyond, lost)


def scheme_frozen(case: Case) -> str | None:
    """The category scheme of the population that was frozen last; None while there is none."""
    row = case.reader.execute("SELECT plan FROM population ORDER BY id DESC LIMIT 1").fetchone()
    return str(json.loads(row["plan"])["scheme"]) if row else None


def decision_after(case: Case, entry: int) -> int:
    """The number of the first decision that has a later ledger entry: decisions are numbered in its order."""
    (count,) = case.reader.execute("SELECT coalesce(max(id), 0) FROM decision").fetchone()

    def entry_of(number: int) -> int:
        row = case.reader.execute("SELECT entry FROM decision WHERE id = ?", (number,)).fetchone()
        return int(row["entry"])

    return 1 + bisect.bisect_right(range(1, count + 1), entry, key=entry_of)


def places_of(contents: NDArray[np.uint8], wanted: list[str]) -> NDArray[np.int64]:
    """For each SHA-256 its place among `contents` ([n, 32]); -1 where it is not there."""
    asked = np.frombuffer(bytes.fromhex("".join(wanted)), np.uint8).reshape(-1, WIDTH)
    starts, every = np.unique(_starts(asked)), _starts(contents)
    rows = np.flatnonzero(starts[np.searchsorted(starts[:-1], every)] == every) if len(starts) else starts
    there = {contents[row].tobytes(): row for row in rows.tolist()}
    return np.array([there.get(each.tobytes(), -1) for each in asked], dtype=np.int64)


def check(case: Case, since: Frozen) -> None:
    """That a population holds what the case held when it was frozen, in the order that digest and seed give.

    Raises:
        IntegrityError: it does not, or the ledger says something else of it.
    """
    about = f"The population frozen by ledger entry {since.entry}"
    row = case.reader.execute("SELECT kind, plan FROM population WHERE id = ?", (since.id,)).fetchone()
    said = json.loads(
        case.reader.execute("SELECT payload FROM ledger WHERE chain = 'case' AND seq = ?", (since.entry,)).fetchone()[0]
    )
    if (row["kind"], json.loads(row["plan"])) != (since.plan.kind, said["plan"]):
        raise IntegrityError(f"{about} has another plan than the ledger says.")
    held = _held(case, since.plan, since.entry)
    if since.digest != said["digest"] or any(held.about[name] != said[name] for name in held.about):
        raise IntegrityError(f"{about} is not what the case held when it was frozen.")
    drawn = _drawn(case, since.entry)
    if len(drawn) != 1 or drawn[0][0] <= since.entry or drawn[0][1] != since.seed:
        raise IntegrityError(f"{about} has another seed than the one that the ledger says was drawn.")
    claimed = since.claims
    if claimed is not None and len(claimed.pile_of) == len(since.contents) == len(held.members):
        claimed = claimed.ordered(np.lexsort(np.ascontiguousarray(since.contents).view(">u8").T[::-1]))
    if said.get("claims") != (claimed.digest if claimed else None):
        raise IntegrityError(f"{about} claims something else of its contents than the ledger says.")
    if not np.array_equal(held.members[_order(held.members, since.digest, since.seed, claimed)], since.contents):
        raise IntegrityError(f"{about} is not in the order that its seed gives.")


class _Held(msgspec.Struct, frozen=True):
    """What a case holds to be frozen: [n, 32] sorted contents, the SHA-256 and kind of each, what stands on some of
    them all the same, and what the ledger says of all."""

    members: NDArray[np.uint8]
    kinds: list[tuple[str, str]]
    carried: dict[str, str]
    about: dict[str, Any]


def _order(members: NDArray[np.uint8], digest: str, seed: str, claimed: Claims | None) -> NDArray[np.int64]:
    """The rows of sorted contents in the order of looking; where something is claimed of them, pile by pile."""
    if claimed is None:
        return population.order(members, digest, seed)
    marks = population.marks(members, digest, seed)
    return counts.order(claimed.piles, claimed.pile_of, claimed.scores, marks)


_CONTENTS: Final = """
    SELECT c.sha256, c.kind, EXISTS (
        SELECT 1 FROM finding f WHERE f.sha256 = c.sha256 AND f.name = 'media' AND f.batch < :before
        AND f.reason NOT NULL
    ) AND NOT EXISTS (
        SELECT 1 FROM finding f WHERE f.sha256 = c.sha256 AND f.name = 'media' AND f.batch < :before
        AND f.value NOT NULL
    ) AS hidden FROM content c WHERE c.batch < :before ORDER BY c.sha256
"""


def _held(case: Case, plan: Plan, before: int) -> _Held:
    """What the case held before a ledger entry and was not settled; but for what nobody can be shown."""
    stood = case.reader.execute(_STOOD, {"first": 0, "end": decision_after(case, before)}).fetchall()
    settled = {row["sha256"]: row["grade"] for row in stood if _settled(case, plan, row, before)}
    carried = {row["sha256"]: row["grade"] for row in stood if row["grade"] and row["scheme"] == plan.scheme}
    kinds, left_out, found = list[tuple[str, str]](), 0, Found()
    for row in case.reader.execute(_CONTENTS, {"before": before}):
        if row["sha256"] not in settled:
            left_out += row["hidden"]
            kinds += [] if row["hidden"] else [(row["sha256"], row["kind"])]
        elif settled[row["sha256"]] in plan.targets:
            _add(found, settled[row["sha256"]], row["kind"], 1)
    members = np.frombuffer(bytes.fromhex("".join(sha256 for sha256, _ in kinds)), np.uint8).reshape(-1, WIDTH)
    digest = population.digest_of(members)
    about = {"digest": digest, "size": len(members), "found_before": found, "left_out": left_out}
    return _Held(members, kinds, carried, about)


def _add(found: Found, grade: str, kind: str, count: int) -> None:
    of = found.setdefault(grade, {})
    of[kind] = of.get(kind, 0) + count


def _settled(case: Case, plan: Plan, row: sqlite3.Row | None, frozen: int) -> bool:
    """Whether what stands on a content leaves nothing to look for (`freeze`, which the ledger entry `frozen` holds).

    Where looks overlook some, as a trial says, none like these settles that a content is no target: what they overlook
    would be carried into no bound.
    """
    if row is None or row["scheme"] != plan.scheme or row["grade"] is None:
        return False
    if plan.kind == "missed" and row["basis"] == "known":
        return True
    if row["basis"] != "viewed" or (plan.kind == "missed" and row["grade"] in plan.targets):
        return bool(row["basis"] == "viewed")
    counts, small = _seen(case, plan, row, frozen)
    return counts and (plan.overlooked is None or (plan.side < SIDE and not small))


def _seen(case: Case, plan: Plan, row: sqlite3.Row, frozen: int) -> tuple[bool, bool]:
    """Whether the look of a decision counts, and whether it was smaller than `SIDE` and than the picture, as that was
    known when the population was frozen. A grade by another version of the scheme may mean something else: it counts
    for nothing."""
    seen = json.loads(row["seen"])
    side, whole = seen["side"], 1 << 16
    if seen["clear"] and side < max(plan.side, SIDE):
        whole = _whole(case, row["sha256"], frozen)
    same = row["scheme_version"] == plan.scheme_version
    return same and seen["clear"] and side >= min(plan.side, whole), side < min(SIDE, whole)


def _whole(case: Case, sha256: str, before: int) -> int:
    """The longest side of a picture in pixels, as a scan stated it first, before a ledger entry; 65,536 where none
    did."""
    row = case.reader.execute(
        "SELECT value FROM finding WHERE sha256 = ? AND name = 'media' AND value NOT NULL AND batch < ? "
        "ORDER BY batch, version",
        (sha256, before),
    ).fetchone()
    media = json.loads(row["value"]) if row else {}
    return int(max(media.get("width", 1 << 16), media.get("height", 1 << 16), 1))


def _starts(contents: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(contents[:, :8]).view(np.uint64).ravel()


def _drawn(case: Case, entry: int) -> list[tuple[int, str]]:
    """The ledger entries that drew a seed for a population, each with the seed."""
    rows = case.reader.execute("SELECT seq, payload FROM ledger WHERE chain = 'case' AND kind = ?", (DRAWN,))
    said = ((row["seq"], json.loads(row["payload"] or "{}")) for row in rows)
    return [(seq, each["seed"]) for seq, each in said if each.get("population") == entry]
