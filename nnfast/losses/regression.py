"""Losses for real targets. Each has a function, (y_true, y_pred) -> one value per sample, and a class that reduces these values.

Shapes: y_true and y_pred (batch, ..., n); the functions average over the last axis.
"""

from __future__ import annotations

import math

from nnfast import ops, serialization
from nnfast.losses.base import NamedLoss, matched
from nnfast.typing import Config, Tensor

EPSILON = 1e-7  # Keras' epsilon(): what stands for zero in a denominator or a logarithm


def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean((y_true - y_pred)^2) over the last axis.

    >>> import numpy as np
    >>> mean_squared_error(np.array([[0.0, 1.0]]), np.array([[2.0, 1.0]])).tolist()
    [2.0]
    """
    y_true, y_pred = matched("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.squared_difference(y_pred, y_true), axis=-1)


def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(|y_true - y_pred|) over the last axis.

    >>> import numpy as np
    >>> mean_absolute_error(np.array([[0.0, 1.0]]), np.array([[2.0, 1.0]])).tolist()
    [1.0]
    """
    y_true, y_pred = matched("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(ops.subtract(y_pred, y_true)), axis=-1)


def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis.

    >>> import numpy as np
    >>> mean_absolute_percentage_error(np.array([[4.0]]), np.array([[3.0]])).tolist()
    [25.0]
    """
    y_true, y_pred = matched("mean_absolute_percentage_error", y_true, y_pred)
    difference = ops.abs(ops.subtract(y_pred, y_true))
    return ops.multiply(ops.mean(ops.divide(difference, ops.maximum(ops.abs(y_true), EPSILON)), axis=-1), 100.0)


def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis; values below 1e-7 count as 1e-7.

    >>> import numpy as np
    >>> mean_squared_logarithmic_error(np.array([[3.0]]), np.array([[3.0]])).tolist()
    [0.0]
    """
    y_true, y_pred = matched("mean_squared_logarithmic_error", y_true, y_pred)
    first = ops.log1p(ops.maximum(y_pred, EPSILON))
    second = ops.log1p(ops.maximum(y_true, EPSILON))
    return ops.mean(ops.squared_difference(first, second), axis=-1)


def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """With e = |y_true - y_pred|: mean(e^2 / 2 where e <= delta, delta * (e - delta / 2) elsewhere) over the last axis (Huber 1964).

    >>> import numpy as np
    >>> huber(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])).tolist()
    [1.5]
    """
    y_true, y_pred = matched("huber", y_true, y_pred)
    error = ops.abs(ops.subtract(y_pred, y_true))
    # With c = min(e, delta) both branches are c * (e - c / 2), which also has the right gradient.
    near = ops.minimum(error, delta)
    return ops.mean(ops.multiply(near, ops.subtract(error, ops.multiply(near, 0.5))), axis=-1)


def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(log(cosh(y_pred - y_true))) over the last axis, computed as |x| + log(1 + exp(-2 |x|)) - log(2), without overflow.

    >>> import numpy as np
    >>> abs(round(float(log_cosh(np.zeros((1, 1)), np.zeros((1, 1)))[0]), 12))
    0.0
    """
    y_true, y_pred = matched("log_cosh", y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    value = ops.subtract(ops.add(error, ops.softplus(ops.multiply(error, -2.0))), math.log(2.0))
    return ops.mean(value, axis=-1)


def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """-sum(y_true * y_pred) / (|y_true| |y_pred|) along axis: -1 for equal directions, 1 for opposite, 0 if a vector is 0.

    >>> import numpy as np
    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])).tolist()
    [-1.0]
    """
    y_true, y_pred = matched("cosine_similarity", y_true, y_pred)
    product = ops.multiply(ops.l2_normalize(y_true, axis), ops.l2_normalize(y_pred, axis))
    return ops.negative(ops.sum(product, axis=axis))


@serialization.register("loss", "mse", "MSE")
class MeanSquaredError(NamedLoss):
    """mean((y_true - y_pred)^2).

    >>> import numpy as np
    >>> float(MeanSquaredError()(np.array([[0.0], [1.0]]), np.array([[2.0], [1.0]])))
    2.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return mean_squared_error(y_true, y_pred)


@serialization.register("loss", "mae", "MAE")
class MeanAbsoluteError(NamedLoss):
    """mean(|y_true - y_pred|)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return mean_absolute_error(y_true, y_pred)


@serialization.register("loss", "mape", "MAPE")
class MeanAbsolutePercentageError(NamedLoss):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return mean_absolute_percentage_error(y_true, y_pred)


@serialization.register("loss", "msle", "MSLE")
class MeanSquaredLogarithmicError(NamedLoss):
    """mean((log(1 + y_true) - log(1 + y_pred))^2)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return mean_squared_logarithmic_error(y_true, y_pred)


@serialization.register("loss", "huber_loss")
class Huber(NamedLoss):
    """Quadratic for errors up to delta, linear beyond (Huber 1964).

    >>> import numpy as np
    >>> float(Huber(delta=2.0)(np.array([[0.0]]), np.array([[3.0]])))
    4.0
    """

    default_name = "huber_loss"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        if not delta > 0:
            raise ValueError(f"Huber(delta={delta!r}): delta must be positive")
        self.delta = delta

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return huber(y_true, y_pred, self.delta)

    def get_config(self) -> Config:
        return {"delta": self.delta, **super().get_config()}


@serialization.register("loss", "logcosh")
class LogCosh(NamedLoss):
    """mean(log(cosh(y_pred - y_true))): near 0 half the square, far from it the distance."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return log_cosh(y_true, y_pred)


@serialization.register("loss", "cosine")
class CosineSimilarity(NamedLoss):
    """The mean of -cos(angle between y_true and y_pred) along axis."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return cosine_similarity(y_true, y_pred, self.axis)

    def get_config(self) -> Config:
        return {"axis": self.axis, **super().get_config()}
