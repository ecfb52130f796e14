"""Files written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mantlet.errors import UsageError


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file into place, flushed to the disk; what was there stays until then, and if that fails.

    Raises:
        UsageError: the place cannot be written to.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)
