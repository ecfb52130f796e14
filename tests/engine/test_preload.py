"""What workers are forked from holds all that they need, and leaves them as Python starts."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_loaded_is_never_looked_through_for_garbage() -> None:
    script = (
        "import gc, sys, mantlet.engine.preload;"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000, 'mantlet.engine.worker' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", "True"]
