"""Category schemes: every file of them can be graded with, and one of a force is taken only whole and unambiguous."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mantlet.errors import UsageError
from mantlet.grading import scheme
from mantlet.known import profile as profiles

OWN: dict[str, Any] = {
    "name": "harbour",
    "version": "2026-01",
    "title": "Things in a harbour",
    "source": "Example Force",
    "grades": [
        {"code": "boat", "key": "1", "label": "Boat", "counts_as": "target"},
        {"code": "other", "key": "2", "label": "Other", "counts_as": "nothing"},
    ],
}
UNSAFE = ["\n", "\x07", "\u202e", "\u200b", "\u2028"]


@pytest.fixture
def own(home: Path) -> Any:
    """Puts a scheme of the force's into place: OWN, with what is given instead."""

    def write(raw: str | None = None, **instead: Any) -> None:
        (home / "schemes").mkdir(exist_ok=True)
        (home / "schemes" / "harbour.json").write_text(json.dumps({**OWN, **instead}) if raw is None else raw)

    return write


@pytest.mark.parametrize("name", scheme.names())
def test_a_scheme_can_be_graded_with(name: str) -> None:
    loaded = scheme.load(name)
    codes = [grade.code for grade in loaded.grades]
    keys = [grade.key for grade in loaded.grades]
    assert loaded.name == name
    assert loaded.version
    assert loaded.title
    assert loaded.source
    assert len(set(codes)) == len(codes) > 1
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 1 and key.isprintable() and key != " " for key in keys)
    assert all(grade.label and grade.code == grade.code.strip() for grade in loaded.grades)
    assert not any(code.startswith("ungraded") for code in codes), "that is the absence of a decision"
    assert loaded.targets
    assert set(loaded.targets) < set(codes)


@pytest.mark.parametrize("name", sorted({*scheme.names()} & {*profiles.names()}))
def test_a_scheme_and_the_profile_of_its_name_say_the_same_of_each_code(name: str) -> None:
    loaded, profile = scheme.load(name), profiles.load(name)
    meant = {code.code: code for code in profile.codes}
    assert set(meant) == {*(grade.code for grade in loaded.grades), *loaded.ungraded}
    for grade in loaded.grades:
        assert grade.label == meant[grade.code].label
        assert (grade.counts_as == "nothing") == (meant[grade.code].status == "benign")
        assert grade.counts_as != "target" or meant[grade.code].status == "notable"
    assert all(meant[code].status == "ungraded" for code in loaded.ungraded)


def test_there_are_profiles_to_compare_with() -> None:
    assert {"england-wales", "project-vic-us", "project-vic-us-dhs"} <= {*scheme.names()} & {*profiles.names()}


def test_the_scheme_of_england_and_wales_has_its_categories() -> None:
    loaded = scheme.load("england-wales")
    assert [grade.code for grade in loaded.grades[:3]] == ["A", "B", "C"] == list(loaded.targets)
    assert loaded.natures == ("photograph", "pseudo-photograph")
    assert {loaded.grade(code).counts_as for code in ("prohibited", "extreme")} == {"other offence"}


def test_0_and_5_change_places_between_the_two_schemes_of_project_vic() -> None:
    now, older = scheme.load("project-vic-us"), scheme.load("project-vic-us-dhs")
    assert (now.grade("0").counts_as, now.ungraded) == ("nothing", ("5",))
    assert (older.grade("5").counts_as, older.ungraded) == ("nothing", ("0",))
    with pytest.raises(UsageError, match="'5' means ungraded in the scheme project-vic-us, which is no grade"):
        now.grade("5")


def test_the_default_scheme_is_there() -> None:
    assert scheme.DEFAULT in scheme.names()


def test_a_grade_is_found_by_its_code() -> None:
    loaded = scheme.load("stand-in")
    assert [loaded.grade(grade.code) for grade in loaded.grades] == list(loaded.grades)


@pytest.mark.parametrize("code", ["", "D", "a", "ungraded", "boat ", "A"])
def test_an_unknown_grade_is_refused_and_the_known_ones_named(code: str) -> None:
    with pytest.raises(UsageError, match="is not a grade of the scheme stand-in; its grades are boat, camera"):
        scheme.load("stand-in").grade(code)


