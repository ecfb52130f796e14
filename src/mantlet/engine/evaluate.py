"""Measuring a model by what people said of what it was not taught on; and, since its release, against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case.case import Case
from mantlet.engine import labelled, recognise
from mantlet.engine.labelled import NONE, Example, Examples
from mantlet.errors import RefusedError, UsageError
from mantlet.recognise import accuracy, models, outputs
from mantlet.recognise.accuracy import Evaluation
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.drift import Drift, Graded, drift
from mantlet.recognise.manifest import Kind, Manifest
from mantlet.recognise.models import Known
from mantlet.recognise.outputs import MOST_SCORES

_SEED: Final = 17
Progress = Callable[[int, int], None]


class Measured(msgspec.Struct, frozen=True):
    """How good a model was found; on how many contents, and how many of those labelled were left out: `taught`, since
    it was taught on them or on near-duplicates of them, and `unread`, since its network said nothing of them.
    `taught` is None where that is not known. `warnings`: sentences."""

    evaluation: Evaluation
    contents: int
    taught: int | None
    unread: int
    counted: dict[str, int]
    drift: tuple[Drift, ...]
    warnings: tuple[str, ...]


def evaluate(
    cases: Sequence[Case],
    said: Examples,
    model: Bundle,
    base_rate: float | None,
    workers: int,
    progress: Progress = lambda *_: None,
) -> Measured:
    """Measures a model against what people said, on what it was not taught.

    Raises:
        UsageError: a model without labels, or nothing to measure it on.
        EvidenceError: its networks cannot be run.
    """
    manifest = model.manifest
    if manifest.kind not in (Kind.CLASSIFIER, Kind.DETECTOR):
        raise UsageError(f"The model '{manifest.name}' is a kind of {manifest.kind}, with no labels to measure.")
    if not model.head and len(manifest.labels) > MOST_SCORES:
        raise UsageError(
            f"'{manifest.name}' tells more than {MOST_SCORES} things apart, of which it states the likeliest."
        )
    if said.scheme and manifest.scheme and said.scheme != manifest.scheme:
        raise UsageError(
            f"'{manifest.name}' is of the scheme {manifest.scheme}, and these are graded by {said.scheme}."
        )
    known = models.taught(manifest)
    fresh = labelled.fresh(cases, said.rows, known) if known else list(said.rows)
    if not fresh:
        all_ = f"'{manifest.name}' was taught on all {len(said.rows):,} of these, or on near-duplicates"
        raise UsageError(f"{all_}: measure it on others.")
    found = _probabilities(cases, fresh, model, workers, progress)
    rows = [row for row in fresh if row.sha256 in found]
    silent = [row for row in fresh if row.sha256 not in found]
    if not rows:
        raise UsageError(f"'{manifest.name}' says nothing of any of these {len(fresh):,} contents.")
    labels = [label.name for label in manifest.labels]
    truth = _truth(manifest, rows, graded=bool(said.scheme))
    probabilities = np.stack([found[row.sha256] for row in rows])
    evaluation = accuracy.measure(
        labels, truth, probabilities, labelled.stacks(cases, rows),
        labelled.exhibits(cases, rows),
        [label.threshold.at if label.threshold else None for label in manifest.labels], base_rate, seed=_SEED,
    )  # fmt: skip
    return Measured(
        evaluation, len(rows), len(said.rows) - len(fresh) if known else None, len(fresh) - len(rows),
        labelled.counted(rows),
        _drifted(cases, rows, model, truth, probabilities), tuple(_warnings(said, rows, silent, model, known)),
    )  # fmt: skip


def _probabilities(
    cases: Sequence[Case], rows: Sequence[Example], model: Bundle, workers: int, progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """What a model gives each label, of the contents of which it says something: a head on what is stored, any other
    by looking."""
    found: dict[str, NDArray[np.float32]] = {}
    if model.head:
        seen = labelled.seen(cases, rows, model, workers, progress)
        labels, nth = len(model.manifest.labels), model.manifest.frames.nth_highest
        with closing(recognise.Judge(model)) as judge:
            judged = judge.values(list(seen.values()))
        for sha256, values in zip(seen, judged, strict=True):
            try:
                frames = np.sort(outputs.probabilities(values, len(values), labels, "nothing"), axis=0)
            except RefusedError:
                continue
            found[sha256] = frames[-min(nth, len(frames))]
        return found
    for number, case in enumerate(cases):
        contents = [row.sha256 for row in rows if row.case == number]
        for sha256, scores in recognise.scores(case, model, contents, workers, progress).items():
            each = [scores[label.name] for label in model.manifest.labels]
            found[sha256] = np.asarray(each, np.float32)
    return found


def _truth(manifest: Manifest, rows: Sequence[Example], *, graded: bool) -> NDArray[np.bool_]:
    """[n, labels]: of grades by the codes that a label means, of a table by its name; what has none of them is NONE,
    where the model has that label."""
    of = _meant(manifest, graded=graded)
    truth = np.zeros((len(rows), len(manifest.labels)), np.bool_)
    for at, row in enumerate(rows):
        if (column := of.get(row.label, of.get(NONE))) is not None:
            truth[at, column] = True
    if not truth[:, [number for name, number in of.items() if name != NONE]].any():
        labels = ", ".join(label.name for label in manifest.labels[:20] if label.name != NONE)
        raise UsageError(f"Nothing here is labelled as what '{manifest.name}' is to find: {labels}.")
    return truth


def _meant(manifest: Manifest, *, graded: bool) -> dict[str, int]:
    """What people say -> the place of the label that means it."""
    of: dict[str, int] = {}
    for number, label in enumerate(manifest.labels):
        of |= dict.fromkeys(label.means if graded and label.name != NONE else (label.name,), number)
    return of


def _warnings(
    said: Examples, rows: Sequence[Example], silent: Sequence[Example], model: Bundle, known: Known | None
) -> list[str]:
    manifest, found = model.manifest, []
    for label, count in labelled.counted([row for row in silent if row.label != NONE]).items():
        found.append(f"Of {count:,} labelled {label} the model says nothing: they are missed, and in no figure.")
    of = _meant(manifest, graded=bool(said.scheme))
    if strange := sorted({row.label for row in rows} - {*of, NONE}):
        count = sum(row.label in strange for row in rows)
        found.append(
            f"{count:,} contents are labelled {', '.join(strange[:10])}, which '{manifest.name}' does not know: they "
            "count as none of its labels."
        )
    if known is None:
        found.append(
            f"What '{manifest.name}' was taught on is known only where that was done: if any of these contents, or "
            "near-duplicates of them, were among it, the figures flatter it."
        )
    if said.elsewhere:
        found.append(f"{said.elsewhere:,} rows of the table are about no content of these cases.")
    return found


def _drifted(
    cases: Sequence[Case], rows: Sequence[Example], model: Bundle, truth: NDArray[np.bool_], found: NDArray[np.float32]
) -> tuple[Drift, ...]:
    """Model against officers since its release, for each label with a threshold; nothing where there is no release, or
    no grade after it."""
    if model.signature is None:
        return ()
    since = [row.at is not None and row.at > model.manifest.released for row in rows]
    stacked = labelled.stacks(cases, rows)
    graded = []
    for number, label in enumerate(model.manifest.labels):
        for at, case in enumerate(cases):
            own = np.asarray([late and row.case == at for late, row in zip(since, rows, strict=True)])
            if label.threshold is not None and own.any():
                limit = label.threshold
                graded.append(
                    Graded(
                        case.folder.name, label.name, truth[own, number], found[own, number], stacked[own],
                        limit.at, limit.miss,
                    )
                )  # fmt: skip
    return drift(graded)
