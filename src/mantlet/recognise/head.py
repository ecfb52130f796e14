"""Teaching a linear head on frozen embeddings, with probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mantlet.recognise.examples import Vectors, check
from mantlet.recognise.logistic import fit, log_softmax

_STRENGTHS: Final = (1e-2, 1e-3, 1e-4, 1e-5)
_OPSET: Final = 17
_IR_VERSION: Final = 8


@dataclass(frozen=True, eq=False)
class Head:
    """`weights` [d, k] and `bias` [k], float32: softmax(vector @ weights + bias) are calibrated probabilities."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, vectors: Vectors) -> NDArray[np.float32]:
        """[n, k] for unit vectors [n, d]."""
        logits = vectors.astype(np.float32) @ self.weights + self.bias
        return np.exp(log_softmax(logits)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Taught:
    """A head and what is known of it.

    `rows` [m]: the rows that had a label, in order; `out_of_fold` [m, k]: their probabilities by the one of
    `fold_heads` that was not taught them. `slope` is what logits were multiplied with (1 / temperature), `strength` the
    penalty chosen.
    """

    head: Head
    fold_heads: tuple[Head, ...]
    rows: NDArray[np.int64]
    out_of_fold: NDArray[np.float32]
    slope: float
    strength: float


def teach(
    vectors: Vectors,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    folds: NDArray[np.int64],
    contents: Sequence[str],
) -> Taught:
    """Multinomial logistic regression on centred vectors, calibrated on what each fold's head says of the fold it was
    not taught.

    Calibration is one slope for all logits and one shift for each label, by maximum likelihood with a standard normal
    prior on the logarithm of the slope and on each shift. On the benign photographs: weights that balance the classes
    left the order as it was and made the probabilities worse, also corrected for the prior; with a temperature alone
    (Guo, Pleiss, Sun and Weinberger 2017) a label of 1 % was given 0.8 of its probability, with the shifts 0.97; and
    without the prior, examples that a line separates drive the slope up without end. The strength of the penalty is
    the one of four with the least log loss out of fold. `out_of_fold` is not wholly unseen: the k + 1 numbers of the
    calibration, and which of four strengths, were fitted to it.

    Nothing is drawn by chance: the same input on the same machine gives the same head.

    Args:
        vectors: [n, d], unit length.
        labels: [n], places in `classes`; -1: not used.
        classes: [k] names, for the sentences.
        folds: [n], from 0 (see `folds.folds`).
        contents: [n], what tells contents apart: two rows of one content are copies.

    Raises:
        UsageError: there is too little to teach from, or it contradicts itself.
    """
    used = np.flatnonzero(labels >= 0)
    taught, fold = labels[used], folds[used]
    check(vectors[used], taught, classes, fold, [contents[row] for row in used.tolist()])
    raw = vectors[used].astype(np.float32)
    mean = raw.mean(axis=0)
    spread = float(np.sqrt(np.square(raw - mean).sum(axis=1).mean()))
    scale = np.float32(1 / spread if spread > 0 else 1)
    centred = (raw - mean) * scale
    found = _out_of_fold(centred, taught, fold, len(classes))
    strength, slope, shifts = found.strength, found.slope, found.shifts
    whole = fit(centred, taught, np.ones(len(used), np.float32), np.mean(found.parts, axis=0), strength)

    def baked(parameters: NDArray[np.float64]) -> Head:
        weights = parameters[:-1] * scale * slope
        bias = parameters[-1] * slope + shifts - mean @ weights
        return Head(weights.astype(np.float32), bias.astype(np.float32))

    heads = tuple(baked(part) for part in found.parts)
    out_of_fold = np.zeros((len(used), len(classes)), np.float32)
    for head, number in zip(heads, np.unique(fold), strict=True):
        out_of_fold[fold == number] = head.probabilities(raw[fold == number])
    return Taught(baked(whole), heads, used, out_of_fold, slope, strength)


def network(head: Head) -> bytes:
    """The head as an ONNX network: "embedding" [n, d] to "scores" [n, k], which are probabilities. The same head gives
    the same bytes."""
    from onnx import TensorProto, checker, helper, numpy_helper

    width, labels = head.weights.shape
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["embedding", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        ],
        "head",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", labels])],
        [numpy_helper.from_array(head.weights, "weights"), numpy_helper.from_array(head.bias, "bias")],
    )
    model = helper.make_model(
        graph, producer_name="mantlet", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )
    checker.check_model(model, full_check=True)
    made: bytes = model.SerializeToString(deterministic=True)
    return made


class _Best(NamedTuple):
    """What had the least log loss out of fold; `parts`: the parameters of each fold's head."""

    loss: float
    strength: float
    slope: float
    shifts: NDArray[np.float64]
    parts: list[NDArray[np.float64]]


def _out_of_fold(
    centred: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64], count: int
) -> _Best:
    """Fits every strength, the strongest first, each from the last."""
    numbers = np.unique(folds)
    parts = [np.zeros((centred.shape[1] + 1, count)) for _ in numbers]
    tried = []
    for strength in _STRENGTHS:
        logits = np.zeros((len(labels), count))
        for place, number in enumerate(numbers):
            out = folds == number
            parts[place] = fit(centred, labels, (~out).astype(np.float32), parts[place], strength)
            logits[out] = centred[out] @ parts[place][:-1] + parts[place][-1]
        slope, shifts, loss = _calibrate(logits, labels)
        tried.append(_Best(loss, strength, slope, shifts, list(parts)))
    return min(tried, key=lambda each: each.loss)


def _calibrate(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, NDArray[np.float64], float]:
    """The slope, the shifts [k] and the mean log loss with them."""
    from scipy.optimize import minimize

    count, rows = len(labels), np.arange(len(labels))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope = np.exp(parameters[0])
        logs = log_softmax(logits * slope + parameters[1:])
        missing = np.exp(logs)
        missing[rows, labels] -= 1
        gradient = np.append((missing * logits).sum() * slope, missing.sum(axis=0)) + parameters
        return (np.square(parameters).sum() / 2 - logs[rows, labels].sum()) / count, gradient / count

    found = minimize(loss, np.zeros(logits.shape[1] + 1), jac=True, method="L-BFGS-B").x
    slope, shifts = float(np.exp(found[0])), found[1:]
    return slope, shifts, float(-log_softmax(logits * slope + shifts)[rows, labels].mean())