@pytest.mark.parametrize("name", ["", "nowhere", "../scheme", "stand-in.json", "harbour"])
def test_an_unknown_scheme_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(UsageError, match=r"there are .*england-wales"):
        scheme.load(name)


@pytest.mark.parametrize("name", scheme.LEFT_OPEN)
def test_a_scheme_that_cannot_be_shipped_is_left_for_the_force_to_fill_in(name: str, home: Path) -> None:
    assert name not in scheme.names()
    with pytest.raises(UsageError, match=f"`mantlet scheme {name}` says how"):
        scheme.load(name)
    (home / "schemes").mkdir()
    (home / "schemes" / f"{name}.json").write_text(json.dumps({**OWN, "name": name}))
    assert name in scheme.names()
    assert scheme.load(name).targets == ("boat",)


def test_a_force_adds_a_scheme(own: Any, home: Path) -> None:
    shipped = scheme.names()
    own()
    (home / "schemes" / "read me.txt").write_text("not a scheme")
    assert scheme.names() == sorted([*shipped, "harbour"])
    assert scheme.load("harbour").grade("boat").label == "Boat"


def grade(**instead: Any) -> dict[str, Any]:
    return {"grades": [{**OWN["grades"][0], **instead}, OWN["grades"][1]]}


@pytest.mark.parametrize(
    ("instead", "says"),
    [
        ({"colour": "red"}, "unknown field `colour`"),
        (grade(colour="red"), "unknown field `colour`"),
        ({"name": "port"}, "it calls itself 'port'"),
        ({"grades": OWN["grades"][:1]}, "length >= 2"),
        (grade(code="other"), "the code 'other' is there twice"),
        (grade(key="2"), "the key '2' is there twice"),
        (grade(key=""), "the key '' is not one letter or digit"),
        (grade(key="12"), "the key '12' is not one letter or digit"),
        (grade(key=" "), "the key ' ' is not one letter or digit"),
        (grade(key="é"), "the key 'é' is not one letter or digit"),
        (grade(code=""), "a code is one line of 1 to 64 characters"),
        (grade(code=" boat"), "without spaces around it"),
        (grade(code="x" * 65), "a code is one line of 1 to 64 characters"),
        (grade(code="Ungraded"), "'ungraded' is the absence of a grade, never a code"),
        (grade(counts_as="boats"), "Invalid enum value 'boats'"),
        *((grade(code=f"bo{char}at"), "a code is one line") for char in UNSAFE),
        *((grade(label=f"Bo{char}at"), "a label is one line") for char in UNSAFE),
        ({"natures": ["drawn", "drawn"]}, "the nature 'drawn' is there twice"),
        ({"ungraded": ["boat"]}, "the code 'boat' is there twice"),
        ({"version": ""}, "a version is one line of 1 to 64"),
        ({"title": "x" * 201}, "a title is one line of 1 to 200"),
    ],
)
def test_a_scheme_that_is_not_whole_or_not_clear_is_refused(own: Any, instead: dict[str, Any], says: str) -> None:
    own(**instead)
    with pytest.raises(UsageError, match=r"^harbour\.json is no category scheme: .*; correct the file\.$") as refused:
        scheme.load("harbour")
    assert says in str(refused.value)


def test_the_longest_code_is_taken(own: Any) -> None:
    own(**grade(code="x" * scheme.LONGEST_CODE))
    assert scheme.load("harbour").targets == ("x" * 64,)


@pytest.mark.parametrize("raw", ["", "[]", "{", "null", "\xff"])
def test_what_is_no_scheme_at_all_is_refused(own: Any, raw: str) -> None:
    own(raw)
    with pytest.raises(UsageError, match=r"harbour\.json is no category scheme"):
        scheme.load("harbour")


def test_a_file_that_is_too_large_is_refused(own: Any) -> None:
    own(" " * (1024 * 1024) + "{}")
    with pytest.raises(UsageError, match="larger than such a file may be"):
        scheme.load("harbour")


def test_a_file_in_the_name_of_a_shipped_scheme_is_refused(home: Path) -> None:
    (home / "schemes").mkdir()
    (home / "schemes" / "stand-in.json").write_text(json.dumps({**OWN, "name": "stand-in"}))
    with pytest.raises(UsageError, match="has the name of one that Mantlet ships"):
        scheme.load("stand-in")
    assert scheme.names().count("stand-in") == 1
