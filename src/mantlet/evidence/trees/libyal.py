"""File systems that The Sleuth Kit does not read, or not well: HFS+, APFS, XFS, and NTFS of large clusters; through the
libyal libraries.

libfshfs, libfsapfs, libfsxfs and libfsntfs differ in little but names, so one walk serves all. They list live files:
deleted ones and the snapshots of APFS are not in their interface, and a journal is not replayed. What HFS+ and APFS
compressed (decmpfs) the libraries decompress. Resource forks and extended attributes are left out: they hold icons and
settings, no pictures of their own. Symbolic links are not followed: what they name is listed where it lies.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyfsapfs
import pyfshfs
import pyfsntfs
import pyfsxfs

from mantlet import settings
from mantlet.evidence.stream import ForLibyal, Joined, Library, Slice, Stream
from mantlet.types import Absent, Entry, Reason, Step, Times, escape, unescape

_FAILURES: Final = (OSError, ValueError, OverflowError, MemoryError)
"""What the libraries raise for what they cannot read: mostly OSError; the others where a number fits nowhere."""
_COUNT: Final = 2**63 - 1
_VOLUMES: Final = 100
"""Volumes of one APFS container at most (Apple File System Reference, NX_MAX_FILE_SYSTEMS)."""
_DAMAGED: Final = "The record of the file cannot be read: it is damaged."


class _FileSystem:
    """The tree of one file system: regular files, each under every name that it has.

    A folder is entered once, so a loop ends. Its entries are asked for by index, which the libraries answer from a list
    they made once (measured on XFS: 27 ms of CPU for 1,000 files of a folder of 6,000).
    """

    solid: Final = False
    _epoch = datetime(1970, 1, 1, tzinfo=UTC)
    _ticks = 1_000_000_000
    """In a second of this file system's times, which count from the epoch."""

    def __init__(self, root: Callable[[], Any], record: Callable[[int], Any], number: Callable[[Any], int]) -> None:
        """Args: what gives the root folder; the record of a number; the number (CNID, inode) of a record."""
        self._root = root
        self._record = record
        self._number = number

    def walk(self) -> Iterator[Entry]:
        try:
            folders = [(self._number(self._root()), b"")]
        except (*_FAILURES, TypeError):  # TypeError: there is no root folder
            yield _absent(0, b"/", Reason.UNREADABLE, "The file system cannot be listed: it is damaged.")
            return
        seen: set[int] = set()
        while folders:
            number, path = folders.pop()
            if number not in seen:
                seen.add(number)
                below: list[tuple[int, bytes]] = []
                yield from self._folder(number, path, below)
                folders.extend(reversed(below))

    def _folder(self, number: int, path: bytes, below: list[tuple[int, bytes]]) -> Iterator[Entry]:
        """The files of one folder; the folders in it go to `below`."""
        if path.count(b"/") > settings.TREE_DEPTH:
            yield _absent(number, path, Reason.LIMIT, f"Folders are nested over {settings.TREE_DEPTH} deep.")
            return
        try:
            folder = self._opened(number)
            count = folder.get_number_of_sub_file_entries()
        except _FAILURES:
            yield _absent(number, path or b"/", Reason.UNREADABLE, "The folder cannot be listed: it is damaged.")
            return
        for index in range(count):
            try:
                record = folder.get_sub_file_entry(index)
                child = path + b"/" + _name(record, index)
                yield from self._listed(record, child, below)
            except _FAILURES:
                yield _absent(0, path + b"/" + _unnamed(index), Reason.UNREADABLE, _DAMAGED)

    def _listed(self, record: Any, path: bytes, below: list[tuple[int, bytes]]) -> Iterator[Entry]:
        number = self._number(record)
        if number > _COUNT:
            raise OSError("a record number beyond any file system")
        try:
            kind = stat.S_IFMT(record.get_file_mode() or 0)
            # Mac OS before X left the mode unset (TN1150, "HFS Plus Permissions"): what has entries is a folder.
            if kind == stat.S_IFDIR or (not kind and record.get_number_of_sub_file_entries()):
                below.append((number, path))
            elif kind in (0, stat.S_IFREG):
                size = record.get_size()
                if size > _COUNT:
                    raise OSError("a size beyond any file system")
                yield Entry(Step("file", number, escape(path)), size, times=self._times(record))
        except _FAILURES:
            yield _absent(number, path, Reason.UNREADABLE, _DAMAGED)

    def _times(self, record: Any) -> Times:
        """UTC in all; 0 is of a time never set."""
        return Times(*(self._time(record, name) for name in ("creation", "modification", "access")))

    def _time(self, record: Any, name: str) -> str | None:
        """From the number, as libfsxfs counts year by year to make a date, and so hangs on a hostile one."""
        try:
            ticks = getattr(record, f"get_{name}_time_as_integer")()
            if not ticks:
                return None
            return (self._epoch + timedelta(seconds=ticks // self._ticks)).isoformat().replace("+00:00", "Z")
        except _FAILURES:
            return None

    def open(self, step: Step) -> Stream:
        return _File(self._opened(step.at))

    def _opened(self, number: int) -> Any:
        record = self._record(number)
        if record is None:
            raise OSError(f"there is no record {number}")
        return record


class Hfs(_FileSystem):
    """HFS+ and HFSX (Apple TN1150). Raises OSError when it is none.

    The indirect nodes of hard links are also listed as what they are, files of the hidden folder for them. Its times
    are seconds since 1904, in UTC (TN1150, "HFS Plus Dates").
    """

    _epoch = datetime(1904, 1, 1, tzinfo=UTC)
    _ticks = 1

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        volume = pyfshfs.open_file_object(ForLibyal(stream))
        super().__init__(
            volume.get_root_directory, volume.get_file_entry_by_identifier, pyfshfs.file_entry.get_identifier
        )

    def open(self, step: Step) -> Stream:
        """libfshfs reads no file without a mode, but says where it lies."""
        record = self._opened(step.at)
        if record.get_file_mode():
            return _File(record)
        extents = [record.get_extent(index)[:2] for index in range(record.get_number_of_extents())]
        whole = Joined([Slice(self._stream, offset, size) for offset, size in extents])
        if whole.size < record.get_size():
            raise OSError("the extents of the file are shorter than it is")
        return Slice(whole, 0, record.get_size())


class Xfs(_FileSystem):
    """XFS, versions 4 and 5. Raises OSError when it is none."""

    def __init__(self, stream: Stream) -> None:
        volume = pyfsxfs.open_file_object(ForLibyal(stream))
        super().__init__(volume.get_root_directory, volume.get_file_entry_by_inode, pyfsxfs.file_entry.get_inode_number)


class Ntfs(_FileSystem):
    """NTFS that The Sleuth Kit does not take, with clusters over 64 KiB (Windows makes them up to 2 MiB): live files
    and their alternate data streams. Raises OSError when it is none."""

    _epoch = datetime(1601, 1, 1, tzinfo=UTC)
    _ticks = 10_000_000

    def __init__(self, stream: Stream) -> None:
        volume = pyfsntfs.volume()
        volume.open_file_object(ForLibyal(stream))
        super().__init__(volume.get_root_directory, volume.get_file_entry, _record_number)
        self._volume = volume

    def _listed(self, record: Any, path: bytes, below: list[tuple[int, bytes]]) -> Iterator[Entry]:
        number = self._number(record)
        if record.has_directory_entries_index():
            below.append((number, path))
        else:
            yield Entry(Step("file", number, escape(path)), record.get_size(), times=self._times(record))
        for index in range(record.get_number_of_alternate_data_streams()):
            stream = record.get_alternate_data_stream(index)
            name = (stream.get_name() or "").encode("utf-8", "surrogatepass")
            yield Entry(
                Step("stream", number, escape(path + b":" + name)), stream.get_size(), times=self._times(record)
            )

    def open(self, step: Step) -> Stream:
        record = self._opened(step.at)
        if step.kind != "stream":
            return _File(record)
        name = unescape(step.name).rpartition(b":")[2].decode("utf-8", "surrogatepass")
        return _File(record.get_alternate_data_stream_by_name(name))


def _record_number(record: Any) -> int:
    """Without the sequence number, which is the upper 16 bits of a reference."""
    return int(record.get_file_reference()) & ((1 << 48) - 1)


class _ApfsVolume(_FileSystem):
    def __init__(self, volume: Any) -> None:
        super().__init__(
            volume.get_root_directory, volume.get_file_entry_by_identifier, pyfsapfs.file_entry.get_identifier
        )


class Apfs:
    """The volumes of an APFS container (Apple File System Reference). Raises OSError when it is none.

    A volume has size 0: all share the container's space, and none has a size of its own.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._container = pyfsapfs.open_file_object(ForLibyal(stream))

    def walk(self) -> Iterator[Entry]:
        for index in range(min(_VOLUMES, self._container.get_number_of_volumes())):
            name, absent = "", None
            try:
                volume = self._container.get_volume(index)
                name = escape((volume.get_name() or "").encode("utf-8", "surrogatepass"))
                if volume.is_locked():
                    absent = Absent(
                        Reason.ENCRYPTED, "The volume is locked by a password, which Mantlet cannot take yet."
                    )
            except _FAILURES:
                absent = Absent(Reason.UNREADABLE, "The volume cannot be read: it is damaged.")
            yield Entry(Step("volume", index, name), 0, absent=absent)

    def open(self, step: Step) -> _ApfsVolume:
        return _ApfsVolume(self._container.get_volume(step.at))


class _File(Library):
    """The content of one file (its data fork), decompressed; the holes of a sparse one read as zeros."""

    def __init__(self, record: Any) -> None:
        super().__init__(record, record.get_size(), "The file")

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        if len(data) < min(length, self.size - offset):
            raise OSError("the file is shorter than its record says")
        return data


def _name(record: Any, index: int) -> bytes:
    """The name in UTF-8. The libraries give none that is not Unicode (XFS takes any bytes); its file is listed."""
    try:
        return (record.get_name() or "").encode("utf-8", "surrogatepass") or _unnamed(index)
    except _FAILURES:
        return _unnamed(index)


def _unnamed(index: int) -> bytes:
    return b"$Unnamed-%d" % index


def _absent(number: int, path: bytes, reason: Reason, detail: str) -> Entry:
    return Entry(Step("file", number, escape(path)), 0, absent=Absent(reason, detail))
