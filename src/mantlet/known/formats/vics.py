"""VICS 1.2, 1.3 and 2.0 JSON of Project VIC: hash sets (Media under `value`) and cases (Cases with Media).

The model is shared under agreement only; this follows what open readers and writers do (IPED, GLEAPP, Clees4All).
The context names version and region, and comes first. Counters and IsPrecategorized are claims that real exports get
wrong, so they are not read; nor are names of files. Flags are booleans or the words "true" and "false". PhotoDNA
values are kept and never claimed to be matched. A VICS set is never reference data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from mantlet.known.formats.source import BadEntryError, Reading, Source, details, hexadecimal
from mantlet.known.formats.stream import Json, decode
from mantlet.known.records import HASHES, Record

_VALUE_FIRST: Final = re.compile(rb'\s*\{\s*"value"')
_CONTEXT: Final = re.compile(
    r"https?://github\.com/(?:ICMEC|VICSDATAMODEL)/ProjectVic/DataModels/"
    r"(?P<version>1\.2|1\.3|2\.0)\.xml(?:/(?P<region>US|UK|Default|CUSTOM))?(?:/\$metadata)?#(?P<kind>Cases|Media)"
)
_AMERICAN: Final = ("project-vic-us", "project-vic-us-dhs")
_PROFILES: Final = {"US": _AMERICAN, "Default": _AMERICAN, None: _AMERICAN}
"""The profiles to choose from in a region. The codes of the United Kingdom are not public; custom ones are a force's.
"""
_CODE: Final = re.compile(r"\d{1,6}", re.ASCII)
_DIGEST_NAMES: Final = {"MD5": "md5", "SHA1": "sha1", "SHA-1": "sha1", "SHA256": "sha256", "SHA-256": "sha256"}

Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Flag = bool | str | None
Words = str | list[str] | None


class _Hash(msgspec.Struct):
    """An alternative hash."""

    HashName: str | None = None
    HashValue: Words = None


class _Media(msgspec.Struct):
    """What is read of an entry; fields as the model names them."""

    MediaID: Number | str | None = None
    Category: Number | str | None = None
    MD5: str | None = None
    SHA1: str | None = None
    MediaSize: Number | str | None = None
    MimeType: str | None = None
    VictimIdentified: Flag = None
    OffenderIdentified: Flag = None
    IsDistributed: Flag = None
    IsSuspected: Flag = None
    SelfGenerated: Flag = None
    Series: Words = None
    Tags: Words = None
    Comments: str | None = None
    PhotoDNA: Words = None
    AlternativeHashes: list[_Hash] | None = None


_FLAGS: Final = {
    "VictimIdentified": "victim_identified",
    "OffenderIdentified": "offender_identified",
    "IsDistributed": "distributed",
    "IsSuspected": "suspected",
    "SelfGenerated": "self_generated",
}
_KEPT: Final = {
    "MediaID": "media_id",
    "MediaSize": "size",
    "MimeType": "mime",
    "Series": "series",
    "Tags": "tags",
    "Comments": "comments",
}
_DECODER: Final = msgspec.json.Decoder(_Media)
_TEXT: Final = msgspec.json.Decoder(str)
_ANY: Final = msgspec.json.Decoder(Any)


def fits(source: Source) -> bool:
    if not source.head.lstrip().startswith(b"{"):
        return False
    named = b'"odata.metadata"' in source.head or b'"@odata.context"' in source.head
    return named or _VALUE_FIRST.match(source.head) is not None


def read(source: Source) -> Reading:
    json = Json(source)
    members = json.members("its root")
    name = next(members, None)
    if name not in {"odata.metadata", "@odata.context"}:
        raise BadEntryError("its root: the context (odata.metadata or @odata.context) has to come before all else")
    context = decode(json.value(f"its {name}"), _TEXT, f"its {name}")
    found = _CONTEXT.fullmatch(context)
    if found is None:
        raise BadEntryError(f"its {name}: '{context[:200]}' is no context of VICS 1.2, 1.3 or 2.0 that Mantlet knows")
    version, region, kind = found.group("version", "region", "kind")
    form = f"VICS {version} ({region})" if region else f"VICS {version}"
    return Reading(form, _records(json, members, kind), profiles=_PROFILES.get(region, ()), benign=False)


def _records(json: Json, members: Iterator[str], kind: str) -> Iterator[Record]:
    seen = False
    for name in members:
        if name != "value":
            raise BadEntryError(f"its root: '{name[:80]}' is no property of a VICS file")
        if seen:
            raise BadEntryError("its root: 'value' is there twice")
        seen = True
        for number, raw in enumerate(_media(json, kind), start=1):
            yield _record(number, raw)
    if not seen:
        raise BadEntryError("its root: 'value' is missing")
    if json.peek():
        raise BadEntryError("its end: the file goes on after its root")


def _media(json: Json, kind: str) -> Iterator[bytes]:
    """The bytes of each entry."""
    number = 0
    if kind == "Media":
        for _ in json.items("its value"):
            number += 1
            yield json.value(f"entry {number:,}")
        return
    for case, _ in enumerate(json.items("its value"), start=1):
        what, seen = f"case {case:,}", False
        for name in json.members(what):
            if name != "Media":
                decode(json.value(what), _ANY, what)
                continue
            if seen:
                raise BadEntryError(f"{what}: 'Media' is there twice")
            seen = True
            for _ in json.items(f"{what}, Media"):
                number += 1
                yield json.value(f"entry {number:,}")
        if not seen:
            raise BadEntryError(f"{what}: it has no 'Media'")


def _record(number: int, raw: bytes) -> Record:
    media = decode(raw, _DECODER, f"entry {number:,}")
    where = f"entry {number:,}" if media.MediaID is None else f"entry {number:,} (MediaID {str(media.MediaID)[:40]})"
    found: dict[str, bytes] = {}
    if media.MD5:
        found["md5"] = hexadecimal("md5", media.MD5.strip(), where)
    if media.SHA1:
        found["sha1"] = hexadecimal("sha1", media.SHA1.strip(), where)
    kept: dict[str, Any] = {}
    for name, kept_as in _KEPT.items():
        value = getattr(media, name)
        if value not in (None, "", []):
            kept[kept_as] = value
    for name, kept_as in _FLAGS.items():
        flag = _flag(getattr(media, name), name, where)
        if flag is not None:
            kept[kept_as] = flag
    photodna = _words(media.PhotoDNA)
    for each in media.AlternativeHashes or ():
        _alternative(each, found, kept, photodna, where)
    if photodna:
        kept["photodna"] = photodna
    if not found:
        raise BadEntryError(f"{where}: it holds no hash by which a file could be known")
    return Record(number, category=_code(media.Category, where), details=details(kept), **found)


def _alternative(each: _Hash, found: dict[str, bytes], kept: dict[str, Any], photodna: list[str], where: str) -> None:
    """Uses a digest or PDQ hash, keeps any other. Two digests of one kind that differ are refused."""
    name, values = (each.HashName or "").strip(), _words(each.HashValue)
    if name.upper() == "PHOTODNA":
        photodna += [value for value in values if value not in photodna]
        return
    kind = _DIGEST_NAMES.get(name.upper())
    if kind is None and name.upper() == "PDQ" and len(values) == 1 and _is_pdq(values[0]):
        kind = "pdq"
    if kind is None:
        if values:
            kept["other_hashes"] = [*kept.get("other_hashes", []), {"name": name, "values": values}]
        return
    for value in values:
        digest = hexadecimal(kind, value, where)
        if found.setdefault(kind, digest) != digest:
            raise BadEntryError(f"{where}: it has two {kind} that differ")


def _is_pdq(text: str) -> bool:
    return re.fullmatch(rf"[0-9a-fA-F]{{{2 * HASHES['pdq']}}}", text) is not None


def _words(value: Words) -> list[str]:
    """A field that is one text or a list of them."""
    values = [value] if isinstance(value, str) else value or []
    return [word.strip() for word in values if word.strip()]


def _flag(value: Flag, name: str, where: str) -> bool | None:
    """A flag as a boolean, whichever way it is written; None where it is not given."""
    if value is None or isinstance(value, bool):
        return value
    word = value.strip().lower()
    if word not in {"true", "false", ""}:
        raise BadEntryError(f"{where}: {name} is '{value[:80]}', neither true nor false")
    return word == "true" if word else None


def _code(value: int | str | None, where: str) -> str | None:
    """A category code as its digits; None where there is none, which asserts nothing."""
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not _CODE.fullmatch(text):
        raise BadEntryError(f"{where}: Category is '{text[:80]}', and no number of a category")
    return str(int(text))
