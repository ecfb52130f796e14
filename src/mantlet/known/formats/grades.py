"""What a force graded in an earlier case, as `mantlet export --format grades` writes it.

JSON lines: what it is, a line for each content and officer, and a last line with how many there are, the SHA-256 of all
before it and the exporter's signature over that: a file that was cut off or changed is refused. Whose the key is stays
with the set as its provenance; whether such grades count is for the force's policy to say.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from mantlet.governance import keys
from mantlet.known.formats.source import BadEntryError, Reading, Source, details
from mantlet.known.records import WHOLE, Record
from mantlet.types import Count, Md5, Sha1, Sha256, Word

ABOUT: Final = {"mantlet": "grades", "version": 1}
BEGINNING: Final = b'{"mantlet":"grades"'
_LAST: Final = b'{"grades":'
_LONGEST_LINE: Final = 64 * 1024

T = TypeVar("T")


def signed(digest: str) -> bytes:
    """What is signed: the SHA-256 (hex) of all lines but the last, and for what."""
    return f"mantlet grades {digest}".encode()


class _Header(msgspec.Struct):
    mantlet: Literal["grades"]
    version: Literal[1]
    case: Word
    scheme: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,64}\Z")]
    exported_by: Word
    public_key: Sha256  # as many bits


class _Grade(msgspec.Struct):
    """What one officer said of one content."""

    sha256: Sha256
    md5: Md5
    sha1: Sha1
    size: Count
    kind: Word
    grade: Word
    version: Word
    by: Word
    at: Word
    pdq: Sha256 | None = None


class _End(msgspec.Struct):
    grades: Count
    sha256: Sha256
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]


def fits(source: Source) -> bool:
    return source.head.startswith(BEGINNING)


def read(source: Source) -> Reading:
    header = _decoded(source.head.split(b"\n", 1)[0], _Header, 1)
    by = f"exported by {header.exported_by} with the key {header.public_key}"
    return Reading("grades", _records(source, header), WHOLE, (header.scheme,), benign=False, provenance=by)


def _records(source: Source, header: _Header) -> Iterator[Record]:
    digest, number, end = hashlib.sha256(), 0, None
    with source.path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if end is not None:
                raise BadEntryError(f"line {number:,}: the file goes on after its last line")
            if line.startswith(_LAST):
                end = _decoded(line, _End, number)
                continue
            digest.update(line)
            if number > 1:
                yield _record(_decoded(line, _Grade, number), number, header)
            source.progress(file.tell())
    if end is None:
        raise BadEntryError(f"line {number:,}: the file is cut off: its last line is missing")
    if (end.grades, end.sha256) != (number - 2, digest.hexdigest()) or not keys.verify(
        header.public_key, signed(end.sha256), end.signature
    ):
        raise BadEntryError(f"line {number:,}: the file was changed after {header.exported_by} exported it")


def _record(said: _Grade, number: int, header: _Header) -> Record:
    if not any(unicodedata.category(character)[0] in "LN" for character in said.by):
        raise BadEntryError(f"line {number:,}: '{said.by}' is nobody's name")
    kept = details({
        "by": said.by, "at": said.at, "case": header.case, "size": said.size, "kind": said.kind,
        "exported_by": header.exported_by, "public_key": header.public_key,
    })  # fmt: skip
    md5, sha1, sha256 = (bytes.fromhex(each) for each in (said.md5, said.sha1, said.sha256))
    return Record(number, md5, sha1, sha256, bytes.fromhex(said.pdq) if said.pdq else None, said.grade, kept)


def _decoded(line: bytes, kind: type[T], number: int) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (ValueError, RecursionError) as error:
        raise BadEntryError(f"line {number:,}: {error}") from error
