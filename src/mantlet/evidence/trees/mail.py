"""The attachments of one e-mail message (.eml, .mht; RFC 5322 and MIME, RFC 2045 to 2049).

The parts of a message are found by one pass over its lines that keeps only where each part lies; the library `email`
reads single header fields. Its own parser descends by recursion and takes three times the message's size, so that a
message nested a thousand deep, or of some hundred MiB, would hide its attachments.

Listed is every part but the bodies: those of type text without a file name. The parts of a message within a message
are listed with the others. A part cut short, or with broken lines of base64, gives what can be decoded.

Limits: files inside winmail.dat (MS-TNEF), in signed S/MIME, in uuencoded text and in the text of a body are not
taken out; messages inside each other are followed 100 deep.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as Fields
from typing import Final, NamedTuple

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory, Slice, Stream
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times, escape

_FIELD: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_KNOWN: Final = frozenset(
    b"from to subject date received mime-version message-id return-path content-type delivered-to".split()
)
_WANTED: Final = (b"content-type", b"content-transfer-encoding", b"content-disposition")
_FIELD_BYTES: Final = 16 * 1024
"""Of the wanted fields of one part, together."""
_PARAMETERS: Final = 1000
"""Of one part: the library's time grows with their square."""
_LINE: Final = 64 * 1024
_DEEPEST: Final = 100
_UUENCODED: Final = ("x-uuencode", "uuencode", "x-uue", "uue")
_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


def known_fields(head: bytes) -> int:
    """How many distinct fields that mail is known by begin `head`; 0 if something else than fields comes first."""
    found = set()
    for number, line in enumerate(head.split(b"\n")[:-1]):
        field = _FIELD.match(line)
        if field:
            found.add(field[1].lower())
        elif not line.strip(b"\r"):
            break
        elif not (number and line.startswith((b" ", b"\t"))):
            return 0
    return len(found & _KNOWN)


def fits(head: bytes) -> bool:
    """Whether a file whose first 4 KiB are `head` may be a message: it has no mark, so two known fields must do."""
    return known_fields(head) >= 2


class _Part(NamedTuple):
    """Where the content of a part lies, in bytes, and what its fields say of it; `name`: as it stands in an address."""

    start: int
    end: int
    encoding: str
    name: str
    body: bool = False
    absent: Absent | None = None


class _Level(NamedTuple):
    """A multipart whose end has not come; `depth`: how many messages and multiparts its parts lie in."""

    mark: bytes
    depth: int
    digest: bool


class _Scan:
    """One pass over a message (RFC 2046, 5.1): `parts` gives each leaf, in order.

    A boundary of any level that is open is obeyed, as 5.1.2 asks, so that an inner multipart that does not end
    cannot take the parts of the outer one with it.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._levels: list[_Level] = []
        self._marks: dict[bytes, int] = {}
        self._fields: bytearray | None = bytearray()
        self._field_wanted = False
        self._leaf: _Part | None = None
        self._depth = 0
        self._digest = False

    def parts(self) -> Iterator[_Part]:
        lines = io.BufferedReader(Slice(self._stream, 0, self._stream.size), 256 * 1024)
        at, begins = 0, True
        while line := lines.readline(_LINE):
            if begins and line.startswith(b"--") and self._is_boundary(line):
                if self._leaf:
                    yield self._leaf._replace(end=max(self._leaf.start, at - self._line_end_before(at)))
                self._cross(line.rstrip())
            elif self._fields is not None and begins:
                self._take_field(self._fields, line, at)
            begins = line.endswith(b"\n")
            at += len(line)
        if self._leaf:
            yield self._leaf._replace(end=at)

    def _line_end_before(self, at: int) -> int:
        """The line end before a boundary belongs to the boundary (RFC 2046, 5.1.1)."""
        before = self._stream.read_at(max(0, at - 2), 2)
        return 2 if before == b"\r\n" else 1

    def _is_boundary(self, line: bytes) -> bool:
        mark = line.rstrip()
        return mark in self._marks or (mark.endswith(b"--") and mark[:-2] in self._marks)

    def _cross(self, mark: bytes) -> None:
        """Go on behind a boundary: to the next part's fields, or to what follows the multipart and is skipped."""
        opens = mark in self._marks
        number = self._marks[mark if opens else mark[:-2]]
        level = self._levels[number]
        self._depth, self._digest = level.depth, level.digest
        self._levels = self._levels[: number + opens]
        self._marks = {level.mark: number for number, level in enumerate(self._levels)}
        self._leaf, self._fields = None, bytearray() if opens else None

    def _take_field(self, fields: bytearray, line: bytes, at: int) -> None:
        field = _FIELD.match(line)
        if not line.strip(b"\r\n"):
            self._begin_content(fields, at + len(line))
        elif field or line.startswith((b" ", b"\t")):
            if field:
                self._field_wanted = field[1].lower() in _WANTED
            if self._field_wanted and len(fields) < _FIELD_BYTES:
                fields += line.rstrip(b"\r\n")[: _FIELD_BYTES - len(fields)] + b"\n"
        elif not line.startswith((b"From ", b">From ")):  # the empty line was forgotten
            self._begin_content(fields, at)

    def _begin_content(self, fields: bytearray, at: int) -> None:
        """The fields of a part have ended: it is a multipart, a message with fields of its own, or a leaf."""
        self._fields, told = None, _Told.of(bytes(fields), self._digest)
        inner = told.type in ("message/rfc822", "message/global") and told.encoding in ("", "7bit", "8bit", "binary")
        if told.boundary or inner:
            if self._depth >= _DEEPEST:
                absent = Absent(Reason.LIMIT, f"Messages lie more than {_DEEPEST} deep in each other.")
                self._leaf = _Part(at, at, "", told.name, absent=absent)
            elif inner:
                self._depth, self._fields, self._digest = self._depth + 1, bytearray(), False
            else:
                self._marks[told.boundary] = len(self._levels)
                self._levels.append(_Level(told.boundary, self._depth + 1, told.type == "multipart/digest"))
        else:
            locked = Absent(Reason.ENCRYPTED, "The message is encrypted.") if told.locked else None
            body = told.type.startswith("text/") and not told.name and told.encoding != "base64"
            self._leaf = _Part(at, at, told.encoding, told.name, body, locked)


