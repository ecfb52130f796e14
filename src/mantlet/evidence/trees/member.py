"""What the trees of archives share: an entry for a member, and a time as an archive keeps it."""

from __future__ import annotations

from datetime import UTC, datetime

from mantlet.types import Absent, Containment, Entry, Recovery, Step, Times


def member(at: int, name: str, size: int, modified: str | None = None, absent: Absent | None = None) -> Entry:
    """`at` re-opens it; `name` is escaped; `size` in bytes, as the archive says."""
    size = max(0, min(size, 2**63 - 1))
    return Entry(Step("member", at, name), size, Recovery.LIVE, Containment.MEMBER, Times(modified=modified), absent)


def utc(seconds: float | None) -> str | None:
    """Seconds since 1970 in RFC 3339; None where there are none, or none that a calendar holds."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
