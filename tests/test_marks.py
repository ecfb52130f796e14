"""Marks: what is said of a picture beside its grade, and the list of who is at risk now."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mantlet.case import marks as kept
from mantlet.case.case import Case, create_or_open
from mantlet.case.scan import Scan
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance import keys, ledger
from mantlet.grading import marks as limits
from mantlet.grading import scheme as schemes
from mantlet.grading.marks import Marks
from mantlet.types import Address, Containment, Content, Item, Kind, Place, Recovery, Rows, Step, Times

STAND_IN = schemes.load("stand-in")
BOAT, CAMERA, NOWHERE = "b0" * 32, "ca" * 32, "00" * 32


@pytest.fixture
def one() -> keys.Actor:
    return keys.actor("DC One")


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """A boat that lies at two places, and a camera that lies at one."""
    opened = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    work = Scan(opened)
    places = [(BOAT, "/b.png"), (BOAT, "/a.png"), (CAMERA, "/c.png")]
    work.merge(
        Rows(
            contents=[Content(each, "00" * 16, "00" * 20, 9, Kind.STILL, "image/png") for each in (BOAT, CAMERA)],
            items=[
                Item(
                    Address("EX1", (Step("file", 0, name),)),
                    sha256,
                    9,
                    Recovery.LIVE,
                    Containment.FILE,
                    Place.OTHER,
                    Times(),
                )
                for sha256, name in places
            ],
        )
    )
    work.flush()
    yield opened
    opened.close()


def test_nothing_is_said_at_first(case: Case) -> None:
    found = kept.marks_of(case, BOAT)
    assert (found.marks, found.actor, found.at) == (Marks(), None, None)
    assert found.marks.victim_identified is None, "nobody has said no"
    assert kept.escalated(case) == []
    kept.check(case)


def test_a_change_leaves_the_rest_as_it_was(case: Case, one: keys.Actor) -> None:
    kept.mark(case, keys.actor("DC Two"), STAND_IN, BOAT, {"series": "harbour", "victim_identified": False})
    made = kept.mark(case, one, STAND_IN, BOAT, {"tags": ["red", "sail"], "nature": "drawing"})
    wanted = Marks(victim_identified=False, series="harbour", tags=("red", "sail"), nature="drawing")
    assert made.marks == wanted
    assert kept.marks_of(case, BOAT) == made
    assert made.actor == "DC One"
    cleared = kept.mark(case, one, STAND_IN, BOAT, {"series": None, "tags": []}).marks
    assert cleared == msgspec.structs.replace(wanted, series=None, tags=())
    assert kept.marks_of(case, CAMERA).marks == Marks()
    kept.check(case)


def test_two_officers_at_once_lose_nothing_of_each_other(case: Case) -> None:
    said: list[tuple[str, dict[str, Any]]] = [
        ("DC One", {"at_risk_now": True}),
        ("DC Two", {"series": "harbour"}),
        ("DC Three", {"note": "see the sail"}),
        ("DC Four", {"first_seen_here": True}),
    ]
    actors = {name: keys.actor(name) for name, _ in said}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: kept.mark(case, actors[each[0]], STAND_IN, BOAT, each[1]), said))
    wanted = Marks(at_risk_now=True, series="harbour", note="see the sail", first_seen_here=True)
    assert kept.marks_of(case, BOAT).marks == wanted
    kept.check(case)


def test_the_escalation_list_says_who_put_it_there_and_follows_what_was_said_last(case: Case, one: keys.Actor) -> None:
    two = keys.actor("DC Two")
    first = kept.mark(case, one, STAND_IN, CAMERA, {"at_risk_now": True})
    kept.mark(case, two, STAND_IN, BOAT, {"at_risk_now": True})
    kept.mark(case, two, STAND_IN, CAMERA, {"note": "still so"})
    found = kept.escalated(case)
    assert [(each.sha256, each.actor) for each in found] == [(CAMERA, "DC One"), (BOAT, "DC Two")]
    assert found[0].at == first.at
    assert [each.address for each in found] == ["EX1!file:0:/c.png", "EX1!file:0:/a.png"]
    kept.mark(case, two, STAND_IN, CAMERA, {"at_risk_now": False})
    assert [each.sha256 for each in kept.escalated(case)] == [BOAT]
    kept.mark(case, two, STAND_IN, CAMERA, {"at_risk_now": True})
    assert [(each.sha256, each.actor) for each in kept.escalated(case)] == [(BOAT, "DC Two"), (CAMERA, "DC Two")]


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"])
@pytest.mark.parametrize("field", ["series", "note", "specimen", "tags"])
def test_a_text_that_steers_or_hides_is_refused(case: Case, one: keys.Actor, field: str, char: str) -> None:
    text = f"bo{char}at"
    with pytest.raises(UsageError):
        kept.mark(case, one, STAND_IN, BOAT, {field: [text] if field == "tags" else text})
    assert kept.marks_of(case, BOAT).marks == Marks()


@pytest.mark.parametrize(
    ("field", "longest"),
    [("series", limits.LONGEST_SERIES), ("note", limits.LONGEST_TEXT), ("specimen", limits.LONGEST_TEXT)],
)
def test_the_longest_text_is_taken_and_no_longer_one(case: Case, one: keys.Actor, field: str, longest: int) -> None:
    kept.mark(case, one, STAND_IN, BOAT, {field: "é" * longest})
    with pytest.raises(UsageError, match=f"one line of 1 to {longest:,} characters"):
        kept.mark(case, one, STAND_IN, BOAT, {field: "é" * (longest + 1)})
    assert getattr(kept.marks_of(case, BOAT).marks, field) == "é" * longest


def test_so_many_tags_are_taken_and_no_more(case: Case, one: keys.Actor) -> None:
    tags = [f"{number:064}" for number in range(limits.MOST_TAGS)]
    assert kept.mark(case, one, STAND_IN, BOAT, {"tags": tags}).marks.tags == tuple(tags)
    for wrong in ([*tags, "x"], ["x", "x"]):
        with pytest.raises(UsageError, match="at most 32 tags, each once"):
            kept.mark(case, one, STAND_IN, BOAT, {"tags": wrong})
    for tag in ("x" * (limits.LONGEST_TAG + 1), "", " "):
        with pytest.raises(UsageError, match="A tag is one line of 1 to 64"):
            kept.mark(case, one, STAND_IN, BOAT, {"tags": [tag]})


@pytest.mark.parametrize(
    "said", [{"colour": "red"}, {"at_risk_now": None}, {"victim_identified": "yes"}, {"tags": "red"}]
)
def test_what_are_no_marks_are_refused(case: Case, one: keys.Actor, said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="These are no marks"):
        kept.mark(case, one, STAND_IN, BOAT, said)


def test_a_nature_is_one_of_the_scheme(case: Case, one: keys.Actor) -> None:
    with pytest.raises(UsageError, match="stand-in has no nature 'pseudo-photograph'; it has photograph, drawing"):
        kept.mark(case, one, STAND_IN, BOAT, {"nature": "pseudo-photograph"})
    with pytest.raises(UsageError, match="interpol-baseline has no nature 'drawing'; it has none"):
        kept.mark(case, one, schemes.load("interpol-baseline"), BOAT, {"nature": "drawing"})
    made = kept.mark(case, one, schemes.load("england-wales"), BOAT, {"nature": "pseudo-photograph"})
    assert made.marks.nature == "pseudo-photograph"


def test_a_refused_mark_leaves_case_and_ledger_as_they_are(case: Case, one: keys.Actor) -> None:
    before = [entry.seq for entry in ledger.entries(case.reader, "case")]
    for sha256, said in ((NOWHERE, {"note": "x"}), (BOAT, {"nature": "none"})):
        with pytest.raises(UsageError):
            kept.mark(case, one, STAND_IN, sha256, said)
    assert [entry.seq for entry in ledger.entries(case.reader, "case")] == before
    with pytest.raises(UsageError, match="no such content in this case"):
        kept.marks_of(case, NOWHERE)


@pytest.mark.parametrize("statement", ["DELETE FROM marking", "UPDATE marking SET marks = '{}'"])
def test_marks_are_append_only(case: Case, one: keys.Actor, statement: str) -> None:
    kept.mark(case, one, STAND_IN, BOAT, {"note": "x"})
    with (
        closing(sqlite3.connect(case.folder / "case.sqlite")) as database,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        database.execute(statement)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE marking SET marks = replace(marks, 'harbour', 'seaside')", "was changed after it was made"),
        ("UPDATE marking SET actor = 'DC Two'", "was changed after it was made"),
        ("UPDATE marking SET at = '2020'", "was changed after it was made"),
        ("UPDATE marking SET entry = 1", "was changed after it was made"),
        ("UPDATE marking SET marks = '{'", "was changed after it was made"),
        (f"UPDATE marking SET sha256 = '{CAMERA}'", "was changed after it was made"),
        ("DELETE FROM marking WHERE id = 1", "is missing"),
        ("DELETE FROM marking WHERE id = 2", "is missing"),
        ("UPDATE ledger SET payload = NULL, salt = NULL WHERE kind = 'marks'", "was erased"),
        (
            "INSERT INTO marking (sha256, marks, actor, at, entry) SELECT sha256, marks, actor, at, entry FROM marking",
            "There is a marking that the ledger does not know",
        ),
    ],
)
def test_a_change_of_the_record_is_found(case: Case, one: keys.Actor, statement: str, says: str) -> None:
    for number in range(2):
        kept.mark(case, one, STAND_IN, BOAT, {"series": f"harbour {number}"})
    kept.check(case)
    with closing(sqlite3.connect(case.folder / "case.sqlite")) as database:
        for trigger in ("marking_is_kept", "marking_is_final"):
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute(statement)
        database.commit()
    with pytest.raises(IntegrityError, match=says):
        kept.check(case)


def test_the_command_line_changes_what_is_given_and_shows_it(run: Callable[..., Any], case: Case) -> None:
    case.close()
    assert run("mark", case.folder, BOAT, "--json").json()["at"] is None
    run("mark", case.folder, BOAT, "--victim-identified", "--tag", "red", "--tag", "sail", "--as", "DC One")
    given = ("--no-victim-identified", "--specimen", "A red boat.", "--at-risk-now", "--as", "DC Two", "--json")
    made = run("mark", case.folder, BOAT.upper(), *given).json()
    wanted = Marks(victim_identified=False, tags=("red", "sail"), specimen="A red boat.", at_risk_now=True)
    assert (made["sha256"], made["actor"]) == (BOAT, "DC Two")
    assert msgspec.convert(made["marks"], Marks) == wanted
    [listed] = run("mark", case.folder, "--at-risk", "--json").json()
    assert listed == {"sha256": BOAT, "address": "EX1!file:0:/a.png", "actor": "DC Two", "at": made["at"]}
    assert "DC Two" in run("mark", case.folder, "--at-risk").out
    cleared = run("mark", case.folder, BOAT, "--specimen", "", "--tag", "", "--no-at-risk-now", "--json").json()
    assert msgspec.convert(cleared["marks"], Marks) == Marks(victim_identified=False)
    shown = run("mark", case.folder, BOAT).out
    assert "victim identified: no\n" in shown
    assert "offender identified: not said\n" in shown
    assert "tags: none\n" in shown
    assert run("mark", case.folder, "--at-risk").out == "Nobody is marked as at risk now.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Say which picture"),
        ([NOWHERE], "no such content in this case"),
        ([BOAT, "--at-risk"], "leave out the rest"),
        (["--at-risk", "--note", "x"], "leave out the rest"),
        ([BOAT, "--nature", "drawn"], "has no nature 'drawn'"),
        ([BOAT, "--note", "a\nb"], "A note is one line"),
    ],
)
def test_a_wrong_mark_is_one_sentence(run: Callable[..., Any], case: Case, arguments: list[str], says: str) -> None:
    case.close()
    refused = run("mark", case.folder, *arguments, code=2)
    assert refused.out == ""
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
