"""What a network's outputs mean, for each kind of model: the value of the finding "scores".

    {"scores": {label: probability}, "flagged": [label], and of some kinds "boxes", "years" or "text"}

`scores` of a network with many labels holds the highest only; a label that is not in it has at most the lowest of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mantlet.errors import RefusedError
from mantlet.recognise.manifest import Kind, Manifest, Recipe
from mantlet.types import Reason

MOST_SCORES: Final = 64
MOST_BOXES: Final = 32
LONGEST_TEXT: Final = 1000
_LEAST_SCORE: Final = 0.05
_OVERLAP: Final = 0.5
"""Boxes of one label that share more of their union are one thing: the best stays (greedy non-maximum suppression)."""
_DIGITS: Final = 6
Floats = NDArray[np.float32]


def said(manifest: Manifest, found: Mapping[str, NDArray[Any]], sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Of the pictures of one content, `sizes` their width and height in pixels. Raises RefusedError for no answer."""
    recipe, count = manifest.recipe, len(sizes)
    scores = _finite(found[recipe.scores])
    if manifest.kind is Kind.AGE:
        return {"scores": {}, "flagged": [], "years": _years(scores.reshape(count, -1), recipe)}
    if manifest.kind is Kind.TEXT:
        return {"scores": {}, "flagged": [], "text": _text(manifest, scores, count)}
    if manifest.kind is Kind.DETECTOR:
        return _detected(manifest, scores, _finite(found[recipe.boxes]), sizes)
    return scored(manifest, probabilities(scores, count, len(manifest.labels), recipe.apply))


def by_head(manifest: Manifest, found: Floats, count: int) -> dict[str, Any]:
    """Of one content, by what its head gave for the vectors of its `count` frames. Raises RefusedError as `said`."""
    return scored(manifest, probabilities(found, count, len(manifest.labels), "nothing"))


def probabilities(found: NDArray[Any], count: int, labels: int, apply: str) -> Floats:
    """[count, labels], after `apply`. Raises RefusedError for another shape, and for what are no probabilities."""
    values = _finite(found)
    if values.size != count * labels:
        each = values.size / count
        raise RefusedError(Reason.NO_ANSWER, f"It gives {each:g} scores for {labels:,} labels.")
    values = applied(values.reshape(count, labels), apply)
    if values.min(initial=0.0) < -0.001 or values.max(initial=0.0) > 1.001:
        raise RefusedError(Reason.NO_ANSWER, "What should be probabilities lies outside 0 to 1.")
    return values.clip(0, 1)


def applied(values: Floats, apply: str) -> Floats:
    """What makes probabilities of the scores of the last axis."""
    if apply == "softmax":
        values = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(values / values.sum(axis=-1, keepdims=True), np.float32)
    if apply == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-values.clip(-80, 80))), np.float32)
    return values


def scored(manifest: Manifest, frames: Floats) -> dict[str, Any]:
    """The scores of one content of the probabilities of its frames ([frames, labels]; a still has one), by the rule for
    clips (`manifest.Frames`), and the labels for which it is flagged; both the highest first."""
    nth = min(manifest.frames.nth_highest, len(frames))
    values = np.sort(frames, axis=0)[-nth]
    ordered = [(manifest.labels[number], float(values[number])) for number in np.argsort(-values, kind="stable")]
    # As it came: a threshold was chosen among scores that nobody had rounded.
    flagged = [label.name for label, value in ordered if label.threshold is not None and value >= label.threshold.at]
    scores = {label.name: round(value, _DIGITS) for label, value in ordered[:MOST_SCORES]}
    return {"scores": scores, "flagged": flagged[:MOST_SCORES]}


def _finite(found: NDArray[Any]) -> Floats:
    values = found.astype(np.float32)
    if not np.isfinite(values).all():
        raise RefusedError(Reason.NO_ANSWER, "Its scores are not numbers (NaN or infinite).")
    return values


def _years(values: Floats, recipe: Recipe) -> float:
    """The mean over frames: one number each, or the expectation of a distribution over whole years from 0 on (Rothe,
    Timofte and Van Gool 2018, "Deep expectation of apparent age")."""
    if values.shape[1] > 1:
        values = (applied(values, recipe.apply) * np.arange(values.shape[1])).sum(axis=1, keepdims=True)
    years = float(values.mean())
    if not 0 <= years <= 130:
        raise RefusedError(Reason.NO_ANSWER, f"It says that somebody is {years:g} years old.")
    return round(years, 1)


