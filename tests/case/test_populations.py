"""Populations and certificates: frozen before the seed is drawn, computed again by anybody, void where they must be."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from cases import Picture, add, ledger_length

from mantlet.case import certificates
from mantlet.case.case import Case, open_case
from mantlet.case.certificates import certificate, more, state, upcoming
from mantlet.case.decisions import Said, Seen, decide_many, undo
from mantlet.case.populations import Frozen, freeze, frozen, places_of, plan_of
from mantlet.case.scan import Scan
from mantlet.case.verify import verify_record
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance import keys, ledger
from mantlet.grading import counts, missed, population, scheme
from mantlet.types import Absent, Finding, Reason, Rows

SCHEME = scheme.load("stand-in")
CLEAR = Seen(640, clear=True, milliseconds=900)
PLAN = plan_of("missed", SCHEME, 0.95)


@dataclass(frozen=True)
class Photograph(Picture):
    """A picture of that many pixels on its longest side; None: it cannot be decoded."""

    side: int | None = 4000
    scores: dict[str, float] | None = None
    """What a model says of it: it flags what is above a half."""

    @property
    def findings(self) -> list[Finding]:
        if self.side is None:
            return [Finding(self.sha256, "media", 1, "", absent=Absent(Reason.UNREADABLE, "It is no picture inside."))]
        found = [Finding(self.sha256, "media", 1, "", {"width": self.side, "height": self.side // 2})]
        if self.scores:
            flagged = [label for label, score in self.scores.items() if score > 0.5]
            found.append(Finding(self.sha256, "scores", 1, "m1", {"scores": self.scores, "flagged": flagged}))
        return found


class Unsized(Picture):
    """A picture of which nothing is known but that it is there."""

    @property
    def findings(self) -> list[Finding]:
        return []


PICTURES = [Photograph(f"picture {number}") for number in range(60)]
NAMES = [each.sha256 for each in PICTURES]
CHANCE = random.Random(6)


@pytest.fixture
def one() -> keys.Actor:
    return keys.actor("DC One")


@pytest.fixture
def two() -> keys.Actor:
    return keys.actor("DC Two")


@pytest.fixture(autouse=True)
def filled(case: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Sixty photographs; seeds are those of one generator, so that each run sees the same order."""
    CHANCE.seed(6)
    monkeypatch.setattr("mantlet.case.populations.secrets.token_hex", lambda size: CHANCE.randbytes(size).hex())
    add(case, PICTURES)
    return case


def grade(case: Case, actor: keys.Actor, contents: Sequence[str], code: str = "other", seen: Seen = CLEAR) -> None:
    decide_many(case, actor, SCHEME, [Said(each, code, seen) for each in contents])


