"""How often the certificate "missed" is true, and how few looks it needs.

Cases are drawn as finds in an order that chance made: the moments that decide are those just before a find, and the
last. At each it is asked whether the certificate excludes the truth, by the function that it calls itself, so a case
counts as wrong if it ever was: officers who stop at the worst moment. A fixed sample has no moments, and is summed
exactly. Officers miss each target with the same chance; the bound is over what they would grade, and where that is
measured on targets seen small (200 of them, anew in each case) and carried along, over all there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv

from mantlet.grading import eprocess, hypergeometric
from mantlet.grading.missed import CHANCE, RATE, SAMPLE, plan
from tests.acceptance.figure import Figure

Row = dict[str, Any]

SEED: Final = 20_261_201
CASES: Final = 50_000
POPULATIONS: Final = (1_000, 10_000, 100_000, 1_000_000)
PREVALENCES: Final = (0.0005, 0.005, 0.05, 0.2)
OFFICERS: Final = (0.0, 0.02, 0.1)
"""What share of targets officers miss."""
_FINDS: Final = 150
"""Looking goes on until about so many are found, or all is seen: the bound is then within a fifth of the truth."""
_TRIAL: Final = 200
_SHARES: Final = 20
"""How many numbers of targets that officers would grade are drawn for a setting."""


def coverage_table(cases: int = CASES, seed: int = SEED) -> list[Row]:
    """How often the bound held, a row for each setting.

    Each has scheme, population, prevalence, officers (the share they miss), carried (whether that was measured and
    carried into the bound), looks (at most), stated, covered, cases (0: summed exactly) and low (the least that
    `covered` of so many cases allows, at 99 %).
    """
    rows = []
    for population in POPULATIONS:
        for prevalence in PREVALENCES:
            targets = max(1, round(population * prevalence))
            looks = min(population, round(_FINDS / prevalence))
            setting = {"population": population, "prevalence": prevalence, "looks": looks}
            for officers in OFFICERS:
                for stated in (0.95, 0.99):
                    here = setting | {"officers": officers, "stated": stated}
                    shown = round(targets * (1 - officers))
                    covered = fixed_coverage(population, shown, looks // 2, 1 - stated)
                    rows.append(
                        here
                        | {"scheme": "fixed", "carried": False, "looks": looks // 2}
                        | {"covered": covered, "cases": 0, "low": covered}
                    )
                    for carried in (False, True):
                        rng = np.random.default_rng([seed, len(rows)])
                        wrong = _wrong(population, targets, looks, officers, 1 - stated, carried, cases, rng)
                        low = float(betaincinv(cases - wrong, wrong + 1, 0.01))
                        rows.append(
                            here
                            | {"scheme": "any time", "carried": carried}
                            | {"covered": 1 - wrong / cases, "cases": cases, "low": low}
                        )
    return rows


def fixed_coverage(population: int, targets: int, looks: int, alpha: float) -> float:
    """The exact chance that the bound of a fixed sample is no lower than the truth: it grows with what is found, so it
    is one less the chance of the most finds whose bound is too low."""
    low, high = -1, min(looks, targets)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeometric.upper(population, looks, middle, alpha) < targets:
            low = middle
        else:
            high = middle - 1
    return 1 - hypergeometric.chance(population, targets, looks, low) if low >= 0 else 1.0


def finds(looks: int, found: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[cases, most found + 1]: how many looks came before each find, in rising order; then `looks`."""
    drawn = rng.integers(looks, size=(len(found), int(found.max(initial=0)) + 1))
    drawn[np.arange(drawn.shape[1]) >= found[:, None]] = looks
    while True:
        drawn.sort(axis=1)
        again = np.zeros(drawn.shape, dtype=bool)
        again[:, 1:] = (drawn[:, 1:] == drawn[:, :-1]) & (drawn[:, 1:] < looks)
        if not again.any():
            return drawn
        drawn[again] = rng.integers(looks, size=int(again.sum()))


