"""The functions of one float32 number: what each is in float64, and how far from it a result may lie.

In: nothing. Out: FUNCTIONS, by the op's name. References are NumPy's float64 functions; for erf and gelu, which NumPy lacks, nnfast's own
in float64, which stay within 1.7 of its last places (csrc/README.md): 1e-8 of one in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnfast.ops import OPS
from nnfast.plan.eager import run_op

Array = np.ndarray


@dataclass(frozen=True)
class Function:
    """An op on one operand, its value in float64, and the greatest error in units in the last place (ULP) that is allowed."""

    reference: Callable[[Array], Array]
    bound: float = 2.0
    attributes: dict[str, Any] = field(default_factory=dict)


def _own(name: str) -> Callable[[Array], Array]:
    return lambda x: run_op(OPS[name], [x], {}, threads=1)[0]


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _gated(x: Array, gate: Array) -> Array:
    """x * gate, and -0 for (-inf) * 0, the limit."""
    return np.where(x == -np.inf, -0.0, x * gate)


def _negative_exp(x: Array) -> Array:
    return np.expm1(np.minimum(x, 0.0))


def _relu6(x: Array) -> Array:
    return np.clip(x, 0.0, 6.0)


SLOPE = 0.2
EXPONENT = 1.7
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
EXACT = 0.5  # correctly rounded

FUNCTIONS: dict[str, Function] = {
    "exp": Function(np.exp, 1.0),
    "expm1": Function(np.expm1),
    "log": Function(np.log),
    "log1p": Function(np.log1p),
    "power_scalar": Function(lambda x: np.power(x, float(np.float32(EXPONENT))), attributes={"exponent": EXPONENT}),
    "sin": Function(np.sin),
    "cos": Function(np.cos),
    "erf": Function(_own("erf")),
    "sigmoid": Function(_sigmoid),
    "tanh": Function(np.tanh),
    "softplus": Function(_softplus),
    "silu": Function(lambda x: _gated(x, _sigmoid(x))),
    "mish": Function(lambda x: _gated(x, np.tanh(_softplus(x)))),
    "gelu": Function(_own("gelu")),
    "gelu_tanh": Function(
        lambda x: _gated(x, _sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x))),
    ),
    "elu": Function(lambda x: np.where(x > 0, x, _negative_exp(x)), attributes={"alpha": 1.0}),
    "selu": Function(lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * _negative_exp(x))),
    "softsign": Function(lambda x: np.where(np.isinf(x), np.sign(x), x / (1.0 + np.abs(x)))),
    "hard_sigmoid": Function(lambda x: _relu6(x + 3.0) / 6.0),
    "hard_silu": Function(lambda x: _gated(x, _relu6(x + 3.0) / 6.0)),
    "rsqrt": Function(lambda x: 1.0 / np.sqrt(x)),
    "sqrt": Function(np.sqrt, EXACT),
    "reciprocal": Function(lambda x: 1.0 / x, EXACT),
    "square": Function(np.square, EXACT),
    "relu": Function(lambda x: np.maximum(x, 0.0), EXACT),
    "relu6": Function(_relu6, EXACT),
    "leaky_relu": Function(
        lambda x: np.where(x > 0, x, x * float(np.float32(SLOPE))), EXACT, attributes={"negative_slope": SLOPE}
    ),
    "floor": Function(np.floor, EXACT),
    "round": Function(np.rint, EXACT),
}
