"""One node at work: where it is, what it has found, and the limits of what it may find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from mantlet import settings
from mantlet.engine.messages import OF_MODELS
from mantlet.errors import EvidenceError, RefusedError
from mantlet.evidence.reach import Reach
from mantlet.pipeline import Stage, absent_for
from mantlet.types import Absent, Address, Entry, Node, Reason, Rows, Step, Unread

EXPANDED_APART: Final = ("volume", "shadow")
"""Steps to what is a node of its own."""
OF_FILE_SYSTEMS: Final = (*EXPANDED_APART, "file", "stream")


class Watch(Protocol):
    """How a worker tells its engine where it is, so that a death or a standstill costs one entry only."""

    def enter(self, entry: int) -> None:
        """Which of the node's entries is examined, with all in it."""

    def start(self, mark: int) -> None:
        """What is read now, by the mark of its address, or of the node."""

    def beat(self) -> None: ...
    def first_time(self, sha256: str) -> bool:
        """Whether this worker has not measured that content before: copies are measured once."""


class Visit:
    """One node at work: where it is, and what it has found that is not sent yet. `models`: what models state of each
    content."""

    def __init__(self, node: Node, reach: Reach, watch: Watch, models: tuple[Stage, ...] = ()) -> None:
        self.node, self.reach, self.watch, self.models = node, reach, watch, models
        self.rows = Rows()

    def at(self, address: Address, *, listing: bool) -> None:
        """Listing a large file system, or inflating an archive, may take minutes: it is alive while it reads.
        Examining one entry may not."""
        self.watch.start(self.node.mark if address == self.node.address else address.mark)
        self.reach.on_read = self.watch.beat if listing else _nothing

    def blamed(self, address: Address) -> Absent | None:
        """Why this cost an earlier worker its life, if it did once. Raises RefusedError if it did twice."""
        blamed = [absent for mark, absent in self.node.skip if mark == address.mark]
        if len(blamed) > 1:
            raise RefusedError(blamed[0].reason, blamed[0].detail)
        return blamed[0] if blamed else None

    def unseen(self, address: Address) -> Absent | None:
        """Why models do not look at this: a worker was lost while they looked at it, or at what it lies in."""
        if not (self.models and self.node.skip):
            return None
        depth, steps = len(self.node.address.steps), address.steps
        lies_in = (Address(address.exhibit, steps[:end]).mark for end in range(depth + 1, len(steps) + 1))
        marks = {self.node.mark, *lies_in}
        return next((absent for mark, absent in self.node.skip if mark - OF_MODELS in marks), None)

    def unread(self, address: Address, error: Exception, stage: str = "read") -> None:
        if not isinstance(error, RefusedError):
            if isinstance(error, EvidenceError):
                raise error
            self.reach.check_there(self.node.address.exhibit)
        self.rows.unread.append(Unread(address, stage, absent_for(error)))

    def sent(self, rows: int = 0) -> Iterator[Rows]:
        """What was found, if that is at least so many rows."""
        if len(self.rows.items) + len(self.rows.unread) + self.rows.examined >= rows:
            found, self.rows = self.rows, Rows()
            yield found


def _nothing() -> None:
    pass


_NUMBERS: Final = 2**63
"""What a column of a case can hold."""
_VOLUMES: Final = 3
"""How many volumes may lie in each other: a partition, a slice of it, a volume of an APFS container."""


def checked(parent: Address, entry: Entry) -> Entry:
    """An entry as it was listed, or with the reason why it is not looked at, where its name or place cannot be."""
    if len(entry.step.name) > settings.NAME_LENGTH:
        why = f"Its name is longer than {settings.NAME_LENGTH:,} characters."
        step = Step(entry.step.kind, entry.step.at, entry.step.name[:200].rstrip("%0123456789ABCDEF"))
        return msgspec.structs.replace(entry, step=step, absent=Absent(Reason.LIMIT, why))
    if not (0 <= entry.step.at < _NUMBERS and 0 <= entry.size < _NUMBERS):
        absent = entry.absent or Absent(Reason.DAMAGED, "Its record number or size is beyond any that can be.")
        return msgspec.structs.replace(entry, step=Step(entry.step.kind, 0, entry.step.name), size=0, absent=absent)
    volumes = sum(step.kind == "volume" for step in parent.steps[-_VOLUMES:])
    if entry.step.kind == "volume" and volumes == _VOLUMES:
        why = f"Volumes lie more than {_VOLUMES} deep in each other."
        return msgspec.structs.replace(entry, absent=Absent(Reason.LIMIT, why))
    return entry


class Allowance:
    """How much may still come out of an archive and all that lies in it. `packed`: its size in bytes."""

    def __init__(self, packed: int, ratio: int = settings.RATIO) -> None:
        self._bytes = max(settings.RATIO_FREE_BYTES, ratio * packed)
        self._members = settings.MEMBERS

    def spend(self, entry: Entry) -> None:
        """Raises RefusedError when it is used up. Nothing packs the files of a file system: they take none of it."""
        if entry.step.kind in OF_FILE_SYSTEMS:
            return
        self._bytes -= 0 if entry.absent else entry.size
        self._members -= 1
        if self._bytes < 0:
            why = f"With all in it, the archive grows more than {settings.RATIO:,}-fold"
            raise RefusedError(Reason.LIMIT, f"{why}: likely a bomb. It is not read on.")
        if self._members < 0:
            raise RefusedError(Reason.LIMIT, f"It holds more than {settings.MEMBERS:,} files. It is not read on.")
