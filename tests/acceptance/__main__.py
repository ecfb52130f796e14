"""Runs the acceptance figures and prints a line for each; exits 1 if any fails."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.acceptance import (
    content,
    guarantees_counts,
    guarantees_missed,
    hostile,
    kill,
    known,
    known_scale,
    memory,
    policies,
    queue,
    recognition_running,
    recognition_speed,
    recognition_teaching,
    stacks,
)
from tests.acceptance.figure import Figure

FIGURES: Final[dict[str, Callable[[Path], Figure]]] = {
    "scan.kill": kill.run,
    "scan.same-content": content.run,
    "scan.memory": memory.run,
    "hostile.odd-media": hostile.odd_media,
    "hostile.archives": hostile.archives,
    "hostile.images": hostile.images,
    "known.hostile-sets": known.hostile,
    "known.import-rates": known.rates,
    "known.dihedral": known.dihedral,
    "known.digests-100m": known_scale.digests,
    **known_scale.HASHES,
    **queue.FIGURES,
    **recognition_teaching.FIGURES,
    **recognition_speed.FIGURES,
    **recognition_running.FIGURES,
    **guarantees_missed.FIGURES,
    "stacks.million": stacks.million,
    **guarantees_counts.FIGURES,
    **policies.FIGURES,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.acceptance")
    parser.add_argument("--only", metavar="NAME", choices=FIGURES, help=", ".join(FIGURES))
    only = parser.parse_args().only
    passed = True
    for name in [only] if only else FIGURES:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mantlet-acceptance-") as folder:
            found = FIGURES[name](Path(folder))
        passed &= found.passed
        verdict = "PASS" if found.passed else "FAIL"
        sys.stdout.write(f"{verdict}  {name}  figure = {found.figure}, limit = {found.limit}\n")
        sys.stderr.write(f"      took {time.monotonic() - started:.0f} s\n")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
