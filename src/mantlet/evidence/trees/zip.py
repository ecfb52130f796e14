"""Zip archives: each member inflated once, never extracted to a path.

A member's name is only ever text in an address, so `../` and absolute names are harmless here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Final

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory, Stream
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times, escape

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED: Final = 0x1


class Zip:
    """The tree of a zip archive. Raises OSError or zipfile.BadZipFile when it cannot be listed."""

    def __init__(self, stream: Stream) -> None:
        self._zip = zipfile.ZipFile(io.BufferedReader(stream, 64 * 1024))
        self._members = self._zip.infolist()

    def walk(self) -> Iterator[Entry]:
        for number, member in enumerate(self._members):
            if number >= settings.MEMBERS:
                absent = Absent(Reason.LIMIT, f"The archive has more than {settings.MEMBERS:,} members.")
                yield Entry(Step("member", number, "..."), 0, Recovery.LIVE, Containment.MEMBER, Times(), absent)
                return
            if not member.is_dir():
                yield Entry(
                    Step("member", number, escape(member.filename.encode("utf-8", "surrogateescape"))),
                    member.file_size,
                    Recovery.LIVE,
                    Containment.MEMBER,
                    Times(modified=_modified(member)),
                    self._refusal(member),
                )

    def _refusal(self, member: zipfile.ZipInfo) -> Absent | None:
        if member.flag_bits & _ENCRYPTED:
            return Absent(Reason.ENCRYPTED, "The member is locked by a password, which Mantlet cannot take yet.")
        if member.file_size > settings.IN_MEMORY_BYTES:
            size = f"{member.file_size // MIB:,} MiB"
            return Absent(Reason.LIMIT, f"The member says it is {size}; at most {settings.IN_MEMORY_BYTES // MIB}.")
        if member.file_size > settings.RATIO_FREE_BYTES and member.file_size > settings.RATIO * max(
            1, member.compress_size
        ):
            return Absent(Reason.LIMIT, f"The member grows more than {settings.RATIO:,}-fold: likely a bomb.")
        return None

    def open(self, step: Step) -> Stream:
        member = self._members[step.at]
        refusal = self._refusal(member)
        if refusal:
            raise RefusedError(refusal.reason, refusal.detail)
        with self._zip.open(member) as file:
            data = file.read(member.file_size + 1)
        return Memory(data)


def _modified(member: zipfile.ZipInfo) -> str | None:
    """Zip keeps local time without a zone (APPNOTE 4.4.6)."""
    year, month, day, hour, minute, second = member.date_time
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}-00:00"
