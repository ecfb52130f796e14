"""What officers have seen, as the exposure chain, the decisions and imported tables tell it, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mantlet.case import exposure, queries
from mantlet.case.allowed import allow
from mantlet.case.case import Case, create_or_open, open_case
from mantlet.case.decisions import Said, Seen, decide, decide_many, undo
from mantlet.case.exposure import exposed, hidden
from mantlet.case.scan import Scan
from mantlet.governance import keys
from mantlet.governance.keys import Actor
from mantlet.grading import scheme
from mantlet.grading.exposure import Look
from mantlet.types import Address, Containment, Content, Item, Kind, Place, Recovery, Rows, Step, Times

Run = Callable[..., Any]
STAND_IN = scheme.load("stand-in")
BOAT, CAMERA, KITE, HOUSE, KNOWN, COPY = (f"{number:02x}" * 32 for number in range(1, 7))
CONTENTS = (BOAT, CAMERA, KITE, HOUSE, KNOWN, COPY)
CLEAR = Seen(640, clear=True)


@pytest.fixture
def one() -> Actor:
    return keys.actor("DC One")


@pytest.fixture
def two() -> Actor:
    return keys.actor("DC Two")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "case"


@pytest.fixture
def case(folder: Path) -> Iterator[Case]:
    """Six contents, of which the first lies at three places."""
    opened = create_or_open(folder, keys.actor("DC Example"))
    work = Scan(opened)
    places = [(BOAT, "/again.png"), (BOAT, "/and again.png"), *((each, f"/{each[:2]}.png") for each in CONTENTS)]
    work.merge(
        Rows(
            contents=[Content(each, "00" * 16, "00" * 20, 9, Kind.STILL, "image/png") for each in CONTENTS],
            items=[
                Item(
                    Address("EX1", (Step("file", 0, name),)), sha256, 9, Recovery.LIVE, Containment.FILE, Place.OTHER,
                    Times(),
                )
                for sha256, name in places
            ],
        )
    )  # fmt: skip
    work.flush()
    yield opened
    opened.close()


def show(case: Case, actor: Actor, sha256: str, milliseconds: int, side: int = 500) -> None:
    """What the page does: it says so before it shows, and again when it has hidden it."""
    exposed(case, actor, sha256, CLEAR)
    hidden(case, actor, sha256, Seen(side, clear=True, milliseconds=milliseconds))


def brief(look: Look) -> tuple[Any, ...]:
    return look.officer, look.sha256, look.side, look.clear, look.milliseconds, look.grade, look.target


def test_each_look_says_how_large_how_long_by_whom_and_what_was_graded_then(case: Case, one: Actor, two: Actor) -> None:
    show(case, one, BOAT, 900)
    show(case, one, BOAT, 300, side=400)
    show(case, two, BOAT, 100)
    decide(case, one, STAND_IN, BOAT, "boat", Seen(500, clear=True, milliseconds=1200))
    show(case, one, KITE, 50)
    decide(case, one, STAND_IN, KITE, "not-relevant", Seen(500, clear=True, milliseconds=50))
    decide(case, two, STAND_IN, CAMERA, "camera", Seen(192))
    assert list(map(brief, exposure.looks(case))) == [
        ("DC One", BOAT, 500, True, 900, "boat", True),
        ("DC One", BOAT, 400, True, 300, "boat", True),
        ("DC Two", BOAT, 500, True, 100, None, False),
        ("DC One", KITE, 500, True, 50, "not-relevant", False),
        ("DC Two", CAMERA, 192, False, 0, "camera", True),
    ]


def test_a_look_that_was_not_seen_to_end_has_no_length_and_is_a_look(case: Case, one: Actor) -> None:
    exposed(case, one, BOAT, CLEAR)
    [look] = exposure.looks(case)
    assert brief(look) == ("DC One", BOAT, 640, True, None, None, False)
    total = exposure.everybody(case)["total"]["shown"]
    assert (total.clear, total.untimed, total.seconds) == (1, 1, 0)


def test_that_a_picture_was_hidden_counts_once_though_it_is_told_twice(case: Case, one: Actor) -> None:
    show(case, one, BOAT, 900)
    hidden(case, one, BOAT, Seen(500, clear=True, milliseconds=900))
    assert [look.milliseconds for look in exposure.looks(case)] == [900]


def test_messages_that_come_late_leave_the_total_as_it_is(case: Case, one: Actor) -> None:
    for _ in range(2):
        exposed(case, one, BOAT, CLEAR)
    for milliseconds in (700, 200):
        hidden(case, one, BOAT, Seen(500, clear=True, milliseconds=milliseconds))
    total = exposure.everybody(case)["total"]["shown"]
    assert (total.clear, total.seconds, total.untimed) == (2, 0.9, 0)


def test_a_grade_that_was_taken_back_is_not_what_was_graded_then_but_was_seen(case: Case, one: Actor) -> None:
    show(case, one, BOAT, 900)
    decide(case, one, STAND_IN, BOAT, "boat", Seen(500, clear=True, milliseconds=900))
    undo(case, one)
    assert [look.grade for look in exposure.looks(case)] == [None]
    decide(case, one, STAND_IN, BOAT, "other", Seen(500, clear=True, milliseconds=900))
    decide(case, one, STAND_IN, KITE, "boat", Seen(192))
    undo(case, one)
    assert [(look.sha256, look.grade) for look in exposure.looks(case)] == [(BOAT, "other"), (KITE, None)]


def test_of_what_was_withheld_it_is_said_how_many_looks_it_was(case: Case, folder: Path, one: Actor, run: Run) -> None:
    show(case, one, BOAT, 900)
    with case.change(one) as change:
        change.tx.execute("UPDATE ledger SET payload = NULL, salt = NULL WHERE chain = 'exposure'")
        change.record("note", {})
    told = exposure.everybody(case)
    assert (told["withheld"], told["total"]["shown"].clear) == (1, 0)
    assert "Of 1 further looks the particulars were withheld." in run("exposure", folder, "--totals").out


def imported(case: Path, run: Run, *lines: str, officer: str = "DC Import") -> None:
    table = case.parent / "grades.csv"
    table.write_text("\n".join(("sha256,grade,by,when,side,clear,milliseconds", *lines)) + "\n")
    run("import", case, table, "--scheme", "stand-in", "--as", officer)


def test_what_an_import_states_counts_as_stated_apart(case: Case, folder: Path, run: Run) -> None:
    imported(
        folder, run,
        f"{BOAT},boat,DC Away,2026-01-05T23:30:00+01:00,800,yes,2500",
        f"{CAMERA},camera,,,300,yes,",
        f"{KITE},other,DC Away,2026-01-06,192,no,",
        f"{HOUSE},other,,,,,",
    )  # fmt: skip
    looks = exposure.looks(case)
    assert all(look.stated for look in looks)
    assert sorted(map(brief, looks), key=str) == [
        ("DC Away", BOAT, 800, True, 2500, "boat", True),
        ("DC Away", KITE, 192, False, 0, "other", False),
        ("DC Import", CAMERA, 300, True, None, "camera", True),
    ]
    assert min(look.at for look in looks) == datetime(2026, 1, 5, 22, 30, tzinfo=UTC)
    told = run("exposure", folder, "--totals", "--json").json()
    assert told["total"]["shown"]["clear"] == 0
    assert told["officers"]["DC Away"]["stated"] == {
        "clear": 1, "veiled": 1, "seconds": 2.5, "untimed": 0, "targets": 1, "largest": 800,
    }  # fmt: skip
    assert told["officers"]["DC Import"]["stated"]["untimed"] == 1
    assert told["days"]["2026-01-05"]["stated"]["clear"] == 1
    assert told["avoided"]["seen"] == 4, "the house was graded by a look, of which nothing is told"
    assert told["avoided"]["seen_clear"] == 2


def test_a_table_that_is_imported_again_tells_of_no_other_look(case: Case, folder: Path, run: Run) -> None:
    for _ in range(3):
        imported(folder, run, f"{BOAT},boat,DC Away,2026-01-05T23:30:00+01:00,800,yes,2500")
    assert len(exposure.looks(case)) == 1


def test_grades_of_a_table_are_told_as_such_and_by_whom_it_names(case: Case, folder: Path, run: Run) -> None:
    imported(folder, run, f"{BOAT},boat,DC Away,,,,", f"{CAMERA},camera,,,,,")
    found = [(row["basis"], row["by"], row["contents"]) for row in queries.graded_by(case)]
    assert found == [("imported", "DC Away", 1), ("imported", "DC Import", 1)]
    run("report", folder, "-o", folder.parent / "r.html")
    text = (folder.parent / "r.html").read_text()
    assert "given elsewhere by a person, as an imported table states" in text
    assert "<td>given by a person who looked at it</td>" not in text


@pytest.fixture
def worked(case: Case, one: Actor, two: Actor) -> Case:
    """Two officers' work; one content known, one a near copy, one not looked at."""
    show(case, one, BOAT, 900)
    decide(case, one, STAND_IN, BOAT, "boat", Seen(500, clear=True, milliseconds=900))
    show(case, two, BOAT, 400)
    decide(case, two, STAND_IN, BOAT, "boat", Seen(500, clear=True, milliseconds=400))
    decide(case, one, STAND_IN, CAMERA, "camera", Seen(192))
    show(case, one, KITE, 1500, side=600)
    decide(case, one, STAND_IN, KITE, "other", Seen(600, clear=True, milliseconds=1500))
    decide_many(
        case, one, STAND_IN,
        [Said(KNOWN, "boat", basis="known", source={"set": "force"}),
         Said(COPY, "boat", basis="propagated", source={"sha256": BOAT})],
    )  # fmt: skip
    return case


