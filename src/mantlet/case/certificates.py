"""Certificates: what the grading so far supports, stated in the ledger, and what makes them void.

A certificate is computed from the population as frozen and from the decisions before its own ledger entry, so that
`mantlet verify` can compute it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case import grounds, populations
from mantlet.case.case import Case
from mantlet.case.populations import Frozen
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance.keys import Actor
from mantlet.grading import counts, missed
from mantlet.types import Address

STATED: Final = "certificate"
FIGURES: Final = (
    "confidence", "looked", "found", "unseen", "missed_at_most", "recall_at_least", "counts", "looked_at",
)  # fmt: skip
"""What `verify` computes again."""
NO_PLAN: Final = "How many more looks a share needs is told of the certificate 'missed' alone; leave --recall out."


def state(case: Case, actor: Actor, since: Frozen) -> dict[str, Any]:
    """Computes a certificate and puts it into the ledger, unless the last one of its population says the same.

    One that is void states nothing, and is not put there.
    """
    told: dict[str, Any] = {}
    try:
        with case.change(actor) as change:  # in which nobody else grades
            told = certificate(case, since, change.next_entry)
            if told["void"] or told["stated"]:
                raise _NothingToStateError  # which leaves the case, and its ledger, as they are
            entry = change.record(STATED, {"population": since.entry, **_figures(told)})
            told |= {"stated": entry, "ledger": _hash(change.tx, entry)}
    except _NothingToStateError:
        pass
    return told


class _NothingToStateError(Exception):
    """A certificate is void, or says what the last one says."""


def certificate(case: Case, since: Frozen, before: int | None = None) -> dict[str, Any]:
    """What the looks before a ledger entry (None: all) support, with the fields of `docs/reference.md`.

    What is void states nothing but why.
    """
    until = before if before is not None else _next(case)
    sample = _sample(case, since, until)
    void = _void(case, since, until, sample)
    told = {
        "kind": since.plan.kind, "confidence": since.plan.confidence, "scheme": since.plan.scheme,
        "targets": list(since.plan.targets),
        "population": {
            "digest": since.digest, "seed": since.seed, "size": since.size, "entry": since.entry, "at": since.at,
            "actor": since.actor,
        },
        "looked_at": sample.kinds, "disagreement": disagreement(case, since.plan.scheme, until),
        "ledger": _hash(case.reader, until - 1), "stated": None, "void": void,
    }  # fmt: skip
    if void:
        return {
            **told,
            **dict.fromkeys(each for each in FIGURES if each not in told),
            "absent": None,
            "assumptions": [],
        }
    said = _counted(since, sample) if since.claims else _missed(since, sample)
    told |= {
        **said,
        "assumptions": [*grounds.rests_on(case, since, sample.graded, sample.stated, until), *said["assumptions"]],
    }
    last = _stated(case, since, until)
    if last and _figures(last[1]) == _figures(told):
        told |= {"stated": last[0], "ledger": _hash(case.reader, last[0])}
    return told


def _missed(since: Frozen, sample: _Sample) -> dict[str, Any]:
    found = missed.certify(since.size, sample.outcomes, **sample.beside)
    said = {name: getattr(found, name) for name in FIGURES if hasattr(found, name)}
    absent = found.absent.detail if found.absent else None
    return {**said, "counts": None, "absent": absent, "assumptions": found.assumptions}


def _counted(since: Frozen, sample: _Sample) -> dict[str, Any]:
    """The bounds of the population, and what was counted before it was frozen or is known of looks out of turn."""
    told = _counts(since, sample)
    targets, bounds = since.plan.targets, {}
    for each in told.bounds:
        before = sample.before.get(each.category, {}).get(each.kind, 0)
        seen = before + sample.seen.get((each.category, each.kind), 0)
        least = max(before + each.at_least, seen)
        bounds[each.category, str(each.kind)] = {"at_least": least, "at_most": max(before + each.at_most, least)}
    for category, kinds in sample.before.items():  # of a kind of which nothing is left to sample
        for kind, count in kinds.items():
            bounds.setdefault((category, kind), {"at_least": count, "at_most": count})
    looked = sum(told.looked)
    return {
        "looked": looked,
        "found": sum(each.found for each in told.bounds),
        "unseen": since.size - len(sample.graded),
        "missed_at_most": None,
        "recall_at_least": told.recall_at_least,
        "counts": {
            category: {kind: bounds[category, kind] for kind in ("still", "moving") if (category, kind) in bounds}
            for category in targets
        },
        "absent": None if told.recall_at_least is not None else "Nothing is sure to be found, so it has no share.",
        "assumptions": told.assumptions,
    }


def more(case: Case, since: Frozen, recall: float) -> int | None:
    """How many more of the sample to see to be able to state a recall, if none is a target; None: no number will do.

    Raises:
        UsageError: `recall` is no share, or the population is not of the kind "missed".
    """
    if since.claims:
        raise UsageError(NO_PLAN)
    sample = _sample(case, since, _next(case))
    return missed.plan(since.size, sample.outcomes, recall=recall, **sample.beside)


def upcoming(case: Case, since: Frozen, count: int) -> list[dict[str, Any]]:
    """The next contents in the order of looking that no counted look has graded: `sha256`, `kind`, `address` (the
    first) and `name`. Where something is claimed of them, from the piles that leave most open, and the rest."""
    sample = _sample(case, since, _next(case))
    if since.claims:
        places = counts.upcoming(
            since.claims.piles, np.arange(since.size), _grades(since, sample), _counts(since, sample).open_share, count
        )
    else:
        places = np.flatnonzero(_grades(since, sample) == counts.UNSEEN)[:count]
    query = (
        "SELECT sha256, kind, (SELECT min(address) FROM item i WHERE i.sha256 = c.sha256) AS address "
        "FROM content c WHERE sha256 = ?"
    )
    rows = (dict(case.reader.execute(query, (since.content(place),)).fetchone()) for place in places.tolist())
    return [{**row, "name": Address.parse(row["address"]).name} for row in rows]


def spoken_for(case: Case) -> int:
    """How many contents that nobody looked at the newest certificate speaks for; 0 where it is void, or states nothing
    yet."""
    every = list(populations.frozen(case))
    told: dict[str, Any] = certificate(case, every[-1]) if every else {"looked": None}
    return int(told["unseen"]) if told["looked"] else 0


def disagreement(case: Case, scheme: str, before: int) -> dict[str, Any]:
    """Of the contents that two officers or more graded by looking, how many they grade differently, by their last
    word each that was not taken back; with the 95 % interval (Clopper and Pearson 1934), None where there are none."""
    from mantlet.grading.hypergeometric import rate_upper

    row = case.reader.execute(
        """
        WITH several AS (
            SELECT sha256 FROM decision WHERE basis = 'viewed' AND scheme = :scheme AND id < :end
            GROUP BY +sha256 HAVING min(actor) < max(actor)
        )
        SELECT count(*) AS both, coalesce(sum(different > 1), 0) AS differ FROM (
            SELECT count(*) AS officers, count(DISTINCT grade) AS different FROM decision
            WHERE basis = 'viewed' AND id IN (
                SELECT max(id) FROM decision d WHERE sha256 IN several AND scheme = :scheme AND id < :end
                AND grade NOT NULL AND basis = 'viewed' AND undoes IS NULL
                AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes = d.id AND u.id < :end)
                GROUP BY sha256, actor
            ) GROUP BY sha256 HAVING officers > 1
        )
        """,
        {"scheme": scheme, "end": populations.decision_after(case, before)},
    ).fetchone()
    both, differ = row["both"], row["differ"]
    low, high = None, None
    if both:
        low, high = 1 - rate_upper(both - differ, both, 0.025), rate_upper(differ, both, 0.025)
    return {"seen_by_two": both, "differ": differ, "low": low, "high": high}


def check(case: Case) -> None:
    """That each population is what its ledger entries say, and that each certificate can be computed again.

    Raises:
        IntegrityError: naming the first that is not.
    """
    there: dict[int, Frozen] = {}
    for since in populations.frozen(case):
        if since.entry in there:
            raise IntegrityError(f"Two populations claim to be frozen by ledger entry {since.entry}.")
        populations.check(case, since)
        there[since.entry] = since
    for kind in (populations.DRAWN, STATED):
        for entry, said in _said(case, kind):
            frozen = there.get(said["population"])
            if frozen is None:
                raise IntegrityError(f"The population that ledger entry {said['population']} froze is missing.")
            if kind == STATED and _figures(certificate(case, frozen, entry)) != _figures(said):
                raise IntegrityError(
                    f"The certificate of ledger entry {entry} is not what the decisions before it give."
                )


class _Sample(msgspec.Struct, frozen=True):
    """The looks at a population. `graded`: place -> which target it is by the looks that count, `counts.NONE` for none;
    `length`: how many of each pile from its first on were looked at without a gap; `kinds`: how many looks there are of
    each kind; `seen`: target and kind -> how many the looks that count have found; `before`: what stands of targets
    that were settled before, `lost` how many contents are settled no more, and `stated` how many looks of the sample
    are as an imported table states."""

    graded: dict[int, int]
    length: list[int]
    kinds: dict[str, int]
    seen: dict[tuple[str, str], int]
    before: populations.Found
    lost: int
    stated: int
    plan: populations.Plan

    @property
    def outcomes(self) -> NDArray[np.bool_]:
        """[looked], of the one pile of "missed", whether each is a target."""
        return np.array([self.graded[place] >= 0 for place in range(self.length[0])], dtype=np.bool_)

    @property
    def beside(self) -> dict[str, Any]:
        """What else `missed.certify` takes."""
        out_of_turn = [grade for place, grade in self.graded.items() if place >= self.length[0]]
        return {
            "confidence": self.plan.confidence, "overlooked": self.plan.overlooked,
            "found_before": sum(sum(kinds.values()) for kinds in self.before.values()),
            "found_beside": sum(grade >= 0 for grade in out_of_turn), "looked_beside": len(out_of_turn),
        }  # fmt: skip


def _sample(case: Case, since: Frozen, before: int) -> _Sample:
    looks, beyond = populations.looks(case, since, before)
    counted = {look.place: look for look in looks if look.counts}
    sizes = [pile.size for pile in since.claims.piles] if since.claims else [since.size]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    length = [
        next(many for many in range(size + 1) if many == size or start + many not in counted)
        for start, size in zip(starts, sizes, strict=True)
    ]
    in_turn = {start + many for start, size in zip(starts, length, strict=True) for many in range(size)}
    stated = {place for place in in_turn if counted[place].stated}
    small = sum(counted[place].small for place in in_turn - stated)
    codes = {code: place for place, code in enumerate(since.plan.targets)}
    return _Sample(
        graded={place: codes.get(look.grade, counts.NONE) for place, look in counted.items()},
        length=length,
        kinds={
            "clear and large": len(in_turn) - len(stated) - small, "clear and small": small,
            "as an imported table states": len(stated),
            "out of turn": len(counted) - len(in_turn), "not counted": len(looks) - len(counted),
        },
        seen=Counter((look.grade, look.kind) for look in counted.values()),
        before=beyond.found,
        lost=beyond.lost,
        stated=len(stated),
        plan=since.plan,
    )  # fmt: skip


def _grades(since: Frozen, sample: _Sample) -> NDArray[np.int8]:
    """[size], the grade of each content of a population in the order of looking, as `counts.certify` takes it."""
    grades = np.full(since.size, counts.UNSEEN, dtype=np.int8)
    grades[list(sample.graded)] = list(sample.graded.values())
    return grades


def _counts(since: Frozen, sample: _Sample) -> counts.Counts:
    claims, plan = since.claims, since.plan
    assert claims is not None  # noqa: S101 - only of populations in piles
    return counts.certify(
        claims.piles, plan.targets, claims.pile_of, claims.scores, np.arange(since.size), _grades(since, sample),
        confidence=plan.confidence, found_before=sum(sum(kinds.values()) for kinds in sample.before.values()),
    )  # fmt: skip


def _void(case: Case, since: Frozen, before: int, sample: _Sample) -> list[str]:
    """Why nothing can be stated of a population any more: each reason as a sentence."""
    why = []
    (new,) = case.reader.execute(
        "SELECT count(*) FROM content WHERE batch > ? AND batch < ?", (since.entry, before)
    ).fetchone()
    if new:
        why.append(f"Pictures and clips came into the case after it was frozen: {new:,}. Freeze it anew.")
    for row in case.reader.execute(
        "SELECT act, contents, entry FROM stacking WHERE entry > ? AND entry < ?", (since.entry, before)
    ):
        if (populations.places_of(since.contents, json.loads(row["contents"])) >= 0).any():
            act = {"split": "split", "join": "joined"}[row["act"]]
            why.append(f"A stack with contents of it was {act} (ledger entry {row['entry']}). Freeze it anew.")
    if sample.lost:
        why.append(
            f"Grades from before it was frozen were withdrawn: {sample.lost:,}. Grade these again, or freeze it anew."
        )
    return [*why, *_withdrawn(case, since, before, sample)]


def _withdrawn(case: Case, since: Frozen, before: int, sample: _Sample) -> Iterator[str]:
    """Grades that a certificate counted, and that stand no more as they did."""
    last = _stated(case, since, before)
    if last is None:
        return
    then = _sample(case, since, last[0]).graded
    changed = sum(not _alike(since, grade, sample.graded.get(place)) for place, grade in then.items())
    if changed:
        yield (
            f"Grades that the certificate of ledger entry {last[0]} counted were withdrawn or changed: {changed:,}. "
            "Freeze it anew."
        )


def _alike(since: Frozen, then: int, now: int | None) -> bool:
    """Whether two grades count alike: of "missed", as a target or none."""
    return now is not None and (then == now if since.claims else (then >= 0) == (now >= 0))


def _figures(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told.get(name) for name in FIGURES}


def _stated(case: Case, since: Frozen, before: int) -> tuple[int, dict[str, Any]] | None:
    """The entry and words of the last certificate of a population, before a ledger entry."""
    every = (each for each in _said(case, STATED) if each[1]["population"] == since.entry and each[0] < before)
    return max(every, key=lambda each: each[0], default=None)


def _said(case: Case, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The ledger entries of a kind, and what they say. Raises IntegrityError for one whose payload was erased."""
    rows = case.reader.execute(
        "SELECT seq, payload FROM ledger WHERE chain = 'case' AND kind = ? ORDER BY seq", (kind,)
    ).fetchall()
    for row in rows:
        if row["payload"] is None:
            raise IntegrityError(f"What ledger entry {row['seq']} says was erased, so certificates cannot be checked.")
        yield row["seq"], json.loads(row["payload"])


def _next(case: Case) -> int:
    (last,) = case.reader.execute("SELECT max(seq) FROM ledger WHERE chain = 'case'").fetchone()
    return int(last) + 1


def _hash(reader: Any, entry: int) -> str:
    value: str = reader.execute("SELECT hash FROM ledger WHERE chain = 'case' AND seq = ?", (entry,)).fetchone()["hash"]
    return value
