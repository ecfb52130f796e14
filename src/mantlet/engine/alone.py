"""One scan of a case at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from mantlet.case.case import Case
from mantlet.errors import UsageError


@contextmanager
def only_scan(case: Case) -> Iterator[None]:
    """Holds off any other scan of the case. Raises UsageError where one is running."""
    with (case.folder / "scan.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another scan of {case.folder} is running; wait for it, or stop it first.") from None
        yield
