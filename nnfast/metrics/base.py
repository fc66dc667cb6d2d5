"""What every metric is: sums over a batch, and a number from the totals of many batches.

In: y_true, y_pred and sample weights of a batch, symbolic or arrays. Out of `statistics`: tensors of fixed shapes, which the trainer puts
into the training plan; it adds them over the batches in float64, in order, and asks `compute` for the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.losses.base import as_tensor, dtype_name, expand_weight, same_rank
from nnfast.serialization import Configurable, snake_case
from nnfast.typing import Array, Config, Tensor, Totals


def ordered_sum(values: Any) -> float:
    """The sum of an array's elements in float64, added from first to last: the same bits everywhere.

    >>> ordered_sum([0.1, 0.2, 0.3])
    0.6000000000000001
    """
    total = 0.0
    for value in np.ravel(np.asarray(values, np.float64)).tolist():
        total += value
    return total


def ratio(numerator: Any, denominator: Any) -> Array:
    """numerator / denominator in float64, 0 where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.zeros(bottom.shape), where=bottom != 0)


class Metric(Configurable):
    """Base class: override `statistics` (sums over the batch, in nnfast.ops) and `compute` (the number from their totals).

    direction is "up" where more is better, "down" where less is, None where nobody can say; callbacks read it.

    >>> import numpy as np
    >>> class Bias(Metric):
    ...     def statistics(self, y_true, y_pred, sample_weight=None):
    ...         return [ops.sum(ops.subtract(y_pred, y_true)), np.float64(y_pred.shape[0])]
    ...     def compute(self, totals):
    ...         return float(totals[0] / totals[1])
    >>> Bias()(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """

    default_name: str | None = None
    direction: str | None = None

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        self.name = name or self.default_name or snake_case(type(self).__name__)
        self.dtype = dtype
        self._totals: Totals | None = None

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        """Sums over the batch, whose shapes do not depend on the size of the batch."""
        raise NotImplementedError(f"{type(self).__name__} must define statistics(y_true, y_pred, sample_weight)")

    def compute(self, totals: Totals) -> Any:
        """The metric from the totals of `statistics` over all batches: a float, or an array for one number per class."""
        raise NotImplementedError(f"{type(self).__name__} must define compute(totals)")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of arrays."""
        self._add(self.statistics(as_tensor(y_true), as_tensor(y_pred), sample_weight))

    def _add(self, statistics: Sequence[Tensor]) -> None:
        arrays = [np.asarray(value, np.float64) for value in statistics]
        self._totals = arrays if self._totals is None else [a + b for a, b in zip(self._totals, arrays, strict=True)]

    def result(self) -> Any:
        """The metric over the batches so far; 0.0 before the first."""
        return 0.0 if self._totals is None else self.compute(self._totals)

    def reset_state(self) -> None:
        """Forget all batches."""
        self._totals = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`update_state`, then `result`."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> Config:
        return {"name": self.name, "dtype": self.dtype}


def mean_statistics(values: Tensor, sample_weight: Tensor | None = None) -> list[Tensor]:
    """[sum of weight * value, sum of weight]; the weights are 1 by default, or belong to the leading axes of values."""
    if sample_weight is None:
        return [ops.sum(values), np.asarray(float(math.prod(values.shape)), dtype_name(values))]
    weight = expand_weight(sample_weight, values)
    spread = ops.multiply(ops.ones_like(values), weight)
    return [ops.sum(ops.multiply(values, weight)), ops.sum(spread)]


class MeanMetric(Metric):
    """The weighted mean of values per sample: override `values(y_true, y_pred)`."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample (or per sample and position)."""
        raise NotImplementedError(f"{type(self).__name__} must define values(y_true, y_pred)")

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        return mean_statistics(self.values(y_true, y_pred), sample_weight)

    def compute(self, totals: Totals) -> Any:
        return float(ratio(totals[0], totals[1]))


@serialization.register("metric")
class FunctionMetric(MeanMetric):
    """The mean of a function (y_true, y_pred) over nnfast.ops.

    >>> import numpy as np
    >>> metric = FunctionMetric(lambda y_true, y_pred: ops.abs(ops.subtract(y_true, y_pred)), name="distance")
    >>> metric(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor] | str, name: str | None = None, dtype: str | None = None
    ) -> None:
        found = serialization.lookup("metric", function) if isinstance(function, str) else function
        super().__init__(name or serialization.name_of(found), dtype)
        self.function: Callable[[Tensor, Tensor], Tensor] = found

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(*same_rank(as_tensor(y_true), as_tensor(y_pred)))

    def get_config(self) -> Config:
        return {"function": serialization.name_of(self.function), **super().get_config()}


class _Values(Metric):
    """A metric of plain values, for training loops of one's own: `update_state(values, sample_weight=None)`."""

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        raise TypeError(
            f"{type(self).__name__} takes plain values; in compile(metrics=...) give a function of (y_true, y_pred)"
        )

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:  # type: ignore[override]
        self._add(mean_statistics(np.asarray(values, np.float64), sample_weight))


@serialization.register("metric")
class Mean(_Values):
    """The weighted mean of the values given so far.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> mean.update_state(5.0)
    >>> mean.result()
    3.0
    """

    def compute(self, totals: Totals) -> Any:
        return float(ratio(totals[0], totals[1]))


@serialization.register("metric")
class Sum(_Values):
    """The weighted sum of the values given so far.

    >>> Sum()([1.0, 3.0], sample_weight=[1.0, 0.5])
    2.5
    """

    def compute(self, totals: Totals) -> Any:
        return float(totals[0])
