"""What the process loads that all workers are forked from.

Nothing of it is ever let go: to look for garbage in it takes a tenth of the start, and would in each worker make copies
of pages that they share (the Python Standard Library, gc, `freeze`).
"""

from __future__ import annotations

import gc
import signal
from importlib import import_module

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to handle
gc.disable()
import_module("mantlet.engine.worker")
gc.freeze()
gc.enable()
