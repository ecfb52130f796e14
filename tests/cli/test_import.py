"""`mantlet import` and `mantlet scheme`: tables are taken whole or not at all, and say by what was graded."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mantlet.case import decisions
from mantlet.case.case import Case, create_or_open
from mantlet.case.decisions import Seen
from mantlet.case.importing import LONGEST_CELL, Imported, import_grades
from mantlet.case.scan import Scan
from mantlet.case.verify import verify_record
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.grading import scheme as schemes
from mantlet.store import tables
from mantlet.types import Content, Kind, Rows

Run = Callable[..., Any]
STAND_IN = schemes.load("stand-in")
ONE, TWO, THREE, STRANGE = ("a1" * 32, "b2" * 32, "c3" * 32, "00" * 32)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Three contents, none graded."""
    opened = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    work = Scan(opened)
    contents = [Content(each, "00" * 16, "00" * 20, 9, Kind.STILL, "image/png") for each in (ONE, TWO, THREE)]
    work.merge(Rows(contents=contents))
    work.flush()
    yield opened
    opened.close()


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes a table, as bytes or as text."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "grades.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def taken(case: Case, path: Path) -> Imported:
    return import_grades(case, keys.actor("DC One"), STAND_IN, path)


def standing(case: Case) -> dict[str, str]:
    return {row["sha256"]: row["grade"] for row in case.reader.execute("SELECT sha256, grade FROM standing")}


