"""CSV tables that people make (RFC 4180), read strictly: whole or not at all, and the first wrong line named."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mantlet.errors import UsageError, plain

MOST_LINES: Final = 20_000_000
LONGEST_LINE: Final = 64 * 1024
"""Bytes."""
_HEX: Final = frozenset("0123456789abcdef")


class Row(NamedTuple):
    """`line`: on which line of the file it ends. `cells`: column -> text, without spaces around it, as far as the
    columns were asked for and are there."""

    line: int
    cells: dict[str, str]


class Table:
    """A CSV table in UTF-8, with a byte order mark or without, with either line end; its first line names the columns,
    in any order.

    Attributes:
        digest: the SHA-256 of the file, once all rows were read.
    """

    def __init__(self, path: Path, columns: Sequence[str], optional: Sequence[str] | None = None) -> None:
        """`columns` must be there, `optional` may; without it, so may any other, and is not read."""
        self.path = path
        self.digest = ""
        self._columns = columns
        self._optional = optional

    def __iter__(self) -> Iterator[Row]:
        """Raises UsageError, naming the line where there is one, for a file that is not such a table."""
        if not self.path.is_file():
            raise UsageError(f"{self.path} is not a file: give a CSV table with the columns {','.join(self._columns)}.")
        reader = csv.reader(self._lines(), strict=True)
        try:
            header = self._header(next(reader, []))
            for cells in reader:
                if reader.line_num > MOST_LINES:
                    raise UsageError(f"{self.path} has more than {MOST_LINES:,} lines; split it.")
                if cells:
                    yield self._row(reader.line_num, header, cells)
        except UnicodeDecodeError:
            raise UsageError(f"{self.path} is not in UTF-8; save it so, as CSV with commas.") from None
        except (OSError, csv.Error) as error:
            raise UsageError(f"{self.path} cannot be read behind line {reader.line_num}: {plain(error)}.") from None

    def wrong(self, line: int, why: str) -> UsageError:
        """The error that names a line."""
        return UsageError(f"Line {line} of {self.path}: {why}.")

    def sha256(self, row: Row) -> str:
        """The column `sha256` in lower case. Raises UsageError where it holds no SHA-256."""
        text = row.cells["sha256"].lower()
        if len(text) != 64 or not _HEX.issuperset(text):
            raise self.wrong(row.line, f"{row.cells['sha256'][:70]!r} is no SHA-256")
        return text

    def _header(self, cells: list[str]) -> list[str]:
        header = [name.strip() for name in cells]
        names, there = set(header), [*self._columns, *(self._optional or ())]
        if not names.issuperset(self._columns):
            columns = ",".join(self._columns)
            raise UsageError(f"The first line of {self.path} must name its columns, {columns}, with commas between.")
        if twice := [name for name in header if header.count(name) > 1]:
            raise UsageError(f"The first line of {self.path} names the column {twice[0][:70]!r} twice.")
        if self._optional is not None and (unknown := names.difference(there)):
            first = min(unknown)[:70]
            raise UsageError(f"{self.path} has a column {first!r}; its columns are among {', '.join(there)}.")
        return header

    def _row(self, line: int, header: list[str], cells: list[str]) -> Row:
        if len(cells) != len(header):
            raise self.wrong(line, f"it has {len(cells)} cells, and the first line names {len(header)} columns")
        named = zip(header, cells, strict=True)
        kept = {*self._columns, *(self._optional or ())}
        return Row(line, {name: cell.strip() for name, cell in named if name in kept})

    def _lines(self) -> Iterator[str]:
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            encoding = "utf-8-sig"
            while raw := file.readline(LONGEST_LINE + 1):
                if len(raw) > LONGEST_LINE:
                    raise UsageError(f"{self.path} has a line of over {LONGEST_LINE:,} bytes; is it a table?")
                digest.update(raw)
                yield raw.decode(encoding)
                encoding = "utf-8"
        self.digest = digest.hexdigest()
