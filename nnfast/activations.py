"""Activation functions by name, as Keras names them: `activations.get("relu")`, `Dense(8, activation="relu")`.

In and out: a tensor of any shape and floating dtype; given arrays, they compute at once. The formulas stand in nnfast.ops.activation;
this file adds the arguments that Keras' functions take and the names. A user's own activation is any function over nnfast.ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnfast import ops, serialization
from nnfast.typing import Tensor

Activation = Callable[[Tensor], Tensor]
_register = serialization.register


@_register("activation")
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """max(x, 0); more generally max_value above it, x from threshold on, and negative_slope * (x - threshold) below.

    >>> import numpy as np
    >>> relu(np.array([-2.0, 0.0, 3.0]), negative_slope=0.5).tolist()
    [-1.0, 0.0, 3.0]
    """
    if negative_slope == 0 and threshold == 0:
        if max_value is None:
            return ops.relu(x)
        return ops.relu6(x) if max_value == 6 else ops.clip(x, 0.0, float(max_value))
    if max_value is None and threshold == 0:
        return ops.leaky_relu(x, negative_slope)
    upper = x if max_value is None else ops.minimum(x, max_value)
    lower = ops.multiply(ops.subtract(x, threshold), negative_slope) if negative_slope else 0.0
    return ops.where(ops.less(x, threshold), lower, upper)


@_register("activation")
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where x >= 0, negative_slope * x elsewhere (Maas et al. 2013).

    >>> import numpy as np
    >>> leaky_relu(np.array([-1.0, 2.0])).tolist()
    [-0.2, 2.0]
    """
    return ops.leaky_relu(x, negative_slope)


@_register("activation")
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6).

    >>> import numpy as np
    >>> relu6(np.array([-1.0, 3.0, 7.0])).tolist()
    [0.0, 3.0, 6.0]
    """
    return ops.relu6(x)


@_register("activation")
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015)."""
    return ops.elu(x, alpha)


@_register("activation")
def selu(x: Tensor) -> Tensor:
    """1.0507 * elu(x, alpha=1.6733): keeps mean 0 and variance 1 with LeCun normal weights (Klambauer et al. 2017)."""
    return ops.selu(x)


@_register("activation")
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)).

    >>> import numpy as np
    >>> sigmoid(np.array([0.0])).tolist()
    [0.5]
    """
    return ops.sigmoid(x)


@_register("activation")
def hard_sigmoid(x: Tensor) -> Tensor:
    """0 below -3, 1 above 3, x / 6 + 0.5 between."""
    return ops.hard_sigmoid(x)


@_register("activation")
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


@_register("activation")
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x * P(Z <= x) for a standard normal Z, by erf; approximate: by tanh (Hendrycks and Gimpel 2016)."""
    return ops.gelu(x, approximate)


@_register("activation", "swish")
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also known as swish (Ramachandran et al. 2017)."""
    return ops.silu(x)


@_register("activation", "hard_swish")
def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x), also known as hard_swish."""
    return ops.hard_silu(x)


@_register("activation")
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    return ops.softplus(x)


@_register("activation")
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|).

    >>> import numpy as np
    >>> softsign(np.array([-1.0, 3.0])).tolist()
    [-0.5, 0.75]
    """
    return ops.softsign(x)


@_register("activation")
def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return ops.mish(x)


@_register("activation")
def exponential(x: Tensor) -> Tensor:
    """exp(x)."""
    return ops.exponential(x)


@_register("activation")
def linear(x: Tensor) -> Tensor:
    """x itself."""
    return x


@_register("activation")
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along axis: positive numbers whose sum is 1.

    >>> import numpy as np
    >>> softmax(np.array([[1.0, 1.0]])).tolist()
    [[0.5, 0.5]]
    """
    return ops.softmax(x, axis)


@_register("activation")
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax, without the loss of precision of log(softmax(x))."""
    return ops.log_softmax(x, axis)


swish = silu
hard_swish = hard_silu


def get(identifier: str | dict[str, Any] | Callable[..., Tensor] | None) -> Activation:
    """The activation for a name, a configuration or a function; None is linear.

    Errors: UnknownNameError with the nearest name; TypeError for what cannot be called.

    >>> get("swish") is silu
    True
    """
    if identifier is None:
        return linear
    found = serialization.get("activation", identifier)
    if not callable(found):
        raise TypeError(f"activation={identifier!r}: expected a name such as 'relu', or a function over nnfast.ops")
    return found


def serialize(activation: Callable[..., Tensor]) -> Any:
    """The activation's name (or, for an object, name and configuration)."""
    return serialization.serialize(activation)


def deserialize(config: Any) -> Activation:
    """The activation for what `serialize` returned."""
    return get(config)
