"""How often the certificate "counts" is true, and how few looks it needs.

Three categories are claimed of some contents of a frozen population; of the rest, none is. A case counts as wrong if
any of the six bounds is, at the last look; or of a pile of which all wrong ones were found, just before the last of
these. Up to there no bound ever loosens, so that is the worst moment to stop at. The truth is what officers would
grade, so officers who miss some make more claims wrong, and nothing else.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from mantlet.grading import betting, counts
from mantlet.grading.counts import NONE, UNSEEN, Looked, Pile
from mantlet.types import Kind
from tests.acceptance.figure import Figure

Row = dict[str, Any]

SEED: Final = 20_261_201
CASES: Final = 20_000
RUNS: Final = 40
CATEGORIES: Final = ("A", "B", "C")
MODELS: Final = ("good", "useless", "wrong way round")
POPULATIONS: Final = ((1_000, 180, 0.2), (20_000, 1_200, 0.005), (1_000_000, 5_000, 0.0005))
"""Contents, how many of them are claimed, and the share of targets in the rest."""
OFFICERS: Final = (0.0, 0.02, 0.1)
STATED: Final = 0.95
_RIGHT: Final = 0.97
_SPREAD: Final = 5.0
"""Scores of a good model are Beta(5 x 0.97, 5 x 0.03): calibrated, and most of them near 1."""
_LOOKS: Final = 60
_BATCH: Final = 20
MOST: Final = 1_500
CLAIMED: Final = 5_000
GOALS: Final = {0.9: 250, 0.95: 450}
"""Lower bounds of at least that share of the truth, and after how many looks at claimed piles at most."""


class _Setting(NamedTuple):
    model: str
    population: int
    claimed: int
    prevalence: float
    officers: float


def coverage_table(cases: int = CASES, seed: int = SEED) -> list[Row]:
    """How often all bounds held together, a row for each setting: model, population, prevalence (of the rest),
    officers (the share of targets they miss), stated, covered, cases, low (what that many cases allow, at 99 %)."""
    settings = [  # a Latin square: each model meets each population and each kind of officers once
        _Setting(model, *population, OFFICERS[(row + column) % len(OFFICERS)])
        for row, model in enumerate(MODELS)
        for column, population in enumerate(POPULATIONS)
    ]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(_covered, settings, [cases] * len(settings), range(seed, seed + len(settings))))


def _covered(setting: _Setting, cases: int, seed: int) -> Row:
    chance = np.random.default_rng(seed)
    wrong = sum(_is_wrong(setting, chance) for _ in range(cases))
    return {
        "model": setting.model, "population": setting.population, "prevalence": setting.prevalence,
        "officers": setting.officers, "stated": STATED, "covered": 1 - wrong / cases, "cases": cases,
        "low": float(betaincinv(cases - wrong, wrong + 1, 0.01)),
    }  # fmt: skip


def _is_wrong(setting: _Setting, chance: np.random.Generator) -> bool:
    sample, true = [], np.zeros(len(CATEGORIES), dtype=np.int64)
    for code, category in enumerate(CATEGORIES):
        size = setting.claimed // len(CATEGORIES)
        scores, grades = _claims(setting.model, size, code, setting.officers, chance)
        classes = betting.classes(scores, size)
        keys = betting.keys(classes, chance.integers(0, 2**64, size, dtype=np.uint64))
        drawn = np.argsort(keys)[: min(_LOOKS, size // 2)]
        wrong = np.flatnonzero(grades[drawn] != code)
        if len(wrong) and len(wrong) == (grades != code).sum():
            drawn = drawn[: wrong[-1]]
        sizes = np.bincount(classes, minlength=len(betting.GUESSES))
        pile = Pile(category, Kind.STILL, size)
        sample.append(Looked(pile, code, sizes, classes[drawn], grades[drawn]))
        true += np.bincount(grades[grades != NONE], minlength=len(CATEGORIES))
    size = setting.population - setting.claimed
    rest = chance.binomial(size, setting.prevalence * (1 - setting.officers))
    looks = min(size, _LOOKS * len(CATEGORIES))
    found = chance.hypergeometric(rest, size - rest, looks)
    grades = np.full(looks, NONE, dtype=np.int8)
    grades[chance.permutation(looks)[:found]] = 0
    none = np.zeros(looks, dtype=np.uint8)
    sample.append(
        Looked(Pile("", Kind.STILL, size), NONE, np.bincount(none, minlength=len(betting.GUESSES)), none, grades)
    )
    true[0] += rest  # all of one category: the worst for its upper bound
    said = counts.from_sample(sample, CATEGORIES, confidence=STATED, weighted=True)
    return any(
        not each.at_least <= number <= each.at_most for each, number in zip(said.bounds, true.tolist(), strict=True)
    )


def _claims(
    model: str, size: int, code: int, officers: float, chance: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores, and what officers would grade: where a claim is wrong, by turns none of the categories and another."""
    right = chance.beta(_SPREAD * _RIGHT, _SPREAD * (1 - _RIGHT), size)
    if model == "wrong way round":
        right = np.full(size, 0.7)
    wrong = chance.random(size) >= right * (1 - officers)
    scores = {"good": right, "useless": chance.permutation(right), "wrong way round": np.where(wrong, 0.999, 0.6)}[
        model
    ]
    other = np.where(np.arange(size) % 2, NONE, (code + 1) % len(CATEGORIES))
    return scores.astype(np.float32), np.where(wrong, other, code).astype(np.int8)


