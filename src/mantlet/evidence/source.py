"""What a container is opened from: a file, and the files beside it that may be its other parts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mantlet.errors import EvidenceError, RefusedError
from mantlet.evidence.stream import Stream
from mantlet.types import Reason

_PARENTS: Final = 64
"""How many differencing images may stand on one another."""


class RawFile(Stream):
    """A file or block device opened read-only; position-free reads, so threads can share it. `on_read` is called at
    each of them."""

    def __init__(self, path: Path, on_read: Callable[[], None] | None = None) -> None:
        self._on_read = on_read
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        # A block device has st_size 0: its end tells.
        super().__init__(os.lseek(self._descriptor, 0, os.SEEK_END))

    def read_at(self, offset: int, length: int) -> bytes:
        if self._on_read:
            self._on_read()
        length = min(length, self.size - offset)  # `pread` takes the memory for all that is asked for
        return os.pread(self._descriptor, length, offset) if length > 0 else b""

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _nothing(_: str) -> Stream | None:
    return None


@dataclass(frozen=True)
class Source:
    """A file that may be an image, or the first part of one.

    `beside` opens a file of the same folder by its bare name, or gives None where there is none. What an image says
    of its other parts is a claim of the exhibit: whatever path it names, only the folder it lies in is looked at.
    """

    name: str
    stream: Stream
    beside: Callable[[str], Stream | None] = _nothing
    depth: int = 0
    is_exhibit: bool = False

    def part(self, name: str) -> Source:
        """A file that the image names: one it consists of, or one it stands on.

        Raises:
            MissingPartError: it is not beside the image.
            RefusedError: images stand on one another without end.
        """
        if self.depth >= _PARENTS:
            raise RefusedError(Reason.LIMIT, f"More than {_PARENTS} images stand on one another.")
        last = re.split(r"[/\\]", name)[-1]
        found = self.beside(last) if last not in ("", ".", "..") else None
        if found is None:
            raise MissingPartError(f"{self.name} needs the file {last!r}, which is not beside it; put it there.")
        return Source(last, found, self.beside, self.depth + 1)


@dataclass(frozen=True)
class Opened:
    """The medium inside a container, and the digests stored with it (algorithm -> hex)."""

    stream: Stream
    stored: dict[str, str] = field(default_factory=dict)


class MissingPartError(EvidenceError):
    """Another part of the image is not beside it: put there, the exhibit can be read."""


def of_path(path: Path, on_read: Callable[[], None] | None = None) -> Source:
    """A file of the host given as an exhibit. Links beside it are not followed. Raises OSError."""

    def beside(name: str) -> Stream | None:
        other = path.parent / name
        try:
            there = other.is_file() and not other.is_symlink()
        except OSError:  # no name that a file can have
            return None
        return RawFile(other, on_read) if there else None

    return Source(path.name, RawFile(path, on_read), beside, is_exhibit=True)
