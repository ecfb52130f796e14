"""What a worker does for `engine.triage`: reads windows of a medium, and digests the blocks that begin in them.

A window begins at a multiple of `BLOCK`; a block of a file may begin at any sector of it, so it is read together with
the sectors behind it that the last such block takes. Each block of the medium begins in one window only, and no two
blocks of files in the same one, as they do not overlap.
"""

from __future__ import annotations

from typing import Final, Protocol

from mantlet.engine.messages import Sample, Sampled
from mantlet.errors import EvidenceError
from mantlet.evidence.reach import Reach
from mantlet.known.keyed import BLOCK, SECTOR, keyed
from mantlet.pipeline import absent_for
from mantlet.types import Absent, Address

WINDOW: Final = 2 * BLOCK - SECTOR
"""Bytes read of one."""


class Alive(Protocol):
    """Told which window is read now, and that the reading moves on."""

    def start(self, mark: int) -> None: ...
    def beat(self) -> None: ...


def sample(request: Sample, reach: Reach, alive: Alive) -> Sampled:
    """The digests of what begins in the windows asked for. A window whose bytes are all alike has none: no set holds
    such a block. What cannot be read is told, with its reason."""
    reach.on_read = alive.beat  # opening an image of thousands of segments takes a while
    try:
        stream = reach.open(Address(request.exhibit))
        size, sequential = (0 if stream.sequential else stream.size), stream.sequential
    except Exception as error:  # noqa: BLE001 - the boundary around one medium
        return Sampled(fault=absent_for(error).detail)
    reach.on_read = _nothing
    held, digests, unread = bytearray(), bytearray(), list[tuple[int, Absent]]()
    for number, offset in enumerate(request.offsets):
        alive.start(number)
        try:
            data = stream.read_at(offset, WINDOW)
            if len(data) != min(WINDOW, size - offset):
                raise OSError("it ends before it should")
        except Exception as error:  # noqa: BLE001 - the boundary around one window
            if away := _away(reach, request.exhibit):
                return Sampled(fault=away)
            unread.append((number, absent_for(error)))
            held.append(0)
            continue
        bits, found = _digests(data, request.secret)
        held.append(bits)
        digests += found
    return Sampled(size, sequential, bytes(held), bytes(digests), unread)


def _away(reach: Reach, exhibit: str) -> str:
    """Why the exhibit cannot be reached at all: then an error says nothing of one window."""
    try:
        reach.check_there(exhibit)
    except EvidenceError as error:
        return str(error)[:1000]
    return ""


def _digests(data: bytes, secret: bytes) -> tuple[int, bytes]:
    """Which sectors a whole block begins at, as bits, and the digests of these blocks."""
    if data.count(data[:1]) == len(data):
        return 0, b""
    view = memoryview(data)
    starts = range(0, min(BLOCK, len(data) - BLOCK + 1), SECTOR)
    return (1 << len(starts)) - 1, b"".join(keyed(view[at : at + BLOCK], secret) for at in starts)


def _nothing() -> None:
    pass
