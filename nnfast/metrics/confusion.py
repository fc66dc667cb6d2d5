"""Metrics of true and false positives at thresholds or per class: Precision, Recall, F1Score.

Targets are 0 or not 0, predictions above a threshold count as positive. The sums of a batch are counts, exact in float32 up to 2^24.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.losses.base import as_floating, as_tensor, as_type, dtype_name, expand_weight, matched
from nnfast.metrics.base import Metric, ordered_sum, ratio
from nnfast.typing import Config, Tensor, Totals


def counts_above(
    y_true: Tensor, y_pred: Tensor, thresholds: Sequence[float], weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(true positives, false positives) at each threshold: two vectors of len(thresholds), or (thresholds, columns) for 2-D inputs.

    y_true, y_pred and weight have one shape, (samples,) or (samples, columns).
    """
    rank = len(y_pred.shape)
    levels = np.asarray(thresholds, dtype_name(y_pred)).reshape((1, -1) + (1,) * (rank - 1))
    above = as_type(ops.greater(ops.expand_dims(y_pred, 1), levels), dtype_name(y_pred))
    positive = as_type(ops.not_equal(y_true, 0.0), dtype_name(y_pred))
    negative = ops.subtract(1.0, positive)
    if weight is not None:
        positive, negative = ops.multiply(positive, weight), ops.multiply(negative, weight)
    true = ops.sum(ops.multiply(above, ops.expand_dims(positive, 1)), axis=0)
    false = ops.sum(ops.multiply(above, ops.expand_dims(negative, 1)), axis=0)
    return true, false


def flat(x: Tensor) -> Tensor:
    """x as a vector."""
    return x if len(x.shape) == 1 else ops.reshape(x, (math.prod(x.shape),))


def in_top(y_pred: Tensor, k: int) -> Tensor:
    """1 for entries of the last axis with fewer than k greater ones (equal values all count)."""
    greater = ops.greater(ops.expand_dims(y_pred, -2), ops.expand_dims(y_pred, -1))
    return ops.less(ops.sum(greater, axis=-1), float(k))


class _PositiveRatio(Metric):
    """What Precision and Recall share: thresholds, top_k, class_id, and the counts."""

    direction = "up"

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        default = -math.inf if top_k is not None else 0.5
        levels = np.atleast_1d(np.asarray(default if thresholds is None else thresholds, np.float64))
        if thresholds is not None and not bool(np.all((levels >= 0) & (levels <= 1))):
            raise ValueError(f"{type(self).__name__}(thresholds={thresholds!r}): expected numbers from 0 to 1")
        if top_k is not None and top_k < 1:
            raise ValueError(f"{type(self).__name__}(top_k={top_k!r}): top_k must be a positive integer")
        self.thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self._levels: list[float] = levels.tolist()

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        weight = None
        if sample_weight is not None:
            weight = ops.multiply(ops.ones_like(y_pred), expand_weight(sample_weight, y_pred))
        allowed = None if self.top_k is None else in_top(y_pred, self.top_k)
        if self.class_id is not None:
            y_true, y_pred, weight, allowed = (
                None if x is None else self._column(x) for x in (y_true, y_pred, weight, allowed)
            )
        # Scores outside the top k become NaN-free "never": below every threshold.
        if allowed is not None:
            y_pred = ops.where(flat(allowed), flat(y_pred), -math.inf)
        y_true, y_pred = flat(y_true), flat(y_pred)
        weight = None if weight is None else flat(weight)
        true, false = counts_above(y_true, y_pred, self._levels, weight)
        positive = as_type(ops.not_equal(y_true, 0.0), dtype_name(y_pred))
        return [true, false, ops.sum(positive if weight is None else ops.multiply(positive, weight))]

    def _column(self, x: Tensor) -> Tensor:
        return x[..., self.class_id]

    def _result(self, values: Any) -> Any:
        return float(values[0]) if len(self._levels) == 1 else values

    def get_config(self) -> Config:
        thresholds = serialization.serialize(self.thresholds)
        return {"thresholds": thresholds, "top_k": self.top_k, "class_id": self.class_id, **super().get_config()}


@serialization.register("metric")
class Precision(_PositiveRatio):
    """true positives / (true positives + false positives), 0 where nothing was called positive.

    thresholds: one number (0.5 by default), or several for an array of results. top_k: only the k greatest outputs of a sample can
    be positive. class_id: look at this output only.

    >>> import numpy as np
    >>> Precision()(np.array([0, 1, 1, 1]), np.array([1.0, 0.0, 1.0, 1.0])) == 2 / 3
    True
    """

    def compute(self, totals: Totals) -> Any:
        true, false, _ = totals
        return self._result(ratio(true, true + false))


