"""Metrics: what a training reports. `compile(metrics=["accuracy", AUC(), my_function])`, or `update_state` and `result` on arrays.

In: y_true, y_pred and sample weights. Out: a number per epoch. Any function of (y_true, y_pred) over nnfast.ops serves as a metric.
"""

from __future__ import annotations

from typing import Any

from nnfast import losses, serialization
from nnfast.losses.base import Loss
from nnfast.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from nnfast.metrics.auc import AUC
from nnfast.metrics.base import FunctionMetric, Mean, MeanMetric, Metric, Sum
from nnfast.metrics.confusion import F1Score, FBetaScore, Precision, Recall
from nnfast.metrics.probability import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Perplexity,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from nnfast.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanAbsoluteScaledError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)
from nnfast.metrics.sequences import CharacterErrorRate, SequenceAccuracy, WordErrorRate
from nnfast.typing import Shape

_ACCURACY = {"accuracy": "Accuracy", "acc": "Accuracy"}
_CROSSENTROPY = {"crossentropy", "ce"}


def _task(loss: Any, y_pred_shape: Shape, y_true_shape: Shape | None) -> str:
    """ "binary", "sparse" or "categorical", from the shapes as Keras does it, else from the loss."""
    if y_pred_shape[-1] == 1:
        return "binary"
    if y_true_shape is not None:
        shorter = len(y_true_shape) < len(y_pred_shape)
        return "sparse" if shorter or y_true_shape[-1] == 1 else "categorical"
    if isinstance(loss, losses.SparseCategoricalCrossentropy):
        return "sparse"
    return "binary" if isinstance(loss, losses.BinaryCrossentropy) else "categorical"


def _accuracy(task: str, loss: Any) -> Metric:
    if task == "sparse":
        return SparseCategoricalAccuracy()
    if task == "categorical":
        return CategoricalAccuracy()
    # Logits say yes above 0, probabilities above 0.5. (Keras compares logits with 0.5 too.)
    logits = isinstance(loss, losses.BinaryCrossentropy) and loss.from_logits
    return BinaryAccuracy(threshold=0.0 if logits else 0.5)


def _crossentropy(task: str, loss: Any) -> Metric:
    from_logits = bool(getattr(loss, "from_logits", False))
    if task == "sparse":
        return SparseCategoricalCrossentropy(from_logits=from_logits)
    if task == "categorical":
        return CategoricalCrossentropy(from_logits=from_logits)
    return BinaryCrossentropy(from_logits=from_logits)


def get(
    identifier: Any, loss: Any = None, y_pred_shape: Shape | None = None, y_true_shape: Shape | None = None
) -> Metric | None:
    """The Metric for a name, a configuration, a class, an object or a function of (y_true, y_pred); None stays None.

    With y_pred_shape, "accuracy" and "crossentropy" become the kind that fits: binary for one output, sparse for targets with fewer
    axes than the outputs (or, where y_true_shape is not known, for a sparse loss), else categorical. A metric given by name bears it.
    Errors: UnknownNameError with the nearest name; TypeError for what cannot be called.

    >>> get("acc", y_pred_shape=(None, 10), y_true_shape=(None,))
    SparseCategoricalAccuracy(name='acc', dtype=None)
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    found: Any
    if isinstance(identifier, str) and identifier in _CROSSENTROPY and y_pred_shape is not None:
        found = _crossentropy(_task(loss, y_pred_shape, y_true_shape), loss)
    elif isinstance(identifier, str) and identifier in _ACCURACY:
        found = Accuracy() if y_pred_shape is None else _accuracy(_task(loss, y_pred_shape, y_true_shape), loss)
    else:
        found = serialization.get("metric", identifier)
    if isinstance(found, Loss):
        found = FunctionMetric(found.call, name=found.name)
    if not isinstance(found, Metric):
        if not callable(found):
            raise TypeError(
                f"metric={identifier!r}: expected a name such as 'accuracy', a Metric, or a function of (y_true, y_pred)"
            )
        found = FunctionMetric(found)
    if isinstance(identifier, str):
        found.name = identifier
    return found


def direction(name: str) -> str | None:
    """ "up" or "down" for a metric's name as it stands in logs, such as "val_loss"; None where nobody can say.

    >>> direction("val_accuracy"), direction("loss"), direction("my_score")
    ('up', 'down', None)
    """
    name = name.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return "down"
    if name in _ACCURACY:
        return "up"
    known = serialization.known_names("metric")
    endings = [known_name for known_name in known if name == known_name or name.endswith("_" + known_name)]
    if not endings:
        return None
    found: str | None = getattr(serialization.lookup("metric", max(endings, key=len)), "direction", None)
    return found


def serialize(metric: Metric) -> Any:
    """The metric's name and configuration."""
    return serialization.serialize(metric)


def deserialize(config: Any) -> Metric | None:
    """The metric for what `serialize` returned."""
    return get(config)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CharacterErrorRate",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FunctionMetric",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanAbsoluteScaledError",
    "MeanMetric",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Perplexity",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SequenceAccuracy",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "WordErrorRate",
    "binary_accuracy",
    "categorical_accuracy",
    "deserialize",
    "direction",
    "get",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
