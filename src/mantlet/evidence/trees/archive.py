"""7z, RAR, cabinet and other archives that can be read only from front to back, through libarchive
(https://www.libarchive.org), which is the system's: where it is missing, these are refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory, Slice, Stream
from mantlet.evidence.trees.member import member as entry_of
from mantlet.evidence.trees.member import utc
from mantlet.settings import IN_MEMORY_BYTES, MIB
from mantlet.types import Absent, Entry, Reason, Step, escape

try:
    import libarchive
    from libarchive.exception import ArchiveError
except (ImportError, OSError, TypeError, AttributeError):  # what ctypes raises where the system has none
    libarchive = None

MARKS: Final = (
    (b"7z\xbc\xaf\x27\x1c", "7z", "7zip", "none"),
    (b"Rar!\x1a\x07\x00", "RAR", "rar", "none"),
    (b"Rar!\x1a\x07\x01\x00", "RAR", "rar5", "none"),
    (b"MSCF\0\0\0\0", "cabinet", "cab", "none"),
    (b"LZIP\x01", "lzip", "tar", "lzip"),
    (b"\x04\x22\x4d\x18", "lz4", "tar", "lz4"),
    (b"\x1f\x9d", "compress", "tar", "compress"),
)
"""How each begins, its name, and libarchive's names of its format and of the filter in front: no other is tried."""
_HEAD: Final = 64 * 1024


def fits(head: bytes) -> bool:
    return any(head.startswith(mark) for mark, *_ in MARKS)


class NotATarError(RefusedError):
    """A compressed file that holds no archive."""


class Archive:
    """The tree of such an archive; `at` of a step is its number in the archive. The entry that `walk` gave last is
    opened without reading anything again; any other makes the archive be read from its start."""

    solid: Final = True

    def __init__(self, stream: Stream) -> None:
        head = stream.read_at(0, 16)
        _, name, form, through = next(each for each in MARKS if head.startswith(each[0]))
        self._kind = form, through
        if libarchive is None:
            why = f"It is a {name} archive: install libarchive (on Debian and Ubuntu libarchive13) and scan again."
            raise RefusedError(Reason.UNSUPPORTED, why)
        self._stream = stream
        self._members: Iterator[Any] = iter(())
        self._begin()
        if form == "tar":  # a filter alone tells nothing of what is in it
            try:
                self._next()
            except ArchiveError as error:
                raise NotATarError(Reason.UNSUPPORTED, "No tar archive is in it.") from error

    def _begin(self) -> None:
        self._members, self._at, self._fresh = self._read(), -1, False
        self._member: Any = None

    def _read(self) -> Iterator[Any]:
        with ExitStack() as opened:
            form, through = self._kind
            reader = libarchive.stream_reader(Slice(self._stream), form, through, block_size=_HEAD)
            yield from opened.enter_context(reader)

    def _next(self) -> Any:
        self._at, self._fresh = self._at + 1, True
        self._member = next(self._members, None)
        return self._member

    def walk(self) -> Iterator[Entry]:
        self._begin()
        while True:
            try:
                member = self._next()
            except (ArchiveError, OSError, UnicodeError, ValueError) as error:
                yield entry_of(self._at, "...", 0, absent=_absent(error))
                return
            if member is None:
                return
            if (member.isreg or not member.filetype) and not member.islnk:
                yield entry_of(self._at, _name(member), member.size or 0, utc(member.mtime))

    def open(self, step: Step) -> Stream:
        if self._at > step.at or (self._at == step.at and not self._fresh):
            self._begin()
        try:
            while self._at < step.at:
                if self._next() is None:
                    raise OSError("the archive has no such member")
            self._fresh = False  # a member's bytes pass once
            size = max(0, self._member.size or 0)
            if size > IN_MEMORY_BYTES:
                return _Passing(self._member, size)
            return Memory(b"".join(self._member.get_blocks(_HEAD)))
        except ArchiveError as error:
            absent = _absent(error)
            raise RefusedError(absent.reason, absent.detail) from error


class _Passing(Stream):
    """A member too large for memory: its first bytes at any time, the rest once, from front to back."""

    sequential = True

    def __init__(self, member: Any, size: int) -> None:
        super().__init__(size)
        self._blocks = member.get_blocks(_HEAD)
        self._head = self._more(_HEAD)
        self._rest = b""
        self._at = len(self._head)

    def _more(self, length: int) -> bytes:
        data = bytearray()
        for block in self._blocks:
            data += block
            if len(data) >= length:
                break
        return bytes(data)

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < len(self._head):
            return self._head[offset : offset + length]
        if offset != self._at:
            most = IN_MEMORY_BYTES // MIB
            raise RefusedError(Reason.LIMIT, f"It is larger than {most} MiB, in an archive that is read only onwards.")
        if len(self._rest) < length:
            self._rest += self._more(length - len(self._rest))
        data, self._rest = self._rest[:length], self._rest[length:]
        self._at += len(data)
        return data


def _name(member: Any) -> str:
    name = member.pathname or ""
    return escape(name if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass"))


def _absent(error: Exception) -> Absent:
    said = error.msg if isinstance(error, ArchiveError) else error  # whose own text holds an address in memory
    text = " ".join(str(said or "it is damaged or cut short").split())[:150].rstrip(". ")
    if "ncrypt" in text or "assphrase" in text:
        return Absent(Reason.ENCRYPTED, "It is locked by a password, which Mantlet cannot take yet.")
    return Absent(Reason.DAMAGED, f"The archive cannot be read on from here: {text}.")