def test_a_whole_table_becomes_decisions_that_say_from_where(case: Case, table: Any) -> None:
    path = table(
        f"when,side,grade,milliseconds,sha256,clear,by\n"
        f"2026-01-02,1024,boat,1500,{ONE.upper()},yes,DC Elsewhere\n"
        f"\n"
        f",,other,,{TWO},no,\n"
    )
    assert taken(case, path) == Imported(graded=2, changed=0, lines=2, unseen=1)
    rows = [dict(row) for row in case.reader.execute("SELECT * FROM decision ORDER BY id")]
    assert [(row["sha256"], row["grade"], row["basis"], row["actor"]) for row in rows] == [
        (ONE, "boat", "viewed", "DC One"),
        (TWO, "other", "viewed", "DC One"),
    ]
    assert [json.loads(row["seen"]) for row in rows] == [
        {"side": 1024, "clear": True, "milliseconds": 1500},
        {"side": 0, "clear": False, "milliseconds": 0},
    ]
    file = {"file": "grades.csv", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert json.loads(rows[0]["source"]) == {**file, "line": 2, "by": "DC Elsewhere", "when": "2026-01-02"}
    assert json.loads(rows[1]["source"]) == {**file, "line": 4}
    verify_record(case)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_byte_order_mark_and_both_line_ends_are_taken(
    case: Case, table: Any, mark: bytes, end: bytes, last: bool
) -> None:
    lines = [b"sha256,grade", f'"{ONE}",boat'.encode(), f"{TWO}, camera ".encode()]
    assert taken(case, table(mark + end.join(lines) + (end if last else b""))).graded == 2
    assert standing(case) == {ONE: "boat", TWO: "camera"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The first line of {path} must name its columns, sha256,grade"),
        (f"{ONE},boat\n", "must name its columns, sha256,grade"),
        ("sha256,label\n", "must name its columns, sha256,grade"),
        ("sha256;grade\n", "must name its columns, sha256,grade"),
        ("sha256,grade,grade\n", "names the column 'grade' twice"),
        ("sha256,grade,size\n", "has a column 'size'; its columns are among sha256, grade, by, when, side"),
        ("sha256,grade\n", "holds no row"),
        ("sha256,grade\n\n\n", "holds no row"),
        (f"sha256,grade\n{ONE},boat\n{TWO}\n", "Line 3 of {path}: it has 1 cells, and the first line names 2"),
        (f"sha256,grade\n{ONE},boat,\n", "Line 2 of {path}: it has 3 cells"),
        (f"sha256,grade\n{ONE},boat\n\n{ONE[1:]},boat\n", f"Line 4 of {{path}}: '{ONE[1:]}' is no SHA-256"),
        (f"sha256,grade\n{'g' * 64},boat\n", "is no SHA-256"),
        (f"sha256,grade\n{ONE},boat\n{TWO},ship\n", "Line 3 of {path}: 'ship' is not a grade of the scheme stand-in"),
        (f"sha256,grade\n{ONE},\n", "Line 2 of {path}: '' is not a grade"),
        (f"sha256,grade\n{ONE},ungraded\n", "'ungraded' is not a grade"),
        (f"sha256,grade\n{ONE},boat\n{STRANGE},boat\n", f"Line 3 of {{path}}: {STRANGE} is not in this case; take"),
        (
            f"sha256,grade\n{STRANGE},boat\n{ONE},boat\n{STRANGE[:-1]}1,boat\n",
            f"Line 2 of {{path}}: {STRANGE} is not in this case (nor are those of 1 further lines); take it out",
        ),
        (
            f"sha256,grade\n{ONE},boat\n{TWO},boat\n{ONE.upper()},camera\n",
            f"Line 4 of {{path}}: it says something else of {ONE} than line 2",
        ),
        (f"sha256,grade,side,clear\n{ONE},boat,10,no\n{ONE},boat,20,no\n", f"something else of {ONE} than line 2"),
        (f"sha256,grade,side\n{ONE},boat,-1\n", "Line 2 of {path}: 'side' is '-1' and must be a whole number"),
        (f"sha256,grade,side\n{ONE},boat,1.5\n", "must be a whole number"),
        (f"sha256,grade,side\n{ONE},boat,٣\n", "must be a whole number"),
        (
            f"sha256,grade,side,clear\n{ONE},boat,65537,no\n",
            "Line 2 of {path}: how it was seen cannot be: Expected `int` <= 65536",
        ),
        (f"sha256,grade,milliseconds,clear\n{ONE},boat,86400001,yes\n", "how it was seen cannot be"),
        (f"sha256,grade,side\n{ONE},boat,10\n", "Line 2 of {path}: 'clear' is empty where 'side'"),
        (f"sha256,grade,clear\n{ONE},boat,true\n", "Line 2 of {path}: 'clear' is 'true' and must be yes or no"),
        (f'sha256,grade,by\n{ONE},boat,"a\nb"\n', "Line 3 of {path}: 'by' is one line of at most 200"),
        (f"sha256,grade,by\n{ONE},boat,a\u202eb\n", "'by' is one line of at most 200"),
        (f"sha256,grade,when\n{ONE},boat,{'x' * (LONGEST_CELL + 1)}\n", "'when' is one line of at most 200"),
        (f'sha256,grade\n{ONE},"boat\n', "cannot be read behind line 2: unexpected end of data"),
        (b"sha256,grade\n\xff\xfe,boat\n", "is not in UTF-8"),
        ("sha256,grade\n".encode("utf-16"), "is not in UTF-8"),
        (f"sha256,grade\n{'x' * tables.LONGEST_LINE}\n", "has a line of over 65,536 bytes"),
    ],
)
def test_a_wrong_table_is_refused_whole_and_its_first_wrong_line_named(
    case: Case, table: Any, text: str | bytes, says: str
) -> None:
    path = table(text)
    with pytest.raises(UsageError) as refused:
        taken(case, path)
    assert says.format(path=path) in str(refused.value)
    assert standing(case) == {}


