"""Files of random bytes, media that hold them where a test puts them, and searches for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mantlet.engine.triage import Found, search
from mantlet.known.records import KnownSet
from mantlet.known.sets import Sets

MIB = 1 << 20
Make = Callable[..., KnownSet]


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def written(path: Path, size: int, planted: dict[int, bytes], fill: bytes | None = None) -> Path:
    """A medium of this size that holds contents at offsets, and else noise or `fill`."""
    data = bytearray(noise(99, size) if fill is None else fill * size)
    for offset, content in planted.items():
        data[offset : offset + len(content)] = content
    assert len(data) == size
    path.write_bytes(data)
    return path


def last(found: Iterator[Found]) -> Found:
    return list(found)[-1]


def whole(sets: Sets, known: KnownSet, medium: Path) -> Found:
    """All of a medium, read by asking about more than it holds."""
    return last(search(medium, sets.open(known), 1 << 40, 0.99, 1))
