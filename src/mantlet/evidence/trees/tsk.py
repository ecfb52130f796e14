"""File systems through The Sleuth Kit: FAT12/16/32, exFAT, NTFS, ext2/3/4, ISO 9660; live and deleted files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import pytsk3

from mantlet import settings
from mantlet.evidence.stream import Stream
from mantlet.evidence.trees.allocation import Allocated, allocation
from mantlet.types import Absent, Entry, Reason, Recovery, Step, Times, escape

_FAT: Final = (
    pytsk3.TSK_FS_TYPE_FAT12,
    pytsk3.TSK_FS_TYPE_FAT16,
    pytsk3.TSK_FS_TYPE_FAT32,
    pytsk3.TSK_FS_TYPE_EXFAT,
)
_EXT: Final = (pytsk3.TSK_FS_TYPE_EXT2, pytsk3.TSK_FS_TYPE_EXT3, pytsk3.TSK_FS_TYPE_EXT4)
_CONTENT: Final = (pytsk3.TSK_FS_ATTR_TYPE_DEFAULT, pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GONE: Final = "A deleted name whose record no longer says where the content was."
_OVERWRITTEN: Final = "A deleted file: other files lie where its content was."


class Image(pytsk3.Img_Info):  # type: ignore[misc]
    """A stream as The Sleuth Kit wants it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def read(self, offset: int, size: int) -> bytes:
        try:
            return self._stream.read_at(offset, size)
        except OSError:
            return b""  # TSK takes a short read for a bad sector, which costs only what lies there

    def get_size(self) -> int:
        return self._stream.size

    def close(self) -> None:
        """The stream belongs to whoever opened it."""


class _Seen:
    """What a walk remembers: records of folders entered, against loops; of deleted files listed, to which several stale
    names may point; and on ext the files named, and the names without a type.

    In a large folder of ext3 or ext4, TSK takes parts of the hash tree for names, without a type and with a random
    record. Such a name is believed only if nothing else names its file: a real one whose type was wiped.
    """

    def __init__(self) -> None:
        self.folders: set[int] = set()
        self.deleted: set[int] = set()
        self.named: set[int] = set()
        self.untyped: list[tuple[int, bytes, Any]] = []


