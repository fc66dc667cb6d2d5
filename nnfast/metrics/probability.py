"""Losses of probabilities and margins, as metrics."""

from __future__ import annotations

from nnfast import losses, serialization
from nnfast.metrics.base import MeanMetric
from nnfast.typing import Config, Tensor


class _LogitMetric(MeanMetric):
    """The arguments that the cross-entropies share."""

    direction = "down"

    def __init__(
        self,
        name: str | None = None,
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def get_config(self) -> Config:
        options = {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "axis": self.axis}
        return {**super().get_config(), **options}


@serialization.register("metric", "bce", "BCE")
class BinaryCrossentropy(_LogitMetric):
    """The mean binary cross-entropy; see nnfast.losses.binary_crossentropy.

    >>> import numpy as np
    >>> round(BinaryCrossentropy()(np.array([[1.0]]), np.array([[0.5]])), 6)
    0.693147
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@serialization.register("metric")
class CategoricalCrossentropy(_LogitMetric):
    """The mean cross-entropy of one-hot targets; see nnfast.losses.categorical_crossentropy."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@serialization.register("metric")
class SparseCategoricalCrossentropy(MeanMetric):
    """The mean cross-entropy of class numbers; see nnfast.losses.sparse_categorical_crossentropy."""

    direction = "down"

    def __init__(
        self, name: str | None = None, dtype: str | None = None, from_logits: bool = False, axis: int = -1
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits
        self.axis = axis

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, axis=self.axis)

    def get_config(self) -> Config:
        return {**super().get_config(), "from_logits": self.from_logits, "axis": self.axis}


@serialization.register("metric", "kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(MeanMetric):
    """The mean of sum(y_true * log(y_true / y_pred))."""

    default_name = "kl_divergence"
    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.kl_divergence(y_true, y_pred)


@serialization.register("metric")
class Poisson(MeanMetric):
    """The mean of y_pred - y_true * log(y_pred)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.poisson(y_true, y_pred)


@serialization.register("metric")
class Hinge(MeanMetric):
    """mean(max(1 - y_true * y_pred, 0)) for targets -1 and 1 (or 0 and 1)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.hinge(y_true, y_pred)


@serialization.register("metric")
class SquaredHinge(MeanMetric):
    """mean(max(1 - y_true * y_pred, 0)^2) for targets -1 and 1 (or 0 and 1)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.squared_hinge(y_true, y_pred)


@serialization.register("metric")
class CategoricalHinge(MeanMetric):
    """The mean of max(wrong - right + 1, 0); see nnfast.losses.categorical_hinge."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.categorical_hinge(y_true, y_pred)