def _text(manifest: Manifest, values: Floats, count: int) -> str:
    """The likeliest character of each step, repeats and blanks (number 0) left out (Graves et al. 2006, best path
    decoding); frames that say the same are given once."""
    letters = [label.name for label in manifest.labels]
    steps = values.reshape(count, -1, values.shape[-1])
    if steps.shape[-1] != len(letters) + 1:
        raise RefusedError(
            Reason.NO_ANSWER, f"It tells {steps.shape[-1]:,} characters apart, not {len(letters) + 1:,}."
        )
    lines = []
    for best in steps.argmax(axis=-1):
        kept = best[np.append(True, best[1:] != best[:-1])]
        lines.append("".join(letters[number - 1] for number in kept if number))
    return "\n".join(dict.fromkeys(line for line in lines if line))[:LONGEST_TEXT]


def _detected(manifest: Manifest, scores: Floats, boxes: Floats, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The best boxes of all frames, as fractions of the picture; a label's score is that of its best box."""
    recipe, labels, count = manifest.recipe, manifest.labels, len(sizes)
    boxes = boxes.reshape(count, -1, 4)
    if scores.size != boxes.shape[1] * count * len(labels):
        raise RefusedError(
            Reason.NO_ANSWER, f"Its scores do not fit {boxes.shape[1]:,} boxes of {len(labels):,} labels."
        )
    values = probabilities(scores, count * boxes.shape[1], len(labels), recipe.apply).reshape(count, -1, len(labels))
    best = scored(manifest, values.max(axis=1, initial=0.0))
    kept: list[dict[str, Any]] = []
    for frame, (places, size) in enumerate(zip(boxes, sizes, strict=True)):
        for number, label in enumerate(labels):
            for row in _suppressed(places, values[frame, :, number]):
                score = round(float(values[frame, row, number]), _DIGITS)
                kept.append(
                    {"label": label.name, "score": score, "frame": frame, "box": _placed(places[row], recipe, size)}
                )
    kept.sort(key=lambda each: -each["score"])
    return {**best, "boxes": kept[:MOST_BOXES]}


def _suppressed(boxes: Floats, scores: Floats) -> list[int]:
    order = [row for row in np.argsort(-scores, kind="stable")[: 20 * MOST_BOXES] if scores[row] >= _LEAST_SCORE]
    kept: list[int] = []
    while order and len(kept) < MOST_BOXES:
        first, *rest = order
        kept.append(int(first))
        order = [row for row in rest if _shared(boxes[first], boxes[row]) <= _OVERLAP]
    return kept


def _shared(one: Floats, other: Floats) -> float:
    """The part of their union that two boxes share."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    inside = float(np.prod(sides.clip(0)))
    areas = sum(float(np.prod((box[2:] - box[:2]).clip(0))) for box in (one, other))
    return inside / max(areas - inside, 1e-9)


def _placed(box: Floats, recipe: Recipe, size: tuple[int, int]) -> list[float]:
    """A box in pixels of the network's input (left, top, right, bottom) as fractions of the picture."""
    fractions = []
    for axis, (side, given) in enumerate(zip(size, (recipe.width, recipe.height), strict=True)):
        shown = side * _shown(recipe, size)[axis]
        at = [(side - shown) / 2 + box[axis + 2 * end] / given * shown for end in range(2)]
        fractions.append([round(min(max(float(each) / side, 0.0), 1.0), 4) for each in at])
    (left, right), (top, bottom) = fractions
    return [left, top, right, bottom]


def _shown(recipe: Recipe, size: tuple[int, int]) -> tuple[float, float]:
    """What the network sees of a picture's width and height, about its centre: more than 1 where it sees a border."""
    if recipe.fit == "stretch":
        return 1.0, 1.0
    wide = (size[0] / size[1]) / (recipe.width / recipe.height)
    if recipe.fit == "crop":
        return recipe.keep * min(1.0, 1 / wide), recipe.keep * min(1.0, wide)
    return max(1.0, 1 / wide), max(1.0, wide)
