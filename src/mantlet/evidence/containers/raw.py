"""Split raw images (`image.001`, `image.002`, ...): parts end to end."""

from __future__ import annotations

import re
from typing import Final

from mantlet.errors import RefusedError
from mantlet.evidence.source import MissingPartError, Opened, Source
from mantlet.evidence.stream import Joined, Stream
from mantlet.types import Reason

_NUMBERED: Final = re.compile(r"(.+)\.(\d{2,4})")
_LOOK_AHEAD: Final = 16


def open_split(source: Source) -> Opened | None:
    """All parts as one medium; None for a file that is not numbered, has no other part, or is whole as it is.

    Inside an exhibit files are numbered for many reasons: there, only those of one size count as parts, but the last.

    Raises:
        RefusedError: a later part was given.
        MissingPartError: one in the middle is missing.
    """
    numbered = _NUMBERED.fullmatch(source.name)
    if numbered is None or _is_whole_zip(source.stream):
        return None
    stem, first, digits = numbered[1], int(numbered[2]), len(numbered[2])
    for earlier in range(min(first, 2)):
        name = f"{stem}.{earlier:0{digits}}"
        there = source.beside(name)
        if there and (source.is_exhibit or there.size >= source.stream.size):
            raise RefusedError(Reason.UNREADABLE, f"It is a later part of a split image; give the first part, {name}.")
    if first > 1:
        return None
    parts: list[Stream] = [source.stream]
    missing = ""
    for number in range(first + 1, 10**digits):
        name = f"{stem}.{number:0{digits}}"
        found = source.beside(name)
        if found is not None and missing:
            raise MissingPartError(
                f"{source.name} is split and a part is missing: {missing}. Put it beside the others and run again."
            )
        if found is not None:
            parts.append(found)
        elif number - first - len(parts) > _LOOK_AHEAD:
            break
        else:
            missing = missing or name
    alike = all(part.size == source.stream.size for part in parts[:-1]) and parts[-1].size <= source.stream.size
    return Opened(Joined(parts)) if len(parts) > 1 and (alike or source.is_exhibit) else None


def _is_whole_zip(stream: Stream) -> bool:
    return stream.read_at(0, 4) == b"PK\x03\x04" and stream.read_at(stream.size - 22, 4) == b"PK\x05\x06"
