"""Decisions: one covers every exact copy, each is kept, and undo restores what stood before."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cases import Picture, add, ledger_length, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mantlet.case import queries, queue
from mantlet.case.case import Case, open_case
from mantlet.case.decisions import Decision, Said, Seen, decide, decide_many, undo
from mantlet.case.exposure import exposed, hidden
from mantlet.case.verify import verify_record
from mantlet.errors import UsageError
from mantlet.governance import keys, ledger
from mantlet.grading import scheme
from mantlet.types import Containment, Recovery

SCHEME = scheme.load("stand-in")
COPIES = (
    ("/a", Recovery.LIVE, Containment.FILE),
    ("/b", Recovery.DELETED, Containment.FILE),
    ("/c", Recovery.LIVE, Containment.MEMBER),
)
BOAT, KITE = Picture("boat", found=COPIES), Picture("kite")


@pytest.fixture
def one() -> keys.Actor:
    return keys.actor("DC One")


@pytest.fixture
def two() -> keys.Actor:
    return keys.actor("DC Two")


@pytest.fixture(autouse=True)
def filled(case: Case) -> Case:
    add(case, [BOAT, KITE])
    return case


def graded(case: Case, picture: Picture) -> set[tuple[str | None, str | None, str | None]]:
    """Grade, basis and by whom, of every item of a picture."""
    items = queries.items(case, [f"sha256={picture.sha256}"])
    return {(item["grade"], item["basis"], item["graded_by"]) for item in items}


def said(case: Case) -> list[tuple[str, dict[str, Any]]]:
    """Who, and what, of each entry of the ledger about a decision."""
    found = [entry for entry in ledger.entries(case.reader, "case") if entry.kind == "decision"]
    return [(entry.actor, json.loads(entry.payload or "")) for entry in found]


def test_a_grade_covers_every_exact_copy_and_nothing_else(case: Case, one: keys.Actor) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    assert len(list(queries.items(case, ["grade=boat"]))) == 3
    assert graded(case, BOAT) == {("boat", "viewed", "DC One")}
    assert graded(case, KITE) == {(None, None, None)}


def test_a_decision_is_a_row_and_an_entry_that_agree(case: Case, one: keys.Actor) -> None:
    seen = Seen(side=512, clear=True, milliseconds=1200)
    made = decide(case, one, SCHEME, BOAT.sha256, "boat", seen, "a sail")
    [(actor, entry)] = said(case)
    [row] = case.reader.execute("SELECT * FROM decision").fetchall()
    for held in (entry, row):
        assert (held["sha256"], held["grade"], held["basis"]) == (BOAT.sha256, "boat", "viewed")
        assert (held["scheme"], held["scheme_version"], held["note"]) == ("stand-in", SCHEME.version, "a sail")
        assert held["undoes"] is None
    assert actor == row["actor"] == made.actor == "DC One"
    assert entry["seen"] == json.loads(row["seen"]) == {"side": 512, "clear": True, "milliseconds": 1200}
    assert (made.id, made.grade, made.at) == (row["id"], "boat", row["at"])


def test_the_last_decision_stands_and_the_former_is_kept(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    decide(case, two, SCHEME, BOAT.sha256, "camera", Seen())
    assert graded(case, BOAT) == {("camera", "viewed", "DC Two")}
    assert [(actor, entry["grade"]) for actor, entry in said(case)] == [("DC One", "boat"), ("DC Two", "camera")]
    assert queries.tally(case)["graded"] == 1


def test_the_head_is_signed_by_who_decided(case: Case, two: keys.Actor) -> None:
    decide(case, two, SCHEME, BOAT.sha256, "boat", Seen())
    head = ledger.verify(case.reader, "case")
    assert head is not None
    assert (head.actor, head.public_key) == ("DC Two", two.public_key)


@pytest.mark.parametrize(
    ("sha256", "grade", "says"),
    [
        (BOAT.sha256, "A", "'A' is not a grade of the scheme stand-in"),
        (BOAT.sha256, "ungraded", "'ungraded' is not a grade"),
        ("ab" * 32, "boat", "no such content in this case"),
        ("", "boat", "no such content in this case"),
        (BOAT.sha256.upper(), "boat", "no such content in this case"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    case: Case, one: keys.Actor, sha256: str, grade: str, says: str
) -> None:
    before = ledger_length(case)
    with pytest.raises(UsageError, match=says):
        decide(case, one, SCHEME, sha256, grade, Seen())
    assert (rows(case, "decision"), ledger_length(case)) == ([], before)


def test_undo_restores_what_stood_before_and_is_itself_kept(case: Case, one: keys.Actor) -> None:
    first = decide(case, one, SCHEME, BOAT.sha256, "boat", Seen(), "a sail")
    second = decide(case, one, SCHEME, BOAT.sha256, "camera", Seen(), "a lens")
    undone = undo(case, one)
    assert undone is not None
    assert (undone.sha256, undone.grade, undone.undoes) == (BOAT.sha256, "boat", second.id)
    assert graded(case, BOAT) == {("boat", "viewed", "DC One")}
    assert [entry["undoes"] for _, entry in said(case)] == [None, None, second.id]
    assert [entry["note"] for _, entry in said(case)] == ["a sail", "a lens", "a sail"]
    again = undo(case, one)
    assert again is not None
    assert (again.grade, again.undoes) == (None, first.id)
    assert graded(case, BOAT) == {(None, None, None)}
    assert len(rows(case, "decision")) == 4
    verify_record(case)


def test_what_is_ungraded_again_is_nobodys_grade(case: Case, one: keys.Actor) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    undo(case, one)
    assert list(queries.items(case, ["graded_by=DC One"])) == []
    assert len(list(queries.items(case, ["grade=ungraded"]))) == 4
    assert {row["graded_by"] for row in queue.read(case, "", 9, ungraded_only=False)} == {None}
    assert queries.scheme_in_use(case) is None
    assert queries.tally(case)["graded"] == 0


def test_nothing_to_undo_is_said(case: Case, one: keys.Actor) -> None:
    before = ledger_length(case)
    assert undo(case, one) is None
    assert rows(case, "decision") == []
    assert ledger_length(case) == before


def test_nobody_undoes_what_another_said(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    decide(case, one, SCHEME, KITE.sha256, "other", Seen())
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    decide(case, two, SCHEME, BOAT.sha256, "camera", Seen())
    undone = undo(case, one)
    assert undone is not None
    assert undone.sha256 == KITE.sha256, "the last word on the boat is another's"
    assert graded(case, BOAT) == {("camera", "viewed", "DC Two")}
    assert undo(case, one) is None
    undone = undo(case, two)
    assert undone is not None
    assert (undone.actor, undone.grade) == ("DC Two", "boat")
    assert graded(case, BOAT) == {("boat", "viewed", "DC One")}
    assert undo(case, two) is None


def test_an_undo_gives_the_grade_back_to_who_gave_it(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    first = decide(case, one, SCHEME, BOAT.sha256, "boat", Seen(), "a sail")
    second = decide(case, two, SCHEME, BOAT.sha256, "camera", Seen())
    undone = undo(case, two)
    assert undone is not None
    assert (undone.undoes, undone.restores, undone.graded_by) == (second.id, first.id, "DC One")
    assert graded(case, BOAT) == {("boat", "viewed", "DC One")}
    assert len(list(queries.items(case, ["graded_by=DC One"]))) == 3
    assert list(queries.items(case, ["graded_by=DC Two"])) == []
    [row] = case.reader.execute("SELECT * FROM standing").fetchall()
    assert (row["actor"], row["note"], row["basis"], row["at"]) == ("DC One", "a sail", "viewed", first.at)
    assert [(actor, entry["restores"]) for actor, entry in said(case)][2] == ("DC Two", first.id)
    undone = undo(case, one)
    assert undone is not None, "what was taken back stands in nobody's way"
    assert (undone.undoes, undone.restores, undone.graded_by) == (first.id, None, None)
    assert graded(case, BOAT) == {(None, None, None)}
    verify_record(case)


def test_an_undo_reaches_past_another_who_came_between(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    decide(case, two, SCHEME, BOAT.sha256, "camera", Seen())
    decide(case, one, SCHEME, BOAT.sha256, "other", Seen())
    assert undo(case, two) is None, "the grade that stands is not theirs"
    undo(case, one)
    assert graded(case, BOAT) == {("camera", "viewed", "DC Two")}
    assert undo(case, one) is None
    undo(case, two)
    assert graded(case, BOAT) == {("boat", "viewed", "DC One")}


def test_pages_that_undo_at_once_take_a_decision_back_once(case: Case, one: keys.Actor) -> None:
    made = decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    barrier = threading.Barrier(4)

    def press(_: int) -> Decision | None:
        page = open_case(case.folder, one)
        barrier.wait()
        undone = undo(page, one)
        page.close()
        return undone

    with ThreadPoolExecutor(4) as pool:
        undone = [each for each in pool.map(press, range(4)) if each]
    assert [each.undoes for each in undone] == [made.id]
    assert len(rows(case, "decision")) == 2
    verify_record(case)


def test_undo_restores_the_scheme_too(case: Case, one: keys.Actor) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    decide(case, one, scheme.load("england-wales"), BOAT.sha256, "not-relevant", Seen())
    assert queries.scheme_in_use(case) == "england-wales"
    undo(case, one)
    assert queries.scheme_in_use(case) == "stand-in"


steps = st.lists(
    st.sampled_from([None, *((picture, code) for picture in (BOAT, KITE) for code in ("boat", "camera"))]), max_size=12
)


@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_one_person_goes_back_step_by_step(case: Case, said: list[tuple[Picture, str] | None]) -> None:
    """A list of what was said, from whose end undo takes, is all that should be seen."""
    number = ledger_length(case)
    actor = keys.actor(f"DC {number}")  # each example is of somebody and of pictures of their own
    own = {each: Picture(f"{each.text} {number}") for each in (BOAT, KITE)}
    add(case, list(own.values()))
    history: list[tuple[str, str]] = []
    for step in said:
        if step is None:
            undone = undo(case, actor)
            assert (undone is None) == (not history)
            if undone is not None:
                assert undone.sha256 == history.pop()[0]
        else:
            sha256 = own[step[0]].sha256
            decide(case, actor, SCHEME, sha256, step[1], Seen())
            history.append((sha256, step[1]))
    standing = dict(
        case.reader.execute("SELECT sha256, grade FROM standing WHERE actor = ? AND grade NOT NULL", (actor.name,))
    )
    assert standing == dict(history)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE decision SET grade = 'camera'", "UPDATE decision SET actor = 'x' WHERE id = 1", "DELETE FROM decision"],
)
def test_a_decision_can_neither_be_changed_nor_deleted(case: Case, one: keys.Actor, statement: str) -> None:
    decide(case, one, SCHEME, BOAT.sha256, "boat", Seen())
    before = rows(case, "decision")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), case.change() as change:
        change.tx.execute(statement)
    assert rows(case, "decision") == before


def test_what_was_shown_is_in_the_chain_of_exposure(case: Case, one: keys.Actor) -> None:
    exposed(case, one, BOAT.sha256, Seen(1600, clear=True))
    hidden(case, one, BOAT.sha256, Seen(1600, clear=True, milliseconds=900))
    found = [
        (entry.actor, entry.kind, json.loads(entry.payload or "")) for entry in ledger.entries(case.reader, "exposure")
    ]
    assert found == [
        ("DC One", "shown", {"sha256": BOAT.sha256, "side": 1600, "clear": True, "milliseconds": 0}),
        ("DC One", "hidden", {"sha256": BOAT.sha256, "side": 1600, "clear": True, "milliseconds": 900}),
    ]
    assert said(case) == []
    assert [head.chain for head in verify_record(case)] == ["case", "exposure"]


def test_several_grades_are_stored_together_or_not_at_all(case: Case, one: keys.Actor) -> None:
    before = ledger_length(case)
    with pytest.raises(UsageError, match="no such content"):
        decide_many(case, one, SCHEME, [Said(BOAT.sha256, "boat"), Said("0" * 64, "boat")])
    assert ledger_length(case) == before
    assert decide_many(case, one, SCHEME, []) == []
    assert ledger_length(case) == before


def test_a_grade_that_was_taken_over_says_from_where(case: Case, one: keys.Actor) -> None:
    source = {"set": "national", "record": 7}
    decide_many(case, one, SCHEME, [Said(BOAT.sha256, "boat", basis="known", source=source)])
    decide(case, one, SCHEME, KITE.sha256, "other", Seen())
    held = {row["sha256"]: (row["basis"], row["source"]) for row in case.reader.execute("SELECT * FROM standing")}
    assert held == {BOAT.sha256: ("known", json.dumps(source, separators=(",", ":"))), KITE.sha256: ("viewed", None)}
    assert verify_record(case)


def test_undo_brings_back_from_where_the_earlier_grade_came(case: Case, one: keys.Actor) -> None:
    decide_many(case, one, SCHEME, [Said(BOAT.sha256, "boat", basis="known", source={"set": "national"})])
    decide(case, one, SCHEME, BOAT.sha256, "other", Seen())
    undo(case, one)
    (stands,) = case.reader.execute("SELECT * FROM standing")
    assert (stands["grade"], stands["basis"], stands["source"]) == ("boat", "known", '{"set":"national"}')
    assert verify_record(case)
