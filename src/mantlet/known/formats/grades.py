"""What a force graded in an earlier case, as `mantlet export --format grades` writes it.

The last line counts the contents, and its signature covers the SHA-256 of all before it: a file that was cut off or
changed is refused. That the key is the exporter's is for the reader to compare; it is kept as the set's provenance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from mantlet.governance import keys
from mantlet.known.formats.source import BadEntryError, Reading, Source, details
from mantlet.known.records import Record
from mantlet.types import Count, Md5, Sha1, Sha256, Word

_LONGEST_LINE: Final = 1024 * 1024

T = TypeVar("T")


class _Header(msgspec.Struct):
    mantlet: Literal["grades"]
    version: Literal[1]
    case: Word
    scheme: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,64}\Z")]
    exported_by: Word
    public_key: Sha256  # as many bits


class _Grade(msgspec.Struct):
    grade: Word
    version: Word
    by: Word
    at: Word


class _Content(msgspec.Struct):
    sha256: Sha256
    md5: Md5
    sha1: Sha1
    size: Count
    kind: Word
    grade: Word
    grades: Annotated[list[_Grade], msgspec.Meta(min_length=1)]
    pdq: Sha256 | None = None


class _End(msgspec.Struct):
    contents: Count
    sha256: Sha256
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]


def fits(source: Source) -> bool:
    return source.head.startswith(b'{"mantlet":"grades"')


def read(source: Source) -> Reading:
    header = _decoded(source.head.split(b"\n", 1)[0], _Header, 1)
    return Reading("grades", _records(source, header), "whole", (header.scheme,), benign=False)


def _records(source: Source, header: _Header) -> Iterator[Record]:
    digest, number, end = hashlib.sha256(), 0, None
    with source.path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if end is not None:
                raise BadEntryError(f"line {number:,}: the file goes on after its last line")
            if line.startswith(b'{"contents":'):
                end = _decoded(line, _End, number)
                continue
            digest.update(line)
            if number > 1:
                yield _record(_decoded(line, _Content, number), number, header)
            source.progress(file.tell())
    if end is None:
        raise BadEntryError(f"line {number:,}: the file is cut off: its last line is missing")
    signed = f"mantlet grades {end.sha256}".encode()
    if (end.contents, end.sha256) != (number - 2, digest.hexdigest()) or not keys.verify(
        header.public_key, signed, end.signature
    ):
        raise BadEntryError(f"line {number:,}: the file was changed after {header.exported_by} exported it")


def _record(content: _Content, number: int, header: _Header) -> Record:
    kept = details({
        "grades": content.grades, "case": header.case, "size": content.size, "kind": content.kind,
        "exported_by": header.exported_by, "public_key": header.public_key,
    })  # fmt: skip
    pdq = bytes.fromhex(content.pdq) if content.pdq else None
    md5, sha1, sha256 = (bytes.fromhex(each) for each in (content.md5, content.sha1, content.sha256))
    return Record(number, md5, sha1, sha256, pdq, content.grade, kept)


def _decoded(line: bytes, kind: type[T], number: int) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (ValueError, RecursionError) as error:
        raise BadEntryError(f"line {number:,}: {error}") from error
