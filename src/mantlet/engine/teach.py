"""Teaching a model from what people graded. The pictures stay where they are: what leaves is a head, a table of numbers
over what a network sees, and how good it was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import __version__
from mantlet.case.case import Case
from mantlet.engine import labelled, recognise
from mantlet.engine.labelled import NONE, Example, Examples
from mantlet.governance.ledger import now
from mantlet.recognise import accuracy, bundle, folds, head, models, thresholds
from mantlet.recognise.accuracy import Evaluation
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.folds import Folds
from mantlet.recognise.head import Taught
from mantlet.recognise.manifest import Card, Kind, Label, Manifest, Threshold
from mantlet.recognise.membership import membership
from mantlet.recognise.models import Known
from mantlet.types import Kind as Content

_FOLDS: Final = 5
_SEED: Final = 17
_BY_CONSTRUCTION: Final = (
    "The threshold is chosen on these same contents, so what is missed at it would be so by construction: measure it "
    "on others."
)
_FROM_TABLE: Final = "a table of labels"
Progress = Callable[[int, int], None]


class Lesson(NamedTuple):
    """What is taught from: n contents, row by row; `numbers` [n], the place of each one's label in `labels`."""

    rows: list[Example]
    labels: list[str]
    vectors: NDArray[np.float16]
    numbers: NDArray[np.int64]
    stacks: NDArray[np.int64]
    exhibits: list[str]


class Made(NamedTuple):
    """A model that was taught, how good it was found on what each fold's head was not taught, and sentences on labels
    with too few examples for a threshold, and on what was not taught from."""

    bundle: Bundle
    found: Evaluation
    sentences: list[str]


def train(
    cases: Sequence[Case],
    said: Examples,
    base: Bundle,
    name: str,
    miss: float,
    by: str,
    workers: int,
    progress: Progress = lambda *_: None,
) -> Made:
    """Teaches a head on what the network of `base` sees of the stills among `said`, and keeps it as the model `name`.

    `miss`: the share of targets that each label's threshold may miss. How good it is, is measured on contents that the
    head which judges them was not taught, nor any near-duplicate of them.

    Raises:
        UsageError: too little to learn from, or the name is taken.
        EvidenceError: the network cannot be run.
    """
    models.refuse_name(name)
    lesson = _lesson(cases, said, base, workers, progress)
    labels, numbers, stacks = lesson.labels, lesson.numbers, lesson.stacks
    split = folds.folds(stacks, lesson.exhibits, numbers, _FOLDS, seed=_SEED)
    taught = head.teach(lesson.vectors, numbers, labels, split.numbers, [row.sha256 for row in lesson.rows])
    chosen = {
        label: thresholds.threshold(taught.out_of_fold[numbers == k, k], stacks[numbers == k], miss)
        for k, label in enumerate(labels)
        if label != NONE
    }
    limits = {
        label: Threshold(each.at, each.miss, each.examples, thresholds.METHOD)
        for label, each in chosen.items()
        if each.expected is not None
    }
    found = accuracy.measure(
        labels, numbers[:, None] == np.arange(len(labels)), taught.out_of_fold, stacks, lesson.exhibits,
        [None] * len(labels), seed=_SEED, no_threshold=_BY_CONSTRUCTION,
    )  # fmt: skip
    manifest = Manifest(
        name=name, version="1", kind=Kind.CLASSIFIER, recipe=msgspec.structs.replace(base.manifest.recipe, scores=""),
        network=base.manifest.network, licence=base.manifest.licence, made_at=now(), made_by=by, scheme=said.scheme,
        labels=tuple(Label(label, said.means.get(label, ()), limits.get(label)) for label in labels),
        calibration={"method": "a slope and shifts, on held-out folds", "slope": taught.slope},
        card=_card(cases, said, base, lesson, split, taught), evaluation=_kept(found), notice=base.manifest.notice,
    )  # fmt: skip
    data = bundle.make(manifest, base.network, head.network(taught.head))
    hashes = labelled.hashes(cases, lesson.rows)
    models.keep_taught(
        bundle.read(data, name).manifest, Known(frozenset(row.sha256 for row in lesson.rows), tuple(hashes.values()))
    )
    made = recognise.add(data, "The model")
    for number, case in enumerate(cases):
        with case.change() as change:
            own = sum(row.case == number for row in lesson.rows)
            change.record("taught from", {"model": name, "digest": made.digest, "contents": own})
    few = [f"{label}: {each.sentence}" for label, each in chosen.items() if each.expected is None]
    return Made(made, found, [*_left_out(said, lesson), *few])


def _left_out(said: Examples, lesson: Lesson) -> list[str]:
    clips = sum(row.kind is not Content.STILL for row in said.rows)
    blind = len(said.rows) - clips - len(lesson.rows)
    told = (
        (clips, "clips are labelled, and only stills are taught from."),
        (blind, "labelled pictures were not taught from: the network says nothing of them."),
        (said.elsewhere, "rows of the table are about no content of these cases."),
    )
    return [f"{count:,} {what}" for count, what in told if count]


def _lesson(cases: Sequence[Case], said: Examples, base: Bundle, workers: int, progress: Progress) -> Lesson:
    rows = [row for row in said.rows if row.kind is Content.STILL]
    seen = labelled.seen(cases, rows, base, workers, progress)
    rows = [row for row in rows if row.sha256 in seen]
    found = {row.label for row in rows}
    labels = [*sorted(found - {NONE}), *sorted(found & {NONE})]
    return Lesson(
        rows, labels,
        np.concatenate([seen[row.sha256] for row in rows]) if rows else np.empty((0, 1), np.float16),
        np.asarray([labels.index(row.label) for row in rows], np.int64),
        labelled.stacks(cases, rows), labelled.exhibits(cases, rows),
    )  # fmt: skip


def _card(cases: Sequence[Case], said: Examples, base: Bundle, lesson: Lesson, split: Folds, taught: Taught) -> Card:
    """What can be measured of a card."""
    stacks = lesson.stacks
    about = {
        "contents": len(lesson.rows), "labels": labelled.counted(lesson.rows),
        "near-duplicate groups": len(np.unique(stacks)), "exhibits": len(set(lesson.exhibits)),
        "cases": [case.id for case in cases], "splits": split.how, "said by": said.scheme or _FROM_TABLE,
        "clips": "not taught from", "penalty": taught.strength,
        "network": f"{base.manifest.name} {base.manifest.version} ({base.manifest.network})",
    }  # fmt: skip
    shown = membership(taught, lesson.vectors, lesson.numbers, split.numbers, stacks, seed=_SEED)
    return Card(taught_on=about, membership=shown)


def _kept(found: Evaluation) -> dict[str, Any]:
    """What a bundle carries of its evaluation: the figures, without the points of the plots."""
    built: dict[str, Any] = msgspec.to_builtins(found)
    for label in built["labels"]:
        for plotted in ("curve", "bins"):
            label.pop(plotted)
    return {"measured": "on held-out folds of what it was taught on", "mantlet": __version__, **built}
