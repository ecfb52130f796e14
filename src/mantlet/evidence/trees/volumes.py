"""Disks: partition tables (GPT, MBR with extended partitions), through The Sleuth Kit, a file system beside one, and
the older states of a volume that Windows keeps in it.

What a table says of a partition is not believed: its type byte can be changed by anyone, and decides nothing here
but whether to be silent when nothing opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytsk3

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Slice, Stream
from mantlet.evidence.trees.libyal import Apfs, Hfs, Ntfs, Xfs
from mantlet.evidence.trees.protocol import Neighbours, Tree
from mantlet.evidence.trees.shadow import Shadows
from mantlet.evidence.trees.tsk import FileSystem, Image
from mantlet.types import Absent, Entry, Reason, Step

# Types that hold no file system by definition (UEFI 2.10 and Microsoft's GPT types).
_WITHOUT_FILES: Final = (b"Microsoft reserved partition", b"BIOS Boot", b"Linux swap", b"Linux Swap")

_BY_LIBYAL: Final[tuple[tuple[int, bytes, Callable[[Stream], Tree]], ...]] = (
    (0x400, b"H+", Hfs),
    (0x400, b"HX", Hfs),
    (32, b"NXSB", Apfs),
    (0, b"XFSB", Xfs),
)
_MARKS: Final = (
    (510, b"\x55\xaa"),
    (512, b"EFI PART"),
    (0x438, b"\x53\xef"),
    *((offset, mark) for offset, mark, _ in _BY_LIBYAL),
)
_CUT: Final = Absent(Reason.DAMAGED, "The partition reaches beyond the end of the medium: the image is cut short.")
_ISO: Final = (0x8001, b"CD001")
ISO_HEAD: Final = 0x8006
"""How much of a file's beginning `is_iso` looks at."""


def fits(head: bytes) -> bool:
    """Boot sectors of FAT, exFAT and NTFS, partition tables, and superblocks of other file systems."""
    return any(head[offset : offset + len(mark)] == mark for offset, mark in _MARKS)


def is_iso(stream: Stream, head: bytes) -> bool:
    """Whether it is an ISO 9660 image, whose mark lies behind a system area of zeros, or of what boots a stick
    (ECMA-119, 6.2.1): only then is it looked for."""
    offset, mark = _ISO
    return not any(head[:16]) and stream.read_at(offset, len(mark)) == mark


def open_file_system(stream: Stream) -> Tree:
    """Raises OSError where there is none that can be read."""
    head = stream.read_at(0, 0x1000)
    for offset, mark, opens in _BY_LIBYAL:
        if head.startswith(mark, offset):
            return opens(stream)
    try:
        return FileSystem(stream)
    except OSError:
        if head.startswith(b"NTFS    ", 3):
            return Ntfs(stream)
        raise


class Disk:
    """The tree of a medium: the files of a file system at its start, if there is one, and its partitions.

    Both can be there at once: a bootable ISO 9660 stick carries a partition table for what lies behind it. A table
    read from a boot sector is often nonsense, so that beside a file system only partitions that open are listed.

    Raises:
        OSError: neither file system nor partition table.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._files = _opened(stream)
        self._shadows = Shadows(stream) if isinstance(self._files, FileSystem) else None
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
                # One that begins where the disk does is the disk again: what lies there has been tried.
                if start and (not doubtful or _opened(Slice(self._stream, start, size))):
                    found.append((start, size))
        return found

    def walk(self) -> Iterator[Entry]:
        for start, size in self._parts:
            if start < self._stream.size:
                yield Entry(Step("volume", start), size)
            if start + size > self._stream.size:
                yield Entry(Step("volume", start, "..."), 0, absent=_CUT)
        if self._files is not None:
            yield from self._files.walk()
        if self._shadows is not None:
            yield from self._shadows.walk()

    def open(self, step: Step) -> Stream | Tree:
        if step.kind == "volume":
            for start, size in self._parts:
                if start == step.at:
                    return Slice(self._stream, start, size)
        if step.kind == "shadow" and self._shadows is not None and isinstance(self._files, FileSystem):
            return self._shadows.open(step, self._files)
        if self._files is not None:
            return self._files.open(step)
        raise RefusedError(Reason.UNREADABLE, "Nothing of that address is on this medium.")

    def beside(self, step: Step, name: str) -> Stream | None:
        """The file of that name in the folder of an entry."""
        return self._files.beside(step, name) if isinstance(self._files, Neighbours) else None


def _opened(stream: Stream) -> Tree | None:
    try:
        return open_file_system(stream)
    except OSError:
        return None