def said(case: Case, *kinds: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = [entry for entry in ledger.entries(case.reader, "case") if entry.kind in kinds]
    return [(entry.seq, entry.kind, json.loads(entry.payload or "")) for entry in found]


def in_order(since: Frozen, first: int, end: int | None = None) -> list[str]:
    return [since.content(place) for place in range(since.size)][first:end]


# Freezing


def test_the_seed_is_drawn_after_plan_and_contents_are_in_the_ledger(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    [(first, _, plan), (second, _, seed)] = said(case, "population frozen", "seed drawn")
    assert (since.entry, plan["size"], plan["digest"]) == (first, 60, since.digest)
    assert plan["plan"]["targets"] == ["boat", "camera"]
    assert "seed" not in plan
    assert second > first
    assert seed == {"population": first, "seed": since.seed}
    contents = np.array([list(bytes.fromhex(each)) for each in NAMES], dtype=np.uint8)
    assert population.digest_of(contents) == since.digest
    assert np.array_equal(contents[population.order(contents, since.digest, since.seed)], since.contents)
    assert freeze(case, one, PLAN).seed != since.seed
    verify_record(case)


def test_what_is_settled_is_no_part_of_it(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES[:2])
    grade(case, one, NAMES[2:5], "boat")
    grade(case, one, NAMES[5:6], "boat", Seen())  # a target is found by whatever look
    known = [Said(each, "camera", basis="known", source={"set": "force"}) for each in NAMES[6:8]]
    decide_many(case, one, SCHEME, known)
    since = freeze(case, one, PLAN)
    assert sorted(in_order(since, 0)) == sorted(NAMES[8:])
    assert since.found_before == {"boat": {"still": 4}, "camera": {"still": 2}}


def test_what_was_seen_too_small_or_was_carried_over_from_a_look_alike_is_looked_at_again(
    case: Case, one: keys.Actor
) -> None:
    grade(case, one, NAMES[:1], "other", Seen(80, clear=True))
    grade(case, one, NAMES[1:2], "other", Seen(640, clear=False))
    decide_many(case, one, SCHEME, [Said(each, "boat", basis="propagated", source={}) for each in NAMES[2:4]])
    grade(case, one, NAMES[4:5])
    undo(case, one)
    since = freeze(case, one, PLAN)
    assert (since.size, since.found_before) == (60, {})


def test_grades_of_another_scheme_settle_nothing(case: Case, one: keys.Actor) -> None:
    other = scheme.load("england-wales")
    decide_many(case, one, other, [Said(each, "not-relevant", CLEAR) for each in NAMES[:5]])
    since = freeze(case, one, PLAN)
    assert since.size == 60
    decide_many(case, one, other, [Said(since.content(0), "not-relevant", CLEAR)])
    assert certificate(case, since)["looked"] == 0


def test_what_cannot_be_shown_is_left_out_and_counted(case: Case, one: keys.Actor) -> None:
    add(case, [Photograph("no picture", side=None)])
    since = freeze(case, one, PLAN)
    assert (since.size, since.left_out) == (60, 1)
    assert "cannot be shown (1 pictures" in certificate(case, since)["assumptions"][0]
    verify_record(case)


def test_nothing_left_to_look_at_is_said(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES)
    before = ledger_length(case)
    with pytest.raises(UsageError, match="Nothing in this case is left to be looked at"):
        freeze(case, one, PLAN)
    assert ledger_length(case) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"confidence": 0.5}, "above 0.5 and below 1"),
        ({"confidence": 1.0}, "above 0.5 and below 1"),
        ({"confidence": float("nan")}, "above 0.5 and below 1"),
        ({"confidence": 0.9, "side": 255}, "add --overlooked M/N"),
        ({"confidence": 0.9, "side": 0, "overlooked": (0, 9)}, "1 to 65,536 pixels"),
        ({"confidence": 0.9, "overlooked": (3, 2)}, "give how many, and of how many"),
        ({"confidence": 0.9, "overlooked": (0, 0)}, "give how many, and of how many"),
    ],
)
def test_a_plan_that_is_none_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan_of("missed", SCHEME, **arguments)


def test_places_are_found_among_contents() -> None:
    contents = np.arange(32 * 5, dtype=np.uint8).reshape(5, 32)
    contents[3] = contents[1]
    contents[3, 31] ^= 1  # alike at the beginning
    wanted = [bytes(contents[row]).hex() for row in (4, 3, 1)]
    assert places_of(contents, [*wanted, "00" * 32]).tolist() == [4, 3, 1, -1]
    assert places_of(contents, []).tolist() == []


# What counts


