"""`mantlet certify` as people use it: freeze, look at the sample in its order, state, verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from mantlet.case.case import create_or_open, open_case
from mantlet.case.decisions import Said, Seen, decide_many
from mantlet.governance import keys, ledger
from mantlet.grading import scheme

CLEAR = Seen(640, clear=True, milliseconds=900)


def draw(folder: Path, first: int, end: int) -> None:
    """Boats on different seas, as different pictures."""
    folder.mkdir(exist_ok=True)
    for number in range(first, end):
        picture = Image.new("RGB", (320, 240), (number * 5 % 256, 120, 200))
        ImageDraw.Draw(picture).polygon([(60, 200), (260, 200), (160 + number, 40)], fill=(90, number * 3 % 256, 30))
        picture.save(folder / f"boat-{number:02}.png")


@pytest.fixture
def case(run: Any, tmp_path: Path) -> Path:
    """A case of 24 pictures."""
    draw(tmp_path / "stick", 0, 24)
    run("scan", tmp_path / "stick", "--case", tmp_path / "case", "--as", "DC One", "--workers", "1")
    return tmp_path / "case"


def grade(case: Path, contents: Sequence[str], code: str) -> None:
    opened = open_case(case, keys.actor("DC One"))
    decide_many(opened, keys.actor("DC One"), scheme.load("stand-in"), [Said(each, code, CLEAR) for each in contents])
    opened.close()


def test_from_freezing_to_verifying(run: Any, case: Path) -> None:
    options = ("--scheme", "stand-in", "--confidence", "0.9", "--as", "DC One", "--json")
    frozen = run("certify", case, "--freeze", "missed", *options).json()
    assert (frozen["kind"], frozen["confidence"], frozen["population"]["size"]) == ("missed", 0.9, 24)
    assert (frozen["looked"], frozen["missed_at_most"], frozen["targets"]) == (0, 24, ["boat", "camera"])

    told = run("certify", case, "--next", "10", "--recall", "0.5", "--as", "DC One", "--json").json()
    contents = [each["sha256"] for each in told["next"]]
    assert len(set(contents)) == 10
    assert told["next"][0]["address"].endswith(told["next"][0]["name"])
    grade(case, contents[:9], "other")
    grade(case, contents[9:], "boat")

    told = run("certify", case, "--as", "DC One", "--json").json()
    assert (told["looked"], told["found"], told["unseen"], told["void"]) == (10, 1, 14, [])
    assert 0 < told["missed_at_most"] <= 14
    assert told["recall_at_least"] == pytest.approx(1 / (1 + told["missed_at_most"]))
    assert told["looked_at"]["clear and large"] == 10
    text = run("certify", case, "--as", "DC One", "--recall", "0.5").out
    assert f"With 90 % confidence at most {told['missed_at_most']} pictures and clips" in text
    assert "that officers would grade boat or camera were missed." in text
    assert "10 were looked at in an order drawn by chance, and 1 of them graded boat or camera." in text
    assert "At 14 nobody had a look that counts." in text
    assert "Whether this suffices is for the prosecutor and the court to say." in text
    assert "To be able to say that 50 % were found: see" in text

    run("certify", case, "--freeze", "counts", "--scheme", "stand-in", "--as", "DC One")
    told = run("certify", case, "--next", "24", "--as", "DC One", "--json").json()
    assert len(told["next"]) == 14
    grade(case, [each["sha256"] for each in told["next"]], "boat")
    told = run("certify", case, "--as", "DC One", "--json").json()
    assert told["counts"]["boat"] == {"still": {"at_least": 15, "at_most": 15}}
    text = run("certify", case, "--as", "DC One").out
    assert "With 99 % confidence, all together, officers would grade:" in text
    assert "boat: at least 15 and at most 15 pictures" in text
    assert run("verify", case, "--record-only", "--json").json()["fault"] is None


def test_what_came_later_voids_it_visibly_and_a_new_one_is_frozen(run: Any, case: Path, tmp_path: Path) -> None:
    run("certify", case, "--freeze", "missed", "--scheme", "stand-in", "--as", "DC One")
    draw(tmp_path / "second", 24, 26)
    run("scan", tmp_path / "second", "--case", case, "--as", "DC One", "--workers", "1")
    told = run("certify", case, "--next", "3", "--recall", "0.9", "--as", "DC One", "--json").json()
    assert (told["missed_at_most"], told["next"], told["looks_for_recall"]) == (None, [], None)
    assert told["void"] == ["Pictures and clips came into the case after it was frozen: 2. Freeze it anew."]
    text = run("certify", case, "--as", "DC One").out
    assert "This certificate is void and states nothing." in text
    assert "confidence" not in text
    again = run("certify", case, "--freeze", "missed", "--scheme", "stand-in", "--as", "DC One", "--json").json()
    assert (again["population"]["size"], again["void"]) == (26, [])
    assert [each["void"] for each in again["others"]] == [told["void"]]
    assert "1 other population was frozen" in " ".join(again["assumptions"])
    assert run("verify", case, "--record-only", "--json").json()["fault"] is None


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    create_or_open(tmp_path / "empty", keys.actor("DC One")).close()
    return tmp_path / "empty"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "is frozen yet; `mantlet certify"),
        ("--freeze missed", "Nothing in this case is left to be looked at"),
        ("--confidence 0.9", "are decided with --freeze"),
        ("--side 300", "are decided with --freeze"),
        ("--freeze missed --scheme none", "There is no category scheme 'none'"),
        ("--freeze missed --confidence 95", "above 0.5 and below 1"),
        ("--freeze missed --side 100", "add --overlooked M/N"),
        ("--freeze missed --overlooked three", "--overlooked takes M/N"),
        ("--freeze counts --overlooked 3/200", "'missed' alone; leave it out"),
        ("--freeze missed --recall 95", "The recall is a share"),
        ("--freeze counts --recall 0.95", "'missed' alone; leave --recall out"),
    ],
)
def test_bad_input_is_a_sentence(run: Any, empty: Path, arguments: str, says: str) -> None:
    result = run("certify", empty, *arguments.split(), "--as", "DC One", code=2)
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    opened = open_case(empty)
    assert [entry.kind for entry in ledger.entries(opened.reader, "case")] == ["case made"]
    opened.close()
