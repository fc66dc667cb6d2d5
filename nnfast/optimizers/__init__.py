"""Optimizers: how a gradient changes a weight. `compile(optimizer="adam")`, or an object with its settings.

In: gradients, in the training graph. Out: update ops on the weights. `optimizers.schedules` holds the learning rate schedules.
"""

from __future__ import annotations

from typing import Any

from nnfast import schedules, serialization
from nnfast.optimizers.adagrad import Adagrad
from nnfast.optimizers.adam import Adam, AdamW
from nnfast.optimizers.base import Optimizer
from nnfast.optimizers.rmsprop import RMSprop
from nnfast.optimizers.sgd import SGD


def get(identifier: Any) -> Optimizer:
    """The Optimizer for a name ("adam"), a configuration, a class or an object.

    Errors: UnknownNameError with the nearest name; TypeError for anything else.

    >>> get("sgd").learning_rate
    0.01
    """
    found = serialization.get("optimizer", identifier)
    if not isinstance(found, Optimizer):
        raise TypeError(f"optimizer={identifier!r}: expected a name such as 'adam', or an Optimizer")
    return found


def serialize(optimizer: Optimizer) -> Any:
    """The optimizer's name and configuration."""
    return serialization.serialize(optimizer)


def deserialize(config: Any) -> Optimizer:
    """The optimizer for what `serialize` returned."""
    return get(config)


__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize"]
