"""Shadow copies: older states of an NTFS volume that Windows keeps within it, through libvshadow; and of each only what
newer states do not show already.

Source: J. Metz, "Volume Shadow Snapshot (VSS) format" (documentation of libvshadow), section names in quotes below.
Of every block of 16 KiB that changed after a snapshot, its store keeps the bytes from before the first change. A
snapshot is thus the volume of today with the copies of the newest store laid over it, then those of the one before,
down to its own ("Store"); where none of these stores has a copy of a block, its bytes are those of today.

From that follows what needs no second look: a file whose record says the same in an older state and a newer one, and
of whose content no byte lies in a copied block that differs, is the same byte for byte.
"""

from __future__ import annotations

import struct
import uuid
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
import pytsk3
import pyvshadow
from numpy.typing import NDArray

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Joined, Library, Memory, Slice, Stream
from mantlet.evidence.trees.allocation import Allocated, allocation
from mantlet.evidence.trees.tsk import FileSystem, _attributes, _runs
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, escape, unescape

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
_SNAPSHOTS: Final = 512
"""Snapshots of one volume, at most; Windows keeps 64 (Microsoft, "Volume Shadow Copy Service", limits)."""
_EXCLUSIVE: Final = 0x03
"""Flags that no block has together: forwarder and overlay ("Store block descriptor flags", notes)."""
_COPIES: Final = 2_000_000
"""Blocks in all stores of a volume, at most: 30 GiB of copies. They take some 250 bytes of memory each."""
_COMPARED: Final = 16 * MIB
"""Bytes of one file that are compared; one with more in copied blocks is taken to differ."""
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_DAMAGED: Final = "The shadow copies of this volume cannot be read: what describes them is damaged or cut short."
_ELSEWHERE: Final = "The shadow copy keeps nothing on this volume: its store is on another one, or gone."
_MORE: Final = f"The volume has more than {_SNAPSHOTS} shadow copies."
_LOST: Final = Absent(
    Reason.GONE, "Deleted before the shadow copy was made, which kept no copy: other files lie there since."
)


class _Blocks:
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


def _lists(stream: Stream, catalog: int) -> dict[bytes, list[int]]:
    """Where the block list of each store begins, by the store's identifier ("Catalog entry type 0x03"). One listed
    twice may have two."""
    found: dict[bytes, list[int]] = {}
    for block in _chain(stream, catalog, _CATALOG_BLOCK):
        for at in range(_RECORD, BLOCK, _ENTRY):
            kind, offset, identifier = struct.unpack_from("<QQ16s", block, at)
            if kind == _STORE:
                found.setdefault(identifier, []).append(offset)
    return found


