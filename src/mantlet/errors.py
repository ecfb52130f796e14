"""What can go wrong, as sentences for the person who reads them; only the entry point exits.

Each error carries the exit code of `docs/reference.md`. Raise builtins for programming errors.
"""

from __future__ import annotations

import re
from typing import Final


class MantletError(Exception):
    """The root; `str()` of it is the sentence shown."""

    exit_code = 70


class UsageError(MantletError):
    """The command was given something that cannot work."""

    exit_code = 2


class EvidenceError(MantletError):
    """The evidence or file given is not usable."""

    exit_code = 3


class IntegrityError(MantletError):
    """Something is not what it was recorded to be."""

    exit_code = 4


class NotAllowedError(MantletError):
    """The actor or the policy does not permit this."""

    exit_code = 5


class RefusedError(EvidenceError):
    """Some bytes cannot be read; becomes an `Absent` at the boundary around one item.

    Attributes:
        reason: a value of `mantlet.types.Reason`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


_NOT_FOR_PEOPLE: Final = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>|(?:stream )?<_io\.\w+>: |\w+: \(tsk3\.cpp:\d+\) ")


def plain(error: BaseException, most: int = 200) -> str:
    """What a library says, on one line and cut, without what only its makers can read. Nor where an object lay in
    memory: the same file must give the same reason in every run."""
    text = _NOT_FOR_PEOPLE.sub("", " ".join(str(error).split()))[:most].rstrip(".: ")
    return text or type(error).__name__
