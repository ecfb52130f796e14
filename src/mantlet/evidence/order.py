"""The order in which files are read: as they lie on the medium, so that a disk need not seek, and no chunk of an image
is inflated twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mantlet.types import Entry

_FIRST: Final = 128
_MOST: Final = 1 << 14
"""Files sorted at once: 16,384 take some 10 MiB, and lie close together in most file systems already."""


def by_position(listed: Iterable[tuple[int, Entry]]) -> Iterator[Entry]:
    """Sorts entries by where their content begins (bytes or blocks from the start of the medium), in windows that
    double: the first files are read at once, and known ones among them found, while the rest is listed."""
    window: list[tuple[int, Entry]] = []
    most = _FIRST
    for each in listed:
        window.append(each)
        if len(window) >= most:
            yield from _sorted(window)
            window, most = [], min(2 * most, _MOST)
    yield from _sorted(window)


def _sorted(window: list[tuple[int, Entry]]) -> list[Entry]:
    return [entry for _, entry in sorted(window, key=lambda each: each[0])]