def test_an_officer_is_told_their_own_figures_and_what_is_left_of_the_day(
    worked: Case, folder: Path, home: Path, run: Run
) -> None:
    (home / "policy.json").write_text(
        json.dumps({"exposure_looks_a_day": 1_000, "exposure_seconds_a_day": 60, "exposure_zone": "Europe/London"})
    )
    assert worked.id
    told = run("exposure", folder, "--as", "DC One", "--json").json()
    assert (told["officer"], told["zone"]) == ("DC One", "Europe/London")
    assert told["total"]["shown"] == {
        "clear": 2, "veiled": 1, "seconds": 2.4, "untimed": 0, "targets": 1, "largest": 600,
    }  # fmt: skip
    assert sum(each["shown"]["clear"] for each in told["days"].values()) == 2
    today = told["today"]["today"]
    assert told["today"]["looks_left"] == 1_000 - today["clear"]
    assert told["today"]["seconds_left"] == pytest.approx(60 - today["seconds"])
    assert {look["officer"] for look in told["looks"]} == {"DC One"}
    said = run("exposure", folder, "--as", "DC One", "--looks").out
    assert "Left of the day: " in said
    assert BOAT[:16] in said
    assert BOAT[:16] not in run("exposure", folder, "--as", "DC One").out


def test_totals_name_no_picture_and_are_in_the_order_of_names(worked: Case, folder: Path, run: Run) -> None:
    assert worked.id
    result = run("exposure", folder, "--totals", "--json")
    assert not any(sha256 in result.out for sha256 in CONTENTS)
    told = result.json()
    assert list(told["officers"]) == ["DC One", "DC Two"]
    assert told["total"]["shown"]["clear"] == 3
    assert {"looks", "today", "officer"}.isdisjoint(told)
    said = run("exposure", folder, "--totals").out
    assert not any(sha256[:16] in said for sha256 in CONTENTS)
    assert said.index("DC One") < said.index("DC Two")


