"""Who decides what, through the real command line: what is allowed, carried over, and seen next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mantlet.case import queries
from mantlet.case.case import open_case
from mantlet.case.decisions import Seen, decide
from mantlet.governance import keys
from mantlet.grading import scheme
from tests.conftest import Run
from tests.media.test_picture import saved, scene

STAND_IN = scheme.load("stand-in")


def grade(folder: Path, officer: str, picture: str, code: str) -> None:
    """As the page does it: a grade by a clear look."""
    actor = keys.actor(officer)
    case = open_case(folder, actor)
    sha256 = next(item["sha256"] for item in queries.items(case) if item["name"] == picture)
    decide(case, actor, STAND_IN, sha256, code, Seen(640, clear=True, milliseconds=900))
    case.close()


def grades(run: Run, case: Path) -> dict[str, tuple[str | None, str | None]]:
    """Grade and basis, by name."""
    return {item["name"]: (item["grade"], item["basis"]) for item in run("list", case, "--json").lines()}


@pytest.fixture
def exhibit(tmp_path: Path) -> Path:
    """Two pictures, a smaller copy of the first one, and one that was graded elsewhere."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for number, name in enumerate(("boat.jpg", "kite.jpg", "known.jpg")):
        (folder / name).write_bytes(saved(scene(640, 480, seed=number), "JPEG"))
    with Image.open(folder / "boat.jpg") as picture:
        picture.resize((480, 360), Image.Resampling.LANCZOS).save(folder / "small boat.jpg", "JPEG", quality=85)
    return folder


def test_a_case_from_what_is_known_to_what_is_seen_next(run: Run, home: Path, tmp_path: Path, exhibit: Path) -> None:
    earlier, case, memory = tmp_path / "earlier", tmp_path / "case", tmp_path / "earlier.grades"
    (tmp_path / "before").mkdir()
    shutil.copy(exhibit / "known.jpg", tmp_path / "before")
    run("scan", tmp_path / "before", "--case", earlier)
    for officer in ("DC One", "DC Two"):
        grade(earlier, officer, "known.jpg", "camera")
    run("export", earlier, "--format", "grades", "-o", memory)
    run("known", "import", memory, "--name", "memory")
    key = run("key", "show", "--json").json()["public_key"]
    (home / "policy.json").write_text(json.dumps({"trusted_grades": 2, "exporters": [key]}))
    run("scan", exhibit, "--case", case)

    who = ("--as", "DC Example")
    told = run("carry", case, "--scheme", "stand-in", *who, "--json").json()
    assert told == {
        "scheme": "stand-in", "known": 1, "propagated": 0, "given": 1, "taken_back": 0, "unsettled": 0, "left": {},
    }  # fmt: skip
    assert grades(run, case)["known.jpg"] == ("camera", "known")
    grade(case, "DC Example", "boat.jpg", "boat")
    assert run("carry", case, *who, "--json").json()["propagated"] == 0
    run("policy", case, "--allow", "near-copies", "--authority", "DI Example", "--reason", "copies", *who)
    assert "provisional: propagated: 1" in run("carry", case, *who).out
    wanted = {"boat.jpg": ("boat", "viewed"), "small boat.jpg": ("boat", "propagated"), "kite.jpg": (None, None)}
    assert {**grades(run, case), **wanted} == grades(run, case)

    [stack] = run("next", case, *who, "--json").json()["stacks"]
    names = {row["name"] for row in stack["told"]}
    assert names in ({"kite.jpg"}, {"small boat.jpg"}), "what nobody saw, or a provisional grade that is checked"
    assert stack["told"][0]["words"]["what"] == "Still"
    taken = run("next", case, "--as", "DC Two", "--count", 5, "--json").json()["stacks"]
    assert stack["stack"] not in {each["stack"] for each in taken}
    assert run("next", case, *who, "--hand-back", "--json").json() == {"handed_back": 1}
    again = run("next", case, "--as", "DC Two", "--count", 5)
    assert stack["stack"] in again.out
    assert "Yours until" in again.err
    run("verify", case)


def test_a_step_down_is_shown_with_who_allowed_it_and_why(run: Run, tmp_path: Path, exhibit: Path) -> None:
    case = tmp_path / "case"
    run("scan", exhibit, "--case", case)
    shown = run("policy", case)
    assert [line.split(".")[0] for line in shown.out.splitlines()] == [
        "known: allowed", "near-copies: not allowed", "sampling: not allowed",
    ]  # fmt: skip
    assert "--authority" in run("policy", case, "--allow", "sampling", code=2).err
    assert "go with" in run("policy", case, "--reason", "x", code=2).err
    run("policy", case, "--allow", "sampling", "--authority", "DI Example", "--reason", "a trial", "--as", "DC One")
    run("policy", case, "--withdraw", "known", "--as", "DC Two")
    told = run("policy", case, "--json").json()
    assert told["allowed"] == ["sampling"]
    assert [(each["actor"], each["authority"], each["reason"]) for each in told["history"]] == [
        ("DC One", "DI Example", "a trial"), ("DC Two", None, None),
    ]  # fmt: skip
    said = run("policy", case).err
    assert "DC One allowed sampling; authority: DI Example; reason: a trial" in said
    assert "DC Two withdrew known" in said


def test_what_two_officers_grade_differently_is_listed(run: Run, tmp_path: Path, exhibit: Path) -> None:
    case = tmp_path / "case"
    run("scan", exhibit, "--case", case)
    assert run("next", case, "--disputed", "--json").json() == []
    grade(case, "DC One", "kite.jpg", "other")
    grade(case, "DC Two", "kite.jpg", "boat")
    [found] = run("next", case, "--disputed", "--json").json()
    assert [(word["actor"], word["grade"]) for word in found["grades"]] == [("DC One", "other"), ("DC Two", "boat")]
    assert "other by DC One; boat by DC Two" in run("next", case, "--disputed").out
    assert "not both" in run("next", case, "--disputed", "--hand-back", code=2).err
