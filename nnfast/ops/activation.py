"""Activations and their derivatives, element by element.

Each row gives the formula, the reference, and which saved value (the input x or the output y) the derivative is computed from.
At kinks the derivative is PyTorch's subgradient: 0 for relu at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nnfast.graph.ir import Node, Value
from nnfast.ops._elementwise import in_double, nary, plain, unary
from nnfast.ops.elementwise import call

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
TANH_GELU = math.sqrt(2 / math.pi)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """erfc(z) / 2 at z = -x / sqrt(2); the part of z that a float64 cannot hold enters through the derivative."""
    z = -x / np.sqrt(x.dtype.type(2))
    high = z.astype(np.float64)
    tail = np.where(np.isfinite(high), z - high, 0)
    value = np.asarray(np.frompyfunc(math.erfc, 1, 1)(high), np.float64)
    return 0.5 * (value - 2 / math.sqrt(math.pi) * np.exp(-high * high) * tail)


def _infinite_product(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """x * factor with 0 for (-inf) * 0, the limit of all gated activations."""
    return np.where(np.isneginf(x), -0.0, x * factor)


def _gelu_tanh_inner(x: np.ndarray) -> np.ndarray:
    return TANH_GELU * (x + 0.044715 * x**3)


def _gelu_tanh_gradient(d: np.ndarray, x: np.ndarray) -> np.ndarray:
    t = np.tanh(_gelu_tanh_inner(x))
    return d * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * TANH_GELU * (1 + 3 * 0.044715 * x * x))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    # 0.5 (1 + tanh(u)) = sigmoid(2 u), without cancellation for negative x
    return _infinite_product(x, _sigmoid(2 * _gelu_tanh_inner(x)))


def _mish_gradient(d: np.ndarray, x: np.ndarray) -> np.ndarray:
    t = np.tanh(_softplus(x))
    return d * (t + x * _sigmoid(x) * (1 - t * t))


def _selu(x: np.ndarray) -> np.ndarray:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def activation(
    name: str,
    formula: str,
    reference: Callable[..., Any],
    saved: str,
    gradient_reference: Callable[..., Any],
    second: Callable[[Node, Value], Value | None] | None = None,
    *,
    flops: float,
    tolerance: str = "function",
    parameters: tuple[str, ...] = (),
    attributes: tuple[dict[str, Any], ...] = ({},),
    keeps_zero: bool = True,
) -> None:
    """Define an activation and its derivative op, `<name>_gradient(dy, saved)`.

    second(node, d) gives the gradient of the derivative op with respect to its saved value; without it that second
    derivative is refused.
    """

    def gradient(node: Node, dy: Value) -> list[Value]:
        kept = node.output if saved == "y" else node.inputs[0]
        return [call(f"{name}_gradient", dy, kept, **node.attributes)]

    def second_gradient(node: Node, d: Value) -> list[Value | None]:
        from nnfast.errors import GraphError

        if second is None:
            raise GraphError(f"{name}: no second derivative is defined; use an activation such as tanh or sigmoid")
        return [call(f"{name}_gradient", d, node.inputs[1], **node.attributes), second(node, d)]

    exact = tolerance in ("exact", "rounding")
    wrap = plain if exact else in_double
    unary(
        name, formula, wrap(reference), gradient, flops=flops, tolerance=tolerance, parameters=parameters,
        attributes=attributes, keeps_zero=keeps_zero,
    )  # fmt: skip
    low = {"sigmoid": 0.0, "selu": -1.7, "elu": -0.99, "tanh": -1.0}.get(name, -20.0) if saved == "y" else -20.0
    high = 1.0 if name in ("sigmoid", "tanh") else 20.0
    nary(
        f"{name}_gradient", ("dy", saved), f"dy times the derivative of {name}, from its {'output' if saved == 'y' else 'input'}",
        wrap(gradient_reference), second_gradient, flops=flops + 2, tolerance="rounding" if exact else "gradient",
        parameters=parameters, attributes=attributes, domains=((-10.0, 10.0), (low, high)), special=False,
    )  # fmt: skip


def _piecewise(node: Node, d: Value) -> None:
    """The slope is constant in pieces, so the saved value has no gradient."""
    return


def _sigmoid_second(node: Node, d: Value) -> Value:
    dy, y = node.inputs
    return call("multiply", call("multiply", d, dy), call("shift", call("scale", y, factor=-2.0), amount=1.0))


def _tanh_second(node: Node, d: Value) -> Value:
    dy, y = node.inputs
    return call("scale", call("multiply", call("multiply", d, dy), y), factor=-2.0)


activation(
    "relu",
    "max(x, 0); NaN stays",
    lambda x: np.maximum(x, 0),
    "y",
    lambda d, y: np.where(y > 0, d, 0),
    _piecewise,
    flops=1,
    tolerance="exact",
)
activation(
    "relu6",
    "min(max(x, 0), 6)",
    lambda x: np.clip(x, 0, 6),
    "y",
    lambda d, y: np.where((y > 0) & (y < 6), d, 0),
    _piecewise,
    flops=2,
    tolerance="exact",
)
activation(
    "leaky_relu", "x if x > 0 else negative_slope * x", lambda x, negative_slope: np.where(x > 0, x, x * x.dtype.type(negative_slope)), "x",
    lambda d, x, negative_slope: np.where(x > 0, d, d * d.dtype.type(negative_slope)), _piecewise, flops=2, tolerance="rounding",
    parameters=("negative_slope",), attributes=({"negative_slope": 0.2}, {"negative_slope": 0.3}),
)  # fmt: skip
activation(
    "elu", "x if x > 0 else alpha * (e^x - 1)", lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), "y",
    lambda d, y, alpha: np.where(y > 0, d, d * (y + alpha)), flops=18, parameters=("alpha",), attributes=({"alpha": 1.0}, {"alpha": 1.5}),
)  # fmt: skip
activation(
    "selu", "1.0507 * (x if x > 0 else 1.67326 * (e^x - 1)) (Klambauer et al. 2017)", _selu, "y",
    lambda d, y: np.where(y > 0, d * SELU_SCALE, d * (y + SELU_SCALE * SELU_ALPHA)), flops=18,
)  # fmt: skip
activation(
    "sigmoid",
    "1 / (1 + e^-x)",
    _sigmoid,
    "y",
    lambda d, y: d * y * (1 - y),
    _sigmoid_second,
    flops=16,
    keeps_zero=False,
)
activation(
    "hard_sigmoid",
    "relu6(x + 3) / 6",
    lambda x: np.clip(x + 3, 0, 6) / 6,
    "x",
    lambda d, x: np.where((x > -3) & (x < 3), d / 6, 0),
    _piecewise,
    flops=4,
    keeps_zero=False,
)
activation("tanh", "hyperbolic tangent", np.tanh, "y", lambda d, y: d * (1 - y * y), _tanh_second, flops=20)
activation(
    "gelu", "x * Phi(x), Phi the normal distribution function (Hendrycks, Gimpel 2016)", lambda x: _infinite_product(x, _normal_cdf(x)), "x",
    lambda d, x: d * (_normal_cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)), flops=30, tolerance="tail",
)  # fmt: skip
activation(
    "gelu_tanh",
    "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
    _gelu_tanh,
    "x",
    _gelu_tanh_gradient,
    flops=26,
    tolerance="tail",
)
activation(
    "silu", "x * sigmoid(x)", lambda x: _infinite_product(x, _sigmoid(x)), "x",
    lambda d, x: d * _sigmoid(x) * (1 + x * (1 - _sigmoid(x))), flops=18,
)  # fmt: skip
activation(
    "hard_silu", "x * relu6(x + 3) / 6", lambda x: _infinite_product(x, np.clip(x + 3, 0, 6) / 6), "x",
    lambda d, x: np.where(x <= -3, 0, np.where(x >= 3, d, d * (2 * x + 3) / 6)), flops=5,
)  # fmt: skip
activation("softplus", "log(1 + e^x)", _softplus, "x", lambda d, x: d * _sigmoid(x), flops=28, keeps_zero=False)
activation(
    "softsign",
    "x / (1 + |x|)",
    lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))),
    "x",
    lambda d, x: d / np.square(1 + np.abs(x)),
    flops=4,
)
activation(
    "mish",
    "x * tanh(softplus(x)) (Misra 2019)",
    lambda x: _infinite_product(x, np.tanh(_softplus(x))),
    "x",
    _mish_gradient,
    flops=40,
)
