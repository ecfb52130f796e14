"""Perceptual look-up: every record within a Hamming distance, none missed, by comparing with each of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mantlet import settings
from mantlet.known.sets import KnownSet, Match, Sets


class Near:
    """The PDQ hashes of some sets, in memory: 32 bytes a record, and its number and category beside it."""

    def __init__(self, sets: Sets, names: list[KnownSet]) -> None:
        self._records = [
            (known, number, category, value) for known in names for number, value, category in sets.perceptual(known)
        ]
        hashes = b"".join(value for *_, value in self._records)
        self._words = np.frombuffer(hashes, dtype=np.uint64).reshape(-1, 4)

    def __len__(self) -> int:
        return len(self._records)

    def matches(self, value: bytes, how: str = "pdq") -> Iterator[Match]:
        """The records within `settings.PDQ_DISTANCE` of one hash (32 bytes)."""
        if not self._records:
            return
        distances = np.bitwise_count(self._words ^ np.frombuffer(value, dtype=np.uint64)).sum(axis=1)
        for row in np.flatnonzero(distances <= settings.PDQ_DISTANCE):
            known, number, category, _ = self._records[row]
            yield Match(known.name, known.version, number, how, "upright", int(distances[row]), category, known.status)
