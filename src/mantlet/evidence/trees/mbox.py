"""Mailboxes of the form mbox (RFC 4155): the messages, each of which is expanded in its turn.

Found by one pass that takes no more memory for gigabytes than for one message.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final

from mantlet import settings
from mantlet.evidence.stream import Slice, Stream
from mantlet.evidence.trees.mail import known_fields
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times

_SEPARATOR: Final = re.compile(rb"\n\r?\nFrom [^\n]{0,1000}\n(?=>?[!-9;-~]{1,100}[ \t]*:|>From )")
_SEPARATOR_BYTES: Final = 1200
_LINE: Final = 64 * 1024
_PIECE: Final = MIB


def fits(head: bytes) -> bool:
    """Whether a file whose first 4 KiB are `head` may be an mbox: a field that mail is known by must follow."""
    first, _, rest = head.partition(b"\n")
    return first.startswith(b"From ") and known_fields(rest) >= 1


class Mailbox:
    """The tree of an mbox. A step is `message`, at the byte where its fields begin, behind the line "From ".

    A message ends before an empty line and a line "From " that fields follow (RFC 4155, appendix A): so a sentence
    that begins with "From" ends no message. Lines quoted as ">From " stay as they are.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def walk(self) -> Iterator[Entry]:
        start = len(io.BufferedReader(Slice(self._stream, 0, _LINE)).readline())
        ends = self._ends(start)
        for number, (end, following) in enumerate(ends):
            absent = None
            if number >= settings.MEMBERS:
                absent = Absent(Reason.LIMIT, f"The mailbox has more than {settings.MEMBERS:,} messages.")
            size = 0 if absent else end - start
            yield Entry(Step("message", start), size, Recovery.LIVE, Containment.MEMBER, Times(), absent)
            if absent:
                return
            start = following

    def open(self, step: Step) -> Stream:
        end, _ = next(self._ends(step.at))
        return Slice(self._stream, step.at, end - step.at)

    def _ends(self, start: int) -> Iterator[tuple[int, int]]:
        """From `start` on: where each message ends, and where the next one's fields begin."""
        at = start
        while piece := self._stream.read_at(at, _PIECE + _SEPARATOR_BYTES):
            for found in _SEPARATOR.finditer(piece):
                if found.start() < _PIECE:
                    yield at + found.start() + 1, at + found.end()
            at += _PIECE
        yield self._stream.size, self._stream.size
