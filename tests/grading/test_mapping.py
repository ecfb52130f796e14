"""Mappings between schemes: explicit, whole, and refusing what nobody can say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mantlet.errors import UsageError
from mantlet.grading import mapping, scheme

SHIPPED = mapping.names()
OWN: dict[str, Any] = {
    "of": "stand-in",
    "to": "interpol-baseline",
    "source": "Example Force",
    "codes": {"other": "not-relevant", "not-relevant": "not-relevant"},
    "refused": {"boat": "nobody knows whose it is", "camera": "nobody knows whose it is"},
}


@pytest.fixture
def own(home: Path) -> Any:
    """Puts a mapping of the force's into place: OWN, with what is given instead."""

    def write(**instead: Any) -> None:
        (home / "mappings").mkdir(exist_ok=True)
        (home / "mappings" / "stand-in--interpol-baseline.json").write_text(json.dumps({**OWN, **instead}))

    return write


def test_the_shipped_mappings_are_those_that_somebody_states() -> None:
    assert SHIPPED == [
        ("england-wales", "interpol-baseline"),
        ("project-vic-us", "project-vic-us-dhs"),
        ("project-vic-us-dhs", "project-vic-us"),
    ]


@pytest.mark.parametrize(("of", "to"), SHIPPED)
def test_a_mapping_speaks_of_every_grade_and_makes_nothing_harmless(of: str, to: str) -> None:
    loaded, source, target = mapping.load(of, to), scheme.load(of), scheme.load(to)
    assert loaded.source
    assert {*loaded.codes, *loaded.refused} == {grade.code for grade in source.grades}
    for code, mapped in loaded.codes.items():
        harmless = target.grade(mapped).counts_as == "nothing"
        assert harmless == (source.grade(code).counts_as == "nothing")


@pytest.mark.parametrize("code", ["ungraded", "", "5", "9"])
def test_what_is_no_grade_is_never_mapped(code: str) -> None:
    with pytest.raises(UsageError, match="has no grade in project-vic-us-dhs: it is not a grade"):
        mapping.map_grade("project-vic-us", "project-vic-us-dhs", code)


def test_0_and_5_change_places_there_and_back() -> None:
    assert mapping.map_grade("project-vic-us", "project-vic-us-dhs", "0") == "5"
    for code in ("0", "1", "2", "3", "4"):
        there = mapping.map_grade("project-vic-us", "project-vic-us-dhs", code)
        assert mapping.map_grade("project-vic-us-dhs", "project-vic-us", there) == code


@pytest.mark.parametrize("code", ["A", "B", "C", "extreme", "other"])
def test_what_a_grade_does_not_say_is_refused_with_why(code: str) -> None:
    with pytest.raises(UsageError, match=rf"'{code}' of england-wales has no grade in interpol-baseline: the category"):
        mapping.map_grade("england-wales", "interpol-baseline", code)


def test_a_scheme_is_itself() -> None:
    for grade in scheme.load("stand-in").grades:
        assert mapping.map_grade("stand-in", "stand-in", grade.code) == grade.code
    with pytest.raises(UsageError, match="it is not a grade"):
        mapping.map_grade("stand-in", "stand-in", "ungraded")


@pytest.mark.parametrize(("of", "to"), [("england-wales", "project-vic-us"), ("stand-in", "interpol-baseline")])
def test_without_a_mapping_nothing_is_mapped(of: str, to: str) -> None:
    with pytest.raises(UsageError, match="there is no such mapping; there are england-wales to interpol-baseline, "):
        mapping.map_grade(of, to, "not-relevant")


@pytest.mark.parametrize(("of", "to"), [("nowhere", "stand-in"), ("stand-in", "../x")])
def test_an_unknown_scheme_is_named(of: str, to: str) -> None:
    with pytest.raises(UsageError, match="There is no category scheme"):
        mapping.map_grade(of, to, "boat")


def test_a_force_adds_a_mapping(own: Any) -> None:
    own()
    assert ("stand-in", "interpol-baseline") in mapping.names()
    assert mapping.map_grade("stand-in", "interpol-baseline", "other") == "not-relevant"
    with pytest.raises(UsageError, match="nobody knows whose it is; look at the picture and grade it"):
        mapping.map_grade("stand-in", "interpol-baseline", "boat")


@pytest.mark.parametrize(
    ("instead", "says"),
    [
        ({"colour": "red"}, "unknown field"),
        ({"of": "england-wales"}, "it says that it maps england-wales to interpol-baseline"),
        ({"refused": {"boat": "why"}}, "it does not say what becomes of camera"),
        ({"refused": {**OWN["refused"], "other": "why"}}, "'other' is both mapped and refused"),
        ({"codes": {**OWN["codes"], "ungraded": "not-relevant"}}, "'ungraded' is not a grade of stand-in"),
        ({"codes": {**OWN["codes"], "other": "nothing"}}, "nothing is not a grade of interpol-baseline"),
        ({"source": ""}, "its source, and each reason for refusing, is one line"),
        ({"refused": {**OWN["refused"], "boat": "a\nb"}}, "its source, and each reason for refusing, is one line"),
    ],
)
def test_a_mapping_that_is_not_whole_is_refused(own: Any, instead: dict[str, Any], says: str) -> None:
    own(**instead)
    with pytest.raises(
        UsageError, match=r"^stand-in--interpol-baseline\.json is no mapping: .*; correct the file\.$"
    ) as no:
        mapping.load("stand-in", "interpol-baseline")
    assert says in str(no.value)
