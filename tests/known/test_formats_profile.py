"""Profiles: a code means what its declared profile says, and a bare 0 or 5 never makes anything safe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mantlet.errors import UsageError
from mantlet.known.profile import load, names, undeclared

SHIPPED = ["england-wales", "icse", "project-vic-us", "project-vic-us-dhs", "threatexchange"]


def test_the_shipped_profiles_are_named_and_load() -> None:
    assert set(SHIPPED) <= set(names())
    assert [load(name).name for name in names()] == names()


@pytest.mark.parametrize(
    ("name", "code", "status", "severity"),
    [
        ("project-vic-us", "0", "benign", None),
        ("project-vic-us", "5", "ungraded", None),
        ("project-vic-us-dhs", "0", "ungraded", None),
        ("project-vic-us-dhs", "5", "benign", None),
        ("project-vic-us", "1", "notable", 1),
        ("project-vic-us-dhs", "3", "notable", 3),
        ("project-vic-us", "4", "ungraded", None),
        ("project-vic-us", "6", "ungraded", None),
        ("project-vic-us", None, "ungraded", None),
        ("project-vic-us", "", "ungraded", None),
        ("icse", "baseline", "notable", 1),
        ("icse", "not baseline", "notable", 2),
        ("england-wales", "extreme", "notable", 5),
        ("england-wales", "not-relevant", "benign", None),
        ("england-wales", "other", "ungraded", None),
        ("england-wales", "a", "ungraded", None),
        ("threatexchange", "MALICIOUS", "notable", 1),
        ("threatexchange", "B2", "notable", 1),
        ("threatexchange", "NON_MALICIOUS", "ungraded", None),
    ],
)
def test_a_code_means_what_its_profile_says(name: str, code: str | None, status: str, severity: int | None) -> None:
    meaning = load(name).meaning(code)
    assert (meaning.status, meaning.severity) == (status, severity)
    assert meaning.label


@pytest.mark.parametrize("code", [None, "", "0", "5", "00", "05", "0005"])
def test_without_a_profile_the_codes_that_tools_swap_assert_nothing(code: str | None) -> None:
    for status in ("notable", "benign", "ungraded"):
        assert undeclared(code, status).status == "ungraded"


def test_without_a_profile_any_other_code_is_what_the_set_is() -> None:
    meaning = undeclared("2", "notable")
    assert (meaning.status, meaning.severity, meaning.label) == ("notable", None, "category 2")
    assert [undeclared(code, "benign").status for code in ("boat", "01", "10", "50", "15")] == ["benign"] * 5


def profile(**more: Any) -> dict[str, Any]:
    codes = [{"code": "7", "label": "Seven", "status": "notable", "severity": 2}]
    return {"name": "force", "version": "1", "title": "Ours", "source": "the force", "codes": codes} | more


def test_a_force_brings_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "force.json"
    path.write_text(json.dumps(profile()))
    assert load(str(path)).meaning("7").severity == 2


CODE = {"code": "7", "label": "Seven", "status": "notable", "severity": 2}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (profile(codes=[]), "codes"),
        (profile(codes=[CODE, CODE]), "the code '7' is there twice"),
        (profile(codes=[CODE | {"severity": None}]), "code '7': a severity belongs to the status notable"),
        (profile(codes=[CODE | {"status": "benign"}]), "code '7': a severity belongs to the status notable"),
        (profile(codes=[CODE | {"severity": 0}]), "severity"),
        (profile(codes=[CODE | {"status": "safe"}]), "safe"),
        (profile(codes=[CODE | {"code": 7}]), "code"),
        (profile(more=1), "more"),
        ([], "object"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, data: object, says: str) -> None:
    path = tmp_path / "force.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=f"is no category profile: .*{says}"):
        load(str(path))


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(str(tmp_path / "none.json"))
    (tmp_path / "large.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(UsageError, match="larger than a category profile may be"):
        load(str(tmp_path / "large.json"))


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="There is no category profile 'caid'; there are england-wales, icse"):
        load("caid")
