"""The nouns of known material: what a set holds, what it is, and why a content matched it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Status = Literal["notable", "benign", "ungraded"]
"""What a record says its file is. "ungraded": the set knows the file and asserts nothing of it."""

DIGESTS: Final = {"md5": 16, "sha1": 20, "sha256": 32}
"""Bytes of each digest by which a record may name its file."""
HASHES: Final = {**DIGESTS, "pdq": 32}
"""These, and the perceptual hash that a record may hold beside or instead."""
WIDTHS: Final = {**HASHES, "block": 16}
"""These, and the keyed digest of a block, of which sets for triage are made."""
FLAGS: Final = {"md5": 1, "sha1": 2, "sha256": 4, "pdq": 8, "block": 16}
"""The bits by which a column says what a record holds."""


WHOLE, STRETCHED = "whole", "512"
CONVENTIONS: Final = (WHOLE, STRETCHED)
"""Ways of making the pixels of a PDQ: of the whole picture, which Mantlet always computes, or of the picture stretched
to 512 x 512 first, as Meta's own command-line tools do, which it computes when a set needs it."""


class Record(msgspec.Struct, frozen=True):
    """One record of a set, as its file states it; at least one digest or hash is there.

    `number` is its line, or its place in the file counted from 1. `category` is the code as the file writes it, None
    where it gives none: what a code means is for a declared `Profile`. `details` is a JSON object with what else is
    kept of it (note, series, PhotoDNA ...), as UTF-8, b"" for nothing.
    """

    number: int
    md5: bytes | None = None
    sha1: bytes | None = None
    sha256: bytes | None = None
    pdq: bytes | None = None
    category: str | None = None
    details: bytes = b""


class Category(msgspec.Struct, frozen=True):
    """What a code of a set means, by the profile declared when it was imported: `severity` 1 is the most severe, None
    where the profile ranks it nowhere."""

    code: str | None
    status: Status
    severity: int | None = None
    label: str = ""


class Blocks(msgspec.Struct, frozen=True):
    """Of a set of blocks: how many distinct files it was made from and how many bytes they have, how many whole blocks
    these make, and how many of those are in the set; the others are too common to tell anything. A file without any,
    as each that is too small for one, cannot be found: how many these are, and their bytes."""

    files: int
    bytes: int
    blocks: int
    kept: int
    files_without_blocks: int
    bytes_without_blocks: int


class KnownSet(msgspec.Struct, frozen=True):
    """A set in force. `version` begins with the SHA-256 of what it was imported from, `digest`; `hashes` and `statuses`
    count its records by what they hold and are; `folder` is where its columns lie, `files` the SHA-256 of each; `salt`
    is there if they are sealed. `starts`: of several sources, the number after which the records of each are counted.
    `foreign_codes`: those that the profile does not know, of a set that is not sealed. What is here lies in the clear
    for a sealed set too."""

    name: str
    version: str
    status: Literal["notable", "benign"]
    form: str
    sources: list[str]
    digest: str
    imported_at: str
    imported_by: str
    records: int
    hashes: dict[str, int]
    statuses: dict[Status, int]
    details: int
    folder: str
    files: dict[str, str]
    salt: str | None = None
    profile: str | None = None
    convention: str | None = None
    provenance: str | None = None
    licence: str | None = None
    foreign_codes: list[str] = []
    starts: list[int] = []
    blocks: Blocks | None = None


class Match(msgspec.Struct, frozen=True):
    """Why a content is known: by which digest or hash (`how`), at what Hamming distance (0 for digests), from which
    set, version and record.

    `view` says how the picture must be turned or mirrored to look like the record, "upright" if not at all;
    `convention` by which convention of making pixels its hash was made, None for digests. `trusted` says whether enough
    officers graded it independently, by the force's policy; None where the set does not say who graded what.
    """

    set: str
    version: str
    record: int
    how: str
    view: str
    distance: int
    category: str | None
    status: Status
    severity: int | None = None
    convention: str | None = None
    trusted: bool | None = None
