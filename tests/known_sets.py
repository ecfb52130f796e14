"""Sets of known material made from records by hand, and look-ups in them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any

from mantlet.case.matching import Matcher
from mantlet.governance.policy import Policy
from mantlet.known.build import Builder
from mantlet.known.columns import Folder
from mantlet.known.lookup import LookUp
from mantlet.known.records import Category, KnownSet, Record, Status
from mantlet.known.sets import Sets


def digest(algorithm: str, text: str) -> bytes:
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest()


def flipped(value: bytes, bits: int, source: random.Random) -> bytes:
    """A perceptual hash at exactly that distance."""
    number = int.from_bytes(value)
    for bit in source.sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


def put(
    sets: Sets,
    name: str,
    records: Iterable[Record],
    status: Status = "notable",
    version: str = "1",
    categories: Sequence[Category] = (),
    **about: Any,
) -> KnownSet:
    """A set of these records in force. Each has the set's own status, but for those whose code is in `categories`."""
    meaning = {each.code: each for each in categories}

    def fill(builder: Builder, _: Folder) -> dict[str, Any]:
        builder.add(records)
        return {
            "version": version, "status": status, "form": "by hand", "sources": [f"{name}.csv"], "digest": "0" * 64,
            "meanings": lambda codes: [meaning.get(code, Category(code, status)) for code in codes], **about,
        }  # fmt: skip

    return sets.replace(name, "DC Example", fill)


def look_up(sets: Sets, chosen: Sequence[KnownSet], policy: Policy | None = None) -> LookUp:
    return LookUp(sets, chosen, policy or Policy())


def matcher(sets: Sets, chosen: Sequence[KnownSet]) -> Matcher:
    return Matcher(look_up(sets, chosen))
