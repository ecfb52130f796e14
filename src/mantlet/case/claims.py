"""What is claimed of contents before anybody counts them: the piles of a population of the kind "counts"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case.case import Case
from mantlet.case.predictions import meanings
from mantlet.grading.counts import Pile
from mantlet.grading.scheme import load
from mantlet.recognise.manifest import SCORES
from mantlet.types import Kind

CARRIED: Final = 0.99
"""How probably a grade that was taken over is taken to be right. Nothing in a bound depends on it."""
_DOMAIN: Final = b"mantlet claims/1\n"


class Claims(msgspec.Struct, frozen=True):
    """`piles`; `pile_of`: [n], the place in these of each content; `scores`: [n], how probably the claim is right, None
    where no model made any."""

    piles: tuple[Pile, ...]
    pile_of: NDArray[np.uint8]
    scores: NDArray[np.float32] | None

    @property
    def digest(self) -> str:
        """SHA-256 over a prefix and, in the order at hand, piles and scores."""
        scores = b"" if self.scores is None else self.scores.astype("<f4").tobytes()
        return hashlib.sha256(_DOMAIN + self.pile_of.tobytes() + scores).hexdigest()

    def ordered(self, order: NDArray[np.int64]) -> Claims:
        return Claims(self.piles, self.pile_of[order], None if self.scores is None else self.scores[order])


def claims(
    case: Case, scheme: str, targets: tuple[str, ...], contents: Sequence[tuple[str, str]], carried: dict[str, str]
) -> Claims:
    """What is claimed of contents.

    Args:
        scheme, targets: the scheme, and those of its codes that are counted.
        contents: SHA-256 and kind of each.
        carried: content -> the grade that stands on it without a look that counts.
    """
    said = _predicted(case, scheme, targets)
    claimed = [
        (carried[sha256] if carried[sha256] in targets else "", CARRIED)
        if sha256 in carried
        else said.get(sha256, ("", 0.0))
        for sha256, _ in contents
    ]
    keys = [(category, kind) for (category, _), (_, kind) in zip(claimed, contents, strict=True)]
    # What is claimed first, by the scheme's order of grades; the rest last.
    there = sorted(set(keys), key=lambda key: ((*targets, "").index(key[0]), key[1] != Kind.STILL))
    place = {key: number for number, key in enumerate(there)}
    pile_of = np.array([place[key] for key in keys], dtype=np.uint8)
    sizes = np.bincount(pile_of, minlength=len(there)).tolist()
    piles = tuple(Pile(category, Kind(kind), size) for (category, kind), size in zip(there, sizes, strict=True))
    scores = np.array([score for _, score in claimed], dtype=np.float32) if said else None
    return Claims(piles, pile_of, scores)


def _predicted(case: Case, scheme: str, targets: tuple[str, ...]) -> dict[str, tuple[str, float]]:
    """Of each content that a model flags as a target, as which, and how probably: what is most probable."""
    found: dict[str, tuple[str, float]] = {}
    for settings, means in meanings(case, load(scheme)).items():
        codes = {label: next((code for code in each if code in targets), None) for label, each in means.items()}
        rows = case.reader.execute(
            "SELECT sha256, value FROM finding WHERE name = ? AND settings = ? AND value NOT NULL", (SCORES, settings)
        )
        for row in rows:
            value = json.loads(row["value"])
            for label in value.get("flagged", ()):
                code, score = codes.get(label), value["scores"].get(label, 0.0)
                if code is not None and score > found.get(row["sha256"], ("", -1.0))[1]:
                    found[row["sha256"]] = code, score
    return found
