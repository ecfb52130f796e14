"""Killed at any moment and started again by the same command, a scan ends as if nothing had happened.

Each run is killed (SIGKILL to the process that owns the case) at a moment drawn between its start and the time that
an undisturbed scan takes; a case is started again, and killed again, until a run ends by itself.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Final

from tests.acceptance.evidence import mixed
from tests.acceptance.figure import Figure
from tests.engine.scans import Scan, content, living, verify

KILLS: Final = 100
SEED: Final = 20_260_314
_ORPHAN_SECONDS: Final = 10
"""How long workers may take to notice that the process they work for is gone: one entry each, and no more."""


def run(folder: Path) -> Figure:
    home = folder / "home"
    sources = mixed(folder, home)
    undisturbed = Scan(sources, folder / "undisturbed", home)
    started = time.monotonic()
    undisturbed.finish()
    seconds, expected = time.monotonic() - started, content(undisturbed.case)

    moments = random.Random(SEED)
    kills = endings = different = repeated = most = orphans = 0
    while kills < KILLS:
        scan = Scan(sources, folder / f"case-{endings}", home)
        sessions = []
        while kills < KILLS and (session := scan.killed_after(moments.uniform(0, seconds))) is not None:
            sessions.append(session)
            kills += 1
        scan.finish()
        endings += 1
        verify(scan.case)
        different += content(scan.case) != expected
        again = scan.handed_out().total() - len(scan.handed_out())
        repeated += again
        most = max(most, again - len(sessions) * scan.workers)
        orphans += sum(not _ended(session) for session in sessions)
    return Figure(
        f"{kills} kills over {seconds:.1f} s and {endings} endings (seed {SEED}): {different} differ, "
        f"{repeated} nodes repeated, orphans of {orphans} kills left",
        f"0 differ, {kills * undisturbed.workers} repeated ({undisturbed.workers} in flight at each kill), "
        f"0 left after {_ORPHAN_SECONDS} s",
        not different and most <= 0 and not orphans,
    )


def _ended(session: int) -> bool:
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while living(session):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
