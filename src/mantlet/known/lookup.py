"""What some sets say of a content: by its digests, and by how it looks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from mantlet import settings
from mantlet.errors import IntegrityError
from mantlet.governance.policy import Policy
from mantlet.known.records import KnownSet, Match
from mantlet.known.sets import Sets

if TYPE_CHECKING:
    from mantlet.known.opened import Opened

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
        made, and would hide a content. A grade that is not trusted never makes a content benign, nor does a look.
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
        """Whether enough officers graded a content, and all alike. Who did so in two cases counts once; who was
        exported by somebody whom the policy does not name counts for nothing, but for a dispute."""
        try:
            grades = [msgspec.json.decode(opened.details(row), type=_Graded) for row in rows]
        except ValueError:
            raise IntegrityError(f"The set '{opened.known.name}' is damaged; import it again.") from None
        officers = {_person(each.by) for each in grades if each.public_key in self.policy.exporters}
        return len({opened.category(row).code for row in rows}) == 1 and self.policy.trusts(len(officers))

    def perceptual(self, name: str, md5: str, sha1: str, sha256: str) -> list[bytes]:
        """The PDQ of each record of a set (by name) that agrees with these digests."""
        digests = {"md5": bytes.fromhex(md5), "sha1": bytes.fromhex(sha1), "sha256": bytes.fromhex(sha256)}
        opened = next(each for each in self._opened if each.known.name == name)
        hashes = (opened.record(row).pdq for row, _ in opened.exact(digests))
        return [value for value in hashes if value is not None]

    def near(self, looks: Iterable[Look], convention_of: dict[str, str]) -> Iterator[Match]:
        """Records that look like one of these, each once for each `how`, by the form that is nearest; of each set at
        most `settings.KNOWN_MATCHES`, the most severe and then the nearest.

        `convention_of`: by which convention the hashes of each set (by name) were made; the others are left out.
        """
        by_how = {how: list(group) for how, group in groupby(sorted(looks, key=_how), key=_how)}
        for opened in self._opened:
            for how, group in by_how.items():
                yield from _nearest(opened, how, [x for x in group if x.convention == convention_of[opened.known.name]])


def _how(look: Look) -> str:
    return look.how


def _nearest(opened: Opened, how: str, looks: Sequence[Look]) -> Iterator[Match]:
    found = [opened.near(look.value) for look in looks]
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty(0, np.uint32)
    if not len(rows):
        return
    distances = np.concatenate([distances for _, distances in found])
    views = np.repeat(np.arange(len(found)), [len(rows) for rows, _ in found])
    order = np.lexsort((views, distances, rows))
    order = order[np.diff(rows[order], prepend=rows[order[0]] + 1) != 0]  # of each row the nearest form, the first
    order = order[np.lexsort((distances[order], opened.ranks(rows[order])))][: settings.KNOWN_MATCHES]
    for place in order:
        look = looks[views[place]]
        yield _match(opened, int(rows[place]), how, look.view, int(distances[place]), look.convention)


class _Graded(msgspec.Struct):
    """What is read of the details of a record of grades."""

    by: str
    public_key: str


def _person(name: str) -> str:
    """Names that a reader would take for the same are."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def _match(
    opened: Opened, row: int, how: str, view: str = "upright", distance: int = 0, convention: str | None = None,
    *, trusted: bool | None = None,
) -> Match:  # fmt: skip
    known, category = opened.known, opened.category(row)
    status = category.status
    if status == "benign" and (convention or (known.form == GRADES and not trusted)):
        status = "ungraded"  # neither what only looks so, nor what too few say, is harmless
    return Match(
        known.name, known.version, opened.number(row), how, view, distance, category.code, status,
        category.severity, convention, trusted,
    )  # fmt: skip