class FileSystem:
    """The tree of one file system: its live files, and what is left of deleted ones.

    A file is live if its name and its record are allocated and every folder above it is live. A deleted name is
    believed as far as the rest of the file system still agrees with it:

    1. its record is free: one allocated again belongs to another file, or to this one moved elsewhere;
    2. where the name stands apart from the record (NTFS, orphans), its sequence number is the record's less one,
       which deletion adds;
    3. the record leads to as many blocks as the size needs, and none of them belongs to a live file.

    On FAT and exFAT a deleted file is taken to be contiguous, as nothing else is left to go by: one that was in
    pieces comes back damaged.
    """

    def __init__(self, stream: Stream) -> None:
        self._fs = pytsk3.FS_Info(Image(stream))
        self._kind = self._fs.info.ftype
        self._root = self._fs.info.root_inum
        self._orphans = self._fs.info.last_inum  # TSK's virtual $OrphanFiles folder is its last record
        self._indexed = self._kind in _EXT
        self._sequences = 1 << (16 if self._kind == pytsk3.TSK_FS_TYPE_NTFS else 32)

    @cached_property
    def _allocated(self) -> Allocated | None:
        return allocation(self._fs)

    def walk(self) -> Iterator[Entry]:
        seen = _Seen()
        yield from self._walk(self._root, b"", Recovery.LIVE, seen)
        for record, path, meta in seen.untyped:
            if meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
                yield from self._walk(record, path, Recovery.LIVE, seen)
            elif record not in seen.named:
                seen.named.add(record)
                yield self._entry(record, path, meta, Recovery.LIVE)
        yield from self._walk(self._orphans, b"/$OrphanFiles", Recovery.DELETED, seen)

    def _walk(self, record: int, path: bytes, recovery: Recovery, seen: _Seen) -> Iterator[Entry]:
        """One folder and all below it."""
        if record in seen.folders:
            return
        seen.folders.add(record)
        try:
            if path.count(b"/") > settings.TREE_DEPTH:
                yield _unlisted(record, path, Reason.LIMIT, f"Folders are nested over {settings.TREE_DEPTH} deep.")
                return
            listing = list(self._fs.open_dir(inode=record))
        except OSError:
            yield from self._unlistable(record, path, recovery, seen)
            return
        typed = any(file.info.name.type == pytsk3.TSK_FS_NAME_TYPE_DIR for file in listing if file.info.name)
        below: list[tuple[int, bytes, Recovery]] = []
        for file in listing:
            if file.info.name is not None and file.info.name.name not in (b".", b"..", b"$OrphanFiles"):
                yield from self._named(file, path + b"/" + file.info.name.name, recovery, seen, typed, below)
        for child, full, state in below:
            yield from self._walk(child, full, state, seen)

    def _named(
        self,
        file: Any,
        path: bytes,
        inherited: Recovery,
        seen: _Seen,
        typed: bool,
        below: list[tuple[int, bytes, Recovery]],
    ) -> Iterator[Entry]:
        """What one name of a folder stands for; a folder goes to `below`. `typed`: names there have a type."""
        name = file.info.name
        meta, state = self._judge(file, inherited)
        if meta is None or state is None:
            if state is not None and name.meta_addr not in seen.deleted:
                yield _absent(name.meta_addr, path, state, Reason.GONE, _GONE)
        elif self._indexed and typed and state is Recovery.LIVE and name.type == pytsk3.TSK_FS_NAME_TYPE_UNDEF:
            seen.untyped.append((name.meta_addr, path, meta))
        elif meta.type in (pytsk3.TSK_FS_META_TYPE_DIR, pytsk3.TSK_FS_META_TYPE_VIRT_DIR):
            below.append((name.meta_addr, path, state))
        elif meta.type == pytsk3.TSK_FS_META_TYPE_REG and state is Recovery.LIVE:
            if self._indexed:
                seen.named.add(name.meta_addr)
            yield self._entry(name.meta_addr, path, meta, state)
        elif meta.type == pytsk3.TSK_FS_META_TYPE_REG and name.meta_addr not in seen.deleted:
            seen.deleted.add(name.meta_addr)
            yield from self._deleted(name.meta_addr, path, meta)

    def _judge(self, file: Any, inherited: Recovery) -> tuple[Any, Recovery | None]:
        """The record a name leads to (None: none any more) and whether the file is live or deleted (None: the name
        says nothing, being left over from a file that lives on)."""
        name, meta = file.info.name, file.info.meta
        stale = inherited is Recovery.DELETED or not int(name.flags) & pytsk3.TSK_FS_NAME_FLAG_ALLOC
        if meta is None and not name.meta_addr:
            return None, None
        if meta is None:
            try:
                meta = self._fs.open_meta(inode=name.meta_addr).info.meta
            except OSError:
                return None, Recovery.DELETED if stale else Recovery.LIVE
            if meta.seq != (name.meta_seq + 1) % self._sequences:
                return None, Recovery.DELETED
            stale = True
        if int(meta.flags) & pytsk3.TSK_FS_META_FLAG_ALLOC:
            return meta, None if stale else Recovery.LIVE
        return meta, Recovery.DELETED

    def _deleted(self, record: int, path: bytes, meta: Any) -> Iterator[Entry]:
        if not meta.size:  # ext3 and ext4 wipe it; a nameless record (orphan) without content says nothing at all
            if not path.startswith(b"/$OrphanFiles"):
                yield _absent(record, path, Recovery.DELETED, Reason.GONE, _GONE)
        elif self._overwritten(record, meta.size):
            yield _absent(record, path, Recovery.DELETED, Reason.GONE, _OVERWRITTEN)
        else:
            yield self._entry(record, path, meta, Recovery.DELETED)

    def _overwritten(self, record: int, size: int) -> bool:
        try:
            for attribute in self._fs.open_meta(inode=record):
                if attribute.info.type not in _CONTENT or attribute.info.name:
                    continue
                if int(attribute.info.flags) & pytsk3.TSK_FS_ATTR_RES:
                    return False
                runs = [(run.addr, run.len, int(run.flags)) for run in attribute]
                if sum(length for _, length, _ in runs) * self._fs.info.block_size < size:
                    return True
                return self._allocated is not None and any(
                    self._allocated(start, length)
                    for start, length, flags in runs
                    if not flags & pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE
                )
        except (OSError, IndexError, ValueError):
            pass
        return True  # nothing says where the content is

    def _unlistable(self, record: int, path: bytes, recovery: Recovery, seen: _Seen) -> Iterator[Entry]:
        """TSK gives up on all orphans when one orphaned folder is damaged; ext2, which keeps their blocks, is then
        asked record by record, and ext3 and ext4, which do not, have nothing to give."""
        if recovery is Recovery.LIVE:
            yield _unlisted(record, path or b"/", Reason.UNREADABLE, "The folder cannot be listed: it is damaged.")
        elif record == self._orphans and self._kind == pytsk3.TSK_FS_TYPE_EXT2:
            for number in range(self._fs.info.first_inum, self._orphans):
                meta = self._fs.open_meta(inode=number).info.meta
                is_free = not int(meta.flags) & pytsk3.TSK_FS_META_FLAG_ALLOC
                if is_free and meta.size and meta.type == pytsk3.TSK_FS_META_TYPE_REG and number not in seen.deleted:
                    yield from self._deleted(number, f"{path.decode()}/OrphanFile-{number}".encode(), meta)
        elif record == self._orphans and self._kind not in (pytsk3.TSK_FS_TYPE_EXT3, pytsk3.TSK_FS_TYPE_EXT4):
            why = "Deleted files that have lost their folder cannot be listed: one of their folders is damaged."
            yield _unlisted(record, path, Reason.GONE, why)

    def _entry(self, record: int, path: bytes, meta: Any, recovery: Recovery) -> Entry:
        times = Times(*(self._time(seconds) for seconds in (meta.crtime, meta.mtime, meta.atime)))
        return Entry(Step("file", record, escape(path)), meta.size, recovery, times=times)

    def _time(self, seconds: int) -> str | None:
        """FAT and exFAT keep local time: TSK read it in this process's zone, which is undone here."""
        if not seconds:
            return None
        try:
            if self._kind in _FAT:
                return f"{datetime.fromtimestamp(seconds).isoformat()}-00:00"
            return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            return None

    def open(self, step: Step) -> Stream:
        return File(self._fs.open_meta(inode=step.at))


def _absent(record: int, path: bytes, recovery: Recovery, reason: Reason, detail: str) -> Entry:
    return Entry(Step("file", record, escape(path)), 0, recovery, absent=Absent(reason, detail))


def _unlisted(record: int, path: bytes, reason: Reason, detail: str) -> Entry:
    return _absent(record, path, Recovery.LIVE, reason, detail)


class File(Stream):
    """The content of one file (on NTFS the unnamed data stream)."""

    def __init__(self, file: Any) -> None:
        self._file = file
        super().__init__(file.info.meta.size)

    def read_at(self, offset: int, length: int) -> bytes:
        data: bytes = self._file.read_random(offset, length)
        return data