def test_a_table_of_too_many_lines_is_refused(case: Case, table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_LINES", 3)
    text = f"sha256,grade\n{ONE},boat\n{TWO},boat\n"
    assert taken(case, table(text)).graded == 2
    with pytest.raises(UsageError, match="has more than 3 lines"):
        taken(case, table(text + f"{THREE},boat\n"))
    assert set(standing(case)) == {ONE, TWO}


def test_lines_that_say_the_same_count_once(case: Case, table: Any) -> None:
    text = f"sha256,grade,side,clear\n{ONE},boat,9,yes\n{ONE.upper()},boat, 9,yes\n"
    assert taken(case, table(text)) == Imported(graded=1, changed=0, lines=2, unseen=0)


def test_only_another_grade_by_the_same_officer_is_a_change(case: Case, table: Any) -> None:
    path = table(f"sha256,grade\n{ONE},boat\n{TWO},boat\n{THREE},boat\n")
    decisions.decide(case, keys.actor("DC One"), STAND_IN, ONE, "camera", Seen())
    decisions.decide(case, keys.actor("DC One"), STAND_IN, TWO, "boat", Seen())
    decisions.decide(case, keys.actor("DC Two"), STAND_IN, THREE, "camera", Seen())
    assert taken(case, path) == Imported(graded=3, changed=1, lines=3, unseen=3)
    assert standing(case) == dict.fromkeys((ONE, TWO, THREE), "boat")
    assert case.reader.execute("SELECT count(*) FROM decision").fetchone()[0] == 6
    verify_record(case)


def test_the_command_line_takes_a_table_and_says_what_it_did(run: Run, case: Case, table: Any) -> None:
    case.close()
    path = table(f"sha256,grade,side,clear,milliseconds\n{ONE},boat,512,yes,900\n{TWO},other,,,\n")
    done = run("import", case.folder, path, "--scheme", "stand-in", "--as", "DC One", "--json")
    assert done.json() == {"graded": 2, "changed": 0, "lines": 2, "unseen": 1}
    assert done.err == "1 of them do not say how they were seen, so they count for no certificate.\n"
    again = run("import", case.folder, path, "--as", "DC One")
    assert again.out == "2 distinct pictures and clips graded, 0 of them otherwise than before\n"
    assert "The grades in this case are of the scheme stand-in" in again.err
    run("verify", case.folder, "--record-only")
    table("sha256,grade\n")
    assert "holds no row" in run("import", case.folder, path, code=2).err
    assert "is graded by the scheme stand-in" in run("import", case.folder, path, "--scheme", "caid", code=2).err


def test_a_missing_table_is_a_sentence(run: Run, case: Case, tmp_path: Path) -> None:
    case.close()
    refused = run("import", case.folder, tmp_path / "none.csv", code=2)
    assert "is not a file: give a CSV table with the columns sha256,grade." in refused.err


def test_cells_are_read_as_they_were_written(table: Any) -> None:
    """Against Python's own writer, with what must be quoted; columns that were not asked for are not kept."""
    written = io.StringIO()
    rows = [[f"{number:064x}", 'a "b", c', "x"] for number in range(1000)]
    csv.writer(written).writerows([["sha256", "label", "more"], *rows])
    found = list(tables.Table(table(written.getvalue()), ("sha256", "label")))
    assert [row.line for row in found] == list(range(2, 1002))
    assert [row.cells for row in found] == [{"sha256": row[0], "label": row[1]} for row in rows]


def test_the_schemes_are_listed_with_codes_and_keys(run: Run) -> None:
    listed = {each["name"]: each for each in run("scheme", "--json").json()}
    assert set(listed) == {*schemes.names(), *schemes.LEFT_OPEN}
    assert [grade["code"] for grade in listed["stand-in"]["grades"]] == ["boat", "camera", "other", "not-relevant"]
    assert {name for name, each in listed.items() if each["fault"]} == set(schemes.LEFT_OPEN)
    shown = run("scheme", "project-vic-us").out
    assert "0  0              Non-pertinent (counts as nothing)" in shown
    assert "Means ungraded, in files: 5" in shown
    assert run("scheme", "stand-in", "--json").json() == listed["stand-in"]
    assert "there are england-wales" in run("scheme", "none", code=2).err


def test_a_scheme_that_is_left_open_says_how_it_is_filled_in(run: Run, home: Path) -> None:
    told = run("scheme", "caid", "--json").json()
    file = Path(told["file"])
    assert file == home / "schemes" / "caid.json"
    assert str(file) in run("scheme", "caid").err
    file.parent.mkdir()
    file.write_text(run("scheme", "caid").out)
    assert json.loads(file.read_text()) == told["form"]
    assert run("scheme", "caid", "--json").json() == {**told["form"], "fault": None}


def test_a_faulty_scheme_of_the_force_does_not_keep_the_others_back(run: Run, home: Path) -> None:
    taken_key = run("scheme", "caid", "--json").json()["form"]
    taken_key["grades"][0]["key"] = "u"
    (home / "schemes").mkdir()
    (home / "schemes" / "caid.json").write_text(json.dumps(taken_key))
    (home / "schemes" / "broken.json").write_text("{")
    listed = {each["name"]: each["fault"] for each in run("scheme", "--json").json()}
    assert "cannot have the key 'u': it has another use" in listed["caid"]
    assert "broken.json is no category scheme" in listed["broken"]
    assert listed["england-wales"] is None
    assert "it has another use" in run("scheme", "caid", code=2).err
