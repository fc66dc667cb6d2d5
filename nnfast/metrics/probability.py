"""Losses of probabilities and margins, as metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import exact, losses, ops, serialization
from nnfast.losses.base import dtype_name, expand_weight
from nnfast.metrics.base import MeanMetric, mean_statistics, ratio
from nnfast.typing import Config, Tensor, Totals


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


@serialization.register("metric")
class Perplexity(SparseCategoricalCrossentropy):
    """e^(mean cross-entropy of class numbers): among how many equally likely tokens a model would be as unsure.

    y_true (batch, length) or (batch,), y_pred with one more axis. mask_token_id: tokens of this number do not count. Named as in
    Keras-hub.

    >>> import numpy as np
    >>> Perplexity()(np.array([[0, 1]]), np.full((1, 2, 4), 0.25))
    4.0
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: str | None = None,
        from_logits: bool = False,
        mask_token_id: int | None = None,
    ) -> None:
        super().__init__(name, dtype, from_logits)
        self.mask_token_id = mask_token_id

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        values = self.values(y_true, y_pred)
        if self.mask_token_id is None:
            return mean_statistics(values, sample_weight)
        kept = ops.reshape(ops.not_equal(ops.cast(y_true, dtype_name(values)), float(self.mask_token_id)), values.shape)
        weight = kept if sample_weight is None else ops.multiply(kept, expand_weight(sample_weight, values))
        return [ops.sum(ops.multiply(ops.where(kept, values, 0.0), weight)), ops.sum(weight)]

    def compute(self, totals: Totals) -> Any:
        mean = float(ratio(totals[0], totals[1]))
        return exact.exp(mean) if abs(mean) <= exact.LIMIT else mean if mean != mean else float("inf")

    def get_config(self) -> Config:
        config = {**super().get_config(), "mask_token_id": self.mask_token_id}
        del config["axis"]
        return config


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
