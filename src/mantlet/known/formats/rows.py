"""Rows of text tables (RFC 4180), with limits: what the formats that are tables share."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Final

from mantlet.known.formats.source import LONGEST_LINE, REPORT_EVERY, BadEntryError, Source, hexadecimal
from mantlet.known.records import HASHES

_LONGEST_FIELD: Final = 8192

Hashes = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""MD5, SHA-1, SHA-256 and PDQ."""


def separator(source: Source) -> str:
    return ";" if ";" in source.first_line() else ","


def header(source: Source) -> list[str]:
    """The names of the columns in lower case, as far as the first line names some; [] where it is no row."""
    try:
        found = next(csv.reader([source.first_line()], delimiter=separator(source)), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in found]


def rows(source: Source, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """The rows below the header with the number of their last line; blank ones left out.

    Args:
        errors: what becomes of bytes that are no UTF-8; "replace" where only the hashes are kept.

    Raises BadEntryError, also for a row of another length than the header's, and UnicodeDecodeError.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    columns = len(header(source))
    with source.path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", errors, newline="") as file:
        found = csv.reader(_lines(file.readline), delimiter=separator(source), strict=True)
        try:
            if len(next(found, [])) != columns:
                raise BadEntryError("line 1: it is no header of columns")
            for count, row in enumerate(found):
                if count % REPORT_EVERY == 0:
                    source.progress(raw.tell())
                if not row:
                    continue
                if len(row) != columns:
                    raise BadEntryError(f"line {found.line_num:,}: {len(row)} fields where the header has {columns}")
                yield found.line_num, row
        except csv.Error as error:
            raise BadEntryError(f"line {found.line_num:,}: {error}") from error
    source.progress(source.size)


def _lines(readline: Callable[[int], str]) -> Iterator[str]:
    """Lines, none longer than `LONGEST_LINE`: a longer one is refused before it is in memory."""
    while line := readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"it is longer than {LONGEST_LINE:,} characters")
        yield line


def hashes(number: int, row: list[str], places: list[tuple[int, str, int]]) -> Hashes:
    """The hashes of a row. `places`: slot in `Hashes`, kind, column. Raises BadEntryError, also where none is."""
    values: list[bytes | None] = [None, None, None, None]
    for slot, kind, column in places:
        text = row[column].strip()
        if text:
            values[slot] = hexadecimal(kind, text, f"line {number:,}")
    md5, sha1, sha256, pdq = values
    if md5 or sha1 or sha256 or pdq:
        return md5, sha1, sha256, pdq
    raise BadEntryError(f"line {number:,}: it holds no hash")


def places(columns: list[str], **named: str) -> list[tuple[int, str, int]]:
    """Where the hashes are: `named` gives the column of each kind, where it is not named as the kind."""
    wanted = {kind: named.get(kind, kind) for kind in HASHES}
    return [(slot, kind, columns.index(name)) for slot, (kind, name) in enumerate(wanted.items()) if name in columns]
