"""Metrics of real predictions: errors, R2, and the losses as metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import losses, ops, serialization
from nnfast.losses.base import as_type, expand_weight, matched
from nnfast.metrics.base import MeanMetric, Metric, mean_statistics, ordered_sum, ratio
from nnfast.typing import Config, Tensor, Totals


@serialization.register("metric", "mse", "MSE")
class MeanSquaredError(MeanMetric):
    """mean((y_true - y_pred)^2).

    >>> import numpy as np
    >>> MeanSquaredError()(np.array([[0.0], [1.0]]), np.array([[2.0], [1.0]]))
    2.0
    """

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.mean_squared_error(y_true, y_pred)


@serialization.register("metric", "mae", "MAE")
class MeanAbsoluteError(MeanMetric):
    """mean(|y_true - y_pred|)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.mean_absolute_error(y_true, y_pred)


@serialization.register("metric", "mape", "MAPE")
class MeanAbsolutePercentageError(MeanMetric):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.mean_absolute_percentage_error(y_true, y_pred)


@serialization.register("metric", "msle", "MSLE")
class MeanSquaredLogarithmicError(MeanMetric):
    """mean((log(1 + y_true) - log(1 + y_pred))^2)."""

    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.mean_squared_logarithmic_error(y_true, y_pred)


@serialization.register("metric", "rmse", "RMSE")
class RootMeanSquaredError(Metric):
    """sqrt(mean((y_true - y_pred)^2)) over all elements of all batches.

    >>> import numpy as np
    >>> RootMeanSquaredError()(np.array([[0.0], [0.0]]), np.array([[3.0], [3.0]]))
    3.0
    """

    direction = "down"

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return mean_statistics(ops.squared_difference(y_pred, y_true), sample_weight)

    def compute(self, totals: Totals) -> Any:
        return float(np.sqrt(ratio(totals[0], totals[1])))


@serialization.register("metric", "r2")
class R2Score(Metric):
    """1 - sum((y_true - y_pred)^2) / sum((y_true - mean(y_true))^2), one score per output column.

    class_aggregation: "uniform_average" of the columns, "variance_weighted_average", or None for an array. With num_regressors
    the score is adjusted: 1 - (1 - R2) (samples - 1) / (samples - num_regressors - 1). A constant column scores 0.
    y_true and y_pred: (batch, columns) or (batch,). The sums are kept in float64.

    >>> import numpy as np
    >>> round(R2Score()(np.array([[1.0], [4.0], [3.0]]), np.array([[2.0], [4.0], [4.0]])), 6)
    0.571429
    """

    direction = "up"
    aggregations = ("uniform_average", "variance_weighted_average", None)

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        if class_aggregation not in self.aggregations:
            raise ValueError(f"R2Score(class_aggregation={class_aggregation!r}): expected one of {self.aggregations}")
        if num_regressors < 0:
            raise ValueError(f"R2Score(num_regressors={num_regressors!r}): expected an integer >= 0")
        super().__init__(name or "r2_score", dtype)
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        if len(y_true.shape) == 1:
            y_true, y_pred = ops.reshape(y_true, (*y_true.shape, 1)), ops.reshape(y_pred, (*y_pred.shape, 1))
        y_true, y_pred = as_type(y_true, "float64"), as_type(y_pred, "float64")
        weight = ops.ones_like(y_true)
        if sample_weight is not None:
            weight = ops.multiply(weight, as_type(expand_weight(sample_weight, y_true), "float64"))
        return [
            ops.sum(ops.multiply(weight, y_true), axis=0),
            ops.sum(ops.multiply(weight, ops.square(y_true)), axis=0),
            ops.sum(ops.multiply(weight, ops.squared_difference(y_true, y_pred)), axis=0),
            ops.sum(weight, axis=0),
            np.asarray(float(y_true.shape[0])),
        ]

    def compute(self, totals: Totals) -> Any:
        first, second, residual, weight, samples = totals
        spread = second - first * ratio(first, weight)
        raw = np.where(spread > 0, 1 - ratio(residual, spread), 0.0)
        if self.class_aggregation is None:
            return self._adjusted(raw, float(samples))
        share = spread if self.class_aggregation == "variance_weighted_average" else np.ones(raw.shape)
        score = float(ratio(ordered_sum(raw * share), ordered_sum(share)))
        return self._adjusted(score, float(samples))

    def _adjusted(self, score: Any, samples: float) -> Any:
        if self.num_regressors == 0 or samples - self.num_regressors - 1 <= 0:
            return score
        return 1 - (1 - score) * (samples - 1) / (samples - self.num_regressors - 1)

    def get_config(self) -> Config:
        options = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**options, **super().get_config()}


@serialization.register("metric", "cosine")
class CosineSimilarity(MeanMetric):
    """The mean of cos(angle between y_true and y_pred): 1 for equal directions (the loss of this name has the other sign)."""

    direction = "up"

    def __init__(self, name: str | None = None, dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.axis = axis

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.negative(losses.cosine_similarity(y_true, y_pred, self.axis))

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}


@serialization.register("metric", "logcosh", "log_cosh")
class LogCoshError(MeanMetric):
    """mean(log(cosh(y_pred - y_true)))."""

    default_name = "logcosh"
    direction = "down"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return losses.log_cosh(y_true, y_pred)


@serialization.register("metric", "mase", "MASE")
class MeanAbsoluteScaledError(MeanMetric):
    """The mean absolute error over that of a naive forecast on the training series: below 1 is better (Hyndman and Koehler 2006).

    scale: the naive forecast's mean absolute error; `MeanAbsoluteScaledError.of_series(series, season)` finds it.

    >>> import numpy as np
    >>> metric = MeanAbsoluteScaledError.of_series(np.array([0.0, 2.0, 0.0, 2.0]))
    >>> metric(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """

    direction = "down"

    def __init__(self, scale: float, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        if not 0 < scale < math.inf:
            raise ValueError(
                f"MeanAbsoluteScaledError(scale={scale!r}): expected a positive number; a constant series has no scale"
            )
        self.scale = float(scale)

    @classmethod
    def of_series(cls, series: Any, season: int = 1, name: str | None = None) -> MeanAbsoluteScaledError:
        """Scaled by mean |series[t] - series[t - season]| over a training series (time,) or (time, features)."""
        values = np.asarray(series, np.float64)
        if not 1 <= season < len(values):
            raise ValueError(
                f"MeanAbsoluteScaledError.of_series(season={season!r}): expected 1 to {len(values) - 1}, steps of the series"
            )
        changes = np.abs(values[season:] - values[:-season])
        return cls(ordered_sum(changes) / changes.size, name)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.divide(losses.mean_absolute_error(y_true, y_pred), self.scale)

    def get_config(self) -> Config:
        return {"scale": self.scale, **super().get_config()}
