"""Category schemes are data: what a grade means depends on the country and the year, never on code.

A scheme lists its grades and the key that gives each. Codes of one scheme mean nothing in another; "ungraded" is the
absence of a decision and never a code.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

import msgspec

from mantlet.errors import UsageError

DEFAULT: Final = "england-wales"


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    key: str
    label: str


class Scheme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: str
    title: str
    source: str
    grades: tuple[Grade, ...]

    def grade(self, code: str) -> Grade:
        """Raises UsageError for a code that is not of this scheme."""
        for grade in self.grades:
            if grade.code == code:
                return grade
        codes = ", ".join(grade.code for grade in self.grades)
        raise UsageError(f"'{code}' is not a grade of the scheme {self.name}; its grades are {codes}.")


def names() -> list[str]:
    files = (resources.files(__package__) / "schemes").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def load(name: str) -> Scheme:
    """Raises UsageError where there is no such scheme."""
    if name not in names():
        raise UsageError(f"There is no category scheme '{name}'; there are {', '.join(names())}.")
    return msgspec.json.decode((resources.files(__package__) / "schemes" / f"{name}.json").read_bytes(), type=Scheme)
