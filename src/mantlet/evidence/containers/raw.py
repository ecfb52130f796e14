"""Raw images, single and split (`image.001`, `image.002`, ...), block devices, and any other plain file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mantlet.errors import EvidenceError
from mantlet.evidence.stream import Joined, Stream

_FIRST_SEGMENT = re.compile(r"\.(0*[01])$")


class RawFile(Stream):
    """A file or block device opened read-only; position-free reads, so threads can share it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        # A block device has st_size 0: its end tells.
        super().__init__(os.lseek(self._descriptor, 0, os.SEEK_END))

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_raw(path: Path) -> Stream:
    segments = split_segments(path)
    parts: list[Stream] = [RawFile(segment) for segment in segments]
    return parts[0] if len(parts) == 1 else Joined(parts)


def split_segments(path: Path) -> list[Path]:
    """The files of a split raw image whose first is `path`; only `path` if it is not numbered.

    Raises:
        EvidenceError: a later segment was given, or one in the middle is missing.
    """
    if not re.fullmatch(r"\.\d{2,4}", path.suffix) or path.is_block_device():
        return [path]
    first = _FIRST_SEGMENT.search(path.name)
    digits = len(path.suffix) - 1
    if not first:
        earlier = path.with_suffix(f".{1:0{digits}}")
        if earlier.exists():
            raise EvidenceError(f"{path} is a later part of a split image; give the first part, {earlier.name}.")
        return [path]
    numbers = {
        int(other.suffix[1:])
        for other in path.parent.glob(f"{_glob_escape(path.stem)}.{'[0-9]' * digits}")
        if other.is_file()
    }
    start = int(first.group(1))
    end = max(numbers)
    missing = sorted(set(range(start, end + 1)) - numbers)
    if missing:
        names = ", ".join(f"{path.stem}.{number:0{digits}}" for number in missing[:3])
        raise EvidenceError(f"{path} is split and a part is missing: {names}. Put it beside the others and run again.")
    return [path.with_suffix(f".{number:0{digits}}") for number in range(start, end + 1)]


def _glob_escape(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)
