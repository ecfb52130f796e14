"""A folder of the host given as an exhibit: regular files below it, in a fixed order, links never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.source import RawFile
from mantlet.evidence.stream import Stream
from mantlet.evidence.trees.member import utc
from mantlet.types import Absent, Entry, Reason, Step, Times, escape, unescape


class Folder:
    """The tree of a folder. Names are bytes, as the host keeps them, so that any file can be opened again."""

    solid: Final = False

    def __init__(self, root: Path, on_read: Callable[[], None] | None = None) -> None:
        self._on_read = on_read
        self._root = os.fsencode(root)

    def walk(self) -> Iterator[Entry]:
        yield from self._walk(b"", 0)

    def _walk(self, folder: bytes, depth: int) -> Iterator[Entry]:
        try:
            if depth > settings.TREE_DEPTH:
                raise RefusedError(Reason.LIMIT, f"Folders are nested more than {settings.TREE_DEPTH} deep.")
            with os.scandir(os.path.join(self._root, folder)) as listing:  # noqa: PTH118 - bytes
                children = sorted(listing, key=lambda child: child.name)
        except RefusedError as error:
            yield _unread(folder, Absent(Reason(error.reason), str(error)))
            return
        except OSError as error:
            yield _unread(folder, Absent(Reason.UNREADABLE, f"The folder cannot be listed: {error.strerror}."))
            return
        for child in children:
            path = os.path.join(folder, child.name)  # noqa: PTH118 - bytes
            try:
                status = child.stat(follow_symlinks=False)
            except OSError as error:
                yield _unread(path, Absent(Reason.UNREADABLE, f"The file cannot be examined: {error.strerror}."))
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from self._walk(path, depth + 1)
            elif stat.S_ISREG(status.st_mode):
                yield Entry(Step("file", 0, escape(path)), status.st_size, times=_times(status))

    def open(self, step: Step) -> Stream:
        return self._open(unescape(step.name))

    def beside(self, step: Step, name: str) -> Stream | None:
        """The file of that name in the folder of an entry."""
        other = os.path.join(os.path.dirname(unescape(step.name)), os.fsencode(name))  # noqa: PTH118, PTH120 - bytes
        full = os.path.join(self._root, other)  # noqa: PTH118 - bytes
        return self._open(other) if os.path.isfile(full) and not os.path.islink(full) else None  # noqa: PTH113, PTH114

    def _open(self, name: bytes) -> Stream:
        path = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118
        if os.path.commonpath([path, self._root]) != os.path.normpath(self._root):
            raise RefusedError(Reason.UNREADABLE, "The path leads out of the folder.")
        return RawFile(Path(os.fsdecode(path)), self._on_read)


def _unread(path: bytes, absent: Absent) -> Entry:
    return Entry(Step("file", 0, escape(path or b".")), 0, absent=absent)


def _times(status: os.stat_result) -> Times:
    birth = getattr(status, "st_birthtime", None)
    return Times(
        created=utc(birth),
        modified=utc(status.st_mtime),
        accessed=utc(status.st_atime),
    )
