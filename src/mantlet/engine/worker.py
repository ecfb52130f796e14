"""What a worker process does: enter the box, then expand nodes and draw pictures for whoever holds the pipe."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from mantlet import pipeline, settings
from mantlet.engine import box
from mantlet.engine.expand import expand
from mantlet.engine.messages import (
    Answered,
    Ask,
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
    Sample,
    Sampled,
    decode_request,
    encode,
)
from mantlet.engine.sample import sample
from mantlet.errors import EvidenceError, IntegrityError, MantletError, RefusedError, plain
from mantlet.evidence.reach import Reach
from mantlet.fingerprint import digests
from mantlet.media.picture import veil
from mantlet.recognise.bundle import read_file
from mantlet.recognise.models import load
from mantlet.recognise.runtime import Network, Running
from mantlet.sight import draw

_SEEN: Final = 200_000
"""Contents a worker remembers having measured (about 20 MiB)."""


class Clock(Protocol):
    """Memory shared with the engine: [0] the mark of what is read now, [1] when it began or last moved on, in seconds
    of the monotonic clock, 0 while idle; [2] which of the node's entries it lies in."""

    def __setitem__(self, index: int, value: float) -> None: ...


class _Watch:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: set[str] = set()

    def enter(self, entry: int) -> None:
        self._clock[2] = entry

    def start(self, mark: int) -> None:
        self._clock[0] = mark
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


def main(pipe: Connection, clock: Clock, models: Sequence[Model]) -> None:
    """Serves requests until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to handle
    _end_with_engine()
    # The Sleuth Kit reads FAT's local times in the process's zone: in one with summer time some would not come back.
    os.environ["TZ"] = "UTC"
    time.tzset()
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # decoders write to these
        os.dup2(silence, descriptor)
    _hold_many_files()
    watch, exhibits, reach = _Watch(clock), dict[str, str](), Reach({})
    stages, on_request = (
        {stage.name: (stage.version, stage.settings) for stage in each}
        for each in (pipeline.STAGES, pipeline.ON_REQUEST)
    )
    boxed = box.enter(box.Limits(settings.WORKER_MEMORY + sum(each.memory for each in models)))
    running, fault = _opened(models)
    states = tuple(
        {(each.name, each.settings): each for model in running for each in pipeline.of_model(model)}.values()
    )
    dimensions = {each.bundle.manifest.embedding_key: each.dimensions for each in running if each.dimensions}
    pipe.send_bytes(encode(Ready(boxed, stages, on_request, fault, dimensions)))
    while True:
        try:
            request = decode_request(pipe.recv_bytes())
        except (EOFError, ConnectionError):
            return
        if request.exhibits != exhibits:
            exhibits, reach = request.exhibits, Reach(request.exhibits)
        try:
            if isinstance(request, Expand):
                try:
                    for rows in expand(request.node, reach, watch, states):
                        pipe.send_bytes(encode(Found(rows)))
                    last: Away | Expanded = Expanded(_peak_memory())
                except EvidenceError as error:
                    last = Away(str(error)[:1000])
                    watch = _Watch(clock)  # what was measured last has not been sent
                watch.idle()
                pipe.send_bytes(encode(last))
            else:
                watch.start(0)
                answer = encode(_answer(request, reach, watch, running))
                watch.idle()
                pipe.send_bytes(answer)
        except (BrokenPipeError, ConnectionError):
            return


def _opened(models: Sequence[Model]) -> tuple[list[Running], str]:
    """The models, opened in the box: a network may come from anywhere. Or the sentence why one cannot be. Those that
    share a network share its work."""
    networks: dict[str, Network] = {}
    opened: list[Running] = []
    for each in models:
        try:
            bundle = read_file(Path(each.path)) if each.path else load(each.name)
            if bundle.digest != each.digest:
                raise IntegrityError(f"The model '{each.name}' was replaced meanwhile; run the same command again.")
            running = Running(bundle, networks.get(bundle.manifest.embedding_key))
            networks[bundle.manifest.embedding_key] = running.network
            opened.append(running)
        except MantletError as error:
            return [], str(error)[:1000]
        except MemoryError:
            return [], "The models need more memory than a worker may have; name fewer, or smaller ones."
        except Exception as error:  # noqa: BLE001 - the boundary around a network from anywhere
            return [], f"The model '{each.name}' cannot be opened: {plain(error)}."
    return opened, ""


def _hold_many_files() -> None:
    """An image of 2 TB comes in more segments than the 1,024 files that a process may hold open by custom."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_with_engine() -> None:
    """Lets the kernel end this process when the engine does, by SIGIO from a pipe that closes then: a worker held by
    a decoder would outlive an engine that was killed. Linux only; elsewhere the signal does nothing."""
    engine = multiprocessing.parent_process()
    if engine is not None:
        fcntl.fcntl(engine.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(engine.sentinel, fcntl.F_SETFL, fcntl.fcntl(engine.sentinel, fcntl.F_GETFL) | fcntl.FASYNC)


def _answer(
    request: Draw | ReadWhole | Sample | Ask, reach: Reach, watch: _Watch, models: list[Running]
) -> Drawn | HasRead | Sampled | Answered:
    if isinstance(request, Ask):
        return _answered(request, models)
    if isinstance(request, Sample):
        return sample(request, reach, watch)
    return _drawn(request, reach) if isinstance(request, Draw) else _read_whole(request, reach)


def _read_whole(request: ReadWhole, reach: Reach) -> HasRead:
    try:
        whole = digests.Whole(reach.open(request.address), request.algorithms)
        for _ in whole.read():
            pass
        return HasRead(whole.digests(), whole.size)
    except Exception as error:  # noqa: BLE001 - the boundary around one medium
        return HasRead({}, 0, pipeline.absent_for(error).detail)


def _drawn(request: Draw, reach: Reach) -> Drawn:
    try:
        image = draw(request.address, reach, request.side, request.sha256)
        if request.veiled:
            image = veil(image)
        drawn = Drawn(*image.size, len(image.getbands()), image.tobytes())
    except Exception as error:  # noqa: BLE001 - the boundary around one picture
        return Drawn(absent=pipeline.absent_for(error))
    return drawn


def _answered(request: Ask, models: list[Running]) -> Answered:
    try:
        head = next(each.head for each in models if each.head)
        vectors = np.frombuffer(request.numbers, "<f2").reshape(-1, request.dimensions)
        return Answered(head.values(vectors).astype("<f4").tobytes())
    except RefusedError as error:
        return Answered(fault=str(error)[:1000])
    except Exception as error:  # noqa: BLE001 - the boundary around a network
        return Answered(fault=f"The head cannot be run: {plain(error)}.")


def _peak_memory() -> int:
    """Resident bytes at most, from /proc where there is one."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - quicker, and pathlib caches
            line = next(line for line in status if line.startswith(b"VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return 0
