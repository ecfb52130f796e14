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
from mantlet.case.matching import Matcher
from mantlet.engine.measure import measure
from mantlet.known.lookup import LookUp
from mantlet.known.records import STRETCHED, WHOLE

_STAGE: Final = "pdq-512"
_FORMS: Final = "pdq-forms"
_ENOUGH: Final = 5
_MOST: Final = 500
"""Pictures known by digest that must tell a convention, and that are read for it at most."""
_AT_ONCE: Final = 50
_TELLING: Final = 10
"""Bits that the two hashes of a picture must lie apart for it to tell anything: small pictures hash alike both ways."""
_NEAR: Final = 16
"""Bits at which, in the middle, a set's hashes are of a convention: ours are within 16 of the whole picture's, within 8
of the stretched one's (docs/decisions/0013)."""


class Matched(msgspec.Struct, frozen=True):
    """`counts`: contents looked at, and known ones by status and exact or near. `conventions`: of each set that holds
    PDQ. `out_of_reach`: pictures that could not be read again for it; `warnings`: sentences on what could not be
    compared as it should."""

    counts: dict[str, int]
    conventions: dict[str, str]
    out_of_reach: int
    warnings: list[str]


def match(case: Case, look_up: LookUp, workers: int, progress: Callable[[int], None] = lambda _: None) -> Matched:
    """Matches a case, measuring first what its sets ask for. Raises as `engine.measure.measure`."""
    warnings: list[str] = []
    with_hashes = [each for each in look_up.chosen if each.hashes.get("pdq")]
    measured: dict[str, str] = {}
    away: dict[str, str] = {}
    for each in with_hashes:
        if each.convention is not None:
            continue
        found, unread = _measured(case, look_up, each.name, workers)
        away |= unread
        if found:
            measured[each.name] = found
        else:
            warnings.append(
                f"The set '{each.name}' does not say how its perceptual hashes were made, and what it knows of this "
                "case by digest does not tell: some look-alikes may be missed. `known import --convention` declares it."
            )
    matcher = Matcher(look_up, measured)
    conventions = {each.name: matcher.conventions[each.name] for each in with_hashes}
    stretched = [name for name, convention in conventions.items() if convention == STRETCHED]
    for stage in (*([_FORMS] if with_hashes else []), *([_STAGE] if stretched else [])):
        away |= measure(case, stage, list(matching.lacking(case, stage)), workers).out_of_reach
    if away:
        why = next(iter(away.values()))
        warnings.append(f"{len(away):,} pictures could not be read again to be compared in every way: {why}")
    if stretched and matching.has_frames(case):
        warnings.append(f"Clips were not compared with look-alikes of {', '.join(stretched)}: only stills can be.")
    return Matched(matching.match(case, matcher, progress), conventions, len(away), warnings)


def _measured(case: Case, look_up: LookUp, name: str, workers: int) -> tuple[str | None, dict[str, str]]:
    """The convention that brings a set's hashes near to those of the pictures that it knows by digest, None where too
    few of them tell or it brings none near; and why some could not be read for it."""
    from mantlet.fingerprint.pdq import distance  # its compiler takes a third of a second to load

    # All at once: while a query is under way, its reader would not see what is measured meanwhile.
    known, away = list(islice(matching.overlap(case, look_up, name), _MOST)), dict[str, str]()
    apart: dict[str, list[int]] = {WHOLE: [], STRETCHED: []}
    for first in range(0, len(known), _AT_ONCE):
        if len(apart[WHOLE]) >= 2 * _ENOUGH:
            break
        some = known[first : first + _AT_ONCE]
        away |= measure(case, _STAGE, [sha256 for sha256, _ in some], workers).out_of_reach
        for sha256, hashes in some:
            looks = {look.convention: look.value for look in matching.looks_of(case, sha256) if look.view == "upright"}
            if set(looks) == set(apart) and distance(looks[WHOLE], looks[STRETCHED]) >= _TELLING:
                for convention, value in looks.items():
                    apart[convention].append(min(distance(value, each) for each in hashes))
    if len(apart[WHOLE]) < _ENOUGH:
        return None, away
    middle = {convention: statistics.median(bits) for convention, bits in apart.items()}
    best = min(middle, key=lambda convention: middle[convention])
    return (best if middle[best] <= _NEAR and len(set(middle.values())) > 1 else None), away
