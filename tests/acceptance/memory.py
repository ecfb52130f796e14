"""Memory stays flat: what a scan of many pictures holds at most, in the process that owns the case and in a worker."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from mantlet.settings import GIB, MIB
from tests.acceptance.figure import Figure
from tests.engine.scans import Scan, content, fill, living

PICTURES: Final = 100_000
_PARENT: Final = GIB
_WORKER: Final = 768 * MIB


def run(folder: Path) -> Figure:
    scan = Scan([fill(folder / "pictures", PICTURES, seed=1)], folder / "case", folder / "home")
    peaks: dict[int, int] = {}
    started = time.monotonic()
    process = scan.start()
    while process.poll() is None:
        for pid in living(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        time.sleep(0.05)
    seconds = time.monotonic() - started
    parent = peaks.pop(process.pid)
    worker = max(peaks.values())
    rows = content(scan.case)
    found = min(len(rows["item"]), len(rows["content"]))
    return Figure(
        f"{parent / MIB:.0f} MiB in the parent, {worker / MIB:.0f} MiB a worker "
        f"({found:,} pictures in {seconds:.0f} s, {found / seconds:.0f}/s)",
        f"{_PARENT // MIB} MiB and {_WORKER // MIB} MiB ({PICTURES:,} pictures)",
        process.returncode == 0 and found == PICTURES and parent <= _PARENT and worker <= _WORKER,
    )


def _peak(pid: int) -> int:
    """The most resident bytes so far (VmHWM of proc_pid_status(5)); 0 where the process has ended."""
    with suppress(OSError):
        for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0
