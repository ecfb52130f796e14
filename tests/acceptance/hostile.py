"""What is made to harm its reader, at full size: odd media, archives without end, and every image damaged in many ways.

Held to the limits of `mantlet.settings`: no crash of the scan, no worker lost without a reason, 30 seconds a content,
768 MiB a worker, one reason for each thing not read. What a case does with the rows is in the other figures.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from mantlet import settings
from mantlet.settings import MIB
from mantlet.types import Reason
from tests.acceptance.figure import Figure
from tests.conftest import SHARED
from tests.engine import hostile
from tests.engine.mutants import Original, cut, flipped, originals, placed
from tests.engine.sweep import Sweep

T = TypeVar("T")
SEED: Final = 20_261_123
MEMBERS: Final = 1_000_000
LEVELS: Final = 10_000
FLIPPED: Final = 1_000
_FLIPS: Final = (1, 4, 16, 64)
"""Bytes changed in one copy."""
_EXHIBITS: Final = 100
_AT_ONCE: Final = 32
_SECONDS: Final = 1_200.0
_LIMIT: Final = (
    f"0 workers lost, 0 promises broken, {settings.CONTENT_SECONDS} s a content, {settings.WORKER_MEMORY // MIB} MiB"
)


class _Sum:
    """Of several sweeps: what a figure states, and whether it holds."""

    def __init__(self) -> None:
        self.exhibits = self.items = self.memory = 0
        self.slowest = (0.0, "none")
        self.reasons: Counter[Reason] = Counter()
        self.wrong: list[str] = []
        self.stopped: list[str] = []

    def add(self, done: Sweep, exhibits: int, may_stop: Iterable[str] = ()) -> None:
        self.exhibits += exhibits
        self.items += len(done.items)
        self.memory = max(self.memory, done.memory)
        self.slowest = max(self.slowest, done.slowest())
        self.reasons += done.reasons()
        self.wrong += [why for _, why in done.broken()]
        for lost in done.lost:
            meant = lost.stopped and lost.exhibit in may_stop
            (self.stopped if meant else self.wrong).append(lost.text)

    def figure(self, what: str) -> Figure:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        seconds, node = self.slowest
        stopped = f"; stopped as meant: {len(self.stopped)}" if self.stopped else ""
        wrong = "".join(f"\n      {each[:300]}" for each in self.wrong[:20])
        return Figure(
            f"{what}: {self.items:,} items in {self.exhibits:,} exhibits, {len(self.wrong)} workers lost or promises "
            f"broken{stopped}; slowest node {seconds:.1f} s ({node[:60]}), {self.memory / MIB:.0f} MiB a worker; "
            f"without a value: {reasons}{wrong}",
            _LIMIT,
            not self.wrong,
        )


def odd_media(folder: Path) -> Figure:
    """Every odd file of the shared data in one folder, and some as exhibits of their own."""
    source = SHARED / "data" / "odd-media"
    if not source.is_dir():
        return Figure("left out: shared/data/odd-media does not lie beside this checkout", _LIMIT, passed=True)
    total, files = _Sum(), sorted(path for path in source.rglob("*") if path.is_file())
    total.add(Sweep({"odd-media": source}).run(_SECONDS), 1)
    for chosen in _batched(random.Random(SEED).sample(files, min(_EXHIBITS, len(files)))):
        given = {f"{number} {path.name}"[:150]: path for number, path in enumerate(chosen)}
        total.add(Sweep(given).run(_SECONDS), len(given))
    return total.figure(f"{len(files):,} files, {min(_EXHIBITS, len(files))} of them also alone")


def archives(folder: Path) -> Figure:
    """The archives of the tests, larger: each as a file in a folder, and as an exhibit."""
    for name, make in {
        "bombs": lambda to: hostile.bombs(to, 512 * MIB),
        "nests": lambda to: hostile.nests(to, LEVELS),
        "crowds": lambda to: hostile.crowds(to, MEMBERS),
        "billionfold": hostile.billionfold,
    }.items():
        (folder / name).mkdir()
        make(folder / name)
    total = _Sum()
    for name in ("bombs", "nests", "crowds", "billionfold"):
        of_it = {name: folder / name} | {path.name: path for path in (folder / name).iterdir() if path.is_file()}
        most = MEMBERS // 25  # nodes of 128 members, of a zip and of a tar
        for label, path in of_it.items():
            # A compressed disk is read to its end when it is opened: one of a TiB is stopped there.
            total.add(Sweep({label: path}, most).run(_SECONDS), 1, may_stop=["disk.dd.zst.gz.gz"])
    return total.figure(f"{MEMBERS:,} members, {LEVELS:,} levels, a TiB in 300 bytes")


def images(folder: Path) -> Figure:
    """Every image and an archive of each kind, cut at every hundredth, and copies with bytes changed."""
    total, random_of = _Sum(), random.Random(SEED)
    damaged = 0
    for number, batch in enumerate(_batched(_damaged(random_of))):
        at = folder / str(number)
        at.mkdir()
        given = dict(placed(at, each, original, data) for each, (original, data) in enumerate(batch))
        total.add(Sweep(given).run(_SECONDS), len(given))
        damaged += len(given)
        shutil.rmtree(at)
    return total.figure(f"{damaged:,} cut or changed copies (seed {SEED})")


def _damaged(random_of: random.Random) -> Iterator[tuple[Original, bytes]]:
    all_of_them = list(originals(shared=True))
    for original in all_of_them:
        for percent in range(1, 100):
            yield original, cut(original.data, percent)
    for number in range(FLIPPED):
        original = all_of_them[number % len(all_of_them)]
        yield original, flipped(original.data, random_of.choice(_FLIPS), random_of)


def damage(data: bytes, random_of: random.Random) -> bytes:
    """Cut somewhere, changed in some bytes, or both."""
    if random_of.random() < 0.3:
        data = data[: random_of.randrange(1, len(data) + 1)]
    return flipped(data, random_of.choice(_FLIPS), random_of)


def _batched(them: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(them)
    while batch := list(itertools.islice(waiting, _AT_ONCE)):
        yield batch
