"""Margin losses. Targets are -1 or 1 (0 and 1 are taken for them), or one-hot rows for the categorical form.

Shapes: y_true and y_pred (batch, ..., n) -> (batch, ...).
"""

from __future__ import annotations

from nnfast import ops, serialization
from nnfast.losses.base import NamedLoss, matched
from nnfast.typing import Tensor


def _signs(y_true: Tensor) -> Tensor:
    """-1 and 1 for targets that are all 0 or 1; others as they are."""
    binary = ops.min(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(binary, ops.subtract(ops.multiply(y_true, 2.0), 1.0), y_true)


def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)) over the last axis.

    >>> import numpy as np
    >>> hinge(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])).tolist()
    [1.0]
    """
    y_true, y_pred = matched("hinge", y_true, y_pred)
    return ops.mean(ops.relu(ops.subtract(1.0, ops.multiply(_signs(y_true), y_pred))), axis=-1)


def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)^2) over the last axis.

    >>> import numpy as np
    >>> squared_hinge(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])).tolist()
    [1.25]
    """
    y_true, y_pred = matched("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.relu(ops.subtract(1.0, ops.multiply(_signs(y_true), y_pred)))), axis=-1)


def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """max(wrong - right + 1, 0) with right = sum(y_true * y_pred) and wrong = max((1 - y_true) * y_pred), over the last axis.

    >>> import numpy as np
    >>> categorical_hinge(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]])).tolist()
    [1.25]
    """
    y_true, y_pred = matched("categorical_hinge", y_true, y_pred)
    right = ops.sum(ops.multiply(y_true, y_pred), axis=-1)
    wrong = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis=-1)
    return ops.relu(ops.add(ops.subtract(wrong, right), 1.0))


@serialization.register("loss")
class Hinge(NamedLoss):
    """mean(max(1 - y_true * y_pred, 0))."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return hinge(y_true, y_pred)


@serialization.register("loss")
class SquaredHinge(NamedLoss):
    """mean(max(1 - y_true * y_pred, 0)^2)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return squared_hinge(y_true, y_pred)


@serialization.register("loss")
class CategoricalHinge(NamedLoss):
    """The mean of max(wrong - right + 1, 0). See `categorical_hinge`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_hinge(y_true, y_pred)
