"""A case against known material, where more must be read of the exhibits for it.

Every scan makes the PDQ of the whole picture. A set whose hashes were made of stretched pictures is compared with ones
made that way (`pdq-512`), which are measured when such a set is chosen. Which way a set went that does not say so is
measured too, on the pictures that it knows by digest.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from mantlet.case import matching
from mantlet.case.case import Case
from mantlet.case.matching import PINNED, Matcher
from mantlet.engine.measure import measure
from mantlet.known.lookup import LookUp

_STAGE: Final = "pdq-512"
_STRETCHED: Final = "512"
_ENOUGH: Final = 5
_MOST: Final = 50
"""Pictures known by digest on which a convention is measured: at least, at most."""


class Matched(msgspec.Struct, frozen=True):
    """`counts`: contents looked at, and known ones by status and exact or near. `conventions`: of each set that holds
    PDQ. `warnings`: sentences on what could not be compared as it should."""

    counts: dict[str, int]
    conventions: dict[str, str]
    warnings: list[str]


def match(case: Case, look_up: LookUp, workers: int, progress: Callable[[int], None] = lambda _: None) -> Matched:
    """Matches a case, measuring first what its sets ask for. Raises as `engine.measure.measure`."""
    warnings: list[str] = []
    with_hashes = [each for each in look_up.chosen if each.hashes.get("pdq")]
    measured: dict[str, str] = {}
    for each in with_hashes:
        if each.convention is None and (found := _measured(case, look_up, each.name, workers)):
            measured[each.name] = found
        elif each.convention is None:
            warnings.append(
                f"The set '{each.name}' does not say how its perceptual hashes were made, and knows too few pictures "
                "of this case by digest to measure it: some look-alikes may be missed. `known import --convention` "
                "declares it."
            )
    matcher = Matcher(look_up, measured)
    conventions = {each.name: matcher.conventions[each.name] for each in with_hashes}
    if _STRETCHED in conventions.values() and (lacking := list(matching.lacking(case, _STAGE))):
        away = measure(case, _STAGE, lacking, workers).out_of_reach
        if away:
            why = next(iter(away.values()))
            warnings.append(f"{len(away):,} pictures could not be compared with sets of stretched ones: {why}")
        matching.forget(case, [sha256 for sha256 in lacking if sha256 not in away])
    return Matched(matching.match(case, matcher, progress), conventions, warnings)


def _measured(case: Case, look_up: LookUp, name: str, workers: int) -> str | None:
    """The convention that brings a set's hashes nearer to those of the pictures that it knows by digest."""
    known = list(islice(matching.overlap(case, look_up, name), _MOST))
    if len(known) < _ENOUGH:
        return None
    measure(case, _STAGE, [sha256 for sha256, _ in known], workers)
    from mantlet.fingerprint.pdq import distance  # its compiler takes a third of a second to load

    apart: dict[str, list[int]] = {PINNED: [], _STRETCHED: []}
    for sha256, hashes in known:
        looks = {look.convention: look for look in matching.looks_of(case, sha256) if look.view == "upright"}
        if set(looks) == set(apart):
            for convention, look in looks.items():
                apart[convention].append(min(distance(look.value, value) for value in hashes))
    if len(apart[PINNED]) < _ENOUGH:
        return None
    return min(apart, key=lambda convention: statistics.median(apart[convention]))
