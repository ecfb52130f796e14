"""What every reader of a set is given and gives back, and how it says which line or entry is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from mantlet.known.records import HASHES, Record
from mantlet.settings import MIB

Plain = Literal["md5", "sha1", "sha256", "pdq"]
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
HEAD_BYTES: Final = 64 * 1024
"""Bytes from the beginning of a file by which its format is told."""
LONGEST_LINE: Final = 64 * 1024
"""Bytes or characters of the longest line of a text: names of files may be that long, hashes never are."""
REPORT_EVERY: Final = 4096
"""Records between two calls of `progress`, where a format does not count in blocks of bytes."""
REMEMBERED: Final = 256 * 1024
"""Distinct digests in one half of what `unrepeated` remembers: some 80 MB in all, however large the set is."""
_BLOCK: Final = MIB
_DIGITS: Final = {kind: 2 * size for kind, size in HASHES.items()}


class Source(msgspec.Struct, frozen=True):
    """The file to read: where, its first `HEAD_BYTES` without the byte order mark, its size in bytes, what the lines
    of a plain list are said to be, and whom to tell how many bytes were read."""

    path: Path
    head: bytes
    size: int
    plain: Plain | None
    progress: Callable[[int], None]

    def blocks(self, size: int = _BLOCK) -> Iterator[bytes]:
        """The bytes of the file in its order, without a byte order mark, each block told to `progress`."""
        read = 0
        with self.path.open("rb") as file:
            while block := file.read(size):
                yield block.removeprefix(BYTE_ORDER_MARK) if read == 0 else block
                read += len(block)
                self.progress(read)

    def first_line(self) -> str:
        """The first line as far as `head` goes, bytes that are no UTF-8 replaced."""
        return (self.head.splitlines() or [b""])[0].decode("utf-8", "replace")


class Reading(msgspec.Struct):
    """A set as it is being read; who takes `records` to their end has the whole set, else an error.

    `form` is for people ("VICS 2.0 (US)"); once the records are at their end it also says what was left out.
    `convention` is the PDQ convention that the format implies: "whole" where the hasher takes the whole picture
    without a resize, None if unsaid. `profiles` are shipped profiles that may explain its category codes. `benign` is
    True where the format can only be reference data, False where a set must never be imported as benign, None where
    the user says. `provenance` is who made it, where the file proves that.
    """

    form: str
    records: Iterator[Record]
    convention: str | None = None
    profiles: tuple[str, ...] = ()
    benign: bool | None = None
    provenance: str | None = None


class Format(Protocol):
    """One way of writing a set: a module with these two."""

    def fits(self, source: Source, /) -> bool:
        """Whether this format is to read the file; decided by its head alone."""

    def read(self, source: Source, /) -> Reading:
        """Raises BadEntryError, OSError, and UnicodeDecodeError for text that is none; so do the records."""


class BadEntryError(Exception):
    """What is wrong with which line or entry, as the middle of a sentence."""


def hexadecimal(kind: str, text: str, where: str) -> bytes:
    """The bytes of a hash written in hex digits of either case. Raises BadEntryError."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(text) != _DIGITS[kind] or len(value) * 2 != len(text):  # fromhex would skip spaces
        raise BadEntryError(f"{where}: '{text[:80]}' is not a {kind} of {_DIGITS[kind]} hex digits")
    return value


def unrepeated(records: Iterator[Record]) -> Iterator[Record]:
    """The records but those whose digests have come lately; for records that hold nothing else.

    Lists of software name a file once for each product: one of NIST's had 58,272,836 lines for 17,489,630 files (RDS
    2.29, READ_ME.txt). What is sorted by a digest comes out distinct. In any other order a record is given again only
    after `REMEMBERED` others: a thousand times only in 262 million lines, and in memory that does not grow.
    """
    lately, before, join = set[bytes](), set[bytes](), b"".join
    for record in records:
        key = join((record.md5 or b"", record.sha1 or b"", record.sha256 or b""))  # the sum of lengths tells which
        if key in lately:
            continue
        if len(lately) == REMEMBERED:
            lately, before = set(), lately
        lately.add(key)
        if key not in before:
            yield record


def details(kept: Mapping[str, object]) -> bytes:
    """What else is kept of a record, as a JSON object; b"" for nothing."""
    return msgspec.json.encode(kept) if kept else b""
