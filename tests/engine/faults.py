"""Workers that go wrong on purpose, where a real one meets a file that breaks its decoder or takes it over.

`serve` stands in for what `mantlet.engine.local` starts in a new process, so that nothing of this is in the product.
Everything around it is real: the process, its box, the pipe and the engine that looks after it.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mantlet.engine import expand, local, worker
from mantlet.engine.messages import Drawn, Expand, Found, encode
from mantlet.fingerprint import digests
from mantlet.media import picture
from mantlet.recognise.runtime import Running
from mantlet.types import (
    Acquisition,
    Address,
    Containment,
    Content,
    Entry,
    Finding,
    Item,
    Kind,
    Node,
    Place,
    Recovery,
    Rows,
    Step,
    Task,
    Times,
)

_HELD = 7.0


def mark(fault: str) -> bytes:
    """What a picture must hold to make its decoder go wrong in that way."""
    return f"fault {fault}.".encode()


def mark_of_reading(fault: str) -> bytes:
    """What a file must hold to make even its digests go wrong in that way."""
    return f"fault of reading {fault}.".encode()


def serve(pipe: Connection, clock: Any, models: Any) -> None:
    """As a worker does, until it comes to what is marked."""

    def marked(mark_of: Callable[[str], bytes], function: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def call(data: bytes) -> Any:
            for name, fault in _FAULTS.items():
                if mark_of(name) in data:
                    fault(pipe, clock)
            return function(data)

        return call

    picture.decode = marked(mark, picture.decode)  # type: ignore[attr-defined]
    digests.of_bytes = marked(mark_of_reading, digests.of_bytes)  # type: ignore[attr-defined]
    members = expand._members

    def listed(visit: Any, tree: Any, address: Address, *others: Any) -> Iterator[Rows]:
        if address.name == "killed on listing.zip":
            visit.at(address, listing=True)
            _killed(pipe, clock)
        return members(visit, tree, address, *others)

    expand._members = listed
    worker.main(pipe, clock, models)


def serve_with_fatal_models(pipe: Connection, clock: Any, models: Any) -> None:
    """As `serve`, and a model that looks at a red picture ends its process."""
    look = Running.look

    def fatal(running: Running, pictures: Any) -> Any:
        if pictures[0][..., 0].mean() > 200:
            os.kill(os.getpid(), signal.SIGKILL)
        return look(running, pictures)

    Running.look = fatal  # type: ignore[method-assign]
    serve(pipe, clock, models)


def serve_no_models(pipe: Connection, clock: Any, models: Any) -> None:
    """Ends while it opens models."""
    if models:
        os._exit(3)
    worker.main(pipe, clock, models)


def serve_without_models(pipe: Connection, clock: Any, _models: Any) -> None:
    """Opens none of the models."""
    worker.main(pipe, clock, ())


def serve_unforeseen(pipe: Connection, clock: Any, models: Any) -> None:
    """Opening a model raises what nobody thought of."""

    def unforeseen(path: Path) -> Any:
        raise KeyError(f"unforeseen of {path.name}")

    worker.read_file = unforeseen  # type: ignore[attr-defined]
    worker.main(pipe, clock, models)


def killed_engine(folder: str, name: str) -> None:
    """Starts a worker on a file, and kills this process once the worker is held by it."""
    local._serve = serve
    node = Node(
        Task.EXAMINE, Address("EX1"), entries=(Entry(Step("file", 0, name), Path(folder, name).stat().st_size),)
    )
    started = local.Worker()
    started.send(Expand(node, {"EX1": folder}))
    while started.clock[0] != _HELD:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(_pipe: Connection, _clock: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crashed(_pipe: Connection, _clock: Any) -> None:
    ctypes.string_at(0)


def _left(_pipe: Connection, _clock: Any) -> None:
    os._exit(3)


def _stood_still(_pipe: Connection, clock: Any) -> None:
    clock[1] -= 60  # as if it had begun a minute ago; an hour may be longer than this machine has run
    threading.Event().wait()


def _greedy(_pipe: Connection, _clock: Any) -> None:
    bytearray(1 << 40)


def _nonsense(pipe: Connection, _clock: Any) -> None:
    pipe.send_bytes(b"nonsense")
    threading.Event().wait()


def _endless_nesting(pipe: Connection, _clock: Any) -> None:
    found = encode(Found(Rows(findings=[Finding("0" * 64, "media", 1, "", "here")])))
    pipe.send_bytes(found.replace(b"\xa4here", b"\x91" * 100_000 + b"\xc0"))  # arrays of one array of one array...
    threading.Event().wait()


def _held(_pipe: Connection, clock: Any) -> None:
    clock[0] = _HELD
    threading.Event().wait()


def _foreign_item(pipe: Connection, _clock: Any) -> None:
    item = Item(Address("OTHER"), "0" * 64, 1, Recovery.LIVE, Containment.FILE, Place.OTHER, Times())
    pipe.send_bytes(encode(Found(Rows(items=[item]))))
    threading.Event().wait()


def _foreign_digest(pipe: Connection, _clock: Any) -> None:
    pipe.send_bytes(encode(Found(Rows(acquisitions=[Acquisition("OTHER", "sha256", "0" * 64, "computed", 1)]))))
    threading.Event().wait()


def _says(*rows: Rows) -> Callable[[Connection, Any], None]:
    """A worker that was taken over says these of a file."""

    def fault(pipe: Connection, _clock: Any) -> None:
        for each in rows:
            pipe.send_bytes(encode(Found(each)))
        threading.Event().wait()

    return fault


def _another_file(sha256: str = "0" * 64, size: int = 1) -> Item:
    address = Address("EX1").child(Step("file", 0, "of another run.jpg"))
    return Item(address, sha256, size, Recovery.LIVE, Containment.FILE, Place.OTHER, Times())


def _half_a_message(pipe: Connection, _clock: Any) -> None:
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"half")
    threading.Event().wait()


def _trickle(pipe: Connection, _clock: Any) -> None:
    os.write(pipe.fileno(), struct.pack("!i", 1000))
    while True:
        os.write(pipe.fileno(), b"0")
        threading.Event().wait(0.5)


def _too_long(pipe: Connection, _clock: Any) -> None:
    os.write(pipe.fileno(), struct.pack("!i", 1 << 30))
    threading.Event().wait()


def _not_asked(pipe: Connection, _clock: Any) -> None:
    pipe.send_bytes(encode(Drawn()))
    threading.Event().wait()


def _clock_broken(_pipe: Connection, clock: Any) -> None:
    clock[0] = math.nan
    os._exit(3)


def _blames_another(_pipe: Connection, clock: Any) -> None:
    clock[0] = 0
    os._exit(3)


_FAULTS = {
    "killed": _killed,
    "crashed": _crashed,
    "left": _left,
    "stood still": _stood_still,
    "greedy": _greedy,
    "nonsense": _nonsense,
    "endless nesting": _endless_nesting,
    "held": _held,
    "foreign item": _foreign_item,
    "foreign digest": _foreign_digest,
    "another file": _says(Rows(items=[_another_file()])),
    "endless size": _says(Rows(items=[_another_file(size=2**63)])),
    "no digest": _says(Rows(items=[_another_file(sha256="x" * 64)])),
    "another content": _says(Rows(contents=[Content("0" * 64, "0" * 32, "0" * 40, 1, Kind.STILL, "image/jpeg")])),
    "another finding": _says(Rows(findings=[Finding("0" * 64, "media", 1, "", {"width": 1, "height": 1})])),
    "another task": _says(Rows(nodes=[Node(Task.OPEN, Address("EX1"))])),
    "half a message": _half_a_message,
    "trickle": _trickle,
    "too long": _too_long,
    "not asked": _not_asked,
    "clock broken": _clock_broken,
    "blames another": _blames_another,
}