class _Told(NamedTuple):
    """What the fields of a part say. `boundary` with the two hyphens before it, b"" where it is no multipart."""

    type: str
    encoding: str
    name: str
    boundary: bytes
    locked: bool

    @classmethod
    def of(cls, fields: bytes, digest: bool) -> _Told:
        try:
            message = message_from_bytes(b";".join(fields.split(b";", _PARAMETERS)[:_PARAMETERS]) + b"\n\n")
            if digest:
                message.set_default_type("message/rfc822")
            kind = message.get_content_type()
            mark = str(message.get_boundary("") or "") if kind.startswith("multipart/") else ""
            encoding = str(message.get("content-transfer-encoding", "")).partition(";")[0].strip().lower()
            smime = str(message.get_param("smime-type", "")).lower()
            boundary = b"--" + mark.encode("utf-8", "surrogateescape") if mark else b""
            locked = kind == "application/pgp-encrypted" or smime in ("enveloped-data", "authenveloped-data")
            return cls(kind, encoding, _file_name(message), boundary, locked)
        except Exception:  # noqa: BLE001 - hostile fields make the library raise nearly every type
            return cls("application/octet-stream", "", "", b"", False)


def _file_name(message: Fields) -> str:
    """The file name, also where it is coded as RFC 2047 forbids in this place and half the world does."""
    try:
        name = message.get_filename("") or ""
        if "=?" in name:
            name = str(make_header(decode_header(name)))
        return escape(name.encode("utf-8", "surrogateescape"))
    except Exception:  # noqa: BLE001 - hostile fields make the library raise nearly every type
        return ""


def _from_base64(data: bytes) -> bytes:
    """RFC 2045, 6.8: other characters are skipped, and "=" is the end; what a cut-off end still says is kept."""
    digits = data.partition(b"=")[0].translate(None, _NOT_BASE64)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


class Message:
    """The tree of one message. A step is `part`, at its ordinal among all leaves of the message, bodies included."""

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        leaves = zip(range(settings.MEMBERS + 1), _Scan(stream).parts(), strict=False)
        self._parts = {ordinal: part for ordinal, part in leaves if not part.body}

    def walk(self) -> Iterator[Entry]:
        for ordinal, part in self._parts.items():
            step, size, absent = Step("part", ordinal, part.name), 0, None
            try:
                if ordinal >= settings.MEMBERS:
                    raise RefusedError(Reason.LIMIT, "The message has too many parts to list.")
                size = self._content(part).size
            except RefusedError as error:
                absent = Absent(Reason(error.reason), str(error))
            yield Entry(step, size, Recovery.LIVE, Containment.MEMBER, Times(), absent)

    def open(self, step: Step) -> Stream:
        part = self._parts.get(step.at)
        if part is None:
            raise OSError("there is no such part in the message")
        return self._content(part)

    def _content(self, part: _Part) -> Stream:
        if part.absent:
            raise RefusedError(part.absent.reason, part.absent.detail)
        if part.encoding in _UUENCODED:
            raise RefusedError(Reason.UNSUPPORTED, "The part is uuencoded, which Mantlet cannot read yet.")
        raw = Slice(self._stream, part.start, part.end - part.start)
        if part.encoding not in ("base64", "quoted-printable"):
            return raw
        if raw.size > settings.IN_MEMORY_BYTES:
            raise RefusedError(Reason.LIMIT, f"The part is larger than {settings.IN_MEMORY_BYTES // MIB:,} MiB.")
        data = raw.read_at(0, raw.size)
        return Memory(_from_base64(data) if part.encoding == "base64" else binascii.a2b_qp(data))
