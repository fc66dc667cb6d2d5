"""Penalties on weights and outputs, added to the loss: `Dense(8, kernel_regularizer="l2")`.

In: a weight or an output. Out: a scalar in ops, which the trainer adds to the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnfast import ops, serialization
from nnfast.serialization import Configurable
from nnfast.typing import Config, Tensor


class Regularizer(Configurable):
    """Base class: override `__call__(x) -> scalar`. Any function over nnfast.ops serves too."""

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x)")


def _factor(owner: str, name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{owner}({name}={value!r}): {name} must be a finite number >= 0")
    return float(value)


@serialization.register("regularizer", "l1_l2")
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2).

    >>> import numpy as np
    >>> float(L1L2(l1=1.0, l2=10.0)(np.array([1.0, -2.0])))
    53.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(type(self).__name__, "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor(type(self).__name__, "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        terms = []
        if self.l1:
            terms.append(ops.multiply(ops.sum(ops.abs(x)), self.l1))
        if self.l2:
            terms.append(ops.multiply(ops.sum(ops.square(x)), self.l2))
        if not terms:
            return ops.zeros_like(ops.sum(x))
        return terms[0] if len(terms) == 1 else ops.add(*terms)

    def get_config(self) -> Config:
        return {"l1": self.l1, "l2": self.l2}


@serialization.register("regularizer")
class L1(L1L2):
    """l1 * sum(|x|).

    >>> import numpy as np
    >>> float(L1(0.5)(np.array([1.0, -2.0])))
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> Config:
        return {"l1": self.l1}


@serialization.register("regularizer")
class L2(L1L2):
    """l2 * sum(x^2).

    >>> import numpy as np
    >>> float(L2(0.5)(np.array([1.0, -2.0])))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> Config:
        return {"l2": self.l2}


l1 = L1
l2 = L2
l1_l2 = L1L2


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """The regularizer for a name ("l1", "l2", "l1_l2"), a configuration, an object or a function; None stays None.

    >>> get("l2").get_config()
    {'l2': 0.01}
    """
    found = serialization.get("regularizer", identifier)
    if found is not None and not callable(found):
        raise TypeError(f"regularizer={identifier!r}: expected a name such as 'l2', or a function over nnfast.ops")
    return found


def serialize(regularizer: Any) -> Any:
    """The regularizer's name and configuration."""
    return serialization.serialize(regularizer)


def deserialize(config: Any) -> Callable[[Tensor], Tensor] | None:
    """The regularizer for what `serialize` returned."""
    return get(config)
