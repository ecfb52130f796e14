"""What can be listed: volumes of a disk, files of a file system or folder, members of an archive.

One format is one file under `trees/`; `open_tree` tries them in the order of `FORMATS`. To add a format, write
its file and put it into that list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Stream
from mantlet.evidence.trees.volumes import Disk
from mantlet.evidence.trees.zip import SIGNATURES, Zip
from mantlet.types import Entry, Reason, Step


class Tree(Protocol):
    """Something with entries, each of which can be opened again by its step alone, in any process."""

    def walk(self) -> Iterator[Entry]:
        """Every entry, always in the same order. One that cannot be read carries its reason."""

    def open(self, step: Step) -> Stream:
        """The bytes of one entry. Raises OSError, or RefusedError with a reason."""


def is_archive(head: bytes) -> bool:
    """Whether a file inside an exhibit is to be expanded in its turn."""
    return head.startswith(SIGNATURES)


def _zip(stream: Stream) -> Tree | None:
    return Zip(stream) if stream.read_at(0, 4).startswith(SIGNATURES) else None


def _disk(stream: Stream) -> Tree | None:
    try:
        return Disk(stream)
    except OSError:
        return None


FORMATS: Final[tuple[Callable[[Stream], Tree | None], ...]] = (
    # A disk before an archive: its first bytes are free for anyone to write, and must not divert from the rest.
    _disk,
    _zip,
)

# Known by their marks so that the refusal can name them.
_UNREAD_FILE_SYSTEMS: Final = (
    (0, b"XFSB", "XFS"),
    (0x10040, b"_BHRfS_M", "Btrfs"),
    (32, b"NXSB", "APFS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"hsqs", "SquashFS"),
    (3, b"ReFS", "ReFS"),
    (0x400, b"\x10\x20\xf5\xf2", "F2FS"),
)


def open_tree(stream: Stream) -> Tree:
    """The first format that fits.

    Raises:
        RefusedError: none does; names the file system where it is a known one.
    """
    for opens in FORMATS:
        tree = opens(stream)
        if tree is not None:
            return tree
    for offset, mark, name in _UNREAD_FILE_SYSTEMS:
        if stream.read_at(offset, len(mark)) == mark:
            raise RefusedError(Reason.UNSUPPORTED, f"This holds {name}, which Mantlet cannot read yet.")
    raise RefusedError(Reason.UNSUPPORTED, "No file system, partition table or archive that Mantlet can read.")
