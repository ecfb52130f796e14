"""Shadow copies: older states of an NTFS volume that Windows keeps within it, through libvshadow; and of each only what
newer states do not show already.

How they are kept is told in `mantlet.evidence.vss`. From it follows what needs no second look: a file whose record says
the same in an older state and a newer one, and of whose content no byte lies in a copied block that differs, is the
same byte for byte.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
import pytsk3
import pyvshadow

from mantlet.evidence import vss
from mantlet.evidence.stream import ForLibyal, Stream
from mantlet.evidence.trees.allocation import Allocated, allocation
from mantlet.evidence.trees.tsk import FileSystem, attributes, runs
from mantlet.evidence.vss import (
    Blocks,
    Numbers,
    Snapshot,
    block_lists,
    block_numbers,
    catalog_of,
    with_boot_copy,
)
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, escape, unescape

_SNAPSHOTS: Final = 512
"""Snapshots of one volume, at most; of shared folders Windows keeps 64."""
_COMPARED: Final = 16 * MIB
"""Bytes of one file that are compared; one with more in copied blocks is taken to differ."""
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_DAMAGED: Final = "The shadow copies of this volume cannot be read: what describes them is damaged or cut short."
_ELSEWHERE: Final = "The shadow copy keeps nothing on this volume: its store is on another one, or gone."
_MORE: Final = f"The volume has more than {_SNAPSHOTS} shadow copies."
_LOST: Final = Absent(
    Reason.GONE, "Deleted before the shadow copy was made, which kept no copy: other files lie there since."
)


class _State(msgspec.Struct, frozen=True):
    """The volume at one time."""

    stream: Stream
    files: FileSystem


class Shadows:
    """The snapshots of one volume, oldest first. One small read tells that there are none."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._read: dict[int, Numbers] = {}

    @cached_property
    def _catalog(self) -> int:
        """Where it lies; 0 where there is none."""
        return catalog_of(self._stream)

    @cached_property
    def _stores(self) -> list[Any]:
        """Raises OSError where the description of the snapshots is damaged."""
        if not self._catalog:
            return []
        volume = pyvshadow.volume()
        volume.open_file_object(ForLibyal(with_boot_copy(self._stream)))
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

    def copied(self, first: int, last: int) -> Blocks:
        """What the stores from a first to, and with, a last one keep: nothing else can differ between those states."""
        return Blocks([self._numbers(index) for index in range(first, last + 1)])

    def _numbers(self, index: int) -> Numbers:
        if index not in self._read:
            left = vss.COPIES - sum(len(each) for each in self._read.values())
            identifier = uuid.UUID(self._stores[index].identifier).bytes_le
            lists = [block_numbers(self._stream, offset, left) for offset in self._lists.get(identifier, [])]
            self._read[index] = np.concatenate([*lists, np.zeros(0, dtype=np.uint64)])
        return self._read[index]

    @cached_property
    def _lists(self) -> dict[bytes, list[int]]:
        return block_lists(self._stream, self._catalog)

    def snapshot(self, index: int) -> _State:
        """Raises OSError where it cannot be read, RefusedError where there is too much of it."""
        stream = Snapshot(self._stream, self._stores[index], self.copied(index, len(self) - 1))
        return _State(stream, FileSystem(stream))


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

    def _newer(self) -> tuple[_State, Blocks]:
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
        file = files.fs.open_meta(inode=step.at)
        for attribute in attributes(file):
            info = attribute.info
            if info.type == pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA and (info.name or b"") == name:
                flags = int(info.flags)
                resident = bool(flags & pytsk3.TSK_FS_ATTR_RES)
                data = file.read_random(0, info.size, info.type, info.id) if resident and info.size else b""
                where = () if resident else tuple(runs(attribute))
                return _Content(file.info.meta.seq, flags, info.size, data, where)
    except (OSError, ValueError):
        pass
    return None


def _stream_name(step: Step) -> str:
    return step.name.rpartition(":")[2] if step.kind == "stream" else ""


class _Seen:
    """What a newer state lists, and whether an entry of an older one is among it, with the same content."""

    def __init__(self, newer: _State, copied: Blocks) -> None:
        """Args: `copied` is where the newer state may differ from the older."""
        self._newer = newer
        self._copied = copied
        self._live: set[int | tuple[int, str]] = set()
        self._deleted: set[int | tuple[int, str]] = set()
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


def _key(step: Step) -> int | tuple[int, str]:
    """A file or a stream under whatever path: a file that was renamed is the same. As small as can be for most."""
    return step.at if step.kind == "file" else (step.at, _stream_name(step))


def _pieces(content: _Content, files: FileSystem) -> Iterator[tuple[int, int]]:
    """The ranges of bytes of the volume in which a content lies."""
    size = files.fs.info.block_size
    return ((first * size, (first + count) * size) for first, count, hole in content.runs if not hole)


class _Kept:
    """Whether the content of a deleted file can be in a snapshot still."""

    def __init__(self, copied: Blocks, newer: list[FileSystem]) -> None:
        """Args: `copied` is all that differs from today; `newer` are states that may use what is not copied."""
        self._copied = copied
        self._newer = newer

    @cached_property
    def _used(self) -> list[Allocated]:
        found = [allocation(files.fs) for files in self._newer]
        return [each for each in found if each is not None]

    def whole(self, entry: Entry, older: _State) -> bool:
        content = _content(older.files, entry.step)
        if content is None:
            return True
        size = older.files.fs.info.block_size
        return not any(
            used(low // size, -(-high // size) - low // size)
            for start, end in _pieces(content, older.files)
            for low, high, copied in self._copied.split(start, end)
            if not copied
            for used in self._used
        )
