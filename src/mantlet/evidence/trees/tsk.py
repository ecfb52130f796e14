"""File systems through The Sleuth Kit: FAT12/16/32, exFAT, NTFS, ext2/3/4, ISO 9660; live and deleted files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import pytsk3

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.order import by_position
from mantlet.evidence.stream import Stream
from mantlet.evidence.trees.allocation import Allocated, allocation
from mantlet.types import Absent, Entry, Reason, Recovery, Step, Times, escape, unescape

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
        self.starved = False
        self.fault = ""
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def read(self, offset: int, size: int) -> bytes:
        try:
            return self._stream.read_at(offset, size)
        except (OSError, RefusedError) as error:
            self.fault = str(error)  # TSK takes a short read for a bad sector, and gives zeros for a file's bytes there
            return b""
        except MemoryError:
            self.starved = True  # which TSK would pass on as "no file system"
            return b""

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


_Placed = tuple[int, Entry]
"""An entry and the block of the medium where its content begins; 0 where that is not known, or in the record."""


class FileSystem:
    """The tree of one file system: its live files, and what is left of deleted ones; on NTFS with their alternate data
    streams, as `stream` steps, a path being followed by a colon and the stream's name.

    A file is live if its name and its record are allocated and every folder above it is live. A deleted name is
    believed as far as the rest of the file system still agrees with it:

    1. its record is free: one allocated again belongs to another file, or to this one moved elsewhere;
    2. where the name stands apart from the record (NTFS, orphans), its sequence number is the record's less one,
       which deletion adds;
    3. the record leads to as many blocks as the size needs, and none of them belongs to a live file.

    On FAT and exFAT a deleted file is taken to be contiguous, as nothing else is left to go by: one that was in
    pieces comes back damaged.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._image = image = Image(stream)
        try:
            self.fs = pytsk3.FS_Info(image)
        except OSError:
            if image.starved:
                raise MemoryError from None
            raise
        self._kind = self.fs.info.ftype
        self._root = self.fs.info.root_inum
        self._orphans = self.fs.info.last_inum  # TSK's virtual $OrphanFiles folder is its last record
        self._indexed = self._kind in _EXT
        self._sequences = 1 << (16 if self._kind == pytsk3.TSK_FS_TYPE_NTFS else 32)

    @cached_property
    def _allocated(self) -> Allocated | None:
        return allocation(self.fs)

    def walk(self) -> Iterator[Entry]:
        return by_position(self._listed())

    def _listed(self) -> Iterator[_Placed]:
        seen = _Seen()
        yield from self._walk(self._root, b"", Recovery.LIVE, seen)
        for record, path, meta in seen.untyped:
            if meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
                yield from self._walk(record, path, Recovery.LIVE, seen)
            elif record not in seen.named:
                seen.named.add(record)
                yield from self._content(self.fs.open_meta(inode=record), record, path, meta, Recovery.LIVE)
        yield from self._walk(self._orphans, b"/$OrphanFiles", Recovery.DELETED, seen)

    def _walk(self, record: int, path: bytes, recovery: Recovery, seen: _Seen) -> Iterator[_Placed]:
        """One folder and all below it."""
        if record in seen.folders:
            return
        seen.folders.add(record)
        try:
            if path.count(b"/") > settings.TREE_DEPTH:
                yield _unlisted(record, path, Reason.LIMIT, f"Folders are nested over {settings.TREE_DEPTH} deep.")
                return
            listing = list(self.fs.open_dir(inode=record))
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
    ) -> Iterator[_Placed]:
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
            yield from self._streams(file, name.meta_addr, path, meta, state)
        elif meta.type == pytsk3.TSK_FS_META_TYPE_REG and state is Recovery.LIVE:
            if self._indexed:
                seen.named.add(name.meta_addr)
            yield from self._content(file, name.meta_addr, path, meta, state)
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
                meta = self.fs.open_meta(inode=name.meta_addr).info.meta
            except OSError:
                return None, Recovery.DELETED if stale else Recovery.LIVE
            if meta.seq != (name.meta_seq + 1) % self._sequences:
                return None, Recovery.DELETED
            stale = True
        if int(meta.flags) & pytsk3.TSK_FS_META_FLAG_ALLOC:
            return meta, None if stale else Recovery.LIVE
        return meta, Recovery.DELETED

    def _content(self, file: Any, record: int, path: bytes, meta: Any, recovery: Recovery) -> Iterator[_Placed]:
        """A file that can be read, and its streams."""
        yield _start(attributes(file)), self._entry("file", record, path, meta, meta.size, recovery)
        yield from self._streams(file, record, path, meta, recovery)

    def _streams(self, file: Any, record: int, path: bytes, meta: Any, recovery: Recovery) -> Iterator[_Placed]:
        """Alternate data streams of NTFS, of folders too; one of holes only (`$BadClus:$Bad`) holds nothing."""
        if self._kind != pytsk3.TSK_FS_TYPE_NTFS:
            return
        for attribute in attributes(file):
            name = attribute.info.name
            if attribute.info.type != pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA or not name or not attribute.info.size:
                continue
            resident = int(attribute.info.flags) & pytsk3.TSK_FS_ATTR_RES
            if not resident and not any(not sparse for _, _, sparse in runs(attribute)):
                continue
            if recovery is Recovery.LIVE or not self._overwritten(attribute, attribute.info.size):
                full = path + b":" + name
                yield _start([attribute]), self._entry("stream", record, full, meta, attribute.info.size, recovery)

    def _deleted(self, record: int, path: bytes, meta: Any) -> Iterator[_Placed]:
        file = self.fs.open_meta(inode=record)
        content = next((each for each in attributes(file) if _is_content(each)), None)
        if not meta.size:  # ext3 and ext4 wipe it; a nameless record (orphan) without content says nothing at all
            if not path.startswith(b"/$OrphanFiles"):
                yield _absent(record, path, Recovery.DELETED, Reason.GONE, _GONE)
        elif content is None or self._overwritten(content, meta.size):
            yield _absent(record, path, Recovery.DELETED, Reason.GONE, _OVERWRITTEN)
        else:
            yield from self._content(file, record, path, meta, Recovery.DELETED)

    def _overwritten(self, attribute: Any, size: int) -> bool:
        if int(attribute.info.flags) & pytsk3.TSK_FS_ATTR_RES:
            return False
        pieces = list(runs(attribute))
        if sum(length for _, length, _ in pieces) * self.fs.info.block_size < size:
            return True  # nothing says where all of it is
        return self._allocated is not None and any(
            self._allocated(start, length) for start, length, sparse in pieces if not sparse
        )

    def _unlistable(self, record: int, path: bytes, recovery: Recovery, seen: _Seen) -> Iterator[_Placed]:
        """TSK gives up on all orphans when one orphaned folder is damaged; ext2, which keeps their blocks, is then
        asked record by record, and ext3 and ext4, which do not, have nothing to give."""
        if recovery is Recovery.LIVE:
            yield _unlisted(record, path or b"/", Reason.UNREADABLE, "The folder cannot be listed: it is damaged.")
        elif record == self._orphans and self._kind == pytsk3.TSK_FS_TYPE_EXT2:
            for number in range(self.fs.info.first_inum, self._orphans):
                meta = self.fs.open_meta(inode=number).info.meta
                is_free = not int(meta.flags) & pytsk3.TSK_FS_META_FLAG_ALLOC
                if is_free and meta.size and meta.type == pytsk3.TSK_FS_META_TYPE_REG and number not in seen.deleted:
                    yield from self._deleted(number, f"{path.decode()}/OrphanFile-{number}".encode(), meta)
        elif record == self._orphans and self._kind not in (pytsk3.TSK_FS_TYPE_EXT3, pytsk3.TSK_FS_TYPE_EXT4):
            why = "Deleted files that have lost their folder cannot be listed: one of their folders is damaged."
            yield _unlisted(record, path, Reason.GONE, why)

    def _entry(self, kind: str, record: int, path: bytes, meta: Any, size: int, recovery: Recovery) -> Entry:
        times = Times(*(self._time(seconds) for seconds in (meta.crtime, meta.mtime, meta.atime)))
        return Entry(Step(kind, record, escape(path)), size, recovery, times=times)

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
        file = self.fs.open_meta(inode=step.at)
        if step.kind != "stream":
            return File(self._image, file, file.info.meta.size)
        name = unescape(step.name).rpartition(b"/")[2]
        for attribute in attributes(file):
            if attribute.info.name and name.endswith(b":" + attribute.info.name):
                return File(self._image, file, attribute.info.size, (attribute.info.type, attribute.info.id))
        raise OSError("the file has no such stream")

    def beside(self, step: Step, name: str) -> Stream | None:
        """The live file of that name in the folder of an entry."""
        folder = unescape(step.name).rpartition(b"/")[0].decode("utf-8", "replace")
        try:
            file = self.fs.open(f"{folder}/{name}")
        except OSError:
            return None
        is_file = file.info.meta is not None and file.info.meta.type == pytsk3.TSK_FS_META_TYPE_REG
        return File(self._image, file, file.info.meta.size) if is_file else None