def economy_table(runs: int = RUNS, seed: int = SEED) -> list[Row]:
    """How many looks bring all lower bounds to a share of the truth, a row for each setting: population, scores,
    errors, within, claimed_looks (the median, and the 90 % quantile), all_looks, at_most (the largest over the truth),
    runs, not_reached.

    5,000 contents are claimed in three categories, 97 of 100 rightly; a wrong one is of no category ("none") or of
    another ("another")."""
    settings = [
        (population, scores, errors)
        for population in (20_000, 100_000, 1_000_000)
        for scores in ("good", "none", "useless")
        for errors in ("none", "another")
        if errors == "none" or population == 20_000
    ]
    with ProcessPoolExecutor() as pool:
        found = pool.map(_economy, settings, [runs] * len(settings), range(seed, seed + len(settings)))
    return [row for rows in found for row in rows]


def _economy(setting: tuple[int, str, str], runs: int, seed: int) -> list[Row]:
    chance = np.random.default_rng(seed)
    reached: dict[float, list[tuple[int, int, float]]] = {goal: [] for goal in GOALS}
    for _ in range(runs):
        for goal, looks in _run(setting, chance).items():
            reached[goal].append(looks)
    rows = []
    for goal, each in reached.items():
        claimed = sorted([looks[0] for looks in each] + [MOST] * (runs - len(each)))
        row = {
            "population": setting[0], "scores": setting[1], "errors": setting[2], "within": round(1 - goal, 2),
            "claimed_looks": claimed[runs // 2], "claimed_looks_90": claimed[int(0.9 * runs)],
            "all_looks": int(np.median([looks[1] for looks in each])) if each else None,
            "at_most": float(np.median([looks[2] for looks in each])) if each else None,
            "runs": runs, "not_reached": runs - len(each),
        }  # fmt: skip
        rows.append(row)
    return rows


def _run(setting: tuple[int, str, str], chance: np.random.Generator) -> dict[float, tuple[int, int, float]]:
    population, scored, errors = setting
    each = CLAIMED // len(CATEGORIES)
    piles = (*(Pile(name, Kind.STILL, each) for name in CATEGORIES), Pile("", Kind.STILL, population - 3 * each))
    pile_of = np.repeat(np.arange(len(piles)), [pile.size for pile in piles]).astype(np.uint8)
    right = chance.beta(_SPREAD * _RIGHT, _SPREAD * (1 - _RIGHT), 3 * each)
    claims = np.repeat(np.arange(len(CATEGORIES)), each)
    other = np.full(3 * each, NONE) if errors == "none" else (claims + 1) % len(CATEGORIES)
    truth = np.full(population, NONE, dtype=np.int8)
    truth[: 3 * each] = np.where(chance.random(3 * each) < right, claims, other)
    scores = None
    if scored != "none":
        scores = np.zeros(population, dtype=np.float32)
        scores[: 3 * each] = right if scored == "good" else chance.permutation(right)
    sequence = counts.order(piles, pile_of, scores, chance.integers(0, 2**64, population, dtype=np.uint64))
    true = [int((truth == code).sum()) for code in range(len(CATEGORIES))]
    graded = np.full(population, UNSEEN, dtype=np.int8)
    reached: dict[float, tuple[int, int, float]] = {}
    share = tuple(1.0 for _ in piles)
    while len(reached) < len(GOALS):
        rows = counts.upcoming(piles, sequence, graded, share, _BATCH)
        graded[rows] = truth[rows]
        said = counts.certify(piles, CATEGORIES, pile_of, scores, sequence, graded, confidence=STATED)
        share, claimed = said.open_share, sum(said.looked[:-1])
        least = min(bound.at_least / number for bound, number in zip(said.bounds, true, strict=True))
        most = max(bound.at_most / number for bound, number in zip(said.bounds, true, strict=True))
        for goal in GOALS:
            if least >= goal:
                reached.setdefault(goal, (claimed, sum(said.looked), most))
        if claimed >= MOST:
            break
    return reached


def coverage(_: Path) -> Figure:
    """All settings at the full number of cases; a row fails if it was true less often than stated."""
    rows = coverage_table()
    worst = min(rows, key=lambda row: row["covered"])
    passed = all(row["covered"] >= row["stated"] for row in rows)
    return Figure(
        f"{worst['covered']:.4f} covered at worst ({worst['model']}, {worst['population']:,}), {CASES:,} cases each",
        f"{STATED} stated",
        passed,
    )


def economy(_: Path) -> Figure:
    """What a good model needs, in the median of runs."""
    rows = [row for row in economy_table() if row["scores"] == "good" and row["errors"] == "none"]
    figures, passed = [], True
    for goal, most in GOALS.items():
        looks = max(row["claimed_looks"] for row in rows if row["within"] == round(1 - goal, 2))
        figures.append(f"{looks} looks within {1 - goal:.0%}")
        passed &= looks <= most
    return Figure(
        ", ".join(figures), ", ".join(f"{most} within {1 - goal:.0%}" for goal, most in GOALS.items()), passed
    )


FIGURES: Final = {"guarantees.counts-coverage": coverage, "guarantees.counts-economy": economy}
