"""What each format of files that hold others offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from mantlet.evidence.stream import Stream
from mantlet.types import Entry, Step


class Tree(Protocol):
    """Something with entries, each of which can be opened again by its step alone, in any process.

    `solid`: members come cheaply only in the order of `walk`, each opened right after it was given; to open one alone
    may cost reading all before it.
    """

    @property
    def solid(self) -> bool: ...

    def walk(self) -> Iterator[Entry]:
        """Every entry, always in the same order. One that cannot be read carries its reason."""

    def open(self, step: Step) -> Stream | Tree:
        """What lies at an entry: its bytes, or another tree (a volume of APFS, a shadow copy). Raises OSError, or
        RefusedError with a reason."""


@runtime_checkable
class Neighbours(Protocol):
    """A tree whose files have names in folders, so that an image can be read that consists of several."""

    def beside(self, step: Step, name: str) -> Stream | None:
        """The file of that bare name in the folder of an entry, or None."""