def _absent(record: int, path: bytes, recovery: Recovery, reason: Reason, detail: str) -> _Placed:
    return 0, Entry(Step("file", record, escape(path)), 0, recovery, absent=Absent(reason, detail))


def _unlisted(record: int, path: bytes, reason: Reason, detail: str) -> _Placed:
    return _absent(record, path, Recovery.LIVE, reason, detail)


def attributes(file: Any) -> list[Any]:
    """The attributes of a file as The Sleuth Kit can read them; it stops at a damaged one."""
    found = []
    try:
        for attribute in file:
            found.append(attribute)
    except (OSError, IndexError, ValueError):
        pass
    return found


def _is_content(attribute: Any) -> bool:
    return attribute.info.type in _CONTENT and not attribute.info.name


def runs(attribute: Any) -> Iterator[tuple[int, int, bool]]:
    """First block, blocks, and whether it is a hole, of each run."""
    for run in attribute:
        yield run.addr, run.len, bool(int(run.flags) & pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE)


def _start(attributes: list[Any]) -> int:
    """The first block of a file's content."""
    for attribute in attributes:
        if not int(attribute.info.flags) & pytsk3.TSK_FS_ATTR_RES and attribute.info.type in _CONTENT:
            return next((start for start, _, sparse in runs(attribute) if not sparse), 0)
    return 0


class File(Stream):
    """The content of one file, or of one of its attributes (type and number)."""

    def __init__(self, image: Image, file: Any, size: int, attribute: tuple[Any, int] | None = None) -> None:
        super().__init__(size)
        self._image = image
        self._file = file
        self._attribute = attribute

    def read_at(self, offset: int, length: int) -> bytes:
        self._image.fault = ""
        data: bytes = self._file.read_random(offset, length, *(self._attribute or ()))
        if self._image.fault:
            raise OSError(self._image.fault)
        return data
