"""What category codes mean, as data: the same digit means different things in different countries and tools.

In some tools' sets 0 is non-pertinent and 5 uncategorised, in others the reverse, and sets of both kinds go around.
So nothing is taken from a bare code: a set is imported with a declared profile, or its 0 and 5 assert nothing.
The codes of CAID are not public; a force that has them passes a file of its own, in the form of those in `profiles/`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from mantlet.errors import UsageError, plain
from mantlet.known.records import Status
from mantlet.settings import MIB

_LARGEST_FILE: Final = MIB
_NEVER_TAKEN: Final = ("", "5")
"""Codes without their leading zeros: 0 and 5."""

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Severity = Annotated[int, Meta(ge=1, le=1000)]


class Meaning(msgspec.Struct, frozen=True):
    """What a code says of a file: its status, its severity (1 the most severe; None unless notable) and a label."""

    status: Status
    severity: int | None
    label: str


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One code as sets write it, and its meaning."""

    code: Text
    label: Text
    status: Status
    severity: Severity | None

    def __post_init__(self) -> None:
        if (self.severity is not None) != (self.status == "notable"):
            raise ValueError(f"code '{self.code}': a severity belongs to the status notable, and to no other")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of category codes; `source` says who states it."""

    name: Annotated[str, Meta(pattern=r"\A[\w.-]{1,64}\Z")]
    version: Annotated[str, Meta(pattern=r"\A[\w.-]{1,64}\Z")]
    title: Text
    source: Annotated[str, Meta(min_length=1, max_length=1000)]
    codes: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=1000)]

    def __post_init__(self) -> None:
        codes = [each.code for each in self.codes]
        twice = next((code for code in codes if codes.count(code) > 1), None)
        if twice is not None:
            raise ValueError(f"the code '{twice}' is there twice")

    def meaning(self, code: str | None) -> Meaning:
        """What a record's code means; "ungraded" for None and for a code that is not of this profile."""
        for each in self.codes:
            if each.code == code:
                return Meaning(each.status, each.severity, each.label)
        return Meaning("ungraded", None, "no category" if code is None else f"unknown category {code}")


def undeclared(code: str | None, status: Status) -> Meaning:
    """What a code means in a set imported without a profile: what the user says of the whole set, and no severity.

    None, "", "0" and "5" assert nothing, whatever the set is: one of 0 and 5 is "uncategorised", and which is not said.
    Some write them "00" and "05".
    """
    if not code or code.lstrip("0") in _NEVER_TAKEN:
        return Meaning("ungraded", None, "no category" if not code else f"category {code}")
    return Meaning(status, None, f"category {code}")


def names() -> list[str]:
    """The shipped profiles."""
    files = (resources.files(__package__) / "profiles").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def load(name_or_path: str) -> Profile:
    """A shipped profile by its name, or one from a JSON file of at most 1 MiB. Raises UsageError."""
    if name_or_path in names():
        raw = (resources.files(__package__) / "profiles" / f"{name_or_path}.json").read_bytes()
    elif name_or_path.endswith(".json") or "/" in name_or_path:
        raw = _file(Path(name_or_path))
    else:
        listed = ", ".join(names())
        raise UsageError(f"There is no category profile '{name_or_path}'; there are {listed}, or give a .json file.")
    try:
        return msgspec.json.decode(raw, type=Profile)
    except ValueError as error:
        raise UsageError(f"{name_or_path} is no category profile: {plain(error)}; correct the file.") from error


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {plain(error)}; check the path.") from error
    if len(raw) > _LARGEST_FILE:
        raise UsageError(f"{path} is larger than a category profile may be, which is 1 MiB; check the path.")
    return raw