@serialization.register("metric")
class Recall(_PositiveRatio):
    """true positives / (true positives + false negatives), 0 where there are no positives. Arguments as for Precision.

    >>> import numpy as np
    >>> Recall()(np.array([0, 1, 1, 1]), np.array([1.0, 0.0, 1.0, 1.0])) == 2 / 3
    True
    """

    def compute(self, totals: Totals) -> Any:
        true, _, positives = totals
        return self._result(ratio(true, np.broadcast_to(positives, true.shape)))


@serialization.register("metric")
class FBetaScore(Metric):
    """(1 + beta^2) * precision * recall / (beta^2 * precision + recall) per class.

    average: None for an array, "micro" (counts of all classes together), "macro" (mean of the classes), "weighted" (mean weighted by
    how often each class occurs). threshold: outputs above it are positive; None: the greatest output of each sample is.
    y_pred (batch, classes); y_true the same shape in 0 and 1, or class numbers (batch,) or (batch, 1) where there are several outputs.

    >>> import numpy as np
    >>> FBetaScore(average="micro")(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    0.5
    """

    direction = "up"
    averages = (None, "micro", "macro", "weighted")

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        if average not in self.averages:
            raise ValueError(f"{type(self).__name__}(average={average!r}): expected one of {self.averages}")
        if not beta > 0:
            raise ValueError(f"{type(self).__name__}(beta={beta!r}): beta must be positive")
        super().__init__(name or "fbeta_score", dtype)
        self.average = average
        self.beta = beta
        self.threshold = threshold

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_pred = as_floating(y_pred)
        y_true, y_pred = matched(self.name, self._one_hot(as_tensor(y_true), y_pred), y_pred)
        if len(y_pred.shape) != 2:
            raise ShapeError(f"{self.name}: y_pred has shape {tuple(y_pred.shape)}; expected (batch, classes)")
        chosen = self._chosen(y_pred)
        actual = as_type(ops.not_equal(y_true, 0.0), dtype_name(y_pred))
        weighted = actual
        chosen_weighted = chosen
        if sample_weight is not None:
            weight = expand_weight(sample_weight, y_pred)
            weighted, chosen_weighted = ops.multiply(actual, weight), ops.multiply(chosen, weight)
        hits = ops.multiply(weighted, chosen)
        return [ops.sum(hits, axis=0), ops.sum(chosen_weighted, axis=0), ops.sum(weighted, axis=0)]

    @staticmethod
    def _one_hot(y_true: Tensor, y_pred: Tensor) -> Tensor:
        shape, classes = tuple(y_true.shape), y_pred.shape[-1]
        if classes > 1 and shape in ((y_pred.shape[0],), (y_pred.shape[0], 1)):
            return ops.one_hot(as_type(flat(y_true), "int32"), classes, dtype_name(y_pred))
        return y_true

    def _chosen(self, y_pred: Tensor) -> Tensor:
        if self.threshold is not None:
            return as_type(ops.greater(y_pred, self.threshold), dtype_name(y_pred))
        greatest = ops.greater_equal(y_pred, ops.max(y_pred, axis=-1, keepdims=True))
        return ops.multiply(
            greatest, ops.greater(ops.abs(y_pred), 1e-9)
        )  # an all-zero row chooses nothing, as in Keras

    def compute(self, totals: Totals) -> Any:
        hits, chosen, actual = totals
        if self.average == "micro":
            hits, chosen, actual = (np.asarray(ordered_sum(x)) for x in totals)
        precision, recall = ratio(hits, chosen), ratio(hits, actual)
        square = self.beta * self.beta
        score = ratio((1 + square) * precision * recall, square * precision + recall)
        if self.average is None:
            return score
        share = actual if self.average == "weighted" else np.ones(score.shape)
        return float(ratio(ordered_sum(score * share), ordered_sum(share))) if self.average != "micro" else float(score)

    def get_config(self) -> Config:
        return {"average": self.average, "beta": self.beta, "threshold": self.threshold, **super().get_config()}


@serialization.register("metric", "f1")
class F1Score(FBetaScore):
    """2 * precision * recall / (precision + recall) per class; average and threshold as in FBetaScore.

    >>> import numpy as np
    >>> F1Score(threshold=0.5)(np.array([[1, 1], [1, 0]]), np.array([[0.2, 0.6], [0.8, 0.1]])).round(4).tolist()
    [0.6667, 1.0]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name or "f1_score", dtype)

    def get_config(self) -> Config:
        config = super().get_config()
        del config["beta"]
        return config
