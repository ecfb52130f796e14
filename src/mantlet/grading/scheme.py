"""Category schemes are data: what a grade means depends on the country and the year, never on code.

A scheme lists its grades, the key that gives each, and what each counts as. Codes of one scheme mean nothing in
another (`mapping` says which do); "ungraded" is the absence of a decision and never a code. A force adds a scheme as a
file of its own, `schemes/NAME.json` in the folder of `settings.home`, in the form of those in `schemes/` here.
"""

from __future__ import annotations

import re
import unicodedata
from importlib import resources
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from mantlet import settings
from mantlet.errors import UsageError, plain

DEFAULT: Final = "england-wales"
LEFT_OPEN: Final = {
    "caid": "The category codes of CAID are not public, so the force writes them down itself.",
    "project-vic-uk": "The codes of Project VIC in the United Kingdom are not public and differ between the profiles "
    "of tools, so the force writes down its own.",
}
"""Schemes that cannot be shipped, and why."""
LONGEST_CODE: Final = 64
_LARGEST_FILE: Final = settings.MIB
_NAME: Final = re.compile(r"\w[\w.-]{0,63}", re.ASCII)
_NOT_ONE_LINE: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}

CountsAs = Literal["target", "other offence", "of interest", "nothing"]
"""What a grade counts as. "target": what a case is about and certificates speak of, in England and Wales the indecent
images; "other offence": unlawful, and counted apart."""


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One grade: its code, the key that gives it on the page, and its name for people."""

    code: str
    key: str
    label: str
    counts_as: CountsAs


class Scheme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grades of one scheme. `natures`: what a marked picture may be said to be (`marks.Marks.nature`).
    `ungraded`: codes by which others write that nobody has decided; none is a grade."""

    name: str
    version: str
    title: str
    source: str
    grades: Annotated[tuple[Grade, ...], Meta(min_length=2, max_length=62)]
    natures: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    ungraded: Annotated[tuple[str, ...], Meta(max_length=16)] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The codes that count as targets."""
        return tuple(grade.code for grade in self.grades if grade.counts_as == "target")

    def grade(self, code: str) -> Grade:
        """Raises UsageError for a code that is not of this scheme."""
        for grade in self.grades:
            if grade.code == code:
                return grade
        if code in self.ungraded:
            raise UsageError(f"'{code}' means ungraded in the scheme {self.name}, which is no grade; leave it out.")
        codes = ", ".join(grade.code for grade in self.grades)
        raise UsageError(f"'{code}' is not a grade of the scheme {self.name}; its grades are {codes}.")


def names() -> list[str]:
    """The schemes there are: those that Mantlet ships and those that the force added."""
    return listed("schemes")


def load(name: str) -> Scheme:
    """Raises UsageError where there is no such scheme, or its file does not hold one."""
    raw = stored("schemes", name)
    if raw is None and name in LEFT_OPEN:
        raise UsageError(f"The scheme {name} is left for the force to fill in: `mantlet scheme {name}` says how.")
    if raw is None:
        raise UsageError(f"There is no category scheme '{name}'; there are {', '.join(names())}.")
    try:
        scheme = msgspec.json.decode(raw, type=Scheme)
        _check(scheme, name)
    except ValueError as error:
        raise UsageError(f"{name}.json is no category scheme: {plain(error)}; correct the file.") from error
    return scheme


def listed(folder: str) -> list[str]:
    """The names of the JSON files of a kind: those here, and those of the force."""
    files = [file.name for file in (resources.files(__package__) / folder).iterdir()]
    own = settings.home() / folder
    files += [file.name for file in own.iterdir()] if own.is_dir() else []
    return sorted({name for file in files if _NAME.fullmatch(name := file.removesuffix(".json")) and name != file})


def stored(folder: str, name: str) -> bytes | None:
    """The JSON file of a kind and name; None where there is none.

    Raises:
        UsageError: it cannot be read, is over 1 MiB, or is a file of the force in the name of one that is shipped.
    """
    shipped, own = resources.files(__package__) / folder / f"{name}.json", settings.home() / folder / f"{name}.json"
    if not _NAME.fullmatch(name):
        return None
    if not own.is_file():
        return shipped.read_bytes() if shipped.is_file() else None
    if shipped.is_file():
        raise UsageError(f"{own} has the name of one that Mantlet ships; give the file, and its 'name', another.")
    try:
        with own.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{own} cannot be read: {plain(error)}; check its permissions.") from error
    if len(raw) > _LARGEST_FILE:
        raise UsageError(f"{own} is larger than such a file may be, which is 1 MiB; correct the file.")
    return raw


def one_line(text: str, most: int) -> bool:
    """Whether a text is at most `most` characters without one that breaks a line, steers a terminal, is invisible or
    turns the direction of text (Unicode categories Cc, Cf, Cs, Zl and Zp)."""
    return len(text) <= most and not any(unicodedata.category(char) in _NOT_ONE_LINE for char in text)


def _check(scheme: Scheme, name: str) -> None:
    """Raises ValueError with what is wrong."""
    if scheme.name != name:
        raise ValueError(f"it calls itself '{scheme.name[:LONGEST_CODE]}'")
    _check_text("version", scheme.version, 64)
    _check_text("title", scheme.title, 200)
    _check_text("source", scheme.source, 1000)
    for grade in scheme.grades:
        _check_text("label", grade.label, 200)
        if not (grade.key.isascii() and grade.key.isalnum() and len(grade.key) == 1):
            raise ValueError(f"the key '{grade.key[:LONGEST_CODE]}' is not one letter or digit")
    codes = [grade.code for grade in scheme.grades]
    for what, words in (("code", (*codes, *scheme.ungraded)), ("nature", scheme.natures)):
        for word in words:
            _check_text(what, word, LONGEST_CODE)
        _check_once(what, words)
    _check_once("key", [grade.key for grade in scheme.grades])
    if any(code.lower().startswith("ungraded") for code in codes):
        raise ValueError("'ungraded' is the absence of a grade, never a code")


def _check_text(what: str, text: str, most: int) -> None:
    if not text or text != text.strip() or not one_line(text, most):
        raise ValueError(f"a {what} is one line of 1 to {most} characters, without spaces around it")


def _check_once(what: str, words: tuple[str, ...] | list[str]) -> None:
    twice = next((word for word in words if words.count(word) > 1), None)
    if twice is not None:
        raise ValueError(f"the {what} '{twice}' is there twice")
