"""Partition tables (GPT, MBR with extended partitions), through The Sleuth Kit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytsk3

from mantlet.evidence.stream import Slice, Stream
from mantlet.evidence.trees.tsk import Image
from mantlet.types import Entry, Step

# Types that hold no file system by definition (UEFI 2.10 and Microsoft's GPT types).
_WITHOUT_FILES: Final = (
    b"Microsoft reserved partition",
    b"BIOS Boot",
    b"Linux swap",
    b"Linux Swap / Solaris x86",
)


class Volumes:
    """The tree of a partitioned disk: one entry for each allocated partition."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        table = pytsk3.Volume_Info(Image(stream))
        block: int = table.info.block_size
        self._parts = [
            (part.start * block, part.len * block, part.desc)
            for part in table
            if part.flags == pytsk3.TSK_VS_PART_FLAG_ALLOC
        ]

    def walk(self) -> Iterator[Entry]:
        for start, size, description in self._parts:
            if not description.startswith(_WITHOUT_FILES):
                yield Entry(Step("volume", start), size)

    def open(self, step: Step) -> Stream:
        size = next(size for start, size, _ in self._parts if start == step.at)
        return Slice(self._stream, step.at, size)
