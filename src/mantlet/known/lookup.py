"""What some sets say of a content: by its digests, and by how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from mantlet.governance.policy import Policy
from mantlet.known.opened import Opened
from mantlet.known.records import KnownSet, Match
from mantlet.known.sets import Sets

GRADES: Final = "grades"
"""The form of a set of what a force graded in earlier cases."""


class Look(NamedTuple):
    """A perceptual hash to look up: of a still ("pdq") or of a frame of a clip ("frames"), how the picture was turned
    for it, and the convention by which its pixels were made."""

    how: str
    view: str
    convention: str
    value: bytes


class LookUp:
    """Looks contents up in some sets, all open while it lives, as they were when it was made."""

    def __init__(self, sets: Sets, chosen: Sequence[KnownSet], policy: Policy) -> None:
        self.chosen = [known for known in chosen if known.blocks is None]
        self._opened = [sets.open(known) for known in self.chosen]
        self.policy = policy

    def exact(self, md5: str, sha1: str, sha256: str) -> list[Match]:
        """Records that agree with these digests in every digest that they hold.

        A record of a benign status that holds MD5 alone, or SHA-1 alone, matches nothing: collisions of either can be
        made, and would hide a content.
        """
        digests = {"md5": bytes.fromhex(md5), "sha1": bytes.fromhex(sha1), "sha256": bytes.fromhex(sha256)}
        found: list[Match] = []
        for opened in self._opened:
            rows = [
                (row, held)
                for row, held in opened.exact(digests)
                if opened.category(row).status != "benign" or held not in (["sha1"], ["md5"])
            ]
            trusted = self._trusted(opened, [row for row, _ in rows]) if opened.known.form == GRADES else None
            found += [_match(opened, row, held[0], trusted=trusted) for row, held in rows]
        return found

    def _trusted(self, opened: Opened, rows: Sequence[int]) -> bool:
        """Whether enough officers graded a content, and all alike. Who did so in two cases counts once."""
        grades = [grade for row in rows for grade in msgspec.json.decode(opened.details(row), type=_Graded).grades]
        officers = {grade.by.casefold() for grade in grades}
        return len({grade.grade for grade in grades}) == 1 and self.policy.trusts(len(officers))

    def perceptual(self, name: str, md5: str, sha1: str, sha256: str) -> list[bytes]:
        """The PDQ of each record of a set (by name) that agrees with these digests."""
        digests = {"md5": bytes.fromhex(md5), "sha1": bytes.fromhex(sha1), "sha256": bytes.fromhex(sha256)}
        opened = next(each for each in self._opened if each.known.name == name)
        hashes = (opened.record(row).pdq for row, _ in opened.exact(digests))
        return [value for value in hashes if value is not None]

    def near(self, looks: Iterable[Look], convention_of: dict[str, str]) -> Iterator[Match]:
        """Records that look like one of these, each once for each `how`, by the form that is nearest.

        `convention_of`: by which convention the hashes of each set (by name) were made; the others are left out.
        """
        best: dict[tuple[str, int, str], Match] = {}
        for opened in self._opened:
            for look in looks:
                if convention_of.get(opened.known.name) != look.convention:
                    continue
                for row, distance in opened.near(look.value):
                    key = (opened.known.name, row, look.how)
                    if key not in best or distance < best[key].distance:
                        best[key] = _match(opened, row, look.how, look.view, distance, look.convention)
        yield from best.values()


class _Grade(msgspec.Struct):
    grade: str
    by: str


class _Graded(msgspec.Struct):
    grades: list[_Grade]


def _match(
    opened: Opened, row: int, how: str, view: str = "upright", distance: int = 0, convention: str | None = None,
    *, trusted: bool | None = None,
) -> Match:  # fmt: skip
    known, category = opened.known, opened.category(row)
    return Match(
        known.name, known.version, opened.number(row), how, view, distance, category.code, category.status,
        category.severity, convention, trusted,
    )  # fmt: skip