def _numbers(stream: Stream, offset: int, most: int) -> Numbers:
    """The numbers of the blocks in a block list ("Block descriptor"), whatever their flags say: one that is not used,
    or that stands for another, is then read once more than needed.

    Read here and not through libvshadow, which takes 8 s for 100,000 of them, as it counts from the first for each; and
    before it reads any, as a forwarder that is also an overlay makes it write to memory it has freed.

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
            raise RefusedError(Reason.LIMIT, f"The shadow copies of the volume hold more than {_COPIES:,} blocks.")
    return np.concatenate(found)


class _Snapshot(Stream):
    """The volume as it was.

    What no store copied is read from the volume of today, as libvshadow gives zeros for blocks that nobody used at the
    time of the newest snapshot ("Reading snapshot data"): what is left of a deleted file may lie there.
    """

    def __init__(self, volume: Stream, store: Any, copied: _Blocks) -> None:
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


class _State(msgspec.Struct, frozen=True):
    """The volume at one time."""

    stream: Stream
    files: FileSystem


class Shadows:
    """The snapshots of one volume, oldest first. One small read tells that there are none."""

    def __init__(self, stream: Stream) -> None:
        header = stream.read_at(_HEADER, 56)
        self._catalog = int.from_bytes(header[48:], "little") if header.startswith(_IDENTIFIER) else 0
        self._stream = stream
        self._read: dict[int, Numbers] = {}

    @cached_property
    def _stores(self) -> list[Any]:
        """Raises OSError where the description of the snapshots is damaged."""
        if not self._catalog:
            return []
        volume = pyvshadow.volume()
        volume.open_file_object(_with_boot_copy(self._stream))
        return [volume.get_store(index) for index in range(min(volume.number_of_stores, _SNAPSHOTS + 1))]

    def walk(self) -> Iterator[Entry]:
        """One entry for each snapshot, to be expanded; `name` is when it was made."""
        try:
            stores = self._stores
        except OSError:
            yield Entry(Step("shadow"), 0, absent=Absent(Reason.UNREADABLE, _DAMAGED))
            return
        for index, store in enumerate(stores[:_SNAPSHOTS]):
            absent = None if store.has_in_volume_data() else Absent(Reason.UNREADABLE, _ELSEWHERE)
            name = escape((_moment(store.get_creation_time_as_integer()) or "").encode())
            yield Entry(Step("shadow", index, name), self._stream.size, absent=absent)
        if len(stores) > _SNAPSHOTS:
            yield Entry(Step("shadow", _SNAPSHOTS), 0, absent=Absent(Reason.LIMIT, _MORE))

    def open(self, step: Step, live: FileSystem) -> ShadowCopy:
        """A snapshot. Args: `live` is the file system of the volume as it is today.

        Raises:
            OSError: it is damaged, or not there.
            RefusedError: its stores, or those of newer ones, hold too much.
        """
        if step.at >= min(len(self._stores), _SNAPSHOTS):
            raise OSError(f"there is no shadow copy {step.at}")
        return ShadowCopy(self, step.at, live)

    @property
    def volume(self) -> Stream:
        """As it is today."""
        return self._stream

    def __len__(self) -> int:
        return len(self._stores)

    def copied(self, first: int, last: int) -> _Blocks:
        """What the stores from a first to, and with, a last one keep: nothing else can differ between those states."""
        return _Blocks([self._numbers(index) for index in range(first, last + 1)])

    def _numbers(self, index: int) -> Numbers:
        if index not in self._read:
            left = _COPIES - sum(len(each) for each in self._read.values())
            identifier = uuid.UUID(self._stores[index].identifier).bytes_le
            lists = [_numbers(self._stream, offset, left) for offset in self._lists.get(identifier, [])]
            self._read[index] = np.concatenate([*lists, np.zeros(0, dtype=np.uint64)])
        return self._read[index]

    @cached_property
    def _lists(self) -> dict[bytes, list[int]]:
        return _lists(self._stream, self._catalog)

    def snapshot(self, index: int) -> _State:
        """Raises OSError where it cannot be read, RefusedError where there is too much of it."""
        stream = _Snapshot(self._stream, self._stores[index], self.copied(index, len(self) - 1))
        return _State(stream, FileSystem(stream))


def _with_boot_copy(stream: Stream) -> Stream:
    """The volume, with a position of its own, and with the copy of its boot sector that NTFS keeps behind the last
    sector it counts: libvshadow insists on it, and an image of a logical drive ends before it."""
    sector, sectors = struct.unpack_from("<H27xQ", stream.read_at(0, 512).ljust(512, b"\0"), 11)
    missing = stream.size == sector * sectors
    return Joined([stream, Memory(stream.read_at(0, sector))]) if missing else Slice(stream)


def _moment(ticks: int) -> str | None:
    """A FILETIME, 100 ns since 1601 in UTC, in RFC 3339; None beyond the year 9999."""
    try:
        return (_EPOCH + timedelta(microseconds=ticks // 10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return None


class ShadowCopy:
    """The tree of one snapshot: its files, live and deleted, that the next newer state has not got as they are.

    The next newer state is the next snapshot that can be read, or today. So what changed once is listed once, in the
    last snapshot that has it: what this one leaves out the next newer lists, or leaves out in its turn for one after.

    A deleted file is taken for overwritten where its content was not copied, and a newer state uses its clusters:
    Windows copies no block that nobody used, so that the bytes of the newer file would come under the deleted name.
    """

    solid: Final = False

    def __init__(self, shadows: Shadows, index: int, live: FileSystem) -> None:
        self._shadows = shadows
        self._index = index
        self._live = live
        self._state = shadows.snapshot(index)

    def walk(self) -> Iterator[Entry]:
        """Lists the newer state first, as only what is there listed, and readable, may be left out here."""
        newer, copied = self._newer()
        seen = _Seen(newer, copied)
        kept = _Kept(self._shadows.copied(self._index, len(self._shadows) - 1), [newer.files, self._live])
        for entry in self._state.files.walk():
            if not seen.has(entry, self._state):
                deleted = entry.recovery is Recovery.DELETED and not entry.absent
                if deleted and not kept.whole(entry, self._state):
                    yield Entry(entry.step, 0, Recovery.DELETED, Containment.SHADOW_COPY, entry.times, _LOST)
                else:
                    yield msgspec.structs.replace(entry, containment=Containment.SHADOW_COPY)

    def _newer(self) -> tuple[_State, _Blocks]:
        """The next newer state, and where it may differ. An overlay, a copy of parts of a block, counts in the state
        of its own store alone ("Reading snapshot data"): hence with the blocks of the newer store."""
        for index in range(self._index + 1, len(self._shadows)):
            try:
                return self._shadows.snapshot(index), self._shadows.copied(self._index, index)
            except OSError:
                continue  # nothing will be listed of it, so nothing counts as seen in it
        everything = self._shadows.copied(self._index, len(self._shadows) - 1)
        return _State(self._shadows.volume, self._live), everything

    def open(self, step: Step) -> Stream:
        return self._state.files.open(step)


class _Content(msgspec.Struct, frozen=True):
    """What a record says of a file's content, or of one of its streams: with equal bytes in the runs it is equal.

    `sequence` tells one owner of the record from the next. `resident`: the content itself, where it lies in the record.
    `runs`: first cluster, clusters, whether it is a hole.
    """

    sequence: int
    flags: int
    size: int
    resident: bytes
    runs: tuple[tuple[int, int, bool], ...]


def _content(files: FileSystem, step: Step) -> _Content | None:
    """Of an entry of this file system; None where its record cannot be read, or is of something else."""
    name = unescape(_stream_name(step))
    try:
        file = files._fs.open_meta(inode=step.at)
        for attribute in _attributes(file):
            info = attribute.info
            if info.type == pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA and (info.name or b"") == name:
                flags = int(info.flags)
                resident = bool(flags & pytsk3.TSK_FS_ATTR_RES)
                data = file.read_random(0, info.size, info.type, info.id) if resident and info.size else b""
                runs = () if resident else tuple(_runs(attribute))
                return _Content(file.info.meta.seq, flags, info.size, data, runs)
    except (OSError, ValueError):
        pass
    return None


def _stream_name(step: Step) -> str:
    return step.name.rpartition(":")[2] if step.kind == "stream" else ""


class _Seen:
    """What a newer state lists, and whether an entry of an older one is among it, with the same content."""

    def __init__(self, newer: _State, copied: _Blocks) -> None:
        """Args: `copied` is where the newer state may differ from the older."""
        self._newer = newer
        self._copied = copied
        self._live: set[tuple[int, str]] = set()
        self._deleted: set[tuple[int, str]] = set()
        self._absent: set[Step] = set()
        for entry in newer.files.walk():
            if entry.absent:
                self._absent.add(entry.step)
            else:
                (self._live if entry.recovery is Recovery.LIVE else self._deleted).add(_key(entry.step))

    def has(self, entry: Entry, older: _State) -> bool:
        """A file that was live and is deleted in the newer state counts as another, even if its content is left: that
        it was live then is worth telling."""
        if entry.absent:
            return entry.step in self._absent
        key = _key(entry.step)
        if key not in self._live and (entry.recovery is Recovery.LIVE or key not in self._deleted):
            return False
        if not entry.size:
            return True
        content = _content(older.files, entry.step)
        return (
            content is not None and content == _content(self._newer.files, entry.step) and self._equal(content, older)
        )

    def _equal(self, content: _Content, older: _State) -> bool:
        """Whether the bytes in copied blocks are equal: a block of 16 KiB is also copied for a neighbour's sake."""
        left = _COMPARED
        for start, end in _pieces(content, older.files):
            for low, high, copied in self._copied.split(start, end):
                left -= high - low if copied else 0
                if left < 0 or (copied and not self._alike(low, high, older.stream)):
                    return False
        return True

    def _alike(self, low: int, high: int, older: Stream) -> bool:
        try:
            return all(
                older.read_at(at, min(MIB, high - at)) == self._newer.stream.read_at(at, min(MIB, high - at))
                for at in range(low, high, MIB)
            )
        except OSError:
            return False


def _key(step: Step) -> tuple[int, str]:
    """A file or a stream under whatever path: a file that was renamed is the same."""
    return step.at, _stream_name(step)


def _pieces(content: _Content, files: FileSystem) -> Iterator[tuple[int, int]]:
    """The ranges of bytes of the volume in which a content lies."""
    size = files._fs.info.block_size
    return ((first * size, (first + count) * size) for first, count, hole in content.runs if not hole)


class _Kept:
    """Whether the content of a deleted file can be in a snapshot still."""

    def __init__(self, copied: _Blocks, newer: list[FileSystem]) -> None:
        """Args: `copied` is all that differs from today; `newer` are states that may use what is not copied."""
        self._copied = copied
        self._newer = newer

    @cached_property
    def _used(self) -> list[Allocated]:
        found = [allocation(files._fs) for files in self._newer]
        return [each for each in found if each is not None]

    def whole(self, entry: Entry, older: _State) -> bool:
        content = _content(older.files, entry.step)
        if content is None:
            return True
        size = older.files._fs.info.block_size
        return not any(
            used(low // size, -(-high // size) - low // size)
            for start, end in _pieces(content, older.files)
            for low, high, copied in self._copied.split(start, end)
            if not copied
            for used in self._used
        )
