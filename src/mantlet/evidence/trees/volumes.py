"""Disks: partition tables (GPT, MBR with extended partitions), through The Sleuth Kit, and a file system beside one.

What a table says of a partition is not believed: its type byte can be changed by anyone, and decides nothing here
but whether to be silent when nothing opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytsk3

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Slice, Stream
from mantlet.evidence.trees.tsk import FileSystem, Image
from mantlet.types import Entry, Reason, Step

# Types that hold no file system by definition (UEFI 2.10 and Microsoft's GPT types).
_WITHOUT_FILES: Final = (b"Microsoft reserved partition", b"BIOS Boot", b"Linux swap", b"Linux Swap")


class Disk:
    """The tree of a medium: the files of a file system at its start, if there is one, and its partitions.

    Both can be there at once: a bootable ISO 9660 stick carries a partition table for what lies behind it. A table
    read from a boot sector is often nonsense, so that beside a file system only partitions that open are listed.

    Raises:
        OSError: neither file system nor partition table.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        try:
            self._files: FileSystem | None = FileSystem(stream)
        except OSError:
            self._files = None
        self._parts = self._partitions()
        if self._files is None and not self._parts:
            raise OSError("neither a file system nor a partition table")

    def _partitions(self) -> list[tuple[int, int]]:
        try:
            table = pytsk3.Volume_Info(Image(self._stream))
        except OSError:
            return []
        block: int = table.info.block_size
        found = []
        for part in table:
            if part.flags == pytsk3.TSK_VS_PART_FLAG_ALLOC:
                start, size = part.start * block, part.len * block
                doubtful = self._files is not None or part.desc.startswith(_WITHOUT_FILES)
                if (start or self._files is None) and (not doubtful or _opens(Slice(self._stream, start, size))):
                    found.append((start, size))
        return found

    def walk(self) -> Iterator[Entry]:
        for start, size in self._parts:
            yield Entry(Step("volume", start), size)
        if self._files is not None:
            yield from self._files.walk()

    def open(self, step: Step) -> Stream:
        if step.kind == "volume":
            for start, size in self._parts:
                if start == step.at:
                    return Slice(self._stream, start, size)
        elif self._files is not None:
            return self._files.open(step)
        raise RefusedError(Reason.UNREADABLE, "Nothing of that address is on this medium.")


def _opens(stream: Stream) -> bool:
    try:
        FileSystem(stream)
    except OSError:
        return False
    return True
