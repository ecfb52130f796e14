"""The engine on one machine: a pool of boxed worker processes, each expanding one node at a time.

A worker that dies, stands still or outgrows its memory is replaced, and only the entry it was at is lost, with
the reason kept. A stage cannot tell this engine from another.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from mantlet import settings
from mantlet.engine import messages
from mantlet.engine.messages import (
    OF_MODELS,
    Answer,
    Away,
    Draw,
    Drawn,
    Expand,
    Expanded,
    Found,
    HasRead,
    Model,
    ReadWhole,
    Ready,
    Request,
)
from mantlet.errors import EvidenceError
from mantlet.recognise.manifest import SCORES, VERSION
from mantlet.types import Absent, Address, Node, Reason, Rows, Task

_TICK_SECONDS: Final = 0.5
_LONGEST_MESSAGE: Final = 16 * settings.MIB
"""A run of entries with names of ordinary length takes 20 KiB; in memory a message grows up to seventyfold."""
_BLAMED_IN_ARCHIVES: Final = 64
"""Members of archives in one node that may each cost a worker's life; after that, it is the archive that is left."""
_MESSAGE_SECONDS: Final = 5.0
"""How long a message may take from its first byte to its last."""
_OPENING_SECONDS: Final = 60.0
"""How long a worker may take to open each of its models and try it on test pictures, as a network may loop for ever:
MobileNetV2 (14 MB) takes 0.3 s, and the digests alone of the largest file there can be, 2 GiB, about 3 s."""

log = logging.getLogger("mantlet")


class Work(Protocol):
    """Where nodes come from and rows go to."""

    def take(self) -> Node | None: ...
    def merge(self, rows: Rows) -> None: ...
    def done(self, node: Node) -> None: ...
    def again(self, node: Node) -> None: ...
    def away(self, node: Node, why: str) -> None: ...
    def flush(self) -> None: ...


def _serve(pipe: Connection, clock: Any, models: Sequence[Model]) -> None:
    """Runs in the worker. Imported there, not here: the process that owns the case loads no decoder."""
    from mantlet.engine import worker

    worker.main(pipe, clock, models)


