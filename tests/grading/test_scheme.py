"""Category schemes: every file of them can be graded with."""

from __future__ import annotations

import pytest

from mantlet.errors import UsageError
from mantlet.grading import scheme


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


def test_the_scheme_of_england_and_wales_has_its_categories() -> None:
    grades = scheme.load("england-wales").grades
    assert [grade.code for grade in grades[:3]] == ["A", "B", "C"]


def test_the_default_scheme_is_there() -> None:
    assert scheme.DEFAULT in scheme.names()


def test_a_grade_is_found_by_its_code() -> None:
    loaded = scheme.load("stand-in")
    assert [loaded.grade(grade.code) for grade in loaded.grades] == list(loaded.grades)


@pytest.mark.parametrize("code", ["", "D", "a", "ungraded", "boat ", "A"])
def test_an_unknown_grade_is_refused_and_the_known_ones_named(code: str) -> None:
    with pytest.raises(UsageError, match="is not a grade of the scheme stand-in; its grades are boat, camera"):
        scheme.load("stand-in").grade(code)


@pytest.mark.parametrize("name", ["", "nowhere", "../scheme", "stand-in.json"])
def test_an_unknown_scheme_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(UsageError, match=r"there are .*england-wales"):
        scheme.load(name)
