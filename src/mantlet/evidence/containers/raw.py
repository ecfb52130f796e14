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
    """All parts as one medium; None for a file that is not numbered, or has no other part.

    Raises:
        RefusedError: a later part was given.
        MissingPartError: one in the middle is missing.
    """
    numbered = _NUMBERED.fullmatch(source.name)
    if numbered is None:
        return None
    stem, first, digits = numbered[1], int(numbered[2]), len(numbered[2])
    for earlier in range(min(first, 2)):
        name = f"{stem}.{earlier:0{digits}}"
        if source.beside(name):
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
    return Opened(Joined(parts)) if len(parts) > 1 else None
