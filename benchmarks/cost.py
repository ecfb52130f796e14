"""What a command costs: the processor time of everything that it starts. Linux only."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Final, NamedTuple

_PR_SET_CHILD_SUBREAPER: Final = 36


class Cost(NamedTuple):
    """Milliseconds of processor time in all processes, and of wall time, a picture."""

    cpu: float
    wall: float


def adopt() -> None:
    """So that processes whose parent ends first, as workers do, become ours to wait for: only then is their time
    known."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cost_of(command: list[str], count: int, home: Path) -> Cost:
    """Of the command and of every process that it started, until the last has ended, by picture. `adopt` comes first;
    nothing else that was started here may still run."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "MANTLET_HOME": str(home / "home")}
    before, started = _children(), time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - started
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return Cost((_children() - before) * 1000 / count, wall * 1000 / count)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
