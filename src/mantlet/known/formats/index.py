"""Index files of The Sleuth Kit (.idx): sorted lines "hash|offset" (tsk/hashdb/binsrch_index.cpp).

Lines that begin with 41 digits, longer than any hash there, are its header: the kind of the indexed set and its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet.known.formats.plain import lines
from mantlet.known.formats.source import BadEntryError, Reading, Source, hexadecimal
from mantlet.known.records import Record

_HEADER: Final = b"0" * 40


def fits(source: Source) -> bool:
    return source.head.startswith(_HEADER + b"0|")


def read(source: Source) -> Reading:
    return Reading("index of The Sleuth Kit", _records(source))


def _records(source: Source) -> Iterator[Record]:
    for first, block in lines(source):
        for number, line in enumerate(block.splitlines(), start=first):
            digits, bar, offset = line.partition(b"|")
            if line.startswith(_HEADER) and len(digits) == 41:
                continue
            where = f"line {number:,}"
            if not bar or not offset.isdigit() or len(digits) not in {32, 40}:
                raise BadEntryError(f"{where}: it is not a hash, a bar and an offset")
            kind = "md5" if len(digits) == 32 else "sha1"
            value = hexadecimal(kind, digits.decode(), where)
            yield Record(number, md5=value) if kind == "md5" else Record(number, sha1=value)
