"""What a worker process does: enter the box, then expand nodes and draw pictures for whoever holds the pipe.

Messages are msgpack of the types below, never pickles, so that a worker that a hostile file has taken over can
send wrong facts of its own contents, and nothing else, to the process that owns the case.
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final, Protocol

import msgspec

from mantlet import pipeline, settings
from mantlet.engine import box
from mantlet.evidence.reach import Reach
from mantlet.media.picture import veil
from mantlet.types import Absent, Address, Node, Rows

_SEEN: Final = 200_000
"""Contents a worker remembers having measured (about 20 MiB)."""


class Expand(msgspec.Struct, frozen=True, tag=True):
    node: Node
    exhibits: dict[str, str]


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Asks for a picture within a square of `side` pixels; `veiled`: grey and blurred beyond recognition of detail."""

    address: Address
    exhibits: dict[str, str]
    side: int
    veiled: bool


class Found(msgspec.Struct, frozen=True, tag=True):
    rows: Rows


class Expanded(msgspec.Struct, frozen=True, tag=True):
    """The node is done; `memory` is the most the worker has held so far, in bytes."""

    memory: int


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """A JPEG, or why there is none."""

    jpeg: bytes = b""
    absent: Absent | None = None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker is in its box; `box` names the protections in force."""

    box: list[str]


Request = Expand | Draw
Answer = Ready | Found | Expanded | Drawn

encode: Final = msgspec.msgpack.Encoder().encode
_requests: Final = msgspec.msgpack.Decoder[Request](Request)
_answers: Final = msgspec.msgpack.Decoder[Answer](Answer)


def decode_answer(message: bytes) -> Answer:
    """Raises ValueError for anything that is not an answer."""
    answer: Answer = _answers.decode(message)
    return answer


class Clock(Protocol):
    """Memory shared with the engine: [0] the entry at hand (-1: the node itself), [1] when it began or last moved
    on, in seconds of the monotonic clock; 0 while idle."""

    def __setitem__(self, index: int, value: float) -> None: ...


class _Watch:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: set[str] = set()

    def start(self, entry: int) -> None:
        self._clock[0] = entry
        self.beat()

    def beat(self) -> None:
        self._clock[1] = time.monotonic()

    def idle(self) -> None:
        self._clock[1] = 0

    def first_time(self, sha256: str) -> bool:
        if sha256 in self._seen:
            return False
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(sha256)
        return True


def main(pipe: Connection, clock: Clock) -> None:
    """Serves requests until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to handle
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # decoders write to these
        os.dup2(silence, descriptor)
    watch, exhibits, reach = _Watch(clock), dict[str, str](), Reach({})
    pipe.send_bytes(encode(Ready(box.enter(box.Limits(settings.WORKER_MEMORY)))))
    while True:
        try:
            request = _requests.decode(pipe.recv_bytes())
        except (EOFError, ConnectionError):
            return
        if request.exhibits != exhibits:
            exhibits, reach = request.exhibits, Reach(request.exhibits)
        try:
            if isinstance(request, Expand):
                for rows in pipeline.expand(request.node, reach, watch):
                    pipe.send_bytes(encode(Found(rows)))
                watch.idle()
                pipe.send_bytes(encode(Expanded(_peak_memory())))
            else:
                watch.start(0)
                answer = encode(_drawn(request, reach))
                watch.idle()
                pipe.send_bytes(answer)
        except (BrokenPipeError, ConnectionError):
            return


def _drawn(request: Draw, reach: Reach) -> Drawn:
    try:
        image = pipeline.draw(request.address, reach, request.side)
        if request.veiled:
            image = veil(image)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
    except Exception as error:  # noqa: BLE001 - the boundary around one picture
        return Drawn(absent=pipeline.absent_for(error))
    return Drawn(file.getvalue())


def _peak_memory() -> int:
    """Resident bytes at most, from /proc where there is one."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - quicker, and pathlib caches
            line = next(line for line in status if line.startswith(b"VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return 0


PRELOAD: Final[Sequence[str]] = ("mantlet.engine.worker",)
"""What the fork server imports once, so that a new worker starts in milliseconds."""
