"""Grades carried over unseen: only what the case allows, only from what still says them, never over a person's look."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cases import Picture, add, flipped, ledger_length

from mantlet.case import allowed, carry, queries, queue
from mantlet.case.allowed import Allowed
from mantlet.case.carry import COPIES_DIFFER, SETS_DIFFER, WEAKER, Carried, decide_stack
from mantlet.case.case import Case
from mantlet.case.decisions import Seen, decide, undo
from mantlet.case.matching import match
from mantlet.case.scan import Scan
from mantlet.case.verify import verify_record
from mantlet.errors import UsageError
from mantlet.fingerprint import FORMS
from mantlet.governance import keys, ledger
from mantlet.governance.policy import Policy
from mantlet.grading import queueing, scheme
from mantlet.known.records import Category, KnownSet, Record
from mantlet.known.sets import Sets
from mantlet.types import Finding, Rows
from tests.known_sets import digest, matcher, put

SCHEME = scheme.load("stand-in")
SEEN = Seen(640, clear=True, milliseconds=900)
SOURCE = random.Random(7)
LOOK = SOURCE.randbytes(32)
FIRST = Picture("first", LOOK)
NEAR = Picture("near", flipped(LOOK, 20, SOURCE))
BOAT, KITE = Picture("boat"), Picture("kite")
TRUST = Policy(trusted_sets=("force", "other"))


@pytest.fixture
def one() -> keys.Actor:
    return keys.actor("DC One")


@pytest.fixture
def two() -> keys.Actor:
    return keys.actor("DC Two")


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


def known(
    sets: Sets, picture: Picture, category: str | None, name: str = "force", profile: str | None = "stand-in 1",
    **about: Any,
) -> KnownSet:  # fmt: skip
    record = Record(1, sha256=bytes.fromhex(picture.sha256), category=category)
    return put(sets, name, [record], profile=profile, **about)


def run(case: Case, actor: keys.Actor, sets: Sets, policy: Policy = TRUST) -> Carried:
    return carry.carry(case, actor, SCHEME, policy, sets.all())


def stands(case: Case, picture: Picture) -> tuple[str | None, str | None]:
    """Grade and basis."""
    [item] = queries.items(case, [f"sha256={picture.sha256}"])
    return item["grade"], item["basis"]


def source(case: Case, picture: Picture) -> Any:
    row = case.reader.execute("SELECT source FROM standing WHERE sha256 = ?", (picture.sha256,)).fetchone()
    return json.loads(row["source"])


def to_see(case: Case) -> list[str]:
    return [row["sha256"] for row in queue.read(case, "", 100, ungraded_only=True)]


# -- what is allowed ---------------------------------------------------------------------------------------------------


def test_at_first_only_what_is_known_may_be_taken_over(case: Case) -> None:
    assert allowed.in_force(case) == Allowed(("known",))
    assert allowed.history(case) == []


def test_a_step_down_is_in_the_ledger_with_authority_and_reason(case: Case, one: keys.Actor) -> None:
    allowed.allow(case, one, "near-copies", "DI Example", "2,000 copies")
    now = allowed.in_force(case)
    assert now == Allowed(("known", "near-copies"), "DI Example", "2,000 copies")
    allowed.withdraw(case, one, "known")
    assert allowed.in_force(case).steps == ("near-copies",)
    first, last = allowed.history(case)
    assert (first["actor"], first["allowed"], first["authority"], first["reason"]) == (
        "DC One", "near-copies", "DI Example", "2,000 copies",
    )  # fmt: skip
    assert (last["withdrawn"], last["steps"]) == ("known", ["near-copies"])
    entry = list(ledger.entries(case.reader, "case"))[-1]
    assert (entry.kind, entry.seq) == (allowed.KIND, last["entry"])


@pytest.mark.parametrize(
    ("step", "authority", "reason"),
    [
        ("near-copies", "", "why"), ("sampling", "DI Example", ""), ("sampling", " ", "why"),
        ("sampling", "DI Example", "two\nlines"), ("known", "DI Example", "x" * 501), ("scores", "DI Example", "why"),
    ],
)  # fmt: skip
def test_nothing_is_allowed_without_authority_and_reason(
    case: Case, one: keys.Actor, step: Any, authority: str, reason: str
) -> None:
    before = ledger_length(case)
    with pytest.raises(UsageError, match=r"--authority|--reason|near-copies"):
        allowed.allow(case, one, step, authority, reason)
    assert (ledger_length(case), allowed.in_force(case)) == (before, Allowed())


def test_an_entry_whose_words_were_erased_allows_nothing(case: Case, one: keys.Actor) -> None:
    allowed.allow(case, one, "sampling", "DI Example", "a trial")
    with case.change() as change:
        change.tx.execute("UPDATE ledger SET payload = NULL, salt = NULL WHERE kind = ?", (allowed.KIND,))
        change.record("test", {})
    assert allowed.in_force(case).steps == ()


# -- from trusted records ----------------------------------------------------------------------------------------------


def test_a_trusted_grade_of_the_same_file_is_taken_over_with_its_source(
    case: Case, one: keys.Actor, sets: Sets
) -> None:
    add(case, [BOAT, KITE])
    match(case, matcher(sets, [known(sets, BOAT, "boat")]))
    assert run(case, one, sets) == Carried(1, 0, 1, 0, 0, {})
    assert (stands(case, BOAT), stands(case, KITE)) == (("boat", "known"), (None, None))
    assert source(case, BOAT) == {"set": "force", "version": "1", "record": 1, "how": "sha256"}
    assert to_see(case) == [KITE.sha256]
    length = ledger_length(case)
    assert run(case, one, sets) == Carried(1, 0, 0, 0, 0, {})
    assert ledger_length(case) == length, "a second run changes nothing"
    verify_record(case)


def test_what_is_not_trusted_or_not_allowed_is_not_taken_over(case: Case, one: keys.Actor, sets: Sets) -> None:
    add(case, [BOAT])
    match(case, matcher(sets, [known(sets, BOAT, "boat")]))
    assert run(case, one, sets, Policy()) == Carried(0, 0, 0, 0, 0, {})
    allowed.withdraw(case, one, "known")
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 0, {})
    assert to_see(case) == [BOAT.sha256]


@pytest.mark.parametrize("held", [["md5"], ["sha1"], ["md5", "sha1"]])
def test_weaker_digests_are_counted_and_seen(case: Case, one: keys.Actor, sets: Sets, held: Sequence[str]) -> None:
    add(case, [BOAT])
    record = Record(1, category="boat", **{name: digest(name, BOAT.text) for name in held})
    match(case, matcher(sets, [put(sets, "force", [record], profile="stand-in 1")]))
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 0, {WEAKER: 1})
    assert to_see(case) == [BOAT.sha256]


@pytest.mark.parametrize(
    ("category", "profile", "why"),
    [
        ("boat", None, "does not say by which scheme"),
        (None, "stand-in 1", "have no category"),
        ("lorry", "stand-in 1", "no grade in stand-in"),
        ("A", "england-wales 2014-04", "no such mapping"),
        ("1", "icse 1", "no category scheme"),
    ],
)
def test_a_category_that_is_no_grade_of_the_scheme_is_refused_and_counted(
    case: Case, one: keys.Actor, sets: Sets, category: str | None, profile: str | None, why: str
) -> None:
    add(case, [BOAT])
    match(case, matcher(sets, [known(sets, BOAT, category, profile=profile)]))
    done = run(case, one, sets)
    [(said, count)] = done.left.items()
    assert (done.known, count) == (0, 1)
    assert why in said


def test_grades_are_mapped_only_where_a_mapping_says_so(case: Case, one: keys.Actor, sets: Sets) -> None:
    american = scheme.load("project-vic-us-dhs")
    add(case, [BOAT, KITE])
    records = [
        Record(number, sha256=bytes.fromhex(each.sha256), category=code)
        for number, each, code in ((1, BOAT, "0"), (2, KITE, "5"))
    ]
    match(case, matcher(sets, [put(sets, "force", records, profile="project-vic-us 1")]))
    done = carry.carry(case, one, american, TRUST, sets.all())
    assert (done.known, sum(done.left.values())) == (1, 1), "not pertinent is; what nobody categorised is not"
    assert stands(case, BOAT) == ("5", "known")
    assert stands(case, KITE) == (None, None)


def test_trusted_sets_that_disagree_leave_it_to_a_person_first(case: Case, one: keys.Actor, sets: Sets) -> None:
    add(case, [KITE, BOAT])
    match(case, matcher(sets, [known(sets, BOAT, "boat"), known(sets, BOAT, "camera", "other")]))
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 1, {})
    assert to_see(case)[0] == BOAT.sha256
    [row] = case.reader.execute("SELECT * FROM unsettled").fetchall()
    assert tuple(row) == (BOAT.sha256, SETS_DIFFER)
    decide(case, one, SCHEME, BOAT.sha256, "boat", SEEN)
    assert run(case, one, sets).unsettled == 0


def test_a_harmless_grade_of_what_any_set_calls_notable_is_not_taken_over(
    case: Case, one: keys.Actor, sets: Sets
) -> None:
    harmless = known(sets, BOAT, "not-relevant", categories=[Category("not-relevant", "benign")])
    notable = put(sets, "list", [Record(1, sha256=bytes.fromhex(BOAT.sha256))])
    add(case, [BOAT])
    match(case, matcher(sets, [harmless, notable]))
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 1, {})


def test_of_a_set_that_was_replaced_nothing_is_taken_over(case: Case, one: keys.Actor, sets: Sets) -> None:
    add(case, [BOAT])
    match(case, matcher(sets, [known(sets, BOAT, "boat")]))
    known(sets, BOAT, "boat", version="2")
    [why] = run(case, one, sets).left
    assert "run `mantlet match` again" in why


def test_a_grade_is_taken_back_when_its_source_no_longer_says_it(case: Case, one: keys.Actor, sets: Sets) -> None:
    add(case, [BOAT])
    match(case, matcher(sets, [known(sets, BOAT, "boat")]))
    run(case, one, sets)
    match(case, matcher(sets, [known(sets, BOAT, "camera", version="2")]))
    assert run(case, one, sets) == Carried(1, 0, 1, 1, 0, {})
    assert stands(case, BOAT) == ("camera", "known")
    assert run(case, one, sets, Policy()) == Carried(0, 0, 0, 1, 0, {})
    assert stands(case, BOAT) == (None, None)
    assert to_see(case) == [BOAT.sha256]
    verify_record(case)


def test_a_persons_look_prevails_before_and_after(case: Case, one: keys.Actor, two: keys.Actor, sets: Sets) -> None:
    add(case, [BOAT, KITE])
    records = [
        Record(number, sha256=bytes.fromhex(each.sha256), category="boat")
        for number, each in enumerate((BOAT, KITE), 1)
    ]
    match(case, matcher(sets, [put(sets, "force", records, profile="stand-in 1")]))
    decide(case, two, SCHEME, BOAT.sha256, "camera", SEEN)
    assert run(case, one, sets) == Carried(1, 0, 1, 0, 0, {})
    assert stands(case, BOAT) == ("camera", "viewed")
    decide(case, two, SCHEME, KITE.sha256, "other", SEEN)
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 0, {})
    assert stands(case, KITE) == ("other", "viewed")
    undone = undo(case, two)
    assert undone is not None
    assert (undone.grade, undone.basis) == ("boat", "known"), "what was carried over stands again"
    assert undo(case, one) is None, "what was carried over is nobody's look, so nobody's to undo"


def test_a_look_that_comes_while_grades_are_carried_over_stays(
    case: Case, one: keys.Actor, two: keys.Actor, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(case, [BOAT])
    match(case, matcher(sets, [known(sets, BOAT, "boat")]))
    plan = carry._apply

    def late(*arguments: Any) -> tuple[int, int]:
        decide(case, two, SCHEME, BOAT.sha256, "camera", SEEN)
        return plan(*arguments)

    monkeypatch.setattr(carry, "_apply", late)
    assert run(case, one, sets).given == 0
    assert stands(case, BOAT) == ("camera", "viewed")


# -- from near copies --------------------------------------------------------------------------------------------------


@pytest.fixture
def near(case: Case, one: keys.Actor) -> Case:
    """A case that allows near copies to take grades."""
    allowed.allow(case, one, "near-copies", "DI Example", "many copies")
    return case


def stacked(case: Case, sets: Sets, *pictures: Picture) -> None:
    add(case, pictures)
    match(case, matcher(sets, []))


def test_a_near_copy_takes_a_grade_only_where_that_is_allowed(case: Case, one: keys.Actor, sets: Sets) -> None:
    stacked(case, sets, FIRST, NEAR)
    decide(case, one, SCHEME, FIRST.sha256, "boat", SEEN)
    assert run(case, one, sets) == Carried(0, 0, 0, 0, 0, {})
    allowed.allow(case, one, "near-copies", "DI Example", "many copies")
    assert run(case, one, sets) == Carried(0, 1, 1, 0, 0, {})
    assert stands(case, NEAR) == ("boat", "propagated")
    assert source(case, NEAR) == {"sha256": FIRST.sha256, "view": "upright", "distance": 20}
    length = ledger_length(case)
    run(case, one, sets)
    assert ledger_length(case) == length
    allowed.withdraw(case, one, "near-copies")
    assert run(case, one, sets) == Carried(0, 0, 0, 1, 0, {})
    verify_record(case)


def test_a_turned_copy_takes_it_by_the_view_that_is_nearest(near: Case, one: keys.Actor, sets: Sets) -> None:
    turned = Picture("turned", SOURCE.randbytes(32))
    forms = [SOURCE.randbytes(32).hex() for _ in FORMS]
    forms[FORMS.index("mirrored")] = flipped(LOOK, 9, SOURCE).hex()
    add(near, [FIRST, turned])
    work = Scan(near)
    work.merge(Rows(findings=[Finding(turned.sha256, "pdq-forms", 1, "s", forms)]))
    work.flush()
    with near.change() as change:  # as the stacks of turned copies are
        change.tx.executemany("INSERT OR REPLACE INTO stack VALUES (?, 'x')", [(FIRST.sha256,), (turned.sha256,)])
        change.record("test", {})
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    assert run(near, one, sets).propagated == 1
    assert source(near, turned) == {"sha256": FIRST.sha256, "view": "mirrored", "distance": 9}


def test_no_grade_goes_along_a_chain(near: Case, one: keys.Actor, sets: Sets) -> None:
    far = Picture("far", flipped(NEAR.pdq or b"", 30, random.Random(11)))
    stacked(near, sets, FIRST, NEAR, far)
    assert len({row["stack"] for row in near.reader.execute("SELECT stack FROM stack")}) == 1
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    for _ in range(2):
        assert run(near, one, sets).propagated == 1
    assert (stands(near, NEAR), stands(near, far)) == (("boat", "propagated"), (None, None))


def test_a_grade_that_was_taken_over_from_a_set_is_no_source(near: Case, one: keys.Actor, sets: Sets) -> None:
    add(near, [FIRST, NEAR])
    match(near, matcher(sets, [known(sets, FIRST, "boat")]))
    assert run(near, one, sets) == Carried(1, 0, 1, 0, 0, {})
    assert stands(near, NEAR) == (None, None)


def test_the_nearest_is_the_source_and_those_that_disagree_carry_nothing(
    near: Case, one: keys.Actor, sets: Sets
) -> None:
    third = Picture("third", flipped(NEAR.pdq or b"", 4, random.Random(12)))
    stacked(near, sets, KITE, FIRST, NEAR, third)
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    decide(near, one, SCHEME, third.sha256, "boat", SEEN)
    run(near, one, sets)
    assert source(near, NEAR)["sha256"] == third.sha256
    decide(near, one, SCHEME, third.sha256, "camera", SEEN)
    assert run(near, one, sets) == Carried(0, 0, 0, 1, 1, {})
    assert to_see(near)[0] == NEAR.sha256
    assert [tuple(row) for row in near.reader.execute("SELECT * FROM unsettled")] == [(NEAR.sha256, COPIES_DIFFER)]


@pytest.mark.parametrize("how", ["changed", "undone", "parted"])
def test_it_is_taken_back_when_its_source_changes(near: Case, one: keys.Actor, sets: Sets, how: str) -> None:
    stacked(near, sets, FIRST, NEAR)
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    run(near, one, sets)
    if how == "changed":
        decide(near, one, SCHEME, FIRST.sha256, "camera", SEEN)
    elif how == "undone":
        undo(near, one)
    else:
        with near.change() as change:  # as a split leaves it
            change.tx.execute("UPDATE stack SET stack = sha256")
            change.record("test", {})
    done = run(near, one, sets)
    assert done.taken_back == 1
    assert stands(near, NEAR) == (("camera", "propagated") if how == "changed" else (None, None))
    assert (NEAR.sha256 in to_see(near)) == (how != "changed" or is_checked(near, NEAR))


def is_checked(case: Case, picture: Picture) -> bool:
    return queueing.is_drawn(queueing.lot(queue.seed(case), bytes.fromhex(picture.sha256)))


def test_another_source_of_the_same_grade_takes_the_place_of_one_that_is_gone(
    near: Case, one: keys.Actor, sets: Sets
) -> None:
    third = Picture("third", flipped(NEAR.pdq or b"", 4, random.Random(12)))
    stacked(near, sets, FIRST, NEAR, third)
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    decide(near, one, SCHEME, third.sha256, "boat", SEEN)
    run(near, one, sets)
    undo(near, one)
    run(near, one, sets)
    assert (stands(near, NEAR), source(near, NEAR)["sha256"]) == (("boat", "propagated"), FIRST.sha256)


def test_one_decision_covers_the_stack_and_each_member_keeps_its_basis(near: Case, one: keys.Actor, sets: Sets) -> None:
    stacked(near, sets, KITE, FIRST, NEAR)
    [made] = decide_stack(near, one, SCHEME, "boat", {FIRST.sha256: SEEN})
    assert (made.sha256, made.basis) == (FIRST.sha256, "viewed")
    assert (stands(near, FIRST), stands(near, NEAR)) == (("boat", "viewed"), ("boat", "propagated"))
    decide_stack(near, one, SCHEME, "camera", {FIRST.sha256: SEEN, NEAR.sha256: SEEN})
    assert stands(near, NEAR) == ("camera", "viewed")
    undone = [carry.undo(near, one, SCHEME) for _ in range(4)]
    assert [each and (each.sha256, each.grade) for each in undone] == [
        (NEAR.sha256, "boat"), (FIRST.sha256, "boat"), (FIRST.sha256, None), None,
    ]  # fmt: skip
    assert (stands(near, FIRST), stands(near, NEAR)) == ((None, None), (None, None))
    verify_record(near)


def test_without_near_copies_a_decision_covers_what_was_looked_at(case: Case, one: keys.Actor, sets: Sets) -> None:
    stacked(case, sets, FIRST, NEAR)
    decide_stack(case, one, SCHEME, "boat", {FIRST.sha256: SEEN})
    assert (stands(case, FIRST), stands(case, NEAR)) == (("boat", "viewed"), (None, None))


def test_one_in_twenty_provisional_grades_is_checked_blind(near: Case, one: keys.Actor, sets: Sets) -> None:
    copies = [Picture(f"copy {number}", flipped(LOOK, 5, random.Random(number))) for number in range(200)]
    stacked(near, sets, FIRST, *copies)
    decide(near, one, SCHEME, FIRST.sha256, "boat", SEEN)
    assert run(near, one, sets).propagated == 200
    rows = queue.read(near, "", 1000, ungraded_only=True)
    assert {row["sha256"] for row in rows} == {each.sha256 for each in copies if is_checked(near, each)}
    assert 1 <= len(rows) <= 25
    assert {(row["grade"], row["basis"]) for row in rows} == {(None, None)}
    everything = {row["sha256"]: row["grade"] for row in queue.read(near, "", 1000, ungraded_only=False)}
    assert sum(grade == "boat" for grade in everything.values()) == 201 - len(rows)
    decide(near, one, SCHEME, rows[0]["sha256"], "boat", SEEN)
    assert len(to_see(near)) == len(rows) - 1
    run(near, one, sets)
    assert len(to_see(near)) == len(rows) - 1, "what was confirmed is not asked again"