def test_the_looks_avoided_stand_by_what_spared_them(worked: Case, folder: Path, run: Run) -> None:
    assert run("exposure", folder, "--totals", "--json").json()["avoided"] == {
        "items": 8, "contents": 6, "exact_copy": 2, "seen": 3, "seen_clear": 2, "known": 1, "near_copy": 1,
        "sampling": 0, "unseen": 1, "again": 1, "second_opinions": 1,
    }  # fmt: skip
    spared = exposure.everybody(worked, sampling=5)["avoided"]
    assert (spared.sampling, spared.unseen) == (1, 0)
    show(worked, keys.actor("DC Two"), KNOWN, 100)
    spared = exposure.everybody(worked)["avoided"]
    assert (spared.known, spared.seen) == (0, 4)


def test_an_officer_who_has_seen_nothing_is_told_so(case: Case, folder: Path, run: Run) -> None:
    assert case.id
    result = run("exposure", folder, "--as", "DC Nobody")
    assert "Nothing was seen" in result.out
    assert "The force has set no budget for a day." in result.out
    assert not keys.key_file("DC Nobody").exists(), "asking makes no key"


def test_totals_and_own_looks_are_not_asked_for_together(case: Case, folder: Path, run: Run) -> None:
    assert case.id
    assert "give it without --looks" in run("exposure", folder, "--totals", "--looks", code=2).err


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"exposure_looks_a_day": 0}, "exposure_looks_a_day"),
        ({"exposure_seconds_a_day": "60"}, "exposure_seconds_a_day"),
        ({"exposure_rest_minutes": 10}, "are one rule; give both"),
        ({"exposure_minutes_without_rest": 10}, "are one rule; give both"),
        ({"exposure_zone": "Europe/Nowhere"}, "'Europe/Nowhere' is not known here"),
        ({"exposure_zone": "../../etc/passwd"}, "is not known here"),
    ],
)
def test_a_rule_that_cannot_be_one_is_refused_with_a_sentence(
    case: Case, folder: Path, home: Path, run: Run, policy: dict[str, Any], says: str
) -> None:
    assert case.id
    (home / "policy.json").write_text(json.dumps(policy))
    assert says in run("exposure", folder, "--as", "DC One", code=2).err


