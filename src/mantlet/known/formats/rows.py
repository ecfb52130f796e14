"""Rows of text tables (RFC 4180), with limits: what the formats that are tables share."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final, TextIO

from mantlet.known.formats.source import LONGEST_LINE, REPORT_EVERY, BadEntryError, Source, hexadecimal
from mantlet.known.records import HASHES

_LONGEST_FIELD: Final = 8192

Hashes = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""MD5, SHA-1, SHA-256 and PDQ."""
Places = list[tuple[int, str, int]]
"""Where the hashes are: slot in `Hashes`, kind, column."""


def separator(source: Source) -> str:
    return ";" if ";" in source.first_line() else ","


def header(source: Source) -> list[str]:
    """The names of the columns in lower case, as far as the first line names some; [] where it is no row."""
    try:
        found = next(csv.reader([source.first_line()], delimiter=separator(source)), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in found]


def rows(source: Source, places: Places, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """The rows below the header with the number of their last line; blank ones left out.

    Args:
        places: a last column that is none of these may be cut off and still look whole ("12" as "1"), so then the last
            line has to be ended.
        errors: what becomes of bytes that are no UTF-8; "replace" where only the hashes are kept.

    Raises BadEntryError, also for a row of another length than the header's, and UnicodeDecodeError.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    columns = len(header(source))
    with source.path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", errors, newline="") as file:
        lines = _Lines(file, ended=columns - 1 not in {column for _, _, column in places})
        found = csv.reader(lines, delimiter=separator(source), strict=True)
        try:
            if len(next(found, [])) != columns:
                raise BadEntryError("line 1: it is no header of columns")
            for count, row in enumerate(found):
                lines.row = 0
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


class _Lines:
    """The lines of a table. `row` counts the characters since a row began, for whoever reads the rows to set to 0.

    A row of more than `LONGEST_LINE` is refused before it is in memory, however many lines its quotes hold together.
    `ended`: whether the last line has to have a line end.
    """

    def __init__(self, file: TextIO, *, ended: bool) -> None:
        self._file, self._ended, self._last = file, ended, "\n"
        self.row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if line:
            self.row += len(line)
            if self.row >= LONGEST_LINE:
                raise csv.Error(f"its row is longer than {LONGEST_LINE:,} characters")
            self._last = line
            return line
        if self._ended and not self._last.endswith(("\n", "\r")):
            raise csv.Error("it is not ended, so the file may be cut off: fetch it again, or end its last line")
        raise StopIteration


def hashes(number: int, row: list[str], places: Places) -> Hashes:
    """The hashes of a row. Raises BadEntryError, also where none is."""
    values: list[bytes | None] = [None, None, None, None]
    for slot, kind, column in places:
        text = row[column].strip()
        if text:
            try:
                value = bytes.fromhex(text)
            except ValueError:
                value = b""
            # `hexadecimal` says what is wrong; the name of the place is made only then, since millions are right.
            right = len(text) == 2 * len(value) == 2 * HASHES[kind]
            values[slot] = value if right else hexadecimal(kind, text, f"line {number:,}")
    md5, sha1, sha256, pdq = values
    if md5 or sha1 or sha256 or pdq:
        return md5, sha1, sha256, pdq
    raise BadEntryError(f"line {number:,}: it holds no hash")


def places(columns: list[str], **named: str) -> Places:
    """Where the hashes are: `named` gives the column of each kind, where it is not named as the kind."""
    wanted = {kind: named.get(kind, kind) for kind in HASHES}
    return [(slot, kind, columns.index(name)) for slot, (kind, name) in enumerate(wanted.items()) if name in columns]