def test_the_unbroken_beginning_is_the_sample_and_the_rest_lies_beside(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES[:1], "boat")
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 20))
    grade(case, one, in_order(since, 20, 21), "boat")
    grade(case, one, in_order(since, 22, 24), "camera")  # 21 is skipped
    told = certificate(case, since)
    outcomes = np.array([False] * 20 + [True])
    wanted = missed.certify(59, outcomes, confidence=0.95, found_before=1, found_beside=2, looked_beside=2)
    assert (told["looked"], told["found"], told["unseen"]) == (21, 1, 36)
    assert (told["missed_at_most"], told["recall_at_least"]) == (wanted.missed_at_most, wanted.recall_at_least)
    assert told["looked_at"] == {
        "clear and large": 21,
        "clear and small": 0,
        "as an imported table states": 0,
        "out of turn": 2,
        "not counted": 0,
    }
    assert told["void"] == []
    grade(case, one, in_order(since, 21, 22))
    assert certificate(case, since)["looked"] == 24


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (Seen(256, clear=True), True),
        (Seen(255, clear=True), False),
        (Seen(640, clear=False), False),
        (Seen(), False),
    ],
)
def test_only_clear_and_large_looks_count(case: Case, one: keys.Actor, seen: Seen, counts: bool) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 1), "boat", seen)
    told = certificate(case, since)
    assert (told["looked"], told["looked_at"]["not counted"]) == (int(counts), int(not counts))


def test_all_of_a_picture_that_is_small_counts(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES)
    icons = [Photograph(f"icon {number}", side=48) for number in range(2)]
    add(case, icons)
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 1), seen=Seen(48, clear=True))
    grade(case, one, in_order(since, 1, 2), seen=Seen(47, clear=True))
    told = certificate(case, since)
    assert told["looked_at"] == {
        "clear and large": 1,
        "clear and small": 0,
        "as an imported table states": 0,
        "out of turn": 0,
        "not counted": 1,
    }


def test_small_looks_count_with_what_a_trial_overlooked(case: Case, one: keys.Actor) -> None:
    plan = plan_of("missed", SCHEME, 0.95, side=96, overlooked=(3, 200))
    since = freeze(case, one, plan)
    grade(case, one, in_order(since, 0, 30), seen=Seen(96, clear=True))
    grade(case, one, in_order(since, 30, 31), seen=Seen(95, clear=True))
    told = certificate(case, since)
    assert told["looked_at"] == {
        "clear and large": 0,
        "clear and small": 30,
        "as an imported table states": 0,
        "out of turn": 0,
        "not counted": 1,
    }
    wanted = missed.certify(60, np.zeros(30, dtype=np.bool_), confidence=0.95, overlooked=(3, 200))
    assert told["missed_at_most"] == wanted.missed_at_most
    verify_record(case)


def test_looks_from_before_and_what_is_carried_over_are_no_part_of_the_sample(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES[:3])
    since = freeze(case, one, PLAN)
    decide_many(case, one, SCHEME, [Said(since.content(0), "boat", CLEAR, basis="propagated", source={})])
    assert (certificate(case, since)["looked"], certificate(case, since)["unseen"]) == (0, 57)


@pytest.mark.parametrize("code", ["other", "boat"])
def test_once_all_are_seen_nothing_is_missed(case: Case, one: keys.Actor, code: str) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, NAMES, code)
    told = certificate(case, since)
    assert (told["missed_at_most"], told["unseen"]) == (0, 0)
    assert told["recall_at_least"] == (1.0 if code == "boat" else None)
    assert told["absent"] == (None if code == "boat" else "Nothing was found, so it has no share.")
    assert upcoming(case, since, 5) == []
    assert more(case, since, 0.95) == 0


def test_the_next_ones_are_those_of_the_order_that_no_counted_look_graded(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 2))
    grade(case, one, in_order(since, 2, 3), seen=Seen(80, clear=True))
    grade(case, one, in_order(since, 4, 5))
    places = upcoming(case, since, 3)
    assert [each["sha256"] for each in places] == [since.content(place) for place in (2, 3, 5)]
    assert places[0]["address"].startswith("EX1!file:0:/picture ")
    assert (places[0]["kind"], places[0]["name"]) == ("still", "a")
    assert len(upcoming(case, since, 100_000)) == 57, "more than there are is all there are"


