"""Losses between probabilities: the cross-entropies, Kullback-Leibler, Poisson. Each has a function and a class.

The cross-entropies are ops (nnfast.ops.loss), because a pass fuses them with the softmax or sigmoid before them into a stable form;
from_logits=True asks for that form in the first place. Here are label smoothing, axes, label checks and the names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import LabelError, ShapeError
from nnfast.losses.base import NamedLoss, as_floating, as_tensor, as_type, dtype_name, matched
from nnfast.losses.regression import EPSILON
from nnfast.typing import Array, Config, Shape, Tensor


def _last(x: Tensor, axis: int) -> Tensor:
    """x with `axis` moved to the end."""
    rank = len(x.shape)
    axis %= rank
    if axis == rank - 1:
        return x
    return ops.transpose(x, (*(i for i in range(rank) if i != axis), axis))


def _smoothing(owner: str, label_smoothing: float) -> float:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{owner}(label_smoothing={label_smoothing!r}): expected a number from 0 to 1")
    return label_smoothing


def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-mean(y_true * log(p) + (1 - y_true) * log(1 - p)) along axis, where p is y_pred or, with from_logits, its sigmoid.

    y_pred (batch, ..., n); y_true the same shape, real or integer, in 0..1. Smoothing moves targets towards 0.5.

    >>> import numpy as np
    >>> round(float(binary_crossentropy(np.array([[1.0]]), np.array([[0.5]]))[0]), 6)
    0.693147
    """
    y_true, y_pred = matched("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), 0.5 * label_smoothing)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum(y_true * log(p)) along axis, where p is y_pred (scaled to sum 1) or, with from_logits, its softmax.

    y_pred (batch, ..., classes); y_true the same shape: one-hot rows or probabilities. Smoothing by s gives every class s / classes.

    >>> import numpy as np
    >>> round(float(categorical_crossentropy(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))[0]), 6)
    0.693147
    """
    hint = ". Targets that are class numbers belong to SparseCategoricalCrossentropy"
    y_true, y_pred = matched("categorical_crossentropy", y_true, y_pred, hint)
    y_true, y_pred = _last(y_true, axis), _last(y_pred, axis)
    if label_smoothing:
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), label_smoothing / y_pred.shape[-1])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits)


def sparse_categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """-log(p[class]), where p is y_pred (scaled to sum 1) or, with from_logits, its softmax along axis.

    y_pred (batch, ..., classes); y_true (batch, ...) or (batch, ..., 1): integers 0 to classes - 1. Where y_true is ignore_class
    the value is 0.

    >>> import numpy as np
    >>> round(float(sparse_categorical_crossentropy(np.array([1]), np.array([[0.5, 0.5]]))[0]), 6)
    0.693147
    """
    y_pred = _last(as_floating(y_pred), axis)
    labels = _labels("sparse_categorical_crossentropy", as_tensor(y_true), tuple(y_pred.shape))
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(as_type(labels, "int32"), y_pred, from_logits=from_logits)
    counted = ops.cast(ops.not_equal(labels, ignore_class), dtype_name(y_pred))
    labels = ops.cast(ops.where(counted, labels, 0), "int32")
    return ops.multiply(ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=from_logits), counted)


def _labels(name: str, y_true: Tensor, output_shape: Shape) -> Tensor:
    """Labels in the shape of the outputs without their last axis, (batch, 1) brought to (batch,)."""
    shape = tuple(y_true.shape)
    if len(shape) == len(output_shape) and shape[-1] == 1:
        shape = shape[:-1]
        y_true = ops.reshape(y_true, shape)
    wanted = tuple(output_shape[:-1])
    if len(shape) != len(wanted) or any(w is not None and s != w for s, w in zip(shape, wanted, strict=True)):
        hint = ""
        if len(shape) == len(output_shape) and shape[-1] == output_shape[-1]:
            hint = ". One-hot targets belong to CategoricalCrossentropy"
        raise ShapeError(
            f"{name}: labels of shape {shape} do not fit outputs of shape {tuple(output_shape)}; expected {wanted}{hint}"
        )
    return y_true


def _first(y_true: Array, wrong: Array) -> tuple[int, Any]:
    """Row and value of the first wrong target."""
    place = np.argwhere(np.atleast_1d(wrong))[0]
    return int(place[0]), np.atleast_1d(y_true)[tuple(place)]


def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """sum(y_true * log(y_true / y_pred)) over the last axis; probabilities are limited to 1e-7..1 (Kullback and Leibler 1951).

    >>> import numpy as np
    >>> p = np.array([[0.25, 0.75]])
    >>> kl_divergence(p, p).tolist()
    [0.0]
    """
    y_true, y_pred = matched("kl_divergence", y_true, y_pred)
    y_true, y_pred = ops.clip(y_true, EPSILON, 1.0), ops.clip(y_pred, EPSILON, 1.0)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), axis=-1)


def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(y_pred - y_true * log(y_pred + 1e-7)) over the last axis: counts y_true, expected counts y_pred.

    >>> import numpy as np
    >>> poisson(np.array([[0.0]]), np.array([[2.0]])).tolist()
    [2.0]
    """
    y_true, y_pred = matched("poisson", y_true, y_pred)
    return ops.mean(ops.subtract(y_pred, ops.multiply(y_true, ops.log(ops.add(y_pred, EPSILON)))), axis=-1)


