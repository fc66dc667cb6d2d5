"""How often the prediction is the target: accuracies. Each has a function, (y_true, y_pred) -> 1.0 or 0.0 per sample, and a class."""

from __future__ import annotations

import math

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.losses.base import as_floating, as_tensor, as_type, dtype_name, matched
from nnfast.metrics.base import MeanMetric
from nnfast.typing import Config, Tensor


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where y_pred equals y_true; equal shapes.

    >>> import numpy as np
    >>> accuracy(np.array([1.0, 2.0]), np.array([1.0, 3.0])).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = matched("accuracy", y_true, y_pred)
    return ops.equal(y_true, y_pred)


def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where (y_pred > threshold) equals y_true, for targets 0 and 1; equal shapes.

    >>> import numpy as np
    >>> binary_accuracy(np.array([1, 0]), np.array([0.9, 0.6])).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = matched("binary_accuracy", y_true, y_pred)
    return ops.equal(y_true, ops.greater(y_pred, threshold))


def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the greatest of y_pred (batch, ..., classes) stands where the greatest of y_true does.

    >>> import numpy as np
    >>> categorical_accuracy(np.array([[0, 1], [1, 0]]), np.array([[0.1, 0.9], [0.2, 0.8]])).tolist()
    [1.0, 0.0]
    """
    hint = ". Targets that are class numbers belong to sparse_categorical_accuracy"
    y_true, y_pred = matched("categorical_accuracy", y_true, y_pred, hint)
    return _same_class(ops.argmax(y_true, axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the greatest of y_pred (batch, ..., classes) stands at the class number y_true, (batch, ...) or (batch, ..., 1).

    >>> import numpy as np
    >>> sparse_categorical_accuracy(np.array([1, 0]), np.array([[0.1, 0.9], [0.2, 0.8]])).tolist()
    [1.0, 0.0]
    """
    y_pred = as_floating(y_pred)
    return _same_class(class_numbers("sparse_categorical_accuracy", y_true, y_pred), y_pred)


def _same_class(labels: Tensor, y_pred: Tensor) -> Tensor:
    hits = ops.equal(as_type(labels, "int32"), ops.argmax(y_pred, axis=-1))
    return as_type(hits, dtype_name(y_pred))


def class_numbers(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Class numbers in the shape of y_pred without its last axis."""
    y_true = as_tensor(y_true)
    shape, wanted = tuple(y_true.shape), tuple(y_pred.shape[:-1])
    if shape == wanted:
        return y_true
    if shape == (*wanted, 1):
        return ops.reshape(y_true, wanted)
    raise ShapeError(
        f"{name}: class numbers of shape {shape} do not fit predictions of shape {tuple(y_pred.shape)}; expected {wanted}"
    )


def sparse_top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class number y_true is among the k greatest of y_pred (batch, ..., classes).

    >>> import numpy as np
    >>> sparse_top_k_categorical_accuracy(np.array([2, 1]), np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]]), k=2).tolist()
    [1.0, 0.0]
    """
    y_pred = as_floating(y_pred)
    labels = as_type(class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred), "int32")
    shape = tuple(labels.shape)
    if len(shape) != 1:
        rows = math.prod(shape)
        labels, y_pred = ops.reshape(labels, (rows,)), ops.reshape(y_pred, (rows, y_pred.shape[-1]))
    hits = ops.in_top_k(labels, y_pred, k)
    return hits if len(shape) == 1 else ops.reshape(hits, shape)


def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class of the one-hot row y_true is among the k greatest of y_pred (batch, ..., classes).

    >>> import numpy as np
    >>> top_k_categorical_accuracy(np.array([[0, 0, 1]]), np.array([[0.1, 0.7, 0.2]]), k=2).tolist()
    [1.0]
    """
    y_true, y_pred = matched("top_k_categorical_accuracy", y_true, y_pred)
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


@serialization.register("metric")
class Accuracy(MeanMetric):
    """How often y_pred equals y_true.

    In `compile`, the name "accuracy" means the kind that fits the outputs: binary, categorical or sparse categorical.

    >>> import numpy as np
    >>> Accuracy()(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 0]))
    0.75
    """

    direction = "up"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return accuracy(y_true, y_pred)


@serialization.register("metric", "binary_acc")
class BinaryAccuracy(MeanMetric):
    """How often (y_pred > threshold) equals y_true.

    >>> import numpy as np
    >>> BinaryAccuracy()(np.array([1, 1, 0, 0]), np.array([0.98, 1.0, 0.0, 0.6]))
    0.75
    """

    direction = "up"

    def __init__(self, name: str | None = None, dtype: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return binary_accuracy(y_true, y_pred, self.threshold)

    def get_config(self) -> Config:
        return {**super().get_config(), "threshold": self.threshold}


@serialization.register("metric")
class CategoricalAccuracy(MeanMetric):
    """How often the most likely class is that of the one-hot target."""

    direction = "up"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_accuracy(y_true, y_pred)


@serialization.register("metric")
class SparseCategoricalAccuracy(MeanMetric):
    """How often the most likely class is the class number given as target."""

    direction = "up"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sparse_categorical_accuracy(y_true, y_pred)


class _TopK(MeanMetric):
    direction = "up"

    def __init__(self, k: int = 5, name: str | None = None, dtype: str | None = None) -> None:
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"{type(self).__name__}(k={k!r}): k must be a positive integer")
        super().__init__(name, dtype)
        self.k = k

    def get_config(self) -> Config:
        return {"k": self.k, **super().get_config()}


@serialization.register("metric")
class TopKCategoricalAccuracy(_TopK):
    """How often the class of the one-hot target is among the k most likely."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return top_k_categorical_accuracy(y_true, y_pred, self.k)


@serialization.register("metric")
class SparseTopKCategoricalAccuracy(_TopK):
    """How often the class number given as target is among the k most likely."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sparse_top_k_categorical_accuracy(y_true, y_pred, self.k)