class Worker:
    """One process, its pipe and its clock. Not for several threads at once.

    Raises EvidenceError where it cannot open its models.
    """

    def __init__(self, models: Sequence[Model] = ()) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["mantlet.engine.preload"])  # so that a new worker starts in milliseconds
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self.clock = context.RawArray("d", 3)
        self.process = context.Process(target=_serve, args=(theirs, self.clock, tuple(models)), daemon=True)
        self.process.start()
        theirs.close()
        self.models = models
        self.about = self._ready()
        if self.about.fault:
            self.end()
            raise EvidenceError(self.about.fault)

    def _ready(self) -> Ready:
        seconds = _OPENING_SECONDS * len(self.models) if self.models else None
        try:
            ready = self.receive(seconds)
            if not isinstance(ready, Ready):
                raise ValueError("a worker did not start")
        except (EOFError, OSError, ValueError) as error:
            self.end()
            if not self.models:
                raise
            silent = isinstance(error, ValueError)
            how = f"gave no right answer within {seconds:g} seconds" if silent else "ended abruptly"
            named = " or ".join(f"'{each.name}'" for each in self.models)
            raise EvidenceError(f"The process that opened the model {named} {how}; leave it out.") from error
        return ready

    def send(self, request: Request) -> None:
        self.clock[0], self.clock[1] = -1, time.monotonic()
        self.pipe.send_bytes(messages.encode(request))

    def receive(self, seconds: float | None = None) -> Answer:
        """Raises EOFError or OSError when the worker has died, ValueError when it talks nonsense, or no message begins
        within `seconds`."""
        if not self.pipe.poll(seconds):
            raise ValueError("no message")
        ends = time.monotonic() + _MESSAGE_SECONDS
        (size,) = struct.unpack("!i", self._read(4, ends))  # as Connection.send_bytes frames what is below 2 GiB
        if not 0 <= size <= _LONGEST_MESSAGE:
            raise ValueError(f"a message of {size} bytes")
        return messages.decode_answer(self._read(size, ends))

    def _read(self, size: int, ends: float) -> bytes:
        """Not by `recv_bytes`, which waits for ever for the rest of a message that a worker began."""
        data = bytearray()
        while len(data) < size:
            if not self.pipe.poll(ends - time.monotonic()):
                raise ValueError("a message that does not end")
            piece = os.read(self.pipe.fileno(), size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def overdue(self, seconds: float, listening: float) -> bool:
        """Whether it has been at one entry for that long; time before `listening` does not count."""
        since = self.clock[1]  # read once: the worker may set it to 0 meanwhile
        return bool(since > 0) and time.monotonic() - max(since, listening) > seconds

    def end(self) -> int | None:
        """Ends the process if it still runs; its exit code (negative: the signal that ended it)."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode


def run(
    work: Work,
    exhibits: dict[str, str],
    workers: int,
    progress: Callable[[Rows], None],
    models: Sequence[Model] = (),
) -> dict[str, Any]:
    """Expands every node of `work`; returns the box in force, the stages run, and the most memory a
    worker held (bytes). `models` state what they find beside the stages.

    On KeyboardInterrupt what has been found is stored and the workers are ended; nodes in flight are repeated by
    the next run.
    """
    pool = _pool(workers, models)
    busy: dict[Worker, Node] = {}
    peak = 0
    about = {"box": pool[0].about.box, "stages": pool[0].about.stages}
    _warn_of_open_box(pool[0])
    turned, listening = time.monotonic(), 0.0
    try:
        while True:
            for number, each in enumerate(pool):
                if each not in busy and (node := work.take()) is not None:
                    busy[_hand_out(pool, number, Expand(node, exhibits))] = node
            if not busy:
                return {**about, "memory": peak}
            for ready in wait([each.pipe for each in busy], timeout=_TICK_SECONDS):
                each = next(other for other in busy if other.pipe is ready)
                answer = _heard(each, busy[each])
                if isinstance(answer, Absent):
                    _replace(pool, each, busy, work, answer)
                elif isinstance(answer, Found):
                    work.merge(answer.rows)
                    progress(answer.rows)
                else:
                    peak = max(peak, _ended(busy.pop(each), answer, work))
            turned, before = time.monotonic(), turned
            if turned - before > settings.CONTENT_SECONDS / 2:  # stopped (Ctrl-Z), or long at storing: so were workers
                listening = turned
            for each in [each for each in busy if each.overdue(settings.CONTENT_SECONDS, listening)]:
                absent = Absent(Reason.LIMIT, f"It took longer than {settings.CONTENT_SECONDS} seconds.")
                _replace(pool, each, busy, work, absent)
    finally:
        for each in pool:
            each.end()
        work.flush()


def _pool(workers: int, models: Sequence[Model]) -> list[Worker]:
    pool: list[Worker] = []
    try:
        while len(pool) < workers:
            pool.append(Worker(models))
    except BaseException:
        for each in pool:
            each.end()
        raise
    return pool


def _warn_of_open_box(each: Worker) -> None:
    if missing := {"files", "network"} - set(each.about.box):
        log.warning("nothing here keeps a worker that a hostile file takes over from: %s", ", ".join(sorted(missing)))


def _ended(node: Node, answer: Expanded | Away, work: Work) -> int:
    """The most memory its worker held. A node of an exhibit that is away stays as it is, for the next scan."""
    if isinstance(answer, Away):
        log.warning("%s cannot be read now, %s waits for the next scan: %s", node.address.exhibit, node.key, answer.why)
        work.away(node, answer.why)
        return 0
    work.done(node)
    return answer.memory


def _hand_out(pool: list[Worker], number: int, request: Expand) -> Worker:
    """Gives a worker of the pool its next node; one that died while it had none is replaced, and nothing blamed."""
    while True:
        try:
            pool[number].send(request)
            return pool[number]
        except OSError:
            pool[number].end()
            pool[number] = Worker(pool[number].models)


def _heard(each: Worker, node: Node) -> Found | Expanded | Away | Absent:
    """The worker's next answer, or why there will be none."""
    try:
        answer = each.receive()
        if isinstance(answer, Found):
            _check_own(answer.rows, node)
            _check_stated(answer.rows, node, each.about, each.models)
        if isinstance(answer, Found | Expanded | Away):
            return answer
        raise ValueError("no answer to what was asked")
    except (EOFError, OSError):
        code = each.end()
        signals = {-each.value: each.name for each in signal.Signals}
        what = signals.get(code or 0, f"exit {code}")
        return Absent(Reason.CRASHED, f"The process that read it ended abruptly ({what}).")
    except (ValueError, RecursionError):
        return Absent(Reason.CRASHED, "The process that read it gave an answer that cannot be right.")


def _replace(pool: list[Worker], each: Worker, busy: dict[Worker, Node], work: Work, absent: Absent) -> None:
    """Puts a new worker in the place of one that failed, and the blame on what it read then."""
    each.end()
    node, (mark, _, number) = busy.pop(each), each.clock
    blamed = _to_blame(node, mark, number, models=bool(each.models))
    work.again(msgspec.structs.replace(node, skip=(*node.skip, (blamed, absent))))
    pool[pool.index(each)] = Worker(each.models)


def _to_blame(node: Node, mark: float, number: float, *, models: bool) -> int:
    """What of a node is blamed for a worker that was lost, by what its clock says: `mark`, in the entry of that
    `number`. Where `models` looked, the first loss is laid to them (`OF_MODELS`), and counts no further.

    A worker that was taken over may say that it read something else, or nothing: what has been blamed twice is read
    no more, so a third failure is the node's, and so is one too many in all. Else it could make a scan go on for ever.
    """
    marks = [node.address.child(entry.step).mark for entry in node.entries]
    entry = marks[int(number)] if 0 <= number < len(marks) else node.mark
    unseen = {mark - OF_MODELS for mark, _ in node.skip}
    looked = models and unseen.isdisjoint((mark, entry, node.mark))
    least = OF_MODELS if looked else 0
    blamed = [mark - least for mark, _ in node.skip if (mark >= OF_MODELS) == looked]
    if sum(mark not in marks for mark in blamed) >= _BLAMED_IN_ARCHIVES and entry != node.mark:
        mark = entry
    if not 0 <= mark < node.mark or blamed.count(int(mark)) > 1 or len(blamed) > 2 * len(marks) + _BLAMED_IN_ARCHIVES:
        mark = node.mark
    return int(mark) + least


_LEADS_TO: Final = {
    Task.OPEN: {Task.WALK, Task.EXAMINE, Task.ACQUIRE}, Task.WALK: {Task.WALK, Task.EXAMINE},
    Task.EXAMINE: {Task.WALK}, Task.ACQUIRE: set[Task](), Task.MEASURE: set[Task](),
}  # fmt: skip


def _check_own(rows: Rows, node: Node) -> None:
    """Raises ValueError where rows speak of evidence outside their node, as only a hijacked worker's would: a run of
    entries may speak of these and what is in them, a tree of all in it, and who measures again of no more than that."""
    depth = len(node.address.steps) + 1
    places = {entry.step for entry in node.entries} if node.task in (Task.EXAMINE, Task.MEASURE) else None

    def own(address: Address) -> bool:
        inside = address.within(node.address) and len(address.steps) >= depth
        if node.task is Task.MEASURE and len(address.steps) > depth:
            return False
        return inside and (places is None or address.steps[depth - 1] in places)

    right = (
        all(own(row.address) for row in rows.items)
        and all(own(row.address) or row.address == node.address for row in rows.unread)
        and all(own(row.address) or (places is None and row.address == node.address) for row in rows.nodes)
        and all(row.task in _LEADS_TO[node.task] and not row.skip for row in rows.nodes)
        and (not rows.acquisitions or node.task in (Task.OPEN, Task.ACQUIRE))
        and all(row.exhibit == node.address.exhibit for row in rows.acquisitions)
    )
    if not right:
        raise ValueError(f"a worker expanding {node.address} speaks of something else")


def _check_stated(rows: Rows, node: Node, about: Ready, models: Sequence[Model] = ()) -> None:
    """Raises ValueError where contents or findings are not of the items found with them, or not as stages state them:
    the first statement about a content stays, so a worker may make none about what it was not given. Where it was asked
    to measure, it finds nothing, and makes the one statement that it was asked for; where that is what a model scores,
    all that the model states."""
    own, stages = {item.sha256 for item in rows.items}, about.stages
    labels = {(name, set_to): model.labels for model in models for name, set_to in model.states.items()}
    if node.task is Task.MEASURE:
        if rows.items or rows.contents:
            raise ValueError("a worker that was to measure finds something")
        every = about.stages | about.on_request
        own, stages = set(node.contents), {name: every[name] for name in every if name == node.stage}
        labels = {key: labels[key] for key in labels if node.stage in (key[0], SCORES)}
    if not all(row.sha256 in own for group in (rows.contents, rows.findings) for row in group):
        raise ValueError("a worker speaks of contents that it was not given")
    for finding in rows.findings:
        key = finding.name, finding.settings
        by_model = finding.version == VERSION and key in labels
        if not by_model and stages.get(finding.name) != (finding.version, finding.settings):
            raise ValueError(f"no stage states {finding.name} like that")
        messages.check_value(finding)
        if by_model:
            messages.check_of_model(finding, about.dimensions.get(finding.settings), labels[key])


def stages() -> dict[str, tuple[int, str]]:
    """What workers can measure, on request as well: name -> version, settings."""
    worker = Worker()
    worker.end()
    return worker.about.stages | worker.about.on_request


class Reader:
    """A boxed worker that reads evidence for its digest, so that the process that owns the case parses none."""

    def __init__(self, exhibit: str, path: Path) -> None:
        self._path = path
        self._exhibits = {exhibit: str(path)}
        self._worker = Worker()

    def digests(self, address: Address, algorithms: list[str]) -> tuple[dict[str, str], int]:
        """Digests and size of what lies at `address`. Raises EvidenceError; after that, make a new one."""
        try:
            self._worker.send(ReadWhole(self._exhibits, address, algorithms))
            answer = self._worker.receive()
        except (EOFError, OSError, ValueError) as error:
            raise EvidenceError(f"{self._path} cannot be read: the process that read it ended abruptly.") from error
        if not isinstance(answer, HasRead) or answer.fault or set(answer.digests) != set(algorithms):
            fault = answer.fault if isinstance(answer, HasRead) else "no answer came"
            raise EvidenceError(f"{self._path} cannot be read to its end. {fault}".rstrip())
        return answer.digests, answer.size

    def close(self) -> None:
        self._worker.end()


class Drawer:
    """A boxed worker that draws pictures for a page; replaced when it dies. Not for several threads at once."""

    def __init__(self) -> None:
        self._worker = Worker()

    def draw(self, request: Draw) -> Drawn:
        try:
            self._worker.send(request)
            if self._worker.pipe.poll(settings.CONTENT_SECONDS):
                answer = self._worker.receive()
                if isinstance(answer, Drawn):
                    answer.check(request)
                    return answer
            absent = Absent(Reason.LIMIT, f"It took longer than {settings.CONTENT_SECONDS} seconds.")
        except (EOFError, OSError, ValueError):
            absent = Absent(Reason.CRASHED, "The process that decoded it ended abruptly.")
        self._worker.end()
        self._worker = Worker()
        return Drawn(absent=absent)

    def close(self) -> None:
        self._worker.end()
