"""Damages images and archives without end, each run by a seed of its own, and keeps what a scan did not withstand.

`make fuzz`, or `python -m tests.acceptance.fuzz --minutes 10 --seed 7`; Ctrl-C ends it. What lost a worker or broke a
promise of a scan is kept in fuzz-findings/, with the reason beside it. Exits 1 if there was any.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from mantlet.settings import MIB
from tests.acceptance.hostile import damage
from tests.engine.mutants import originals, placed
from tests.engine.sweep import Sweep

FINDINGS: Final = Path("fuzz-findings")
_AT_ONCE: Final = 24
_SECONDS: Final = 300.0
_MINUTE: Final = 60


class Fuzz:
    """One run; `seed` repeats it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._originals = list(originals(shared=True))
        self.tried = self.found = self.items = self.memory = 0

    def step(self) -> None:
        """A batch of mutants, scanned as exhibits beside each other."""
        with tempfile.TemporaryDirectory(prefix="mantlet-fuzz-") as folder:
            given: dict[str, Path] = {}
            for number in range(_AT_ONCE):
                original = self._random.choice(self._originals)
                label, path = placed(Path(folder), number, original, damage(original.data, self._random))
                given[label] = path
            done = Sweep(given).run(_SECONDS)
            wrong = [*done.broken(), *((lost.exhibit, lost.text) for lost in done.lost)]
            for exhibit, why in wrong:
                self._keep([given[exhibit]] if exhibit else list(given.values()), why)
            self.tried += len(given)
            self.items += len(done.items)
            self.memory = max(self.memory, done.memory)

    def _keep(self, paths: list[Path], why: str) -> None:
        self.found += 1
        to = FINDINGS / f"{self._seed}-{self.found}"
        to.mkdir(parents=True)
        for path in paths:
            copied = to / f"{path.parent.name}-{path.name}"
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copied)
        (to / "why.txt").write_text(f"{why}\n")
        say(f"{to}: {why[:300]}")

    def line(self, seconds: float) -> str:
        return (
            f"{seconds / _MINUTE:6.1f} min  {self.tried:,} damaged ({self.tried / seconds:.1f}/s), {self.items:,} "
            f"items found in them, {self.memory / MIB:.0f} MiB a worker, {self.found} findings"
        )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.acceptance.fuzz")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="how long (default: until Ctrl-C)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="repeats a run")
    asked = parser.parse_args()
    say(f"seed {asked.seed}")
    fuzz, begun = Fuzz(asked.seed), time.monotonic()
    told = begun
    try:
        while time.monotonic() - begun < asked.minutes * _MINUTE:
            fuzz.step()
            if time.monotonic() - told >= _MINUTE:
                told = time.monotonic()
                say(fuzz.line(told - begun))
    except KeyboardInterrupt:
        say("")
    say(fuzz.line(time.monotonic() - begun))
    sys.exit(fuzz.found > 0)


if __name__ == "__main__":
    main()
