"""`mantlet stack`: shown in words and as JSON, split and joined by a person."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mantlet.case import stacks
from mantlet.case.case import create_or_open
from mantlet.case.scan import Scan
from mantlet.governance import keys
from mantlet.types import (
    Address,
    Containment,
    Content,
    Finding,
    Item,
    Kind,
    Place,
    Recovery,
    Rows,
    Step,
    Times,
)

Run = Callable[..., Any]
BOAT, ALSO, OTHER = "0b" * 32, "a1" * 32, "0e" * 32
HASH = random.Random(5).randbytes(32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A boat, nearly the same, and something else."""
    hashes = {BOAT: HASH, ALSO: bytes([HASH[0] ^ 7, *HASH[1:]]), OTHER: bytes(255 - each for each in HASH)}
    case = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    work = Scan(case)
    work.merge(
        Rows(
            contents=[Content(each, "00" * 16, "00" * 20, 9, Kind.STILL, "image/png") for each in hashes],
            items=[
                Item(
                    Address("EX1", (Step("file", 0, f"/[red]{each[:2]}.png"),)), each, 9, Recovery.LIVE,
                    Containment.FILE, Place.OTHER, Times(),
                )
                for each in hashes
            ],
            findings=[Finding(each, "pdq", 1, "s", value.hex()) for each, value in hashes.items()],
        )
    )  # fmt: skip
    work.flush()
    stacks.rebuild(case)
    case.close()
    return tmp_path / "case"


def test_a_stack_says_what_is_in_it_and_why(run: Run, folder: Path) -> None:
    assert run("stack", folder, ALSO[:8], "--json").json() == {
        "stack": BOAT,
        "finished": True,
        "members": [
            {"sha256": BOAT, "name": "[red]0b.png", "kind": "still", "grade": None, "basis": None, "joined": None},
            {
                "sha256": ALSO, "name": "[red]a1.png", "kind": "still", "grade": None, "basis": None,
                "joined": {"to": BOAT, "how": "pdq", "view": "upright", "distance": 3},
            },
        ],
    }  # fmt: skip
    said = run("stack", folder, BOAT).out
    assert f"{BOAT}: 2 that look alike" in said
    assert f"{ALSO[:16]}  [red]a1.png: still, ungraded; looks like {BOAT[:16]}, 3 of 256 bits apart" in said


def test_a_person_splits_and_joins(run: Run, folder: Path) -> None:
    assert run("stack", folder, "--split", ALSO, "--as", "DC Sorter", "--json").json()["stack"] == ALSO
    assert len(run("stack", folder, BOAT, "--json").json()["members"]) == 1
    joined = run("stack", folder, "--join", BOAT[:10], OTHER, ALSO, "--as", "DC Sorter", "--json").json()
    assert [each["sha256"] for each in joined["members"]] == sorted([BOAT, OTHER, ALSO])
    assert "joined with" in run("stack", folder, OTHER).out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([BOAT, ALSO], "--split or --join"),
        (["--split", "--join", BOAT], "not both"),
        (["ffffffff"], "no content"),
        (["0b0b"], "at least the first 8"),
        (["--join", BOAT, ALSO], "one stack already"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(run: Run, folder: Path, arguments: list[str], why: str) -> None:
    found = run("stack", folder, *arguments, code=2)
    assert why in found.err