def test_more_looks_are_planned_for_a_share(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES[:20], "boat")
    since = freeze(case, one, PLAN)
    wanted = more(case, since, 0.9)
    assert wanted is not None
    assert 0 < wanted < 40
    grade(case, one, in_order(since, 0, wanted))
    share = certificate(case, since)["recall_at_least"]
    assert share >= 0.9
    assert more(case, since, 0.9) == 0
    with pytest.raises(UsageError, match="The recall is a share"):
        more(case, since, 90)


def test_of_grades_that_conflict_the_last_counts_and_the_conflict_is_told(
    case: Case, one: keys.Actor, two: keys.Actor
) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 10))
    grade(case, two, in_order(since, 0, 3))
    grade(case, two, in_order(since, 3, 4), "boat")
    told = certificate(case, since)
    assert (told["looked"], told["found"]) == (10, 1)
    assert (told["disagreement"]["seen_by_two"], told["disagreement"]["differ"]) == (4, 1)
    assert told["disagreement"]["low"] == pytest.approx(0.0063, abs=1e-4)  # Clopper and Pearson for 1 of 4
    assert told["disagreement"]["high"] == pytest.approx(0.8059, abs=1e-4)
    undo(case, two)
    told = certificate(case, since)
    assert (told["found"], told["disagreement"]["seen_by_two"], told["disagreement"]["differ"]) == (0, 3, 0)


# The ledger, and what makes a certificate void


def test_a_certificate_is_stated_once_and_computed_again_by_verify(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 10))
    told = state(case, one, since)
    length = ledger_length(case)
    assert state(case, one, since)["missed_at_most"] == told["missed_at_most"]
    assert ledger_length(case) == length
    [(entry, _, kept)] = said(case, "certificate")
    assert {name: told[name] for name in certificates.FIGURES} | {"population": since.entry} == kept
    (held,) = case.reader.execute("SELECT hash FROM ledger WHERE chain = 'case' AND seq = ?", (entry,)).fetchone()
    assert told["ledger"] == held
    grade(case, one, in_order(since, 10, 20), "boat")
    assert state(case, one, since)["looked"] == 20
    assert len(said(case, "certificate")) == 2
    verify_record(case)


def test_what_is_stated_while_officers_grade_can_be_computed_again(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    other = open_case(case.folder, keys.actor("DC Two"))

    def look() -> None:
        for content in in_order(since, 0, 30):
            grade(other, keys.actor("DC Two"), [content])

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        while not looking.done():
            state(case, one, since)
        looking.result()
    other.close()
    assert state(case, one, since)["looked"] == 30
    verify_record(case)


def test_a_certificate_that_the_grades_do_not_give_is_found(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 10))
    told = {name: certificate(case, since)[name] for name in certificates.FIGURES}
    with case.change(one) as change:
        change.record("certificate", {"population": since.entry, **told, "missed_at_most": 0})
    with pytest.raises(IntegrityError, match=r"certificate of ledger entry \d+ is not what the decisions before it"):
        verify_record(case)


def forge(case: Case, one: keys.Actor, since: Frozen, **columns: Any) -> None:
    """Another row in place of a population's own, as somebody who writes to the file could put it."""
    row = dict(case.reader.execute("SELECT * FROM population WHERE id = ?", (since.id,)).fetchone()) | columns
    with case.change(one) as change:
        [(trigger,)] = change.tx.execute("SELECT sql FROM sqlite_schema WHERE name = 'population_is_kept'").fetchall()
        change.tx.execute("DROP TRIGGER population_is_kept")
        change.tx.execute("DELETE FROM population WHERE id = ?", (since.id,))
        change.tx.execute(trigger)
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        change.tx.execute(f"INSERT INTO population ({names}) VALUES ({places})", row)
        change.record("forged", {})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"seed": "ab" * 32}, "another seed"),
        ({"digest": "ab" * 32}, "not what the case held"),
        ({"plan": "{}"}, "another plan"),
        ({"kind": "counts"}, "another plan"),
        ({"entry": 1}, "does not say how population 1 was frozen"),
    ],
)
def test_a_population_that_was_changed_is_found(
    case: Case, one: keys.Actor, columns: dict[str, Any], says: str
) -> None:
    forge(case, one, freeze(case, one, PLAN), **columns)
    with pytest.raises(IntegrityError, match=says):
        verify_record(case)