def limits(population: int, targets: NDArray[np.int64], found: NDArray[np.int64], alpha: float) -> NDArray[np.int64]:
    """The least number of looks after which so many finds exclude `targets` and all above; one more than the population
    where none does. The arguments are of one shape."""
    low, high = found.astype(np.int64), np.full(found.shape, population + 1)
    while bool((low < high).any()):
        middle = np.minimum((low + high) // 2, population)
        seen = eprocess.log_mixture(population, middle, found)
        out = eprocess.excluded(population, middle, found, targets, seen, alpha)
        high = np.where(out & (low < high), middle, high)
        low = np.where(out | (low >= high), low, middle + 1)
    return low


def _wrong(
    population: int,
    targets: int,
    looks: int,
    officers: float,
    alpha: float,
    carried: bool,
    cases: int,
    rng: np.random.Generator,
) -> int:
    """In how many cases the bound ever excluded the truth."""
    if carried:
        shown = rng.binomial(targets, 1 - officers, cases)
        overlooked = rng.binomial(_TRIAL, officers, cases)
        levels, row = np.unique(overlooked, return_inverse=True)
        # The truth is excluded once so many that would be noticed are: as few of it have a chance of CHANCE * alpha.
        truth = np.array([_noticed(targets, int(each), alpha) for each in levels])
        alpha *= SAMPLE
    else:
        truth = rng.binomial(targets, 1 - officers, _SHARES)
        row = np.arange(cases) % _SHARES
        shown = truth[row]
    found = rng.hypergeometric(shown, population - shown, looks)
    before = finds(looks, found, rng)
    each = np.arange(before.shape[1])
    least = np.full((len(truth), len(each)), population + 1)
    possible = (truth[:, None] > 0) & (each <= truth[:, None])
    at = np.nonzero(possible)
    least[at] = limits(population, truth[at[0]], each[at[1]], alpha)
    return int(((least[row] <= before) & (each <= found[:, None])).any(axis=1).sum())


def _noticed(targets: int, overlooked: int, alpha: float) -> int:
    """The least bound on what would be noticed that does not exclude `targets`; 0 where none does."""
    rate = hypergeometric.rate_upper(overlooked, _TRIAL, alpha * RATE)
    few = np.arange(targets + 1)
    return int((bdtr(few, targets, 1 - rate) <= alpha * CHANCE).sum())


def economy_table(cases: int = 2_000, seed: int = SEED) -> list[Row]:
    """How many looks are needed until at most `at_most` can be stated to be missed, a row for each setting.

    Each has scheme, population, at_most, targets (none, and one for each ten of `at_most`), stated, least (no method
    can do with fewer: population * (1 - alpha^(1 / (at_most + 1)))), median and mean looks, ratio (median to least)
    and mean_ratio. "fixed" is the sample with none found. "any time" stops at the first moment that allows the
    statement, but that what was excluded before a find is not used after it. Where one in ten of a large `at_most` is
    there, the mean of every method that may be stopped at any time is at least 1 / (0.9 - 0.1 log 10) = 1.49 times the
    least (Wald, 1945): so it is the median that is held to a limit.
    """
    rows = []
    for population in (20_000, 100_000, 1_000_000):
        for stated in (0.95, 0.99):
            for at_most in (0, 5, 10, 20, 50, 100, 1_000):
                least = population * (1 - (1 - stated) ** (1 / (at_most + 1)))
                setting = {"population": population, "at_most": at_most, "stated": stated, "least": round(least)}
                needed = plan(population, np.zeros(0, bool), at_most=at_most, confidence=stated, scheme="fixed")
                assert needed is not None
                stops = np.array([needed])
                rows.append(setting | {"scheme": "fixed", "targets": 0} | _ratios(stops, least))
                for targets in sorted({0, at_most // 10}):
                    rng = np.random.default_rng([seed, len(rows)])
                    stops = _stops(population, targets, at_most, 1 - stated, cases, rng)
                    rows.append(setting | {"scheme": "any time", "targets": targets} | _ratios(stops, least))
    return rows


def _stops(
    population: int, targets: int, at_most: int, alpha: float, cases: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """[cases]: after how many looks `at_most` can first be stated."""
    before = finds(population, np.full(cases, targets), rng)
    found = np.arange(targets + 1)
    least = np.minimum(limits(population, found + at_most + 1, found, alpha), population)
    since = np.hstack([np.zeros((cases, 1), np.int64), before[:, :-1] + 1])
    stops = np.maximum(least, since)
    stops[stops > before] = population
    return np.asarray(stops.min(axis=1), dtype=np.int64)


def _ratios(stops: NDArray[np.int64], least: float) -> Row:
    median, mean = float(np.median(stops)), float(stops.mean())
    return {"median": median, "mean": mean, "ratio": median / least, "mean_ratio": mean / least}


def coverage(_folder: Path, cases: int = CASES) -> Figure:
    """The setting in which the bound held least often, against what was stated."""
    rows = coverage_table(cases)
    worst = min(rows, key=lambda row: row["covered"] - row["stated"])
    said = ", ".join(f"{name} {worst[name]}" for name in ("scheme", "population", "prevalence", "officers", "carried"))
    return Figure(
        f"covered at least {worst['covered']:.4f} where {worst['stated']} is stated ({said}); {len(rows)} settings of "
        f"{cases:,} cases or summed exactly",
        "at least as often as stated in every setting",
        all(row["covered"] >= row["stated"] for row in rows),
    )


def economy(_folder: Path) -> Figure:
    """The most looks, of the least that any method can need."""
    rows = economy_table()
    fixed = max(row["ratio"] for row in rows if row["scheme"] == "fixed")
    peeking = [row for row in rows if row["scheme"] == "any time"]
    none, some = (max(row["ratio"] for row in peeking if bool(row["targets"]) is any_) for any_ in (False, True))
    mean = max(row["mean_ratio"] for row in peeking)
    return Figure(
        f"fixed {fixed:.3f}, any time {none:.3f} with none left and {some:.3f} with one in ten (medians; mean at most "
        f"{mean:.2f}) times the least possible",
        "fixed 1.1, any time 1.35",
        fixed <= 1.1 and max(none, some) <= 1.35,
    )


FIGURES: Final = {"guarantees.missed-coverage": coverage, "guarantees.missed-economy": economy}
