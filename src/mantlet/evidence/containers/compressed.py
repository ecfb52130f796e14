"""Images compressed as a whole: gzip, bzip2, xz or zstd over any other form."""

from __future__ import annotations

from mantlet import settings
from mantlet.evidence.inflate import inflated, method_of
from mantlet.evidence.source import Opened, Source


def open_compressed(source: Source) -> Opened | None:
    """What the file grows to; None where it is not compressed.

    An exhibit may grow as it likes, since a disk is often mostly empty. What lies inside one may not.
    """
    found = method_of(source.stream.read_at(0, 8))
    if found is None:
        return None
    most = None if source.is_exhibit else max(settings.RATIO_FREE_BYTES, settings.RATIO * source.stream.size)
    return Opened(inflated(source.stream, found[1], most=most))