def test_another_order_or_other_contents_are_found(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    for contents in (since.contents[::-1], since.contents[:-1]):
        forge(case, one, since, contents=contents.tobytes())
        with pytest.raises(IntegrityError, match="not in the order that its seed gives"):
            verify_record(case)


def test_a_population_that_is_missing_or_there_twice_is_found(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    with case.change(one) as change:
        change.tx.execute(
            "INSERT INTO population (kind, plan, digest, seed, contents, entry) "
            "SELECT kind, plan, digest, seed, contents, entry FROM population"
        )
        change.record("forged", {})
    with pytest.raises(IntegrityError, match="Two populations claim"):
        verify_record(case)
    with case.change(one) as change:
        change.tx.execute("DROP TRIGGER population_is_kept")
        change.tx.execute("DELETE FROM population")
        change.tx.execute(
            "CREATE TRIGGER population_is_kept BEFORE DELETE ON population\n"
            "    BEGIN SELECT RAISE(ABORT, 'populations are append-only'); END"
        )
        change.record("forged", {})
    with pytest.raises(IntegrityError, match=f"ledger entry {since.entry} froze is missing"):
        verify_record(case)


def test_a_second_seed_is_found(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    with case.change(one) as change:
        change.record("seed drawn", {"population": since.entry, "seed": since.seed})
    with pytest.raises(IntegrityError, match="another seed"):
        verify_record(case)


def test_a_freeze_that_was_cut_off_leaves_a_case_that_verifies(case: Case, one: keys.Actor) -> None:
    with case.change(one) as change:
        change.record("population frozen", {"plan": {}, "digest": "", "size": 1, "found_before": {}, "left_out": 0})
    assert list(frozen(case)) == []
    verify_record(case)


def void(told: dict[str, Any], says: str) -> None:
    [why] = told["void"]
    assert says in why
    assert {told[name] for name in ("looked", "found", "unseen", "missed_at_most", "recall_at_least")} == {None}
    assert told["assumptions"] == []


def test_a_new_exhibit_voids_it(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 10))
    state(case, one, since)
    add(case, [Photograph("new"), Photograph("also new")])
    length = ledger_length(case)
    void(state(case, one, since), "came into the case after it was frozen: 2. Freeze it anew.")
    assert ledger_length(case) == length, "what is void is not stated"
    verify_record(case)
    again = freeze(case, one, PLAN)
    assert certificate(case, again)["void"] == []
    assert again.size == 52


@pytest.mark.parametrize(("act", "says"), [("split", "was split"), ("join", "was joined")])
def test_a_split_or_a_join_of_its_contents_voids_it(case: Case, one: keys.Actor, act: str, says: str) -> None:
    grade(case, one, NAMES[:2])
    since = freeze(case, one, PLAN)

    def stacked(*contents: str) -> None:
        with case.change(one) as change:
            entry = change.record("stacking", {})
            change.tx.execute(
                "INSERT INTO stacking (act, contents, actor, at, entry) VALUES (?,?,?,?,?)",
                (act, json.dumps(contents), one.name, ledger.now(), entry),
            )

    stacked(*NAMES[:2])
    assert certificate(case, since)["void"] == [], "these are no part of it"
    stacked(NAMES[1], since.content(7))
    void(certificate(case, since), says)


def test_a_grade_withdrawn_after_a_certificate_counted_it_voids_it(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, in_order(since, 0, 9))
    grade(case, one, in_order(since, 9, 10), "boat")
    undo(case, one)
    assert certificate(case, since)["void"] == [], "no certificate has counted it yet"
    assert certificate(case, since)["looked"] == 9
    grade(case, one, in_order(since, 9, 10), "boat")
    state(case, one, since)
    undo(case, one)
    void(state(case, one, since), "were withdrawn or changed: 1. Freeze it anew.")
    grade(case, one, in_order(since, 9, 10), "camera")
    assert certificate(case, since)["void"] == [], "a target it is again"
    grade(case, one, in_order(since, 9, 10), "other")
    void(certificate(case, since), "were withdrawn or changed: 1. Freeze it anew.")
    verify_record(case)


def test_a_grade_from_before_that_is_withdrawn_voids_it_until_it_is_given_again(case: Case, one: keys.Actor) -> None:
    grade(case, one, NAMES[:1], "boat")
    since = freeze(case, one, PLAN)
    undo(case, one)
    void(certificate(case, since), "Grades from before it was frozen were withdrawn: 1.")
    grade(case, one, NAMES[:1], "other")
    told = certificate(case, since)
    assert (told["void"], told["recall_at_least"]) == ([], None), "nothing is found any more"
    grade(case, one, NAMES[:1], "boat")
    assert certificate(case, since)["recall_at_least"] == pytest.approx(1 / (1 + told["missed_at_most"]))


# Counts


COUNTED = plan_of("counts", SCHEME, 0.95)


@pytest.fixture
def predicted(case: Case, one: keys.Actor) -> dict[str, str]:
    """What officers would say of each content: a model predicts most boats and cameras, and is wrong about some."""
    with case.change(one) as change:
        change.record("model used", {"name": "vessels", "states": {"scores": "m1"}})
    truth = dict.fromkeys(NAMES, "other") | dict.fromkeys(NAMES[:2], "boat")  # these two are predicted by nobody
    pictures = []
    for number in range(40):
        code = "boat" if number % 2 else "camera"
        pictures.append(Photograph(f"{code} {number}", scores={code: 0.99, "other": 0.01}))
        truth[pictures[-1].sha256] = code if number % 10 else "other"
    clips = [
        Photograph(f"clip {number}", frames=[(b"\0" * 32, 90)], scores={"boat": 0.8, "camera": 0.7})
        for number in range(4)
    ]
    add(case, [*pictures, *clips])
    return truth | {each.sha256: "boat" for each in clips}


def tally(truth: dict[str, str], case: Case, code: str, kind: str) -> int:
    kinds = dict(case.reader.execute("SELECT sha256, kind FROM content").fetchall())
    return sum(grade == code and kinds[sha256] == kind for sha256, grade in truth.items())


def test_piles_are_what_is_claimed_before_the_seed(case: Case, one: keys.Actor, predicted: dict[str, str]) -> None:
    carried = [
        Said(NAMES[5], "camera", basis="known", source={"set": "force"}),
        Said(NAMES[6], "camera", basis="propagated", source={}),
        Said(NAMES[7], "other", basis="known", source={"set": "force"}),
    ]
    decide_many(case, one, SCHEME, carried)
    grade(case, one, NAMES[8:10], "boat")
    grade(case, one, NAMES[10:11], "boat", Seen(80, clear=True))
    since = freeze(case, one, COUNTED)
    assert since.claims is not None
    piles = [(pile.category, pile.kind, pile.size) for pile in since.claims.piles]
    assert piles == [("boat", "still", 21), ("boat", "moving", 4), ("camera", "still", 22), ("", "still", 55)]
    place = {sha256: number for number, sha256 in enumerate(in_order(since, 0))}
    of = since.claims.pile_of
    assert [piles[of[place[NAMES[each]]]][0] for each in (5, 6, 7, 10)] == ["camera", "camera", "", "boat"]
    assert NAMES[8] not in place
    assert since.found_before == {"boat": {"still": 2}}
    assert of.tolist() == sorted(of.tolist()), "pile by pile"
    frozen_, drawn = said(case, "population frozen", "seed drawn")
    assert (len(frozen_[2]["claims"]), "claims" in drawn[2]) == (64, False)
    verify_record(case)


def test_bounds_close_on_the_truth_as_looks_go_on(case: Case, one: keys.Actor, predicted: dict[str, str]) -> None:
    grade(case, one, NAMES[:1], "boat")
    since = freeze(case, one, COUNTED)
    before = certificate(case, since)
    assert before["counts"]["boat"] == {
        "still": {"at_least": 1, "at_most": 100},
        "moving": {"at_least": 0, "at_most": 4},
    }
    widths, left = [99], upcoming(case, since, 20)
    while left:
        for each in left:
            grade(case, one, [each["sha256"]], predicted[each["sha256"]])
        told = state(case, one, since)
        for code in ("boat", "camera"):
            for kind, bounds in told["counts"][code].items():
                assert bounds["at_least"] <= tally(predicted, case, code, kind) <= bounds["at_most"]
        widths.append(told["counts"]["boat"]["still"]["at_most"] - told["counts"]["boat"]["still"]["at_least"])
        left = upcoming(case, since, 20)
    assert widths == sorted(widths, reverse=True)
    assert (widths[-1], told["unseen"], told["recall_at_least"]) == (0, 0, 1.0)
    assert (told["looked_at"]["out of turn"], told["missed_at_most"]) == (0, None)
    verify_record(case)


def test_counts_are_those_of_the_bounds_and_what_was_counted_before(
    case: Case, one: keys.Actor, predicted: dict[str, str]
) -> None:
    grade(case, one, NAMES[:1], "boat")
    since = freeze(case, one, COUNTED)
    claims = since.claims
    assert claims is not None
    seen = np.full(since.size, counts.UNSEEN, dtype=np.int8)
    start = 0
    for pile in claims.piles:
        for place in range(start, start + min(4, pile.size)):
            grade(case, one, [since.content(place)], predicted[since.content(place)])
            seen[place] = {"boat": 0, "camera": 1}.get(predicted[since.content(place)], counts.NONE)
        start += pile.size
    told = certificate(case, since)
    wanted = counts.certify(
        claims.piles, ("boat", "camera"), claims.pile_of, claims.scores, np.arange(since.size), seen, confidence=0.95,
        found_before=1,
    )  # fmt: skip
    for each in wanted.bounds:
        more_ = int((each.category, each.kind) == ("boat", "still"))
        bounds = told["counts"][each.category][str(each.kind)]
        assert bounds == {"at_least": each.at_least + more_, "at_most": each.at_most + more_}
    assert (told["looked"], told["recall_at_least"]) == (sum(wanted.looked), wanted.recall_at_least)


def test_without_any_claim_all_is_counted_from_the_rest(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, COUNTED)
    grade(case, one, in_order(since, 0, 30), "boat")
    told = certificate(case, since)
    assert told["counts"]["boat"]["still"]["at_least"] == 30
    assert 30 <= told["counts"]["boat"]["still"]["at_most"] <= 60
    grade(case, one, in_order(since, 30), "boat")
    told = certificate(case, since)
    assert told["counts"] == {
        "boat": {"still": {"at_least": 60, "at_most": 60}}, "camera": {"still": {"at_least": 0, "at_most": 0}}
    }  # fmt: skip


def test_a_look_out_of_turn_counts_what_it_found_and_no_more(
    case: Case, one: keys.Actor, predicted: dict[str, str]
) -> None:
    since = freeze(case, one, COUNTED)
    grade(case, one, in_order(since, 1, 3), "camera")
    told = certificate(case, since)
    assert told["counts"]["camera"]["still"]["at_least"] == 2
    assert (told["looked"], told["looked_at"]["out of turn"], told["unseen"]) == (0, 2, since.size - 2)


def test_a_target_of_another_category_than_was_counted_voids_counts(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, COUNTED)
    grade(case, one, in_order(since, 0, 1), "boat")
    state(case, one, since)
    grade(case, one, in_order(since, 0, 1), "camera")
    void(certificate(case, since), "were withdrawn or changed: 1.")


def test_what_only_missed_can_do_is_refused(case: Case, one: keys.Actor) -> None:
    with pytest.raises(UsageError, match="'missed' alone; leave it out"):
        plan_of("counts", SCHEME, 0.9, overlooked=(3, 200))
    with pytest.raises(UsageError, match="'missed' alone; leave --recall out"):
        more(case, freeze(case, one, COUNTED), 0.9)


def test_claims_that_were_changed_are_found(case: Case, one: keys.Actor, predicted: dict[str, str]) -> None:
    since = freeze(case, one, COUNTED)
    assert since.claims is not None
    assert since.claims.scores is not None
    for columns in (
        {"piles": since.claims.pile_of[::-1].tobytes()},
        {"scores": (since.claims.scores / 2).tobytes()},
        {"scores": None},
        {"piles": None},
    ):
        forge(case, one, since, **columns)
        with pytest.raises(IntegrityError, match="claims something else"):
            verify_record(case)


def test_looks_that_a_table_states_are_told_apart(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    source = {"file": "grades.csv", "line": 2}
    decide_many(case, one, SCHEME, [Said(since.content(0), "other", CLEAR, source=source)])
    told = certificate(case, since)
    assert (told["looked"], told["looked_at"]["as an imported table states"]) == (1, 1)
    assert told["looked_at"]["clear and large"] == 0
    assert any("Mantlet did not show" in each for each in told["assumptions"])


def test_a_small_look_that_a_trial_calls_weak_settles_nothing_before_the_freeze(case: Case, one: keys.Actor) -> None:
    small = Seen(96, clear=True, milliseconds=900)
    decide_many(case, one, SCHEME, [Said(NAMES[0], "other", small), Said(NAMES[1], "boat", small)])
    since = freeze(case, one, plan_of("missed", SCHEME, 0.95, 96, (100, 200)))
    assert (since.size, since.found_before) == (len(NAMES) - 1, {"boat": {"still": 1}})


def test_a_grade_by_another_version_of_the_scheme_counts_for_nothing(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    decide_many(case, one, msgspec.structs.replace(SCHEME, version="2"), [Said(since.content(0), "other", CLEAR)])
    assert certificate(case, since)["looked"] == 0


def test_what_a_later_scan_says_of_a_picture_changes_no_certificate(case: Case, one: keys.Actor) -> None:
    unsized = Unsized("without a size")
    add(case, [unsized])
    since = freeze(case, one, PLAN)
    grade(case, one, [unsized.sha256], seen=Seen(100, clear=True))
    assert state(case, one, since)["looked_at"]["not counted"] == 1
    work = Scan(case, None)
    work.merge(Rows(findings=[Finding(unsized.sha256, "media", 2, "later", {"width": 10, "height": 10})]))
    work.flush()
    assert certificate(case, since)["looked_at"]["not counted"] == 1
    verify_record(case)


def test_each_freeze_is_told_of_also_one_without_a_seed(case: Case, one: keys.Actor) -> None:
    since = freeze(case, one, PLAN)
    with case.change(one) as change:
        change.record("population frozen", {})
    told = certificate(case, since)
    assert any("1 other population was frozen" in each and "2 times as large" in each for each in told["assumptions"])


def test_a_certificate_says_in_which_entry_it_is_stated_and_who_changed_a_grade_first(
    case: Case, one: keys.Actor
) -> None:
    since = freeze(case, one, PLAN)
    grade(case, one, [since.content(0)], "boat")
    grade(case, one, [since.content(0)], "other")
    assert certificate(case, since)["stated"] is None
    told = state(case, one, since)
    assert told["found"] == 0
    assert any("1 were graded differently before" in each for each in told["assumptions"])
    again = certificate(case, since)
    assert (again["stated"], again["ledger"]) == (told["stated"], told["ledger"])
    (entry,) = (seq for seq, _, _ in said(case, "certificate"))
    assert told["stated"] == entry
