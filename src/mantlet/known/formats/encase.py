"""EnCase hash sets (.hash): a header of 1,152 bytes, then 18 bytes for each MD5 (Autopsy, EncaseHashSetParser).

Header: 16 bytes of mark, the number of hashes (32 bits, little-endian), 1,012 of zeros, name and kind of the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet.known.formats.source import BadEntryError, Reading, Source
from mantlet.known.records import Record

_MARK: Final = b"HASH\r\n\xff\x00\x02\0\0\0\x01\0\0\0"
_HEADER: Final = 1152
_ENTRY: Final = 18
_MD5: Final = 16


def fits(source: Source) -> bool:
    return source.head.startswith(_MARK[:8])


def read(source: Source) -> Reading:
    count = int.from_bytes(source.head[16:20], "little")
    if not source.head.startswith(_MARK):
        raise BadEntryError("its header: this is a version of EnCase's hash sets that Mantlet does not know")
    if source.size != _HEADER + _ENTRY * count:
        raise BadEntryError(
            f"its header: {count:,} hashes take {_HEADER + _ENTRY * count:,} bytes, and the file has {source.size:,}; "
            "it is cut off or damaged"
        )
    return Reading("EnCase hash set", _records(source, count))


def _records(source: Source, count: int) -> Iterator[Record]:
    number, at, data = 0, _HEADER, b""
    for block in source.blocks():
        data += block
        while at + _ENTRY <= len(data) and number < count:
            number += 1
            yield Record(number, data[at : at + _MD5])
            at += _ENTRY
        if at < len(data):
            data, at = data[at:], 0
        else:
            data, at = b"", at - len(data)
    if number < count:
        raise BadEntryError(f"entry {number + 1:,}: the file ends before it")
