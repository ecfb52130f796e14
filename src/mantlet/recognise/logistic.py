"""Multinomial logistic regression with an L2 penalty: what teaching and re-ranking both fit."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)
_ITERATIONS: Final = 200
_TOLERANCE: Final = 1e-6
"""Relative change of the loss at which fitting ends."""


def fit(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
    start: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:
    """The parameters [d + 1, k] that minimise the weighted mean log loss plus `strength` / 2 times the squared weights;
    the last row is the biases, without penalty.

    `vectors` [n, d], best centred and of about unit length so that `strength` means the same for every network;
    `labels` [n] from 0 to k - 1; `weights` [n] >= 0, not all zero; `start` [d + 1, k]: zeros, or an earlier fit, which
    saves most of the time. L-BFGS (Liu and Nocedal 1989): the loss is convex, so any start leads to the same place.
    """
    from scipy.optimize import minimize

    shares = (weights / weights.sum()).astype(np.float32)[:, None]
    rows = np.arange(len(labels))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = flat.astype(np.float32).reshape(start.shape)
        logits = vectors @ parameters[:-1] + parameters[-1]
        logs = log_softmax(logits)
        missing = np.exp(logs)
        missing[rows, labels] -= 1
        missing *= shares
        gradient = np.vstack([vectors.T @ missing + strength * parameters[:-1], missing.sum(axis=0)])
        penalty = strength / 2 * float(np.square(parameters[:-1]).sum())
        return penalty - float(shares[:, 0] @ logs[rows, labels]), gradient.ravel().astype(np.float64)

    options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    fitted: NDArray[np.float64] = found.x.reshape(start.shape)
    return fitted


def log_softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """Logarithms of the probabilities [n, k] that logits stand for, without overflow."""
    shifted: NDArray[Real] = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
