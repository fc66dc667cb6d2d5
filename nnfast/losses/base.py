"""What every loss does: bring targets and predictions to one shape, weight the values, reduce them to a number.

In: y_true and y_pred, symbolic or arrays. Out: a scalar in ops (or values per sample), which autodiff differentiates.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast import ops
from nnfast.boundary import refuse_unfolded
from nnfast.errors import ShapeError
from nnfast.serialization import Configurable, snake_case
from nnfast.typing import Array, Config, Shape, Tensor

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss(Configurable):
    """Base class: override `call(y_true, y_pred)` to return one value per sample, shape (batch,) or (batch, ...).

    Calling the loss weights and reduces these values. reduction: "sum_over_batch_size" or "mean" (sum of weight * value over
    the number of values), "mean_with_sample_weight" (over the sum of the weights), "sum", "none" or None (the values themselves).
    sample_weight has the shape of the values, or of their leading axes.

    >>> import numpy as np
    >>> class Quartic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.square(ops.square(ops.subtract(y_true, y_pred))), axis=-1)
    >>> float(Quartic()(np.zeros((2, 1)), np.array([[1.0], [2.0]])))
    8.5
    """

    default_name: str | None = None

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"{type(self).__name__}(reduction={reduction!r}): expected one of {REDUCTIONS}")
        self.name = name or self.default_name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each sample."""
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def mask(self, y_true: Tensor) -> Tensor | None:
        """1.0 for values that count, 0.0 for those that do not; None when all do."""
        return None

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        """Raise a helpful error for targets that cannot belong to outputs of this shape. Called with arrays, before training."""

    def target_limits(self, output_shape: Shape) -> tuple[float, float, bool] | None:
        """Targets from the first to the second number (whole ones only, if the third is True) pass `check_targets`, where their shape does.

        None: only check_targets knows.
        """
        return (-math.inf, math.inf, False) if type(self).check_targets is Loss.check_targets else None

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        padding = getattr(y_pred, "mask", None)  # set by the layers of a model
        y_true, y_pred = as_tensor(y_true), as_floating(y_pred, self.dtype)
        if isinstance(y_true, np.ndarray):
            self.check_targets(y_true, tuple(y_pred.shape))
        values = self.call(y_true, y_pred)
        mask = self.mask(y_true)
        if padding is not None and len(padding.shape) <= len(values.shape):
            padding = expand_weight(as_type(padding, dtype_name(values)), values)
            mask = ops.multiply(padding, ops.ones_like(values) if mask is None else mask)
        if mask is not None:
            sample_weight = self._masked_weight(values, mask, sample_weight)
        return reduce_values(values, sample_weight, self.reduction)

    def _masked_weight(self, values: Tensor, mask: Tensor, sample_weight: Tensor | None) -> Tensor:
        """The weights with 0 where the mask is 0; where the reduction is a mean, it becomes one over what counts."""
        if self.reduction in ("sum_over_batch_size", "mean"):
            total = float(math.prod(values.shape))
            mask = ops.multiply(mask, ops.divide(total, ops.maximum(ops.sum(mask), 1.0)))
        if sample_weight is None:
            return mask
        return ops.multiply(mask, expand_weight(sample_weight, mask))

    def get_config(self) -> Config:
        return {"name": self.name, "reduction": self.reduction, "dtype": self.dtype}


class NamedLoss(Loss):
    """A loss of the library: Keras' argument order, with the reduction first."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


def reduce_values(
    values: Tensor, sample_weight: Tensor | None = None, reduction: str | None = "sum_over_batch_size"
) -> Tensor:
    """Weighted values, or their sum or mean, as described in Loss."""
    weight = None
    if sample_weight is not None:
        weight = expand_weight(sample_weight, values)
        values = ops.multiply(values, weight)
    if reduction in ("none", None):
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.divide(ops.sum(values), ops.sum(ops.multiply(ops.ones_like(values), weight)))
    return ops.mean(values)


def expand_weight(sample_weight: Tensor, values: Tensor) -> Tensor:
    """sample_weight with axes of size 1 appended (or dropped) until it broadcasts along the leading axes of values."""
    weight = as_tensor(sample_weight)
    if isinstance(weight, np.ndarray):
        weight = weight.astype(dtype_name(values))
    shape, wanted = tuple(weight.shape), tuple(values.shape)
    while len(shape) > len(wanted) and shape[-1] == 1:
        shape = shape[:-1]
    shape += (1,) * (len(wanted) - len(shape))
    if len(shape) > len(wanted) or any(a not in (1, b) for a, b in zip(shape, wanted, strict=True)):
        raise ShapeError(
            f"sample_weight has shape {tuple(weight.shape)}, the values of the loss or metric have shape {wanted}: "
            "expected one weight for each sample, or for each leading axis"
        )
    return weight if shape == tuple(weight.shape) else ops.reshape(weight, shape)


def as_tensor(x: Any) -> Tensor:
    """x itself if it has a shape and dtype (symbolic value, variable, array), else an array."""
    return x if hasattr(x, "shape") and hasattr(x, "dtype") else np.asarray(x)


def dtype_name(x: Tensor) -> str:
    """The dtype of a tensor as a string."""
    return str(x.dtype)


def as_floating(x: Any, dtype: str | None = None) -> Tensor:
    """x in the given floating dtype; by default its own if it is one, else float32."""
    x = as_tensor(x)
    wanted = dtype or (dtype_name(x) if dtype_name(x) in ("float32", "float64") else "float32")
    return as_type(x, wanted)


def as_type(x: Tensor, dtype: str) -> Tensor:
    """x cast to a dtype."""
    if dtype_name(x) == dtype:
        return x
    if not isinstance(x, np.ndarray):
        return ops.cast(x, dtype)
    refuse_unfolded(x, "y_true or y_pred")
    return x.astype(dtype)


def same_rank(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Targets (batch,) for outputs (batch, 1) become (batch, 1), and the other way round, as in Keras."""
    true_rank, pred_rank = len(y_true.shape), len(y_pred.shape)
    if pred_rank == true_rank + 1 and y_pred.shape[-1] == 1:
        return ops.reshape(y_true, (*y_true.shape, 1)), y_pred
    if true_rank == pred_rank + 1 and y_true.shape[-1] == 1:
        if pred_rank == 1:
            return y_true, ops.reshape(y_pred, (*y_pred.shape, 1))
        return ops.reshape(y_true, tuple(y_true.shape[:-1])), y_pred
    return y_true, y_pred


def matched(name: str, y_true: Any, y_pred: Any, hint: str = "") -> tuple[Tensor, Tensor]:
    """Targets and predictions with one shape and the floating dtype of the predictions; ShapeError when they differ."""
    y_pred = as_floating(y_pred)
    y_true, y_pred = same_rank(as_tensor(y_true), y_pred)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise ShapeError(
            f"{name}: y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}; expected equal shapes{hint}"
        )
    return as_type(y_true, dtype_name(y_pred)), y_pred
