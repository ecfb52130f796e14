"""What a content is, in words: told before it is seen, and all that a screen reader has."""

from __future__ import annotations

from typing import Any, Final

from mantlet.case.queries import NEAR
from mantlet.types import Containment, Kind

_MOST_MATCHES: Final = 8
_INSIDE: Final = {
    Containment.MEMBER: "in an archive",
    Containment.PREVIEW: "preview inside a file",
    Containment.THUMBNAIL_CACHE: "in a thumbnail cache",
    Containment.SHADOW_COPY: "in a shadow copy",
}


def words(row: dict[str, Any]) -> dict[str, Any]:
    """Sentences for one row of `mantlet.case.queue.read`; "" where there is nothing to say."""
    return {
        "what": _what(row),
        "where": ", ".join(each for each in (row["where"], _INSIDE.get(row["containment"])) if each),
        "state": _state(row),
        "known": _known(row["known"]),
        "copies": f"{row['copies']:,} copies" if row["copies"] > 1 else "",
        "damage": row["damaged"] or "",
    }


def _what(row: dict[str, Any]) -> str:
    if row["kind"] == Kind.STILL:
        return "Still"
    sound = {True: ", with sound", False: ", silent"}.get(row["sound"], "")
    return f"Clip{_length(row['duration'])}{sound}"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ", length not said"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f", {hours}:{minutes:02}:{rest:02}" if hours else f", {minutes}:{rest:02}"


def _state(row: dict[str, Any]) -> str:
    """Live, deleted or carved; counted where the copies differ."""
    if len(row["recovery"]) < 2:
        return "".join(row["recovery"])
    return ", ".join(f"{number:,} {recovery}" for recovery, number in sorted(row["recovery"].items(), reverse=True))


def _known(matches: list[dict[str, Any]]) -> list[str]:
    """The strongest first. What is a record of a set is not also said to look like that record."""
    same = {(match["set"], match["record"]) for match in matches if match["how"] not in NEAR}
    said: list[str] = []
    for match in matches:
        if match["how"] in NEAR and (match["set"], match["record"]) in same:
            continue
        status = "uncategorised" if match["status"] == "ungraded" else match["status"]
        what = f"known {status}" + (f": {match['category']}" if match["category"] else "")
        if match["how"] in NEAR:
            looks = "a frame looks like" if match["how"] == "frames" else "looks like"
            turned = "" if match["view"] == "upright" else f", {match['view']}"
            sentence = f"{looks} {what} ({match['set']}, distance {match['distance']}{turned})"
        else:
            sentence = f"{what} ({match['set']}, exact{', trusted' if match['trusted'] else ''})"
        if sentence not in said:
            said.append(sentence)
    more = len(said) - _MOST_MATCHES
    return said if more <= 0 else [*said[:_MOST_MATCHES], f"and {more:,} more"]
