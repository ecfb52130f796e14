"""Files of known hashes: plain lists (one hash a line) and CSV (columns md5, sha1, sha256, pdq, category, note).

A line that cannot be understood fails the whole file and is named: half a set would say "unknown" of the rest.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mantlet.errors import EvidenceError
from mantlet.known.sets import KnownSet, Record, Sets, Status

COLUMNS: Final = ("md5", "sha1", "sha256", "pdq", "category", "note")
_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}
_BY_LENGTH: Final = {32: "md5", 40: "sha1", 64: "sha256"}
_LONGEST_FIELD: Final = 8192


def import_file(sets: Sets, path: Path, name: str, status: Status, by: str, plain: str | None = None) -> KnownSet:
    """Puts the records of a file in force as the set `name`. Raises EvidenceError, and then changes nothing."""
    return sets.replace(name, _version_of(path, plain), status, path.name, by, records(path, plain))


def _version_of(path: Path, plain: str | None) -> str:
    """The set's version: the first 16 hex digits of the SHA-256 of its file, and what its lines were said to be.

    Raises EvidenceError.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            return f"{digest}-{plain}" if plain else digest
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; check the path.") from error


def records(path: Path, plain: str | None = None) -> Iterator[Record]:
    """The records of a file, in its order.

    Args:
        plain: which hash the lines of a plain list are, "pdq" say; by their length if None (64 digits: SHA-256).

    Raises:
        EvidenceError: naming the first line that is wrong, or a file without any record.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(_LONGEST_FIELD)
            file.seek(0)
            is_table = bool(set(_header(first)) & set(COLUMNS)) and plain is None and not first.startswith("#")
            for record in _table(file, first) if is_table else _list(file, plain):
                number += 1
                yield record
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{path} is not a text file of hashes; nothing was imported.") from error
    except _BadLineError as error:
        raise EvidenceError(f"{path}, {error}; nothing was imported.") from error
    if number == 0:
        raise EvidenceError(f"{path} holds no record; nothing was imported.")


class _BadLineError(Exception):
    """What is wrong with which line."""


def _header(line: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in line.replace(";", ",").strip().split(",")]


def _list(file: Iterator[str], plain: str | None) -> Iterator[Record]:
    for number, line in enumerate(file, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        kind = plain or _BY_LENGTH.get(len(text))
        if kind is None:
            raise _BadLineError(
                f"line {number}: '{text[:80]}' is no MD5, SHA-1 or SHA-256, and no header names columns"
            )
        yield _record(number, {kind: _bytes(kind, text, number)})


def _table(file: Iterator[str], first: str) -> Iterator[Record]:
    columns = _header(first)
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise _BadLineError(f"line 1: there is no column '{unknown[0][:80]}'; the columns are {', '.join(COLUMNS)}")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise _BadLineError(f"line 1: the column '{twice[0]}' is there twice")
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(file, delimiter=";" if ";" in first else ",", strict=True)
    for row in _rows(rows):
        if not row or rows.line_num == 1:
            continue
        if len(row) != len(columns):
            raise _BadLineError(f"line {rows.line_num}: {len(row)} fields where the header has {len(columns)}")
        fields = {name: value.strip() for name, value in zip(columns, row, strict=True) if value.strip()}
        hashes = {name: _bytes(name, fields[name], rows.line_num) for name in _DIGITS if name in fields}
        if not hashes:
            raise _BadLineError(f"line {rows.line_num}: it holds no hash")
        yield _record(rows.line_num, hashes, fields.get("category"), fields.get("note"))


def _rows(rows: Any) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise _BadLineError(f"line {rows.line_num}: {error}") from error


def _record(number: int, hashes: dict[str, bytes], category: str | None = None, note: str | None = None) -> Record:
    md5, sha1, sha256, pdq = (hashes.get(name) for name in _DIGITS)
    return Record(number, md5, sha1, sha256, pdq, category, note)


def _bytes(kind: str, text: str, number: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(text) != _DIGITS[kind] or len(value) * 2 != len(text):
        raise _BadLineError(f"line {number}: '{text[:80]}' is not a {kind} of {_DIGITS[kind]} hex digits")
    return value
