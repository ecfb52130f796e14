"""What a grade of one scheme is in another: data, code by code, each refused that cannot be said.

A mapping is a file `mappings/FROM--TO.json`, here or in the folder of `settings.home`. It speaks of every grade of the
scheme that it maps from. That nobody has decided is no grade and is never mapped, least of all to one that is harmless.
"""

from __future__ import annotations

import msgspec

from mantlet.errors import UsageError, plain
from mantlet.grading import scheme as schemes
from mantlet.grading.scheme import Scheme


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`codes`: code of the one scheme -> code of the other. `refused`: code -> why it cannot be mapped. `source`: who
    states it."""

    of: str
    to: str
    source: str
    codes: dict[str, str]
    refused: dict[str, str] = {}

    def grade(self, code: str) -> str:
        """The code in the other scheme. Raises UsageError, with why, where there is none."""
        if code in self.codes:
            return self.codes[code]
        why = self.refused.get(code, "it is not a grade")
        raise UsageError(f"'{code}' of {self.of} has no grade in {self.to}: {why}; look at the picture and grade it.")


def names() -> list[tuple[str, str]]:
    """The schemes between which there is a mapping, as (from, to)."""
    pairs = (name.split("--") for name in schemes.listed("mappings"))
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def load(of: str, to: str) -> Mapping:
    """The mapping from one scheme to another; of a scheme to itself, each grade to itself.

    Raises:
        UsageError: there is none, it is not whole, or it names what its schemes do not have.
    """
    source, target = schemes.load(of), schemes.load(to)
    if of == to:
        return Mapping(of, to, "", {grade.code: grade.code for grade in source.grades})
    raw = schemes.stored("mappings", f"{of}--{to}")
    if raw is None:
        there = ", ".join(" to ".join(pair) for pair in names())
        raise UsageError(f"Grades of {of} cannot be mapped to {to}: there is no such mapping; there are {there}.")
    try:
        mapping = msgspec.json.decode(raw, type=Mapping)
        _check(mapping, source, target)
    except ValueError as error:
        raise UsageError(f"{of}--{to}.json is no mapping: {plain(error)}; correct the file.") from error
    return mapping


def map_grade(of: str, to: str, code: str) -> str:
    """What the grade `code` of the scheme `of` is in the scheme `to`.

    Raises:
        UsageError: it cannot be said; the sentence says why.
    """
    return load(of, to).grade(code)


def _check(mapping: Mapping, source: Scheme, target: Scheme) -> None:
    """Raises ValueError with what is wrong."""
    if (mapping.of, mapping.to) != (source.name, target.name):
        raise ValueError(f"it says that it maps {mapping.of} to {mapping.to}")
    if not all(schemes.one_line(text, 1000) and text for text in (mapping.source, *mapping.refused.values())):
        raise ValueError("its source, and each reason for refusing, is one line of 1 to 1000 characters")
    grades = {grade.code for grade in source.grades}
    said = [*mapping.codes, *mapping.refused]
    for code in said:
        if code not in grades:
            raise ValueError(f"'{code}' is not a grade of {source.name}")
        if said.count(code) > 1:
            raise ValueError(f"'{code}' is both mapped and refused")
    if missing := sorted(grades - set(said)):
        raise ValueError(f"it does not say what becomes of {', '.join(missing)}")
    theirs = {grade.code for grade in target.grades}
    if unknown := sorted(set(mapping.codes.values()) - theirs):
        raise ValueError(f"{', '.join(unknown)} is not a grade of {target.name}")
