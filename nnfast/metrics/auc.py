"""The area under the ROC or precision-recall curve, from the counts at a fixed list of thresholds.

Only the counts of a batch leave the training plan: two vectors of 200 numbers and two totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import exact, ops, serialization
from nnfast.errors import ShapeError
from nnfast.losses.base import as_type, dtype_name, expand_weight, matched
from nnfast.metrics.base import Metric, ordered_sum, ratio
from nnfast.metrics.confusion import counts_above, flat
from nnfast.typing import Array, Config, Tensor, Totals

EPSILON = 1e-7  # the outer thresholds lie this far outside 0 and 1
MOST_THRESHOLDS = 1_000_000


@serialization.register("metric", "auc", "AUC")
class AUC(Metric):
    """Area under the curve, by Riemann sums over thresholds, as Keras computes it.

    Predictions lie in 0..1 (with from_logits, anywhere), targets are 0 or 1. curve: "ROC" (true against false positive rate) or "PR"
    (precision against recall). summation_method: "interpolation" (trapezes; for PR the interpolation of Davis and Goadrich 2006),
    "minoring" or "majoring". thresholds, or num_thresholds equally spaced ones: more give a better approximation.
    multi_label: one area per column of (batch, labels), averaged with label_weights; otherwise all columns count together.

    >>> import numpy as np
    >>> AUC(num_thresholds=3)(np.array([0, 0, 1, 1]), np.array([0.0, 0.5, 0.3, 0.9]))
    0.75
    """

    direction = "up"
    curves = ("ROC", "PR")
    methods = ("interpolation", "minoring", "majoring")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name or "auc", dtype)
        if curve.upper() not in self.curves:
            raise ValueError(f"AUC(curve={curve!r}): expected one of {self.curves}")
        if summation_method.lower() not in self.methods:
            raise ValueError(f"AUC(summation_method={summation_method!r}): expected one of {self.methods}")
        if num_labels and not multi_label:
            raise ValueError(f"AUC(num_labels={num_labels!r}): num_labels is only for multi_label=True")
        self.curve = curve.upper()
        self.summation_method = summation_method.lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else [float(weight) for weight in label_weights]
        self.from_logits = from_logits
        self.custom_thresholds = None if thresholds is None else sorted(float(level) for level in thresholds)
        self.thresholds = [-EPSILON, *self._inner(num_thresholds), 1 + EPSILON]
        self.num_thresholds = len(self.thresholds)

    def _inner(self, count: int) -> list[float]:
        if self.custom_thresholds is not None:
            if any(not 0 <= level <= 1 for level in self.custom_thresholds):
                raise ValueError(f"AUC(thresholds={self.custom_thresholds!r}): expected numbers from 0 to 1")
            return self.custom_thresholds
        if not 2 <= count <= MOST_THRESHOLDS:
            raise ValueError(f"AUC(num_thresholds={count!r}): expected 2 to {MOST_THRESHOLDS:,}, such as 200")
        return [(index + 1) / (count - 1) for index in range(count - 2)]

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        weight = ops.ones_like(y_pred)
        if sample_weight is not None:
            weight = ops.multiply(weight, expand_weight(sample_weight, y_pred))
        if self.multi_label and len(y_pred.shape) != 2:
            raise ShapeError(
                f"{self.name}: multi_label needs predictions (batch, labels), got shape {tuple(y_pred.shape)}"
            )
        if not self.multi_label:
            if self.label_weights is not None:
                weight = ops.multiply(weight, np.asarray(self.label_weights, dtype_name(y_pred)))
            y_true, y_pred, weight = flat(y_true), flat(y_pred), flat(weight)
        true, false = counts_above(y_true, y_pred, self.thresholds, weight)
        positive = as_type(ops.not_equal(y_true, 0.0), dtype_name(y_pred))
        positives = ops.sum(ops.multiply(positive, weight), axis=0)
        return [true, false, positives, ops.subtract(ops.sum(weight, axis=0), positives)]

    def compute(self, totals: Totals) -> Any:
        true, false, positives, negatives = totals
        if not self.multi_label:
            return self._area(true, false, float(positives), float(negatives))
        columns = range(true.shape[1])
        areas = [self._area(true[:, i], false[:, i], float(positives[i]), float(negatives[i])) for i in columns]
        weights = np.ones(len(areas)) if self.label_weights is None else np.asarray(self.label_weights)
        return float(ratio(ordered_sum(weights * np.asarray(areas)), ordered_sum(weights)))

    def _area(self, true: Array, false: Array, positives: float, negatives: float) -> float:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated_precision_recall(true, false, positives)
        recall = ratio(true, positives)
        x, y = (recall, ratio(true, true + false)) if self.curve == "PR" else (ratio(false, negatives), recall)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        elif self.summation_method == "minoring":
            heights = np.minimum(y[:-1], y[1:])
        else:
            heights = np.maximum(y[:-1], y[1:])
        return ordered_sum((x[:-1] - x[1:]) * heights)

    def get_config(self) -> Config:
        config: Config = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            **super().get_config(),
            "thresholds": self.custom_thresholds,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        return config


def _interpolated_precision_recall(true: Array, false: Array, positives: float) -> float:
    """Between two thresholds, true positives rise on a line with the predicted positives p (Davis and Goadrich 2006).

    With slope s = d(true)/d(p) and intercept b, the area of a piece is s / positives * (d(true) + b * log(p_before / p_after)).
    """
    predicted = true + false
    change = true[:-1] - true[1:]
    slope = ratio(change, np.maximum(predicted[:-1] - predicted[1:], 0))
    intercept = true[1:] - slope * predicted[1:]
    both = (predicted[:-1] > 0) & (predicted[1:] > 0)
    quotient = np.where(both, ratio(predicted[:-1], predicted[1:]), 1.0)
    logarithm = np.asarray([exact.log(value) if value != 1 else 0.0 for value in quotient.tolist()])
    return ordered_sum(ratio(slope * (change + intercept * logarithm), positives))
