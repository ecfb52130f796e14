"""JSON of ThreatExchange and of Hasher-Matcher-Actioner: pages of the Graph API, lists of indicators, JSON lines.

Taken (ThreatExchange, python-threatexchange, exchanges/clients): indicators {"indicator", "type", "status", "tags"},
one a line, in an array, or in pages {"data": [...]}; entries of NCMEC's exchange {"fingerprints": {"md5", "sha1",
"pdq", ...}, "classification"}. Left out and counted in `form`: types that are no hash Mantlet uses, and what was
withdrawn. A page that names a next one is part of a set, so refused unless it follows in the same file. PDQ hashes
here are of the whole picture: that hasher does not resize.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from mantlet.known.formats.source import BadEntryError, Reading, Source, details, hexadecimal
from mantlet.known.formats.stream import Json, decode
from mantlet.known.records import Record

_NAME: Final = "ThreatExchange JSON"
_KINDS: Final = {
    "hash_pdq": "pdq", "pdq": "pdq",
    "hash_md5": "md5", "hash_video_md5": "md5", "video_md5": "md5", "md5": "md5",
    "hash_sha1": "sha1", "sha1": "sha1",
    "hash_sha256": "sha256", "sha256": "sha256",
}  # fmt: skip
_COUNTED: Final = 20
"""Kinds of what is left out that are counted apart: a file may bring another with each entry."""
_OTHERS: Final = "of other kinds"


class _Tag(msgspec.Struct):
    text: str


class _Tags(msgspec.Struct):
    """Tags as a descriptor has them."""

    data: list[_Tag]


class _Signal(msgspec.Struct):
    """What is read of an entry, of either kind."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | str | None = None
    indicator: str | None = None
    type: str | None = None
    status: str | None = None
    should_delete: bool = False
    tags: list[str] | _Tags | None = None
    fingerprints: dict[str, str | None] | None = None
    classification: str | None = None
    deleted: bool = False


class _Paging(msgspec.Struct):
    next: str | None = None


_SIGNAL: Final = msgspec.json.Decoder(_Signal)
_PAGING: Final = msgspec.json.Decoder(_Paging | None)
_PAGE: Final = re.compile(rb'\{\s*"(?:data|paging)"')


def fits(source: Source) -> bool:
    """Any JSON: asked after the other formats of it, it refuses what is none of them."""
    return source.head.lstrip()[:1] in {b"{", b"["}


def read(source: Source) -> Reading:
    reading = Reading(_NAME, iter(()), convention="whole", profiles=("threatexchange",))
    reading.records = _records(Json(source), reading)
    return reading


def _records(json: Json, reading: Reading) -> Iterator[Record]:
    left_out: Counter[str] = Counter()
    number = taken = 0
    for number, raw in enumerate(_entries(json), start=1):
        record = _record(number, raw, left_out)
        if record:
            taken += 1
            yield record
    if number and not taken:
        raise BadEntryError(f"its {number:,} entries: Mantlet uses none ({_told(left_out)})")
    if left_out:
        reading.form = f"{_NAME}, left out: {_told(left_out)}"


def _told(counts: Counter[str]) -> str:
    shown = Counter({name: count for name, count in counts.items() if name != _OTHERS}).most_common(5)
    rest = counts.total() - sum(count for _, count in shown)
    if rest:
        shown.append((_OTHERS, rest))
    return ", ".join(f"{count:,} {name}" for name, count in shown)


def _entries(json: Json) -> Iterator[bytes]:
    """The bytes of each entry, wherever it is. The file is pages, arrays and entries after each other."""
    number, goes_on = 0, False
    while first := json.peek():
        if first == b"[":
            for _ in json.items("its root"):
                number += 1
                yield json.value(f"entry {number:,}")
        elif not json.looks_like(_PAGE):
            number += 1
            yield json.value(f"entry {number:,}")
        else:
            goes_on = False
            for name in json.members("its page"):
                if name == "data":
                    for _ in json.items("its data"):
                        number += 1
                        yield json.value(f"entry {number:,}")
                elif name == "paging":
                    paging = decode(json.value("its paging"), _PAGING, "its paging")
                    goes_on = bool(paging and paging.next)
                else:
                    raise BadEntryError(f"its page: '{name[:80]}' is no property of a page")
    if goes_on:
        raise BadEntryError("its end: its last page names a next one, so put all pages into the file")


def _record(number: int, raw: bytes, left_out: Counter[str]) -> Record | None:
    """The record of an entry; None for one that is left out, which is counted."""
    signal = decode(raw, _SIGNAL, f"entry {number:,}")
    where = f"entry {number:,}" if signal.id is None else f"entry {number:,} (id {str(signal.id)[:40]})"
    if signal.indicator is not None and signal.type is not None:
        hashes: dict[str, str | None] = {signal.type: signal.indicator}
    elif signal.fingerprints is not None:
        hashes = signal.fingerprints
    else:
        raise BadEntryError(f"{where}: it has neither indicator and type nor fingerprints, so Mantlet does not know it")
    if signal.should_delete or signal.deleted:
        left_out["withdrawn"] += 1
        return None
    found: dict[str, bytes] = {}
    kept: dict[str, object] = {"id": signal.id} if signal.id is not None else {}
    if signal.tags:
        kept["tags"] = [tag.text for tag in signal.tags.data] if isinstance(signal.tags, _Tags) else signal.tags
    others = {}
    for name, text in hashes.items():
        kind = _KINDS.get(name.lower())
        if not text:
            continue
        if kind is None:
            others[name] = text
            continue
        digest = hexadecimal(kind, text.strip(), where)
        if found.setdefault(kind, digest) != digest:
            raise BadEntryError(f"{where}: it has two {kind} that differ")
    if not found:
        kinds = " and ".join(sorted(others))[:80] or "without a hash"
        left_out[kinds if kinds in left_out or len(left_out) < _COUNTED else _OTHERS] += 1
        return None
    if others:
        kept["other_hashes"] = others
    return Record(number, category=signal.status or signal.classification, details=details(kept), **found)
