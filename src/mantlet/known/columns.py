"""A set on disk: a folder of columns that nothing changes once they are written, mapped into memory where they lie.

Pages are read when a look-up touches them, and shared by every process that has the set open. Of a sealed set
(`known.seal`) the columns are opened into this process's own memory instead, and never lie on the disk in the clear.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mantlet.errors import IntegrityError
from mantlet.known import seal


class Folder:
    """The columns of one set by their names. `key`: what they are sealed with, None if they are not."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        self.path = path
        self._key = key
        self._growing: dict[str, BinaryIO] = {}
        self._made: dict[str, NDArray[Any]] = {}
        self._opened: dict[str, NDArray[Any]] = {}

    def grow(self, name: str) -> BinaryIO:
        """A new column, or one that was grown before, to write to its end."""
        if name not in self._growing:
            self._growing[name] = io.BytesIO() if self._key is not None else (self.path / name).open("xb+")
        return self._growing[name]

    def make(self, name: str, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """A new column of zeros, to be filled."""
        if self._key is None:
            with (self.path / name).open("xb") as file:
                _reserve(file, int(np.prod(shape)) * np.dtype(kind).itemsize)
            self._made[name] = np.memmap(self.path / name, kind, "r+", shape=shape)
        else:
            self._made[name] = np.zeros(shape, kind)
        return self._made[name]

    def open(self, name: str, kind: Any, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """A column as it stands, read-only; flat and of any size where no shape is given. Raises IntegrityError where
        it has not the size that it should."""
        if name in self._made:
            return self._made[name]
        if name in self._growing:
            self._growing[name].flush()
        elif name in self._opened:
            return self._opened[name]
        data = self._bytes(name)
        shape = (len(data) // np.dtype(kind).itemsize,) if shape is None else shape
        if not len(data) or len(data) != int(np.prod(shape)) * np.dtype(kind).itemsize:
            raise IntegrityError(f"{self.path / name} is missing or damaged; import the set again.")
        array: NDArray[Any] = data.view(kind).reshape(shape)
        array.flags.writeable = False
        if name not in self._growing:
            self._opened[name] = array
        return array

    def _bytes(self, name: str) -> NDArray[np.uint8]:
        growing = self._growing.get(name)
        if isinstance(growing, io.BytesIO):
            return np.frombuffer(growing.getvalue(), np.uint8).view()
        try:
            if self._key is not None and growing is None:
                return np.frombuffer(seal.read(self.path / name, self._key), np.uint8)
            return np.asarray(np.memmap(self.path / name, np.uint8, "r"))
        except (OSError, ValueError):  # it is not there, or empty
            return np.empty(0, np.uint8)

    def drop(self, name: str) -> None:
        """Lets go of a column that was grown, as if it had never been."""
        self._growing.pop(name).close()
        (self.path / name).unlink(missing_ok=True)

    def finish(self) -> None:
        """Puts every new column on the disk, to stay."""
        for name, file in self._growing.items():
            if self._key is not None:
                assert isinstance(file, io.BytesIO)  # noqa: S101 - for the type checker
                seal.write(self.path / name, file.getbuffer(), self._key)
            else:
                file.flush()
                os.fsync(file.fileno())
        for name, array in self._made.items():
            if self._key is not None:
                seal.write(self.path / name, array.reshape(-1).view(np.uint8).data, self._key)
            else:
                array.flush()  # type: ignore[attr-defined]
                with (self.path / name).open("rb+") as file:
                    os.fsync(file.fileno())
        self.close()
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)  # the names of the files too
        finally:
            os.close(handle)

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, as it lies there. Raises OSError."""
        found = {}
        for path in sorted(self.path.iterdir()):
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def close(self) -> None:
        """Lets go of every new column, finished or not."""
        for file in self._growing.values():
            file.close()
        self._growing.clear()
        self._made.clear()


def _reserve(file: BinaryIO, size: int) -> None:
    """Takes the room now, where the system can: a full disk met while writing to mapped memory ends the process."""
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
