"""A model made smaller: scales from pictures of a case, and what that costs and gains."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.case import queries
from mantlet.case.case import Case
from mantlet.engine import labelled, recognise
from mantlet.engine.labelled import Example, Examples
from mantlet.engine.local import Drawer
from mantlet.engine.messages import Draw
from mantlet.errors import UsageError
from mantlet.governance.ledger import now
from mantlet.recognise import bundle, folds, head, models
from mantlet.recognise import quantise as networks
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import Recipe
from mantlet.recognise.prepare import prepare
from mantlet.types import Kind

_PICTURES: Final = 200
_COMPARED: Final = 32
_SIDE: Final = 512
_FEWEST: Final = 20
_FOLDS: Final = 5
_SEED: Final = 17
Progress = Callable[[int, int], None]
Vectors = dict[str, NDArray[np.float16]]


class Quantised(msgspec.Struct, frozen=True):
    """A model in int8 against the one that it was made of. `cosine`: how alike their outputs are, of pictures that set
    no scale; `gain`: pictures a second of processor time, as a ratio; `before` and `after`: the share of `contents`
    whose label a head has right on what either sees, None where too few are labelled (`why`)."""

    name: str
    digest: str
    pictures: int
    cosine: float
    gain: float
    contents: int
    before: float | None
    after: float | None
    why: str

    def sentences(self) -> list[str]:
        told = [
            f"{self.name}: int8, scales from {self.pictures:,} pictures, {self.gain:.2f} times as fast",
            f"    its outputs are like those before: cosine {self.cosine:.4f}",
        ]
        if self.gain < 1:
            told.append("    it is slower here than the one that it was made of: use that")
        if self.before is None or self.after is None:
            return [*told, f"    accuracy not measured: {self.why}"]
        right = f"{100 * self.before:.2f} % right before, {100 * self.after:.2f} % now"
        points = f"{100 * (self.after - self.before):+.2f} points"
        return [*told, f"    of {self.contents:,} labelled contents {right}: {points}"]


def quantise(
    case: Case, model: Bundle, name: str, said: Examples | None, workers: int, progress: Progress = lambda *_: None
) -> Quantised:
    """Makes an int8 model of `model`, keeps it as `name`, and measures it against that one on `said`.

    The pictures are drawn in a boxed worker, and only the range of numbers between the layers is kept of them.

    Raises:
        UsageError: the name is taken, too few pictures, or nothing to make smaller.
        EvidenceError: the networks cannot be run.
    """
    models.refuse_name(name)
    recipe = model.manifest.recipe
    inputs = _inputs(case, recipe, progress)
    apart = inputs[: max(1, min(_COMPARED, len(inputs) // 4))]
    batches = (each[None] for each in inputs[len(apart) :])
    network = networks.quantise(model.network, batches, recipe.input)
    output = recipe.embedding or recipe.scores
    compared = networks.compare(model.network, network, np.stack(apart), recipe.input, output)
    manifest = msgspec.structs.replace(
        model.manifest, name=name, made_at=now(), released="", calibration={"quantised": f"int8, of {model.digest}"},
        labels=tuple(msgspec.structs.replace(label, threshold=None) for label in model.manifest.labels),
        card=msgspec.structs.replace(model.manifest.card, membership={}), evaluation={},
    )  # fmt: skip
    data = bundle.make(manifest, network, model.head)
    known = models.taught(model.manifest) if model.head else None
    if known:
        models.keep_taught(bundle.read(data, name).manifest, known)
    made = recognise.add(data, "The model")
    rows = [row for row in said.rows if row.kind is Kind.STILL] if said else []
    rows = labelled.fresh([case], rows, known) if known else rows
    right = _accuracy(case, rows, model, made, workers, progress)
    return Quantised(
        name, made.digest, len(inputs) - len(apart), round(compared.cosine, 6), round(compared.gain, 3), *right
    )


def _inputs(case: Case, recipe: Recipe, progress: Progress) -> list[NDArray[Any]]:
    """Some stills of the case, by chance and always the same, as the network takes them."""
    query = "SELECT sha256 FROM content WHERE kind = 'still' ORDER BY sha256"
    contents = [row["sha256"] for row in case.reader.execute(query)]
    random.Random(_SEED).shuffle(contents)  # noqa: S311 - a sample, and no secret
    exhibits = {each.id: each.path for each in case.exhibits()}
    inputs: list[NDArray[Any]] = []
    with closing(Drawer()) as drawer:
        for sha256 in contents:
            if len(inputs) == _PICTURES + _COMPARED:
                break
            for address in queries.addresses(case, sha256)[:1]:
                drawn = drawer.draw(Draw(sha256, address, exhibits, _SIDE, False))
                if drawn.absent is None:
                    pixels = np.frombuffer(drawn.pixels, np.uint8).reshape(drawn.height, drawn.width, 3)
                    inputs.append(prepare(pixels, recipe))
            progress(len(inputs), min(_PICTURES + _COMPARED, len(contents)))
    if len(inputs) < networks.FEWEST_PICTURES + 1:
        raise UsageError(f"Only {len(inputs)} pictures of this case can be drawn; some 200 are wanted to set scales.")
    return inputs


def _accuracy(
    case: Case, rows: Sequence[Example], model: Bundle, made: Bundle, workers: int, progress: Progress
) -> tuple[int, float | None, float | None, str]:
    """On how many contents, and the share of labels that are right by what each network sees: with the head of the
    model, or heads taught here on four fifths of the contents and asked about the rest, five times. Or why there is
    none."""
    if not rows:
        return 0, None, None, "nothing is labelled that it was not taught on; give --labels, or grade some first"
    contents = [row.sha256 for row in rows]
    if not made.manifest.recipe.embedding:
        return 0, None, None, "the network makes no embedding"
    seen = [recognise.embed(case, each, contents, workers, progress) for each in (model, made)]
    rows = [row for row in rows if all(row.sha256 in each for each in seen)]
    labels = [label.name for label in model.manifest.labels] if model.head else sorted({row.label for row in rows})
    rows = [row for row in rows if row.label in labels]
    if len(rows) < _FEWEST or len({row.label for row in rows}) < 2:
        return (
            len(rows),
            None,
            None,
            f"{len(rows)} contents that can be read are labelled; it takes {_FEWEST} of two labels",
        )
    truth = np.asarray([labels.index(row.label) for row in rows])
    stacks = labelled.stacks([case], rows)
    split = folds.folds(stacks, [row.exhibit for row in rows], truth, _FOLDS, seed=_SEED)
    shares = []
    for each, vectors in zip((model, made), seen, strict=True):
        matrix = np.concatenate([vectors[row.sha256] for row in rows])
        if each.head:
            with closing(recognise.Judge(each)) as judge:
                found = np.concatenate(judge.values([vectors[row.sha256] for row in rows]))
        else:
            found = head.teach(matrix, truth, labels, split.numbers, [row.sha256 for row in rows]).out_of_fold
        shares.append(float((found.argmax(axis=1) == truth).mean()))
    return len(rows), shares[0], shares[1], ""
