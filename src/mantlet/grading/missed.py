"""The certificate "missed": at most so many targets were not found, and at least this share was.

It speaks of a frozen population of contents, of which a uniform sample without replacement was looked at. A target is
what officers who look grade as one. Nothing in it depends on a model.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import UsageError
from mantlet.grading import eprocess, hypergeometric
from mantlet.types import Absent, Reason

Scheme = Literal["fixed", "any time"]
CONFIDENCE: Final = 0.99
SAMPLE, RATE, CHANCE = 0.8, 0.1, 0.1
"""How the risk of being wrong is shared when small looks overlook some: sample, their rate, what chance did."""


class Missed(msgspec.Struct, frozen=True):
    """What the looks so far support.

    With `confidence`, at most `missed_at_most` targets of the `population` contents were not found. `looked` and
    `found` are of the sample; `unseen` is how many nobody looked at, in the sample or out of turn. `recall_at_least`
    is the share that was found of all that were found or missed; None where `absent` says why.
    """

    confidence: float
    scheme: Scheme
    population: int
    looked: int
    found: int
    unseen: int
    missed_at_most: int
    recall_at_least: float | None
    absent: Absent | None
    assumptions: tuple[str, ...]


def certify(
    population: int,
    outcomes: NDArray[np.bool_],
    *,
    confidence: float = CONFIDENCE,
    scheme: Scheme = "any time",
    found_before: int = 0,
    found_beside: int = 0,
    looked_beside: int = 0,
    overlooked: tuple[int, int] | None = None,
) -> Missed:
    """Bounds what was missed.

    Args:
        population: how many contents it holds.
        outcomes: [looks], in the order of looking and without a gap: whether each was a target.
        confidence: at which to state it, above 0.5 and below 1.
        scheme: "any time" holds whenever the officers stop; "fixed" only for a size decided before the first look.
        found_before: targets found before the population was frozen; they count in the recall.
        found_beside, looked_beside: of the population, beyond the sample, looked at out of turn; they lower what is
            left, and are no part of the sample.
        overlooked: where looks of the sample were small: of the second number of targets seen so small, in a trial of
            fixed size, the first were overlooked. Carried into the bound (union bound); then what was missed
            includes targets that were looked at. Clear looks among the small do no harm: a find more never lowers it.

    Raises:
        UsageError: the numbers do not fit each other.
    """
    beside = _Beside(found_before, found_beside, looked_beside, overlooked)
    _check(population, outcomes, confidence, beside)
    looked, found = eprocess.moments(outcomes)
    unseen = population - len(outcomes) - looked_beside
    missed = _missed(population, looked, found, unseen, confidence, scheme, beside)
    recall = _recall(int(found[-1]), missed, beside)
    return Missed(
        confidence=confidence,
        scheme=scheme,
        population=population,
        looked=len(outcomes),
        found=int(found[-1]),
        unseen=unseen,
        missed_at_most=missed,
        recall_at_least=recall,
        absent=None if recall is not None else Absent(Reason.NOT_APPLICABLE, "Nothing was found, so it has no share."),
        assumptions=_assumptions(population, len(outcomes), confidence, scheme, beside),
    )


def plan(
    population: int,
    outcomes: NDArray[np.bool_],
    *,
    recall: float | None = None,
    at_most: int | None = None,
    confidence: float = CONFIDENCE,
    scheme: Scheme = "any time",
    found_before: int = 0,
    found_beside: int = 0,
    looked_beside: int = 0,
    overlooked: tuple[int, int] | None = None,
) -> int | None:
    """How many more contents of the order must be looked at until a goal can be stated, if none of them is a target.

    The goal is either a `recall` (which "nothing is missed" meets too) or `at_most` so many missed; the rest is as for
    `certify`. Contents that the order comes to and that were seen out of turn are included. None where even the whole
    population would not do.

    Raises:
        UsageError: as `certify`; not one goal; a goal that is none; or a fixed sample that has begun.
    """
    beside = _Beside(found_before, found_beside, looked_beside, overlooked)
    _check(population, outcomes, confidence, beside)
    if (recall is None) == (at_most is None):
        raise UsageError("Give one goal: the least recall, or the most that may be missed.")
    if recall is not None and not 0 < recall <= 1:
        raise UsageError("The recall is a share above 0 and at most 1, such as 0.95.")
    if at_most is not None and at_most < 0:
        raise UsageError("The most that may be missed is 0 or more.")
    if scheme == "fixed" and len(outcomes):
        raise UsageError("A fixed sample is planned before the first look; plan with the scheme 'any time' instead.")
    looked, found = eprocess.moments(outcomes)
    rest = population - len(outcomes)

    def met(more: int) -> bool:
        then = np.append(looked[:-1], looked[-1] + more)
        unseen = rest - max(more, looked_beside)  # all of what was seen out of turn may be met
        missed = _missed(population, then, found, unseen, confidence, scheme, beside)
        if recall is None:
            return at_most is not None and missed <= at_most
        return missed == 0 or (_recall(int(found[-1]), missed, beside) or 0) >= recall

    low, high = 0, rest
    if not met(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if met(middle):
            high = middle
        else:
            low = middle + 1
    return low


class _Beside(NamedTuple):
    """What counts beside the sample."""

    found_before: int
    found: int
    looked: int
    overlooked: tuple[int, int] | None


def _missed(
    population: int,
    looked: NDArray[np.int64],
    found: NDArray[np.int64],
    unseen: int,
    confidence: float,
    scheme: Scheme,
    beside: _Beside,
) -> int:
    """The bound, from the moments of the sample (`eprocess.moments`)."""
    alpha, known = 1 - confidence, int(found[-1]) + beside.found
    share = alpha if beside.overlooked is None else alpha * SAMPLE
    if scheme == "fixed":
        most = hypergeometric.upper(population, int(looked[-1]), int(found[-1]), share)
    else:
        most = eprocess.upper(population, looked, found, share)
    most = max(known, min(most, known + unseen))
    if beside.overlooked is not None:
        rate = hypergeometric.rate_upper(*beside.overlooked, alpha * RATE)
        most = hypergeometric.binomial_upper(most, rate, alpha * CHANCE, population)
    return most - known


def _recall(found: int, missed: int, beside: _Beside) -> float | None:
    known = beside.found_before + found + beside.found
    return known / (known + missed) if known else None


def _check(population: int, outcomes: NDArray[np.bool_], confidence: float, beside: _Beside) -> None:
    """Raises UsageError where the numbers do not fit each other."""
    looked = len(outcomes)
    if not 0.5 < confidence < 1:
        raise UsageError("The confidence is above 0.5 and below 1, such as 0.99.")
    if population < 1:
        raise UsageError("The population holds no content; freeze one that does.")
    if min(beside.found_before, beside.found, beside.looked) < 0:
        raise UsageError("How many were looked at and found is 0 or more.")
    if looked + beside.looked > population:
        raise UsageError(
            f"{looked + beside.looked:,} contents looked at are more than the population of {population:,} holds; "
            "count each once."
        )
    if beside.found > beside.looked:
        raise UsageError("More was found out of turn than was looked at out of turn; count those found as looked at.")
    if beside.overlooked is not None and not 0 <= beside.overlooked[0] <= beside.overlooked[1] > 0:
        raise UsageError("Overlooked are some of at least one target that was shown: give how many, and of how many.")


def _assumptions(population: int, looked: int, confidence: float, scheme: Scheme, beside: _Beside) -> tuple[str, ...]:
    """What the bound rests on, as sentences."""
    said = [
        f"The sample is the first {looked:,} of the {population:,} contents of the frozen population, none left out, "
        "in an order drawn by chance after the plan was recorded."
    ]
    if scheme == "fixed":
        said.append("The size of the sample was decided before the first look.")
    else:
        said.append("It holds at every moment of looking, whenever the officers stop.")
    if beside.overlooked is None:
        said.append("A target is what officers who look grade as one; what they would overlook is not in the bound.")
    else:
        hits, of = beside.overlooked
        rate = hypergeometric.rate_upper(hits, of, (1 - confidence) * RATE)
        said.append(
            f"A look overlooks a target with a chance of at most {rate:.1%}, each apart from the others: in a trial of "
            f"{of:,} targets, its size fixed beforehand, {hits:,} were overlooked."
        )
    if beside.looked:
        said.append(
            f"{beside.looked:,} more of the population were looked at out of turn; they lower what is left and are no "
            "part of the sample."
        )
    if beside.found_before:
        said.append(
            f"{beside.found_before:,} targets were found before the population was frozen; they count in the recall "
            "alone."
        )
    return tuple(said)
