"""Losses: what training makes small. Classes for `compile(loss=...)`, and functions that give one value per sample.

In: y_true, y_pred and sample weights. Out: a scalar in ops. A user's own loss is any function of (y_true, y_pred) over nnfast.ops.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

from nnfast import serialization
from nnfast.losses.base import Loss, same_rank
from nnfast.losses.hinge import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from nnfast.losses.probability import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from nnfast.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from nnfast.losses.sequences import CTC, ctc
from nnfast.typing import Config, Tensor

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh


@serialization.register("loss")
class FunctionLoss(Loss):
    """A function (y_true, y_pred) -> values per sample, with weights and reduction around it.

    Targets of shape (batch,) reach it as (batch, 1) where the outputs have that shape, so that nothing broadcasts by accident.

    In a model file it stands by its name; give the function to `load_model` in custom_objects, or register it.

    >>> import numpy as np
    >>> from nnfast import ops
    >>> loss = FunctionLoss(lambda y_true, y_pred: ops.abs(ops.subtract(y_pred, y_true)), name="distance")
    >>> float(loss(np.array([1.0, 2.0]), np.array([3.0, 2.0])))
    1.0
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor] | str,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        found = serialization.lookup("loss", function) if isinstance(function, str) else function
        super().__init__(name or serialization.name_of(found), reduction, dtype)
        self.function: Callable[[Tensor, Tensor], Tensor] = found

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(*same_rank(y_true, y_pred))

    def get_config(self) -> Config:
        return {"function": serialization.name_of(self.function), **super().get_config()}


_FUNCTIONS: dict[Any, type[Loss]] = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    huber: Huber,
    log_cosh: LogCosh,
    cosine_similarity: CosineSimilarity,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    kl_divergence: KLDivergence,
    poisson: Poisson,
    hinge: Hinge,
    squared_hinge: SquaredHinge,
    categorical_hinge: CategoricalHinge,
}


def get(identifier: Any) -> Loss | None:
    """The Loss for a name ("mse"), a configuration, a class, an object or a function of (y_true, y_pred); None stays None.

    Errors: UnknownNameError with the nearest name; TypeError for what cannot be called.

    >>> get("mae").name
    'mean_absolute_error'
    """
    found = serialization.get("loss", identifier)
    if found is None or isinstance(found, Loss):
        return found
    if not callable(found):
        raise TypeError(
            f"loss={identifier!r}: expected a name such as 'mse', a Loss, or a function of (y_true, y_pred)"
        )
    if unwrap(found) in _FUNCTIONS:
        return _FUNCTIONS[unwrap(found)]()
    return FunctionLoss(found)


def serialize(loss: Loss) -> Any:
    """The loss's name and configuration."""
    return serialization.serialize(loss)


def deserialize(config: Any) -> Loss | None:
    """The loss for what `serialize` returned."""
    return get(config)


__all__ = [
    "BCE",
    "CTC",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "bce",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
