"""Sets of known material as others write them: one format, one file, all in `FORMATS`.

A set is taken whole or not at all: the first line or entry that cannot be understood is named, because half a set
would say "unknown" of the rest. Nothing is read of a file but in a stream, whose memory does not grow with the set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mantlet.errors import EvidenceError
from mantlet.known.formats import (
    encase,
    grades,
    hashkeeper,
    icse,
    index,
    kdb,
    nsrl,
    nsrl_text,
    plain,
    table,
    threatexchange,
    vics,
)
from mantlet.known.formats.source import BYTE_ORDER_MARK, HEAD_BYTES, BadEntryError, Format, Plain, Reading, Source
from mantlet.known.records import Record

__all__ = ["FORMATS", "Plain", "Reading", "open_set"]

FORMATS: Final[tuple[Format, ...]] = (
    encase,
    nsrl,
    kdb,
    grades,
    vics,
    threatexchange,
    index,
    icse,
    nsrl_text,
    hashkeeper,
    table,
    plain,
)
"""Asked in this order; the first that fits reads the file. `kdb`, `threatexchange` and `plain` fit all that is SQLite,
JSON and anything, and refuse what they do not know."""


def _silent(_: int) -> None:
    """Tells nobody how far the reading is."""


def open_set(path: Path, *, plain: Plain | None = None, progress: Callable[[int], None] = _silent) -> Reading:
    """A set, told by its content and not by its name, ready to be read in its order.

    Args:
        plain: says that the file is a plain list, and of which hash; 64 digits are a SHA-256 unless this says "pdq".
        progress: told how many bytes were read, every few thousand records.

    Raises:
        EvidenceError: naming the first line or entry that is wrong; the records raise it too, also where there is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).removeprefix(BYTE_ORDER_MARK)
        source = Source(path, head, path.stat().st_size, plain, progress)
        reading = _format(source).read(source)
    except BadEntryError as error:
        raise _wrong(path, error) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    reading.records = _checked(path, reading.records)
    return reading


def _format(source: Source) -> Format:
    if source.plain is not None:
        return plain
    return next(each for each in FORMATS if each.fits(source))


def _checked(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    """The records, at least one, with whatever is wrong made one sentence."""
    empty = True
    try:
        for record in records:
            empty = False
            yield record
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{path} is not a text file of hashes; nothing was imported.") from error
    except BadEntryError as error:
        raise _wrong(path, error) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if empty:
        raise EvidenceError(f"{path} holds no record; nothing was imported.")


def _wrong(path: Path, error: BadEntryError) -> EvidenceError:
    """What stands in a set must not steer the terminal that shows it."""
    said = "".join(char if char.isprintable() else "\ufffd" for char in str(error))
    return EvidenceError(f"{path.name}, {said}; nothing was imported.")


def _unreadable(path: Path, error: OSError) -> EvidenceError:
    return EvidenceError(f"{path} cannot be read: {error.strerror}; check the path.")
