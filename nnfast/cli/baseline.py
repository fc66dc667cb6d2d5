"""Logistic regression in plain NumPy: what a network must beat to be worth its weights.

In: rows and class labels. Out: a weight matrix, and the accuracy that it reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 0.1
MOMENTUM = 0.9


def train(
    x: NDArray[Any], y: NDArray[Any], classes: int, epochs: int, batch_size: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit softmax(x w + b) to labels by gradient descent with momentum on the cross-entropy.

    Args:
        x: float32 (rows, features), about 0 to 1; y: labels 0 .. classes - 1, (rows,).

    Returns:
        w (features, classes) and b (classes,), float32.

    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0]], np.float32)
    >>> w, b = train(x, np.array([0, 1]), classes=2, epochs=50, batch_size=2, seed=0)
    >>> accuracy(x, np.array([0, 1]), w, b)
    1.0
    """
    generator = np.random.default_rng(seed)
    w = np.zeros((x.shape[1], classes), np.float32)
    b = np.zeros(classes, np.float32)
    w_velocity, b_velocity = np.zeros_like(w), np.zeros_like(b)
    targets = np.eye(classes, dtype=np.float32)[y]
    for _ in range(epochs):
        order = generator.permutation(len(x))
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            slope = (softmax(x[rows] @ w + b) - targets[rows]) / np.float32(len(rows))
            w_velocity = MOMENTUM * w_velocity - RATE * (x[rows].T @ slope)
            b_velocity = MOMENTUM * b_velocity - RATE * slope.sum(axis=0)
            w += w_velocity
            b += b_velocity
    return w, b


def accuracy(x: NDArray[Any], y: NDArray[Any], w: NDArray[Any], b: NDArray[Any]) -> float:
    """The part of the rows whose label gets the highest score."""
    return float(np.mean(np.argmax(x @ w + b, axis=1) == y))


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """exp(s) / sum exp(s) along the last axis, shifted so that it cannot overflow."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