class _SmoothedCrossentropy(NamedLoss):
    """The arguments that binary and categorical cross-entropy share."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = _smoothing(type(self).__name__, label_smoothing)
        self.axis = axis

    def get_config(self) -> Config:
        options = {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "axis": self.axis}
        return {**options, **super().get_config()}


@serialization.register("loss", "bce", "BCE")
class BinaryCrossentropy(_SmoothedCrossentropy):
    """Cross-entropy of yes-or-no targets, one per output unit. See `binary_crossentropy`.

    >>> import numpy as np
    >>> loss = BinaryCrossentropy(from_logits=True)
    >>> round(float(loss(np.array([[1], [0]]), np.array([[0.0], [0.0]]))), 6)
    0.693147
    """

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        wrong = (y_true < 0) | (y_true > 1)
        if wrong.any():
            row, value = _first(y_true, wrong)
            raise LabelError(f"{self.name}: target {value} in row {row}; expected 0 and 1, or chances between them")

    def target_limits(self, output_shape: Shape) -> tuple[float, float, bool] | None:
        return (0.0, 1.0, False) if type(self).check_targets is BinaryCrossentropy.check_targets else None

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@serialization.register("loss", "cce")
class CategoricalCrossentropy(_SmoothedCrossentropy):
    """Cross-entropy of one-hot rows or probabilities. See `categorical_crossentropy`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@serialization.register("loss", "scce")
class SparseCategoricalCrossentropy(NamedLoss):
    """Cross-entropy of class numbers 0 to classes - 1. See `sparse_categorical_crossentropy`.

    With ignore_class, samples of that label neither count in the sum nor in the number of samples of a mean.

    >>> import numpy as np
    >>> loss = SparseCategoricalCrossentropy(from_logits=True)
    >>> round(float(loss(np.array([0, 1]), np.zeros((2, 2)))), 6)
    0.693147
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def mask(self, y_true: Tensor) -> Tensor | None:
        if self.ignore_class is None:
            return None
        mask = ops.not_equal(y_true, self.ignore_class)
        if len(y_true.shape) > 1 and y_true.shape[-1] == 1:
            return ops.reshape(mask, tuple(y_true.shape[:-1]))
        return mask

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        axis = self.axis % len(output_shape)
        classes = output_shape[axis]
        _labels(self.name, y_true, (*output_shape[:axis], *output_shape[axis + 1 :], classes))
        if y_true.size == 0 or classes is None:
            return
        if self.ignore_class is None and y_true.dtype.kind in "iu" and y_true.min() >= 0 and y_true.max() < classes:
            return
        wrong = (y_true < 0) | (y_true >= classes) | (y_true != np.floor(y_true))
        if self.ignore_class is not None:
            wrong &= y_true != self.ignore_class
        if not wrong.any():
            return
        row, value = _first(y_true, wrong)
        raise LabelError(
            f"{self.name}: label {value} in row {row}; expected integers from 0 to {classes - 1}, because the model has "
            f"{classes} outputs. Number the classes from 0, or give the last layer more units"
        )

    def target_limits(self, output_shape: Shape) -> tuple[float, float, bool] | None:
        classes = output_shape[self.axis]
        known = type(self).check_targets is SparseCategoricalCrossentropy.check_targets
        return (0.0, classes - 1.0, True) if known and classes is not None else None

    def get_config(self) -> Config:
        options: dict[str, Any] = {
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }
        return {**options, **super().get_config()}


@serialization.register("loss", "kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(NamedLoss):
    """The mean of sum(y_true * log(y_true / y_pred))."""

    default_name = "kl_divergence"

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return kl_divergence(y_true, y_pred)


@serialization.register("loss")
class Poisson(NamedLoss):
    """The mean of y_pred - y_true * log(y_pred), for counts."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return poisson(y_true, y_pred)
