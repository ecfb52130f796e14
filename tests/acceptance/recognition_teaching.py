"""Teaching on the benign photographs, with the embeddings of MobileNetV2: a head and its calibration, a queue that is
taught on-line, thresholds for a miss rate, and how long a new order takes."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mantlet.media import picture
from mantlet.recognise.calibration import debiased
from mantlet.recognise.folds import folds
from mantlet.recognise.head import teach
from mantlet.recognise.manifest import Recipe
from mantlet.recognise.membership import membership
from mantlet.recognise.online import Ranker
from mantlet.recognise.runtime import Network
from mantlet.recognise.thresholds import threshold
from tests.acceptance.figure import Figure
from tests.conftest import SHARED

_RECIPE: Final = Recipe(
    input="x", width=224, height=224, mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5), embedding="embedding"
)
_SEEDS: Final = 5
_EACH: Final = 30
_TOP: Final = 0.92
_CALIBRATION: Final = 0.02
_EXAMPLES: Final = 5
_AT_ONCE: Final = 5
_FOUND: Final = 0.95
_SEEN: Final = 1.5
_RARE: Final = 0.01
_MISS: Final = 0.05
_FLAGGED: Final = 0.1
_SPLITS: Final = 100
_POOL: Final = (100_000, 1280)
_SECOND: Final = 1.0


@dataclass(frozen=True, eq=False)
class Photographs:
    """Rows of photos.tsv: `vectors` [n, 1280], `classes` [n] places in `names`, `stacks` [n], `test` [n]."""

    vectors: NDArray[np.float16]
    classes: NDArray[np.int64]
    names: list[str]
    stacks: NDArray[np.int64]
    test: NDArray[np.bool_]
    contents: list[str]

    def of(self, place: int, random: np.random.Generator) -> NDArray[np.int64]:
        """The rows of a class, stack by stack, the stacks by chance."""
        rows = np.flatnonzero(self.classes == place)
        chance = random.permutation(int(self.stacks.max()) + 1)
        return rows[np.argsort(chance[self.stacks[rows]], kind="stable")]


@cache
def photographs() -> Photographs | None:
    data, model = SHARED / "data", SHARED / "models" / "mobilenet_v2.onnx"
    if not (data / "photos.tsv").is_file() or not model.is_file():
        return None
    with (data / "photos.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    network = Network(model.read_bytes(), _RECIPE, "mobilenet_v2")
    pixels = (picture.decode((data / row["path"]).read_bytes()).pixels for row in rows)
    found = np.concatenate([network.run([each])["embedding"] for each in pixels])
    names, classes = np.unique([row["class"] for row in rows], return_inverse=True)
    return Photographs(
        (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16),
        classes,
        names.tolist(),
        np.unique([row["group"] for row in rows], return_inverse=True)[1],
        np.array([row["split"] == "test" for row in rows]),
        [row["sha256"] for row in rows],
    )


def _held(limit: str, measure: Callable[[Photographs], tuple[str, bool]]) -> Figure:
    photos = photographs()
    if photos is None:
        return Figure("left out: shared/data and shared/models do not lie beside this checkout", limit, passed=True)
    figure, passed = measure(photos)
    return Figure(figure, limit, passed)


def _teach(photos: Photographs, rows: NDArray[np.int64], labels: NDArray[np.int64], names: list[str], seed: int):
    """The head, the folds and the stacks of some rows, as of one exhibit."""
    stacks = photos.stacks[rows]
    dealt = folds(stacks, ["one"] * len(rows), labels, seed=seed).numbers
    return teach(photos.vectors[rows], labels, names, dealt, [photos.contents[row] for row in rows]), dealt, stacks


def head(_: Path) -> Figure:
    """30 pictures a class from train and val, near-copies whole, tested on the rest of the split."""

    def measure(photos: Photographs) -> tuple[str, bool]:
        top, errors, inferred = [], [], []
        test = np.flatnonzero(photos.test)
        for seed in range(_SEEDS):
            random = np.random.default_rng(seed)
            rows = np.concatenate([_thirty(photos, place, random) for place in range(len(photos.names))])
            taught, dealt, stacks = _teach(photos, rows, photos.classes[rows], photos.names, seed)
            probabilities = taught.head.probabilities(photos.vectors[test])
            right = probabilities.argmax(axis=1) == photos.classes[test]
            top.append(float(right.mean()))
            errors.append(debiased(probabilities.max(axis=1), right))
            inferred.append(membership(taught, photos.vectors[rows], photos.classes[rows], dealt, stacks, seed=seed))
        said = (
            f"top-1 {np.mean(top):.1%} ({min(top):.1%} to {max(top):.1%}), debiased calibration error "
            f"{np.mean(errors):.4f} ({min(errors):.4f} to {max(errors):.4f}), {_SEEDS} seeds, {len(test)} pictures; "
            f"membership AUC {np.mean([each['auc'] for each in inferred]):.2f}"
        )
        return said, bool(np.mean(top) >= _TOP and np.mean(errors) <= _CALIBRATION)

    return _held(f"{_TOP:.0%}, {_CALIBRATION}", measure)


def _thirty(photos: Photographs, place: int, random: np.random.Generator) -> NDArray[np.int64]:
    """At most 30 rows of a class outside the test split, whole stacks."""
    rows = photos.of(place, random)
    rows = rows[~photos.test[rows]]
    chosen: list[int] = []
    for stack in dict.fromkeys(photos.stacks[rows].tolist()):
        members = rows[photos.stacks[rows] == stack].tolist()
        if len(chosen) + len(members) <= _EACH:
            chosen += members
    return np.array(chosen)


def online(_: Path) -> Figure:
    """A class of 1 % in a pool of all other photographs, from 5 examples outside of it, graded five at a time."""

    def measure(photos: Photographs) -> tuple[str, bool]:
        counts = np.bincount(photos.classes)
        enough = [place for place, count in enumerate(counts) if count >= _RARE * len(photos.classes) + _EXAMPLES]
        chosen = np.random.default_rng(5).permutation(enough)[:10]
        needed = [_seen(photos, place) for place in chosen.tolist()]
        said = ", ".join(f"{photos.names[place]} {seen:.2f}" for place, seen in zip(chosen, needed, strict=True))
        return f"median {np.median(needed):.2f} ({said})", bool(np.median(needed) <= _SEEN)

    return _held(f"{_FOUND:.0%} of a {_RARE:.0%} class in {_SEEN} pictures a target, median of 10 classes", measure)


def _seen(photos: Photographs, place: int) -> float:
    """Pictures seen for each target of the pool until 95 % are found."""
    random = np.random.default_rng([1, place])
    rows, others = photos.of(place, random), np.flatnonzero(photos.classes != place)
    outside, rest = rows[:_EXAMPLES], rows[_EXAMPLES:]
    rest = rest[~np.isin(photos.stacks[rest], photos.stacks[outside])]
    targets = rest[: round(len(others) * _RARE / (1 - _RARE))]
    pool = np.sort(np.concatenate([others, targets]))
    ranker = Ranker(photos.vectors[pool], seed=1)
    ranker.teach(photos.vectors[outside], target=True)
    wanted, found, seen = np.ceil(_FOUND * len(targets)), 0, 0
    while found < wanted:
        for row in ranker.order()[:_AT_ONCE].tolist():
            target = bool(photos.classes[pool[row]] == place)
            ranker.grade(np.array([row]), target)
            found, seen = found + target, seen + 1
            if found >= wanted:
                break
    return seen / len(targets)


def thresholds(_: Path) -> Figure:
    """One half of the stacks teaches and chooses, the other is scored by the head that came of it."""

    def measure(photos: Photographs) -> tuple[str, bool]:
        counts = np.bincount(photos.classes)
        chosen = np.random.default_rng(5).permutation(np.flatnonzero(counts >= 60))[:8].tolist()
        names = [*(photos.names[place] for place in chosen), "the rest"]
        labels = np.full(len(photos.classes), len(chosen))
        for number, place in enumerate(chosen):
            labels[photos.classes == place] = number
        missed, flagged = np.zeros((_SPLITS, len(chosen))), np.zeros((_SPLITS, len(chosen)))
        for split in range(_SPLITS):
            half = np.random.default_rng(split).permutation(int(photos.stacks.max()) + 1) % 2 == 0
            rows, others = np.flatnonzero(half[photos.stacks]), np.flatnonzero(~half[photos.stacks])
            taught, _, stacks = _teach(photos, rows, labels[rows], names, split)
            probabilities = taught.head.probabilities(photos.vectors[others])
            for number in range(len(chosen)):
                own = labels[rows] == number
                at = threshold(taught.out_of_fold[own, number], stacks[own], _MISS).at
                below, target = probabilities[:, number] < at, labels[others] == number
                missed[split, number] = _by_stack(below[target], photos.stacks[others[target]])
                flagged[split, number] = (~below[~target]).mean()
        error = missed.std(axis=0, ddof=1) / np.sqrt(_SPLITS)
        said = "; ".join(
            f"{name} {miss:.1%} ± {one:.1%}, {flag:.2%}"
            for name, miss, one, flag in zip(names, missed.mean(axis=0), error, flagged.mean(axis=0), strict=False)
        )
        passed = (missed.mean(axis=0) <= _MISS + 2 * error).all() and (flagged.mean(axis=0) <= _FLAGGED).all()
        return f"missed {missed.mean():.1%} of groups, flagged {flagged.mean():.2%} of the rest ({said})", bool(passed)

    return _held(f"{_MISS:.0%} + 2 standard errors, {_FLAGGED:.0%}; each of 8 classes, {_SPLITS} splits", measure)


def _by_stack(below: NDArray[np.bool_], stacks: NDArray[np.int64]) -> float:
    """The mean over stacks of the share missed."""
    _, unit, sizes = np.unique(stacks, return_inverse=True, return_counts=True)
    return float((np.bincount(unit, below) / sizes).mean())


def order(_: Path) -> Figure:
    """Seconds of processor, refit included, over 2,000 grades of noise, which is harder to learn than photographs."""
    random = np.random.default_rng(1)
    vectors = np.empty(_POOL, np.float16)
    for start in range(0, len(vectors), 1000):
        some = random.standard_normal((1000, _POOL[1]), np.float32)
        vectors[start : start + 1000] = some / np.linalg.norm(some, axis=1, keepdims=True)
    ranker = Ranker(vectors, seed=1)
    ranker.teach(vectors[:5], target=True)
    taken = []
    for batch in (5, 5, 5, 500, 5, 1500, 5, 5):
        started = time.process_time()
        best = ranker.order()
        taken.append(time.process_time() - started)
        ranker.grade(best[:batch:2], target=True)
        ranker.grade(best[1:batch:2], target=False)
    return Figure(f"{max(taken):.2f} s at most, {np.median(taken):.2f} s median", f"{_SECOND} s", max(taken) <= _SECOND)


FIGURES: Final[dict[str, Callable[[Path], Figure]]] = {
    "recognition.head": head,
    "recognition.online": online,
    "recognition.thresholds": thresholds,
    "recognition.re-rank": order,
}
