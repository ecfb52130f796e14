"""Brings files of known material in force as a set: told by their content, taken whole or not at all."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mantlet.errors import EvidenceError, UsageError
from mantlet.known.columns import Folder
from mantlet.known.profile import Profile, load, undeclared
from mantlet.known.records import CONVENTIONS, Category, KnownSet, Status
from mantlet.known.sets import Sets

if TYPE_CHECKING:
    from mantlet.known.build import Builder
    from mantlet.known.formats import Reading


class About(msgspec.Struct, frozen=True):
    """What the importer says of a set. `plain`: what the lines of a plain list are; `profile`: what its category codes
    mean, by name or file; `convention`: one of `CONVENTIONS`, None where nobody knows: then it is measured."""

    status: Status | None = None
    plain: Literal["md5", "sha1", "sha256", "pdq"] | None = None
    profile: str | None = None
    convention: str | None = None
    provenance: str | None = None
    licence: str | None = None


def import_files(
    sets: Sets,
    paths: Sequence[Path],
    name: str,
    by: str,
    about: About | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> KnownSet:
    """Puts the records of one or more files of one format in force as the set `name`.

    `progress` is told how many bytes of them all were read.

    Raises:
        EvidenceError: naming the file and the line or entry that is wrong; nothing is changed then.
        UsageError: what is said of the set cannot be.
    """
    from mantlet.known.formats import open_set  # its compiler takes a third of a second to load

    about = about or About()
    if about.convention not in (*CONVENTIONS, None):
        raise UsageError(f"'{about.convention}' is no PDQ convention; there are {' and '.join(CONVENTIONS)}.")

    def fill(builder: Builder, _: Folder) -> dict[str, Any]:
        before = [_state(path) for path in paths]
        digests = [digest_of(path) for path in paths]
        if len(set(digests)) < len(digests):
            raise UsageError("Two of the files are the same; give each once.")
        last, starts = 0, list[int]()
        readings: list[Reading] = []
        for path in paths:
            already = sum(size for size, _ in before[: len(readings)])
            reading = open_set(path, plain=about.plain, progress=_after(already, progress))
            if readings and (reading.profiles, reading.benign) != (readings[0].profiles, readings[0].benign):
                raise UsageError(f"{path} is {reading.form}, the first is {readings[0].form}: import them apart.")
            readings.append(reading)
            starts.append(last)
            try:
                last = builder.add(reading.records, last)
            except EvidenceError as error:
                raise error if path.name in str(error) else EvidenceError(f"{path.name}: {error}") from None
        if [_state(path) for path in paths] != before:
            raise EvidenceError("A file changed while it was read; nothing was imported. Import it again.")
        return {**_described(paths, digests, readings, about), "starts": starts if len(paths) > 1 else []}

    return sets.replace(name, by, fill)


def _described(paths: Sequence[Path], digests: list[str], readings: list[Reading], about: About) -> dict[str, Any]:
    reading = readings[0]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    status = about.status or ("benign" if reading.benign else "notable")
    if reading.benign is not None and (status == "benign") != reading.benign:
        raise UsageError(
            f"{paths[0]} is {reading.form}: a set of that kind is {'' if reading.benign else 'never '}benign; "
            "leave --status out."
        )
    declared = about.profile or (reading.profiles[0] if len(reading.profiles) == 1 else None)
    profile = load(declared) if declared else None

    foreign: list[str] = []

    def meanings(codes: list[str | None]) -> list[Category]:
        if codes == [None] and reading.benign is not False and not about.profile:
            return [Category(None, status)]  # in a list without codes each line is what the whole is
        said = [profile.meaning(code) if profile else undeclared(code, status) for code in codes]
        foreign.extend(code for code in codes if code and profile and code not in {each.code for each in profile.codes})
        return [Category(code, *msgspec.structs.astuple(each)) for code, each in zip(codes, said, strict=True)]

    provenances = [about.provenance, *(each.provenance for each in readings)]
    by_profile = profile and f"{profile.name}-{profile.version}-{_short_digest(profile)}"
    marks = [digest[:16], about.plain, about.convention, by_profile]
    return {
        "version": "-".join(mark for mark in marks if mark),
        "status": status,
        "form": "; ".join(dict.fromkeys(each.form for each in readings)),
        "sources": [path.name for path in paths],
        "digest": digest,
        "profile": profile and f"{profile.name} {profile.version}",
        "convention": about.convention or reading.convention,
        "provenance": "; ".join(dict.fromkeys(each for each in provenances if each)) or None,
        "licence": about.licence,
        "meanings": meanings,
        "foreign_codes": foreign,
    }


def _short_digest(profile: Profile) -> str:
    """A profile that was edited makes another version of the set, whatever its own version says."""
    return hashlib.sha256(msgspec.json.encode(profile)).hexdigest()[:8]


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises EvidenceError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; check the path.") from error


def _after(already: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda read: progress(already + read)


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change. Raises EvidenceError for anything but a file."""
    try:
        there = path.stat()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; check the path.") from error
    if not stat.S_ISREG(there.st_mode):
        raise EvidenceError(f"{path} cannot be read: it is no file; give the file itself.")
    return there.st_size, there.st_mtime_ns
