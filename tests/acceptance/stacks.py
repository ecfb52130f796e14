"""Stacks of a million pictures, made anew from what a case keeps of them: how long it takes, and that none is missed.

A fifth are near copies of others, half of these by one of their turned or mirrored views; some are chains, and a
thousand are of one scene.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.case import stacks
from mantlet.case.case import Case, create_or_open, open_case
from mantlet.governance import keys
from mantlet.settings import MIB
from tests.acceptance.figure import Figure

CONTENTS: Final = 1_000_000
_NEAR: Final = 200_000
_CHAINS: Final = 10_000
_SCENE: Final = 1_000
_VIEWS: Final = 8
_SEED: Final = 7
_ASKED: Final = 200
_SECONDS: Final = 120.0
_MEMORY: Final = 2048 * MIB
_AT_ONCE: Final = 50_000
_REBUILD: Final = """
import json, resource, sys, time
from pathlib import Path
from mantlet.case import stacks
from mantlet.case.case import open_case
from mantlet.governance import keys
case = open_case(Path(sys.argv[1]), keys.actor("Acceptance"))
told = []
for _ in range(2):
    wall, cpu = time.perf_counter(), time.process_time()
    stacks.rebuild(case)
    told.append([time.perf_counter() - wall, time.process_time() - cpu])
print(json.dumps([*told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""

Hashes = NDArray[np.uint8]


def million(folder: Path) -> Figure:
    hashes = _hashes(np.random.default_rng(_SEED))
    case = create_or_open(folder / "case", keys.actor("Acceptance"))
    names = _fill(case, hashes)
    case.close()
    done = subprocess.run([sys.executable, "-c", _REBUILD, folder / "case"], capture_output=True, check=True)
    (wall, cpu), (_, again), memory = json.loads(done.stdout)
    case = open_case(folder / "case")
    missed, asked = _missed(case, hashes, names)
    finished = stacks.finished(case)
    case.close()
    return Figure(
        f"{CONTENTS:,} contents in {_VIEWS} views: stacks made in {cpu:.0f} s of one core ({wall:.0f} s), again in "
        f"{again:.0f} s, with {memory / MIB:,.0f} MiB; {missed} of {asked:,} near pairs missed",
        f"{_SECONDS:.0f} s of one core, {_MEMORY // MIB:,} MiB, 0 missed",
        max(cpu, again) < _SECONDS and memory < _MEMORY and finished and not missed and asked > _ASKED,
    )


def _hashes(source: np.random.Generator) -> Hashes:
    """[contents, views, 32]."""
    hashes = source.integers(0, 256, (CONTENTS, _VIEWS, 32), np.uint8)
    near = np.arange(CONTENTS - _NEAR, CONTENTS)
    of = hashes[source.integers(0, CONTENTS - _NEAR, _NEAR), 0]
    view = np.where(np.arange(_NEAR) % 2, source.integers(1, _VIEWS, _NEAR), 0)
    hashes[near, view] = _flipped(of, source.integers(0, settings.PDQ_DISTANCE + 1, _NEAR), source)
    for row in range(1, _CHAINS):
        hashes[row, 0] = _flipped(hashes[row - 1, :1], np.array([24 if row % 100 else 0]), source)[0]
    scene = slice(_CHAINS, _CHAINS + _SCENE)
    hashes[scene, 0] = _flipped(hashes[scene, 0][:1].repeat(_SCENE, 0), np.full(_SCENE, 14), source)
    return hashes


def _flipped(hashes: Hashes, bits: NDArray[np.int64], source: np.random.Generator) -> Hashes:
    found = [
        hashes[at : at + _AT_ONCE]
        ^ np.packbits(
            source.random((len(hashes[at : at + _AT_ONCE]), 256), np.float32).argsort(1).argsort(1)
            < bits[at : at + _AT_ONCE, None],
            axis=1,
        )
        for at in range(0, len(hashes), _AT_ONCE)
    ]
    return np.concatenate(found)


def _fill(case: Case, hashes: Hashes) -> list[str]:
    """Puts the contents into a case; their SHA-256, in the order of `hashes`."""
    names = [hashlib.sha256(row[0].tobytes() + row[1].tobytes()).hexdigest() for row in hashes]
    order = sorted(range(CONTENTS), key=names.__getitem__)

    def findings() -> Iterator[tuple[Any, ...]]:
        for row in order:
            upright, *forms = (each.tobytes().hex() for each in hashes[row])
            yield names[row], "pdq", json.dumps(upright)
            yield names[row], "pdq-forms", json.dumps(forms)

    with case.change() as change:
        change.tx.executemany(
            "INSERT INTO content VALUES (?, '', '', 1, 'still', 'image/jpeg', 1)", ((names[row],) for row in order)
        )
        change.tx.executemany("INSERT INTO finding VALUES (?, ?, 1, 's', ?, NULL, NULL, 1)", findings())
        change.record("made by code", {})
    return names


def _missed(case: Case, hashes: Hashes, names: list[str]) -> tuple[int, int]:
    """Of some contents, half of them near copies, how many pairs within the distance are not in one stack, and how many
    such pairs there are, counted by comparing with every view of every other one."""
    stack = dict(case.reader.execute("SELECT sha256, stack FROM stack").fetchall())
    upright = hashes[:, 0].copy().view(np.uint64)
    missed = pairs = 0
    for row in np.linspace(0, CONTENTS - 1, _ASKED).astype(int).tolist():
        for view in range(_VIEWS):
            apart = np.bitwise_count(upright ^ hashes[row, view].view(np.uint64)).sum(1)
            for other in np.flatnonzero(apart <= settings.PDQ_DISTANCE).tolist():
                pairs += other != row
                missed += stack[names[other]] != stack[names[row]]
    return missed, pairs
