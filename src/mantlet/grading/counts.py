"""The certificate "counts": at least and at most so many of each category, stills and moving, all at once.

It speaks of a frozen population. Each content lies in one pile: of what is claimed of it (by a model, a near copy or a
trusted record) and its kind, or in the rest of its kind. Nothing in the bounds depends on the claims being right.

At least: for each claimed pile a bound on how many in it are wrong (`betting`). Two such bounds are at hand, and the
better one counts. One is common to all piles: the largest share of wrong ones that a test at the full risk leaves open
in any pile. It costs nothing for the number of piles, since for it to be false the test of that one pile that is worst
in truth must fail. The other is each pile's own, at its part of the risk (Bonferroni), which helps where one pile is
worse or smaller than the rest.

At most: those of a pile that are not known to be wrong, what others of the kind may hold wrongly, and a bound on the
targets in the rest, from a uniform sample of it (`eprocess`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.grading import betting, eprocess
from mantlet.types import Kind

COMMON, OWN, REST = 0.8, 0.1, 0.1
"""How the risk of being wrong is shared: the bound common to all claimed piles, their own bounds, and the rest."""
MOST_PILES: Final = 255
NONE: Final = -1
"""The place of a grade that is none of the categories."""
UNSEEN: Final = -2
"""In the place of a grade: nobody has looked yet."""
_ROUNDING: Final = 1e-9
_RESTS: Final = 6.0


class Pile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contents of one kind of which one category is claimed; `category` "" for the rest, of which none is."""

    category: str
    kind: Kind
    size: Annotated[int, msgspec.Meta(ge=1)]


class Bounds(msgspec.Struct, frozen=True):
    """Of one category and kind: how many are claimed, were found in the sample, and are there at least and at most."""

    category: str
    kind: Kind
    claimed: int
    found: int
    at_least: int
    at_most: int


class Counts(msgspec.Struct, frozen=True):
    """With `confidence`, all of `bounds` hold at once. `looked`: contents of the sample in each pile.

    `open_share`: of each pile, at most which share its own test leaves wrong (1 for the rest): what `upcoming` goes by.
    `recall_at_least`: of all targets, the share that lies in the claimed piles or was found in the rest or before; None
    where none is sure to be there.
    """

    confidence: float
    bounds: tuple[Bounds, ...]
    looked: tuple[int, ...]
    open_share: tuple[float, ...]
    recall_at_least: float | None
    assumptions: tuple[str, ...]


