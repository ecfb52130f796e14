"""Volume Shadow Copies as Windows keeps them on an NTFS volume: what the stores hold, and the volume as it was.

Source: J. Metz, "Volume Shadow Snapshot (VSS) format" (documentation of libvshadow), section names in quotes below.
Of every block of 16 KiB that changed after a snapshot, its store keeps the bytes from before the first change. A
snapshot is thus the volume of today with the copies of the newest store laid over it, then those of the one before,
down to its own ("Store"); where none of these stores has a copy of a block, its bytes are those of today.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Joined, Library, Memory, Slice, Stream
from mantlet.types import Reason

Numbers = NDArray[np.uint64]
BLOCK: Final = 16 * 1024
"""Bytes of what a store copies at once ("Overview")."""
_HEADER: Final = 0x1E00
_IDENTIFIER: Final = bytes.fromhex("6b870838 76c1 484e b7ae 04046e6cc752")
"""Where the header of the snapshots lies, and what it begins with; at 48 it names the catalog ("Volume header")."""
_RECORD: Final = 128
"""Bytes of the header that begins each block of the structures."""
_CATALOG_BLOCK: Final = 2
_BLOCK_LIST: Final = 3
_ENTRY: Final = 128
_STORE: Final = 3
"""The type of a catalog entry that says where a store is."""
_EXCLUSIVE: Final = 0x03
"""Flags that no block has together: forwarder and overlay ("Store block descriptor flags", notes)."""
COPIES: Final = 1_000_000
"""Blocks in all stores of a volume, at most: 15 GiB of copies. They take some 300 bytes of memory each."""


def catalog_of(stream: Stream) -> int:
    """Where the catalog of the snapshots lies; 0 where there is none, which one small read tells."""
    header = stream.read_at(_HEADER, 56)
    return int.from_bytes(header[48:], "little") if header.startswith(_IDENTIFIER) else 0


class Blocks:
    """Blocks that are copied, as ranges of bytes of the volume."""

    def __init__(self, numbers: list[Numbers]) -> None:
        """Args: the numbers of the blocks in each store, in any order."""
        joined = np.unique(np.concatenate([*numbers, np.zeros(0, dtype=np.uint64)]))
        gaps = np.flatnonzero(np.diff(joined) != 1)
        firsts, lasts = np.concatenate([joined[:1], joined[gaps + 1]]), np.concatenate([joined[gaps], joined[-1:]])
        self._starts = array("Q", (firsts * BLOCK).tobytes())
        self._ends = array("Q", ((lasts + 1) * BLOCK).tobytes())

    def split(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Cuts a range of bytes: start and end of each piece, and whether it is copied."""
        index = bisect_right(self._ends, start)
        while start < end:
            first = self._starts[index] if index < len(self._starts) else end
            if first > start:
                yield start, min(first, end), False
            if first < end:
                yield max(start, first), min(self._ends[index], end), True
                start, index = self._ends[index], index + 1
            else:
                start = end


def _chain(stream: Stream, offset: int, kind: int) -> Iterator[bytes]:
    """The blocks of a list, each of which names the next ("Catalog block header", "Store block header"); `kind` is
    their record type. Raises OSError where one is damaged, or names one before it."""
    seen: set[int] = set()
    while offset:
        block = stream.read_at(offset, BLOCK) if offset + BLOCK <= stream.size else b""
        if len(block) < BLOCK or block[:16] != _IDENTIFIER or offset in seen:
            raise OSError(f"the shadow copies are damaged at byte {offset:,} of the volume")
        found, following = struct.unpack_from("<20xI16xQ", block)
        if found != kind:
            raise OSError(f"the shadow copies are damaged at byte {offset:,} of the volume")
        seen.add(offset)
        yield block
        offset = following


def block_lists(stream: Stream, catalog: int) -> dict[bytes, list[int]]:
    """Where the block list of each store begins, by the store's identifier ("Catalog entry type 0x03"). One listed
    twice may have two."""
    found: dict[bytes, list[int]] = {}
    for block in _chain(stream, catalog, _CATALOG_BLOCK):
        for at in range(_RECORD, BLOCK, _ENTRY):
            kind, offset, identifier = struct.unpack_from("<QQ16s", block, at)
            if kind == _STORE:
                found.setdefault(identifier, []).append(offset)
    return found


def block_numbers(stream: Stream, offset: int, most: int) -> Numbers:
    """The numbers of the blocks in a block list ("Block descriptor"), whatever their flags say: one that is not used,
    or that stands for another, is then read once more than needed.

    Read here and not through libvshadow, which takes 8 s for 100,000 of them, as it counts from the first for each; and
    before it reads any, as a forwarder that is also an overlay makes it use memory that it has freed.

    Raises:
        OSError: the list is damaged.
        RefusedError: there are more than `most`.
    """
    found, count = [np.zeros(0, dtype=np.uint64)], 0
    for block in _chain(stream, offset, _BLOCK_LIST):
        descriptors = np.frombuffer(block, dtype="<u8", offset=_RECORD).reshape(-1, 4)
        if (descriptors[:, 3] & _EXCLUSIVE == _EXCLUSIVE).any():
            raise OSError("the shadow copies are damaged: a block stands both for another and for a part of one")
        offsets = descriptors[descriptors.any(axis=1), 0]
        found.append(offsets[offsets < stream.size] // BLOCK)
        count += len(found[-1])
        if count > most:
            raise RefusedError(Reason.LIMIT, f"The shadow copies of the volume hold more than {COPIES:,} blocks.")
    return np.concatenate(found)


class Snapshot(Stream):
    """The volume as it was.

    What no store copied is read from the volume of today, as libvshadow gives zeros for blocks that nobody used at the
    time of the newest snapshot ("Reading snapshot data"): what is left of a deleted file may lie there.
    """

    def __init__(self, volume: Stream, store: Any, copied: Blocks) -> None:
        super().__init__(volume.size)
        self._volume = volume
        self._store = Library(store, volume.size, "The shadow copy")
        self._copied = copied

    def read_at(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        for start, end, copied in self._copied.split(offset, min(offset + length, self.size)):
            piece = (self._store if copied else self._volume).read_at(start, end - start)
            pieces.append(piece)
            if len(piece) < end - start:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def with_boot_copy(stream: Stream) -> Stream:
    """The volume, with a position of its own, and with the copy of its boot sector that NTFS keeps behind the last
    sector it counts: libvshadow insists on it, and an image of a logical drive ends before it."""
    sector, sectors = struct.unpack_from("<H27xQ", stream.read_at(0, 512).ljust(512, b"\0"), 11)
    missing = stream.size == sector * sectors
    return Joined([stream, Memory(stream.read_at(0, sector))]) if missing else Slice(stream)
