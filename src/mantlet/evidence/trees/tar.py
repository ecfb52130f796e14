"""Tar archives, plain or within any compression, by the standard library's `tarfile`."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, Final

from mantlet.errors import RefusedError, plain
from mantlet.evidence.stream import Memory, Slice, Stream
from mantlet.evidence.trees.member import member as entry_of
from mantlet.evidence.trees.member import utc
from mantlet.settings import IN_MEMORY_BYTES, MIB
from mantlet.types import Absent, Entry, Reason, Step, escape

_BLOCK: Final = 512
_STRIDE: Final = 64 * 1024
_AHEAD: Final = 16 * MIB


def fits(head: bytes) -> bool:
    """POSIX and GNU archives have a mark (IEEE 1003.1, pax, "ustar Interchange Format"); older ones a checksum only."""
    if head[257:262] == b"ustar":
        return True
    try:
        stated = int(head[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return stated == sum(head[:148]) + 8 * 32 + sum(head[156:_BLOCK]) and head[:1] not in (b"", b"\0")


class Tar:
    """The tree of a tar archive; `at` of a step is where the member's header begins.

    Symbolic and hard links are no entries: what they lead to is listed where it lies, or lies outside.
    """

    def __init__(self, stream: Stream) -> None:
        self.solid = stream.sequential
        self._stream = stream

    def _opened(self, at: int) -> Any:
        tar: Any = tarfile.TarFile(
            fileobj=Slice(self._stream), errorlevel=2, encoding="utf-8", errors="surrogateescape"
        )
        if at:
            tar.firstmember, tar.offset = None, at
        return tar

    def walk(self) -> Iterator[Entry]:
        tar, at = self._opened(0), 0
        while True:
            try:
                member = tar.next()
                fault = "" if member else self._fault_at(tar.offset)
            except (tarfile.TarError, OSError, ValueError) as error:
                member, fault = None, plain(error, 100)
            if member is None:
                where = tar.offset
                if fault:
                    why = f"The archive is damaged or cut short at byte {at:,}: {fault}."
                    yield entry_of(where, "...", 0, absent=Absent(Reason.DAMAGED, why))
                following = self._next_header(where)
                if following is None:
                    return
                tar, at = self._opened(following), following
                continue
            tar.members.clear()  # which else keeps a million of them
            at = tar.offset
            if member.isreg():
                name = escape(member.name.encode("utf-8", "surrogateescape"))
                yield entry_of(member.offset, name, member.size, utc(float(member.mtime)))

    def _fault_at(self, at: int) -> str:
        """Why no member begins there: "" at an end that is one."""
        block = self._stream.read_at(at, _BLOCK)
        return "no header is there" if any(block) else ""

    def _next_header(self, at: int) -> int | None:
        """Where the next header is: behind damage, or behind the end of an archive that another was put behind (GNU
        tar, "Concatenating"). Not looked for over more than `_AHEAD`."""
        for offset in range(at + _BLOCK, at + _AHEAD, _STRIDE):
            data = self._stream.read_at(offset, _STRIDE)
            for inside in range(0, len(data) - _BLOCK + 1, _BLOCK):
                if data[inside + 257 : inside + 262] == b"ustar" and fits(data[inside : inside + _BLOCK]):
                    return offset + inside
            if len(data) < _STRIDE:
                break
        return None

    def open(self, step: Step) -> Stream:
        tar = self._opened(step.at)
        member = tar.next()
        if member is None or not member.isreg():
            raise OSError("no file of the archive begins there")
        if not member.issparse():
            return Slice(self._stream, member.offset_data, member.size)
        if member.size > IN_MEMORY_BYTES:
            raise RefusedError(Reason.LIMIT, "The member has holes, and is too large for memory.")
        file = tar.extractfile(member)
        return Memory(file.read() if file else b"")