def order(
    piles: tuple[Pile, ...], pile_of: NDArray[np.uint8], scores: NDArray[np.float32] | None, marks: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The rows pile by pile, each pile in the one order in which it is looked at.

    How far each pile is looked at is free, and may be decided while looking (`upcoming` proposes): only within a pile
    is nothing to be left out.

    Args:
        piles: all that there are.
        pile_of: [n], the place in `piles` of each content.
        scores: [n], how probably what is claimed is right; None: nothing is known of that, and draws are uniform.
        marks: [n], 64 uniform bits each (`population.marks`), drawn after all else was fixed.

    Raises:
        UsageError: the sizes of the piles are not those of `pile_of`.
    """
    _check(piles, pile_of)
    keys = betting.keys(betting.classes(scores, len(pile_of)), marks)
    return np.lexsort((marks, np.where(_claimed(piles)[pile_of], keys, 0.0), pile_of)).astype(np.int64)


def certify(
    piles: tuple[Pile, ...],
    categories: tuple[str, ...],
    pile_of: NDArray[np.uint8],
    scores: NDArray[np.float32] | None,
    sequence: NDArray[np.int64],
    graded: NDArray[np.int8],
    *,
    confidence: float,
    found_before: int = 0,
) -> Counts:
    """Bounds every category of every kind.

    Args:
        piles, pile_of, scores: as for `order`.
        categories: the codes that are counted.
        sequence: what `order` gave.
        graded: [n], of each row the place in `categories` of its grade, `NONE`, or `UNSEEN`. Of each pile counts what
            was seen from its first on, up to the first that was not.
        confidence: at which all bounds hold at once, above 0.5 and below 1.
        found_before: targets found before the population was frozen; they count in the recall.

    Raises:
        UsageError: the numbers do not fit each other.
    """
    _check(piles, pile_of)
    if not 0.5 < confidence < 1:
        raise UsageError("The confidence is above 0.5 and below 1, such as 0.99.")
    if len(graded) != len(pile_of):
        raise UsageError("Each content of the population has one grade, or none yet.")
    if len(graded) and not UNSEEN <= graded.min() <= graded.max() < len(categories):
        raise UsageError("A grade is of no category that is counted; give each its place among them.")
    unknown = [pile.category for pile in piles if pile.category and pile.category not in categories]
    if unknown:
        raise UsageError(f"'{unknown[0]}' is claimed of a pile and is no category that is counted; count it too.")
    sample = _sample(piles, categories, pile_of, scores, sequence, graded)
    return from_sample(
        sample, categories, confidence=confidence, weighted=scores is not None, found_before=found_before
    )


def from_sample(
    sample: Sequence[Looked],
    categories: tuple[str, ...],
    *,
    confidence: float,
    weighted: bool,
    found_before: int = 0,
) -> Counts:
    """As `certify`, from what was seen of each pile."""
    share, wrong = _wrong(sample, 1 - confidence)
    missed = _in_rests(sample, (1 - confidence) * REST)
    bounds = tuple(
        _bounds(sample, categories, code, kind, wrong, missed)
        for kind in dict.fromkeys(each.pile.kind for each in sample)
        for code in range(len(categories))
    )
    sure = found_before
    sure += sum(each.pile.size - wrong[place] for place, each in enumerate(sample) if each.pile.category)
    sure += sum(int((each.grades != NONE).sum()) for each in sample if not each.pile.category)
    looked = tuple(len(each.grades) for each in sample)
    return Counts(
        confidence,
        bounds,
        looked,
        share,
        sure / (sure + sum(missed.values())) if sure else None,
        _assumptions(sample, weighted),
    )


def upcoming(
    piles: tuple[Pile, ...],
    sequence: NDArray[np.int64],
    graded: NDArray[np.int8],
    open_share: tuple[float, ...],
    count: int,
) -> NDArray[np.int64]:
    """The next rows to look at: of the claimed pile that leaves most open, and of the rest.

    The rest comes as often as claims while these are open, and more often the less they are, up to six times: what
    the rest may hold then limits what can be said of all.

    Args:
        open_share: of each pile, as `certify` gave it.
        count: how many, at most.
    """
    start, waiting = 0, []
    for pile in piles:
        rows = sequence[start : start + pile.size]
        waiting.append(rows[graded[rows] == UNSEEN])
        start += pile.size
    seen = [pile.size - len(rows) for pile, rows in zip(piles, waiting, strict=True)]
    claimed = sum(pile.size for pile in piles if pile.category)
    open_claims = sum(share * pile.size for share, pile in zip(open_share, piles, strict=True) if pile.category)
    turns = min(_RESTS, claimed / open_claims) if open_claims else _RESTS
    taken, found = [0] * len(piles), list[int]()

    def shrinks(place: int) -> float:
        """A bound shrinks about as one over the number of looks."""
        return open_share[place] * (seen[place] + 1) / (seen[place] + taken[place] + 1)

    while len(found) < count and (left := [place for place, rows in enumerate(waiting) if taken[place] < len(rows)]):
        looks = [0, 0]
        for place, pile in enumerate(piles):
            looks[bool(pile.category)] += seen[place] + taken[place]
        wanted = looks[0] >= turns * looks[1]
        place = max([each for each in left if bool(piles[each].category) == wanted] or left, key=shrinks)
        found.append(int(waiting[place][taken[place]]))
        taken[place] += 1
    return np.array(found, dtype=np.int64)


class Looked(NamedTuple):
    """What was seen of a pile: `sizes` of its classes ([classes], `betting.classes`); the class and the grade of each
    draw, in the order of drawing; `code`: the place in the categories of what is claimed, or `NONE`."""

    pile: Pile
    code: int
    sizes: NDArray[np.int64]
    classes: NDArray[np.uint8]
    grades: NDArray[np.int8]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.grades != self.code
        return found


def _sample(
    piles: tuple[Pile, ...],
    categories: tuple[str, ...],
    pile_of: NDArray[np.uint8],
    scores: NDArray[np.float32] | None,
    sequence: NDArray[np.int64],
    graded: NDArray[np.int8],
) -> list[Looked]:
    found, start, sample = betting.classes(scores, len(pile_of)), 0, []
    for pile in piles:
        rows = sequence[start : start + pile.size]
        start += pile.size
        unseen = np.flatnonzero(graded[rows] == UNSEEN)
        length = int(unseen[0]) if len(unseen) else pile.size
        code = categories.index(pile.category) if pile.category else NONE
        sizes = np.bincount(found[rows], minlength=len(betting.GUESSES))
        sample.append(Looked(pile, code, sizes, found[rows[:length]], graded[rows[:length]]))
    return sample


def _wrong(sample: Sequence[Looked], alpha: float) -> tuple[tuple[float, ...], list[int]]:
    """Of each pile the share that its test leaves open, and at most how many of it are wrong (0 for the rest)."""
    claimed = [place for place, each in enumerate(sample) if each.pile.category]
    alphas = np.array([alpha * COMMON, alpha * OWN / max(1, len(claimed))])
    shares, own = [1.0] * len(sample), [0] * len(sample)
    for place in claimed:
        each = sample[place]
        alone, own[place] = betting.upper(each.sizes, each.classes, each.wrong, alphas)
        shares[place] = alone / each.pile.size
    # One that was looked at whole stays in: else which pile is the worst would hang on what was seen, and on chance.
    common = max((shares[place] for place in claimed), default=0.0)
    for place in claimed:
        size = sample[place].pile.size
        own[place] = min(own[place], math.floor(common * size + _ROUNDING))
        shares[place] *= len(sample[place].grades) < size
    return tuple(shares), own


def _in_rests(sample: Sequence[Looked], alpha: float) -> dict[Kind, int]:
    """At most how many targets the rest of each kind holds beside those found in it."""
    rests = [each for each in sample if not each.pile.category]
    missed = {}
    for each in rests:
        looked, targets = eprocess.moments(each.wrong)
        most = eprocess.upper(each.pile.size, looked, targets, alpha / len(rests)) - int(targets[-1])
        missed[each.pile.kind] = max(0, min(most, each.pile.size - len(each.grades)))
    return missed


def _bounds(
    sample: Sequence[Looked],
    categories: tuple[str, ...],
    code: int,
    kind: Kind,
    wrong: list[int],
    missed: dict[Kind, int],
) -> Bounds:
    claimed, least, most, found = 0, 0, missed.get(kind, 0), 0
    for place, each in enumerate(sample):
        if each.pile.kind != kind:
            continue
        it, seen_wrong = int((each.grades == code).sum()), int(each.wrong.sum())
        found += it
        if each.code == code:
            claimed = each.pile.size
            least += max(it, claimed - wrong[place])
            most += claimed - seen_wrong
        else:
            least += it
            most += it + max(0, wrong[place] - seen_wrong)
    return Bounds(categories[code], kind, claimed, found, least, most)


def _check(piles: tuple[Pile, ...], pile_of: NDArray[np.uint8]) -> None:
    if not piles or len(piles) > MOST_PILES:
        raise UsageError(f"There are from 1 to {MOST_PILES} piles; count fewer categories.")
    if min(pile.size for pile in piles) < 1:
        raise UsageError("A pile is empty; leave it out.")
    if len({(pile.category, pile.kind) for pile in piles}) < len(piles):
        raise UsageError("Two piles are of one category and kind; make them one.")
    if np.bincount(pile_of, minlength=len(piles)).tolist() != [pile.size for pile in piles]:
        raise UsageError("The piles do not hold as many contents as they say.")


def _claimed(piles: tuple[Pile, ...]) -> NDArray[np.bool_]:
    return np.array([bool(pile.category) for pile in piles])


def _assumptions(sample: Sequence[Looked], weighted: bool) -> tuple[str, ...]:
    """What the bounds rest on, as sentences."""
    how = "more often where the score doubts the claim" if weighted else "each equally often"
    claimed = sum(len(each.grades) for each in sample if each.pile.category)
    rest = sum(len(each.grades) for each in sample if not each.pile.category)
    size = sum(each.pile.size for each in sample)
    return (
        f"The sample is {claimed + rest:,} of the {size:,} contents of the frozen population: of each pile the first "
        "ones, none left out, in an order drawn by chance after the plan was recorded.",
        f"{claimed:,} of them are of the claimed piles, drawn {how}; {rest:,} of the rest, drawn uniformly.",
        "All bounds hold together, at every moment of looking, whenever the officers stop.",
        "What was claimed need not be right: the bounds are over what officers who look would grade.",
    )
