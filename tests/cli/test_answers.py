"""What the commands answer of a case: what they call it, where they print it, and on a read-only medium."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mantlet.case.case import Exhibit, add_exhibit, create_or_open
from mantlet.case.decisions import Seen, decide
from mantlet.case.exposure import exposed
from mantlet.case.scan import Scan
from mantlet.governance import keys, ledger
from mantlet.grading import scheme
from mantlet.grading.scheme import Scheme
from mantlet.types import (
    Absent,
    Acquisition,
    Address,
    Containment,
    Content,
    Finding,
    Item,
    Kind,
    Place,
    Reason,
    Recovery,
    Rows,
    Step,
    Times,
    Unread,
)

Run = Callable[..., Any]
FLAT = "ab" * 32


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """One flat picture graded by an older version of a scheme, one file that is locked, and an exhibit gone."""
    opened = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    add_exhibit(opened, Exhibit("EX1", str(tmp_path / "gone"), "raw", 6, None, ledger.now()))
    work = Scan(opened)
    address = Address("EX1", (Step("file", 1, "/flat.png"),))
    work.merge(
        Rows(
            contents=[Content(FLAT, "00" * 16, "00" * 20, 9, Kind.STILL, "image/png")],
            items=[Item(address, FLAT, 9, Recovery.LIVE, Containment.FILE, Place.OTHER, Times())],
            findings=[
                Finding(FLAT, "media", 1, "", {"width": 8, "height": 8}),
                Finding(FLAT, "pdq", 1, "", absent=Absent(Reason.TOO_FLAT, "Quality 3.")),
            ],
            unread=[
                Unread(
                    Address("EX1", (Step("file", 2, f"/{number}.zip"),)), "read", Absent(Reason.ENCRYPTED, "Locked.")
                )
                for number in range(1001)
            ],
            acquisitions=[Acquisition("EX1", "sha256", "00" * 32, "computed", 6)],
        )
    )
    work.flush()
    own = scheme.load("stand-in")
    older = Scheme(own.name, "0.older", own.title, own.source, own.grades)
    decide(opened, keys.actor("DC Example"), older, FLAT, "boat", Seen())
    exposed(opened, keys.actor("DC Example"), FLAT, Seen(512, clear=True))
    opened.close()
    return tmp_path / "case"


def test_what_is_too_flat_is_not_counted_as_not_read(run: Run, case: Path, tmp_path: Path) -> None:
    shown = run("show", case).out
    hashed, read = shown.index("Read, and not hashed"), shown.index("Not read")
    assert hashed < shown.index("too flat to hash") < read < shown.index("encrypted")
    assert {row["reason"] for row in run("show", case, "--json").json()["unread"]} == {"too flat to hash", "encrypted"}
    run("report", case, "-o", tmp_path / "r.html")
    report = (tmp_path / "r.html").read_text()
    assert "<b>1,001</b>not read in full" in report
    assert report.index("<h2>Not read in full") < report.index("<h2>Read, and not hashed") < report.index("too flat to")
    assert "Only the first 500 places are listed" in report


def test_every_place_not_read_is_listed(run: Run, case: Path) -> None:
    assert run("show", case, "--unread").out.count(".zip") == 1001
    assert len(run("show", case, "--unread", "--json").json()["unread_places"]) == 1001


def test_the_report_names_the_version_by_which_was_graded(run: Run, case: Path, tmp_path: Path) -> None:
    run("report", case, "-o", tmp_path / "r.html")
    own = scheme.load("stand-in")
    said = f"{own.title} (version 0.older; this Mantlet has version {own.version})"
    assert said in (tmp_path / "r.html").read_text()


def test_a_look_up_answers_on_standard_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "list").write_text("9dd4e461268c8034f5c8564e155c67a6\n")
    assert "There are no sets that know" in run("known", "lookup", tmp_path / "x", "--as", "x", code=2).err
    run("known", "import", tmp_path / "list", "--name", "force")
    result = run("known", "lookup", tmp_path / "x", tmp_path / "list", "--as", "x")
    assert result.out == f"{tmp_path / 'x'}: force record 1 by md5: notable\n{tmp_path / 'list'}: in no set\n"
    assert result.err == ""
    some = run("known", "lookup", tmp_path / "none", tmp_path / "x", "--as", "x", code=3)
    assert some.out == f"{tmp_path / 'x'}: force record 1 by md5: notable\n"
    assert some.err == f"Error: {tmp_path / 'none'} cannot be read: No such file or directory.\n"


def test_verify_says_the_record_first_and_what_is_away(run: Run, case: Path) -> None:
    result = run("verify", case, code=3)
    assert "The case chain is whole" in result.out
    assert "only the last writer signs" in result.out
    assert "Exhibit EX1 is no longer at" in result.err
    document = run("verify", case, "--json", code=3).json()
    assert [check["fault"] for check in document["exhibits"]] == ["away"]
    assert document["fault"] is None


def test_verify_counts_what_is_withheld(run: Run, case: Path) -> None:
    with closing(sqlite3.connect(case / "case.sqlite")) as database:
        database.execute("UPDATE ledger SET payload = NULL, salt = NULL WHERE kind = 'shown'")
        database.commit()
    assert run("verify", case, "--record-only").out.count("what 1 of them say is withheld or erased") == 1
    heads = run("verify", case, "--record-only", "--json").json()["heads"]
    assert [(head["chain"], head["withheld"]) for head in heads] == [("case", 0), ("exposure", 1)]


def test_verify_finds_the_record_of_what_was_shown_dropped(run: Run, case: Path) -> None:
    with closing(sqlite3.connect(case / "case.sqlite")) as database:
        database.execute("DELETE FROM ledger WHERE chain = 'exposure'")
        database.commit()
    assert "signed head of the exposure chain" in run("verify", case, "--record-only", code=4).err


def test_verify_in_json_is_a_document_where_the_record_is_broken_too(run: Run, case: Path) -> None:
    with closing(sqlite3.connect(case / "case.sqlite")) as database:
        database.execute("DROP VIEW standing")
        database.commit()
    result = run("verify", case, "--json", code=4)
    assert "The view standing of this case is not the one" in result.json()["fault"]
    assert result.json()["heads"] == result.json()["exhibits"] == []
    assert result.err.startswith("Error: The view standing")


@pytest.mark.parametrize("left_over", [[], ["case.sqlite-wal"], ["case.sqlite-wal", "case.sqlite-shm"]])
def test_a_case_is_read_from_a_medium_that_cannot_be_written(
    run: Run, case: Path, tmp_path: Path, home: Path, left_over: list[str]
) -> None:
    run("show", case)
    for name in ("case.sqlite-wal", "case.sqlite-shm"):
        if name not in left_over:
            (case / name).unlink(missing_ok=True)
    program = f"'{sys.executable}' -m mantlet"
    mount = f"mount --bind '{case}' '{case}' && mount -o remount,bind,ro '{case}'"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted read-only here")
    for command in (
        f"show {case}",
        f"list {case}",
        f"verify {case} --record-only",
        f"report {case} -o {tmp_path}/r.html",
    ):
        script = f"{mount} && MANTLET_HOME='{home}' {program} {command}"
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
