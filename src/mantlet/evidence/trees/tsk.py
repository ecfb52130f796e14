"""File systems through The Sleuth Kit: FAT12/16/32, exFAT, NTFS, ext2/3/4, ISO 9660; live and deleted files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytsk3

from mantlet import settings
from mantlet.evidence.stream import Stream
from mantlet.types import Absent, Entry, Reason, Recovery, Step, Times, escape

_FAT: Final = (
    pytsk3.TSK_FS_TYPE_FAT12,
    pytsk3.TSK_FS_TYPE_FAT16,
    pytsk3.TSK_FS_TYPE_FAT32,
    pytsk3.TSK_FS_TYPE_EXFAT,
)
_NTFS: Final = (pytsk3.TSK_FS_TYPE_NTFS,)
_NTFS_SYSTEM_RECORDS: Final = 24
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Image(pytsk3.Img_Info):  # type: ignore[misc]
    """A stream as The Sleuth Kit wants it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def read(self, offset: int, size: int) -> bytes:
        return self._stream.read_at(offset, size)

    def get_size(self) -> int:
        return self._stream.size

    def close(self) -> None:
        """The stream belongs to whoever opened it."""


class FileSystem:
    """The tree of one file system: its live files, then what is left of deleted ones.

    A deleted file's directory entry is believed only as far as the record it names still agrees:
    NTFS raises a record's sequence number on deletion, so a name's number must be the record's or one less;
    on any system a record that is allocated again belongs to another file, or to this one moved elsewhere.
    """

    def __init__(self, stream: Stream) -> None:
        self._fs = pytsk3.FS_Info(Image(stream))
        self._fat = self._fs.info.ftype in _FAT
        self._ntfs = self._fs.info.ftype in _NTFS
        self._root = self._fs.info.root_inum
        self._orphans = self._fs.info.last_inum  # TSK's virtual $OrphanFiles folder is its last record

    def walk(self) -> Iterator[Entry]:
        folders: set[int] = set()
        deleted: set[int] = set()
        yield from self._walk(self._root, b"", Recovery.LIVE, folders, deleted)

    def _walk(
        self, record: int, path: bytes, inherited: Recovery, folders: set[int], deleted: set[int]
    ) -> Iterator[Entry]:
        """One folder and all below it. `folders`: records of folders entered, against loops; `deleted`: records
        of deleted files listed, which several stale names may point to."""
        if record in folders:
            return
        folders.add(record)
        if path.count(b"/") > settings.TREE_DEPTH:
            absent = Absent(Reason.LIMIT, f"Folders are nested more than {settings.TREE_DEPTH} deep.")
            yield Entry(Step("file", record, escape(path)), 0, absent=absent)
            return
        try:
            listing = list(self._fs.open_dir(inode=record))
        except OSError:
            if inherited is Recovery.LIVE:
                absent = Absent(Reason.UNREADABLE, "The folder cannot be listed: its data is damaged.")
                yield Entry(Step("file", record, escape(path or b"/")), 0, absent=absent)
            return
        below = []
        for file in listing:
            name = file.info.name
            if name is None or name.name in (b".", b"..", b"$OrphanFiles"):
                continue
            full = path + b"/" + name.name
            gone = inherited is Recovery.DELETED or bool(int(name.flags) & pytsk3.TSK_FS_NAME_FLAG_UNALLOC)
            meta = self._meta(file, name)
            is_folder = _is_folder(name, meta)
            if not gone:
                if is_folder:
                    below.append((name.meta_addr, full, Recovery.LIVE))
                elif meta is not None and meta.type == pytsk3.TSK_FS_META_TYPE_REG:
                    yield self._entry(name.meta_addr, full, meta, Recovery.LIVE)
                elif meta is None and name.type == pytsk3.TSK_FS_NAME_TYPE_REG:
                    absent = Absent(Reason.UNREADABLE, "The file's record cannot be read.")
                    yield Entry(Step("file", name.meta_addr, escape(full)), 0, absent=absent)
                continue
            if meta is not None and int(meta.flags) & pytsk3.TSK_FS_META_FLAG_ALLOC:
                continue
            if is_folder:
                below.append((name.meta_addr, full, Recovery.DELETED))
            elif name.meta_addr not in deleted:
                deleted.add(name.meta_addr)
                yield self._deleted(name, full, meta)
        for child, full, recovery in below:
            yield from self._walk(child, full, recovery, folders, deleted)
        if record == self._root:
            yield from self._walk(self._orphans, b"/$OrphanFiles", Recovery.DELETED, folders, deleted)

    def _meta(self, file: Any, name: Any) -> Any:
        if file.info.meta is not None or not name.meta_addr:
            return file.info.meta
        try:
            return self._fs.open_meta(inode=name.meta_addr).info.meta
        except OSError:
            return None

    def _deleted(self, name: Any, path: bytes, meta: Any) -> Entry:
        if meta is None or not meta.size or meta.type != pytsk3.TSK_FS_META_TYPE_REG:
            absent = Absent(Reason.GONE, "A deleted name whose record no longer says where the content was.")
        elif self._ntfs and meta.seq not in (name.meta_seq, name.meta_seq + 1):
            absent = Absent(Reason.GONE, "A deleted name whose record has been used again since.")
        else:
            return self._entry(name.meta_addr, path, meta, Recovery.DELETED)
        return Entry(Step("file", name.meta_addr, escape(path)), 0, Recovery.DELETED, absent=absent)

    def _entry(self, record: int, path: bytes, meta: Any, recovery: Recovery) -> Entry:
        times = Times(*(self._time(seconds) for seconds in (meta.crtime, meta.mtime, meta.atime)))
        return Entry(Step("file", record, escape(path)), meta.size, recovery, times=times)

    def _time(self, seconds: int) -> str | None:
        """FAT and exFAT keep local time: TSK read it in this process's zone, which is undone here."""
        if not seconds:
            return None
        try:
            if self._fat:
                return f"{datetime.fromtimestamp(seconds).isoformat()}-00:00"
            return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            return None

    def open(self, step: Step) -> Stream:
        return File(self._fs.open_meta(inode=step.at))


def _is_folder(name: Any, meta: Any) -> bool:
    if meta is not None:
        return bool(meta.type in (pytsk3.TSK_FS_META_TYPE_DIR, pytsk3.TSK_FS_META_TYPE_VIRT_DIR))
    return bool(name.type == pytsk3.TSK_FS_NAME_TYPE_DIR)


class File(Stream):
    """The content of one file (on NTFS the unnamed data stream)."""

    def __init__(self, file: Any) -> None:
        self._file = file
        super().__init__(file.info.meta.size)

    def read_at(self, offset: int, length: int) -> bytes:
        data: bytes = self._file.read_random(offset, length)
        return data
