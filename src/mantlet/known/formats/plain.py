"""Plain lists: one hash a line, told apart by its length unless the user says what the lines are.

Taken too: blank lines, "#" comments, a byte order mark, any line end, and what md5sum, sha1sum and sha256sum print
("hash  name" and "hash *name", a backslash in front of an escaped name; GNU coreutils, "md5sum invocation"); the
names are not kept. A last line that is shorter than the one before and has no line end is taken for the rest of a file
that was cut off; one cut off behind a line cannot be told. A block whose lines are all as long as its first is decoded
at once, any other line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from mantlet.known.formats.source import LONGEST_LINE, BadEntryError, Reading, Source, hexadecimal
from mantlet.known.records import HASHES, Record

_BLOCK: Final = 256 * 1024
_BY_DIGITS: Final = {32: "md5", 40: "sha1", 64: "sha256"}
_RECORD: Final[dict[str, Callable[[int, bytes], Record]]] = {
    "md5": Record,
    "sha1": lambda number, value: Record(number, None, value),
    "sha256": lambda number, value: Record(number, None, None, value),
    "pdq": lambda number, value: Record(number, None, None, None, value),
}


def fits(_: Source) -> bool:
    """Any text may be a list: asked last."""
    return True


def read(source: Source) -> Reading:
    kind = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "pdq": "PDQ", None: "hashes"}[source.plain]
    return Reading(f"plain list of {kind}", _records(source))


def lines(source: Source) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines and the number of their first. Raises BadEntryError for a line over `LONGEST_LINE`."""
    rest, number = b"", 1
    for block in source.blocks(_BLOCK):
        data = rest + block
        # A "\r" that ends the block may be half of a line end.
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        whole, rest = data[:cut], data[cut:]
        if whole:
            yield number, whole
            number += len(whole.splitlines())
        if len(rest) > LONGEST_LINE:
            raise BadEntryError(f"line {number:,}: it is longer than {LONGEST_LINE:,} bytes")
    if rest:
        yield number, rest


def _records(source: Source) -> Iterator[Record]:
    before = 0
    for number, block in lines(source):
        found = _equal(number, block, source.plain) or list(_each(number, block, source.plain))
        if not found:
            continue
        size = len(found[-1].md5 or found[-1].sha1 or found[-1].sha256 or found[-1].pdq or b"")
        if size < before and not block.endswith((b"\n", b"\r")):
            raise BadEntryError(
                f"line {found[-1].number:,}: it is shorter than the one before and has no line end: cut off"
            )
        before = size
        yield from found


def _equal(number: int, block: bytes, plain: str | None) -> list[Record] | None:
    """The records of a block in which each line is a hash of one kind and nothing else; None for any other."""
    width = block.find(b"\n") + 1
    ending = 2 if block[width - 2 : width] == b"\r\n" else 1
    kind = plain or _BY_DIGITS.get(width - ending)
    count, left = divmod(len(block), width) if width else (0, 1)
    if kind is None or left or HASHES[kind] * 2 != width - ending or block[width - 1 :: width] != b"\n" * count:
        return None
    try:
        values = bytes.fromhex(block.decode("latin-1"))  # it skips line ends and spaces, so the length proves each line
    except ValueError:
        return None
    size = HASHES[kind]
    if len(values) != count * size:
        return None
    record = _RECORD[kind]
    return [record(number + n, values[n * size : n * size + size]) for n in range(count)]


def _each(first: int, block: bytes, plain: str | None) -> Iterator[Record]:
    for number, line in enumerate(block.splitlines(), start=first):
        text = line.decode().strip()
        if not text or text[0] == "#":
            continue
        digits = text.removeprefix("\\").split(" ", 1)[0]
        kind = plain or _BY_DIGITS.get(len(digits))
        if kind is None:
            raise BadEntryError(
                f"line {number:,}: '{text[:80]}' is no MD5, SHA-1 or SHA-256, and no header names columns"
            )
        yield _RECORD[kind](number, hexadecimal(kind, digits, f"line {number:,}"))