def test_the_report_says_how_the_grades_came_about(worked: Case, folder: Path, tmp_path: Path, run: Run) -> None:
    allow(worked, keys.actor("DC One"), "near-copies", "DI Example", "Too many for two officers <b>")
    run("report", folder, "-o", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    part = text[text.index("How the grades came about") : text.index("Known material")]
    for said in (
        "given by a person who looked at it", "carried over from a trusted set, unseen",
        "provisional: carried over from a near copy, unseen", "in the name of DI Example",
        "Too many for two officers &lt;b&gt;", "Second opinions: 1.", "recorded by Mantlet when it showed them",
    ):  # fmt: skip
        assert said in part, said
    for category in ("boat, known, unseen", "boat, provisional: propagated", "<td>boat</td>"):
        assert category in text
    assert not any(sha256 in part for sha256 in CONTENTS)


def test_no_carried_grade_is_listed_as_if_a_person_had_given_it(worked: Case, folder: Path, run: Run) -> None:
    assert worked.id
    told = {line.split("\t")[5]: line.split("\t")[2] for line in run("list", folder).out.splitlines()}
    assert told[BOAT[:16]] == "boat"
    assert told[KNOWN[:16]] == "boat, known, unseen"
    assert told[COPY[:16]] == "boat, provisional: propagated"
    shown = {row["category"] for row in run("show", folder, "--json").json()["totals"]}
    assert shown >= {"boat", "boat, known, unseen", "boat, provisional: propagated"}


def test_a_case_in_which_nobody_has_graded_has_no_such_part(case: Case, folder: Path, tmp_path: Path, run: Run) -> None:
    assert case.id
    run("report", folder, "-o", tmp_path / "r.html")
    assert "How the grades came about" not in (tmp_path / "r.html").read_text()


def test_asking_leaves_the_case_as_it_is(worked: Case, folder: Path, run: Run) -> None:
    before = [tuple(row) for row in worked.reader.execute("SELECT * FROM ledger")]
    run("exposure", folder, "--as", "DC One")
    run("exposure", folder, "--totals")
    opened = open_case(folder)
    assert [tuple(row) for row in opened.reader.execute("SELECT * FROM ledger")] == before
    opened.close()
