"""Arithmetic, comparisons and elementary functions, element by element with broadcasting.

A gradient rule returns one value per input, in the shape of the output; autodiff sums over broadcast axes.
Comparisons give 1.0 and 0.0 in the operands' type, so masks can be multiplied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast.graph.ir import Node, Value
from nnfast.graph.trace import apply
from nnfast.ops._elementwise import in_double, nary, plain, unary
from nnfast.ops.registry import NOT_DIFFERENTIABLE, OPS

POSITIVE = (0.0, math.inf)
MODERATE = (-80.0, 80.0)


def call(name: str, *operands: Any, **attributes: Any) -> Any:
    """Apply the op of this name: a value (or array), or a list of them."""
    return apply(OPS[name], *operands, **attributes)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)


# One operand.
unary("negative", "-x", plain(np.negative), lambda n, d: [call("negative", d)], tolerance="exact", keeps_zero=True)
unary(
    "abs", "|x|", plain(np.abs), lambda n, d: [call("abs_gradient", d, n.inputs[0])], tolerance="exact", keeps_zero=True
)
unary(
    "sign",
    "-1, 0 or 1; NaN for NaN",
    plain(np.sign),
    lambda n, d: [call("scale", d, factor=0.0)],
    tolerance="exact",
    keeps_zero=True,
)
unary(
    "square",
    "x * x",
    plain(np.square),
    lambda n, d: [call("multiply", d, call("scale", n.inputs[0], factor=2.0))],
    tolerance="rounding",
    keeps_zero=True,
)
unary(
    "reciprocal",
    "1 / x",
    plain(lambda x: 1 / x),
    lambda n, d: [call("negative", call("multiply", d, call("square", n.output)))],
    tolerance="rounding",
)
unary(
    "sqrt",
    "square root",
    plain(np.sqrt),
    lambda n, d: [call("divide", call("scale", d, factor=0.5), n.output)],
    tolerance="rounding",
    domain=POSITIVE,
    keeps_zero=True,
)
unary(
    "rsqrt", "1 / sqrt(x)", in_double(lambda x: 1 / np.sqrt(x)),
    lambda n, d: [call("scale", call("multiply", d, call("divide", n.output, n.inputs[0])), factor=-0.5)], domain=POSITIVE,
)  # fmt: skip
unary("exp", "e^x", in_double(np.exp), lambda n, d: [call("multiply", d, n.output)], flops=12, domain=MODERATE)
unary(
    "expm1",
    "e^x - 1",
    in_double(np.expm1),
    lambda n, d: [call("multiply", d, call("exp", n.inputs[0]))],
    flops=16,
    domain=MODERATE,
    keeps_zero=True,
)
unary(
    "log",
    "natural logarithm",
    in_double(np.log),
    lambda n, d: [call("divide", d, n.inputs[0])],
    flops=16,
    domain=POSITIVE,
)
unary(
    "log1p",
    "log(1 + x)",
    in_double(np.log1p),
    lambda n, d: [call("divide", d, call("shift", n.inputs[0], amount=1.0))],
    flops=20,
    domain=(-0.99, math.inf),
    keeps_zero=True,
)
unary(
    "erf",
    "error function",
    in_double(_erf),
    lambda n, d: [call("erf_gradient", d, n.inputs[0])],
    flops=24,
    keeps_zero=True,
)
unary(
    "sin",
    "sine of radians",
    in_double(np.sin),
    lambda n, d: [call("multiply", d, call("cos", n.inputs[0]))],
    flops=20,
    domain=(-1e4, 1e4),
    keeps_zero=True,
)
unary(
    "cos",
    "cosine of radians",
    in_double(np.cos),
    lambda n, d: [call("negative", call("multiply", d, call("sin", n.inputs[0])))],
    flops=20,
    domain=(-1e4, 1e4),
)
unary(
    "floor",
    "greatest integer <= x",
    plain(np.floor),
    lambda n, d: [call("scale", d, factor=0.0)],
    tolerance="exact",
    keeps_zero=True,
)
unary(
    "round",
    "nearest integer, ties to even",
    plain(np.rint),
    lambda n, d: [call("scale", d, factor=0.0)],
    tolerance="exact",
    keeps_zero=True,
)
unary("is_nan", "1 if x is NaN else 0", plain(np.isnan), NOT_DIFFERENTIABLE, tolerance="exact", keeps_zero=True)
unary("logical_not", "1 if x == 0 else 0", plain(np.logical_not), NOT_DIFFERENTIABLE, tolerance="exact")
unary(
    "scale", "factor * x", plain(lambda x, factor: x * x.dtype.type(factor)), lambda n, d: [call("scale", d, **n.attributes)],
    tolerance="rounding", parameters=("factor",), attributes=({"factor": 0.3}, {"factor": -2.0}), keeps_zero=True,
)  # fmt: skip
unary(
    "shift", "x + amount", plain(lambda x, amount: x + x.dtype.type(amount)), lambda n, d: [d],
    tolerance="rounding", parameters=("amount",), attributes=({"amount": 0.7},),
)  # fmt: skip
unary(
    "clip", "x limited to [low, high]", plain(lambda x, low, high: np.clip(x, x.dtype.type(low), x.dtype.type(high))),
    lambda n, d: [call("clip_gradient", d, n.inputs[0], **n.attributes)],
    tolerance="exact", parameters=("low", "high"), attributes=({"low": -1.0, "high": 2.0}, {"low": 1e-7, "high": 1 - 1e-7}),
)  # fmt: skip


def _power_scalar_gradient(node: Node, dy: Value) -> list[Value]:
    exponent = node.attributes["exponent"]
    slope = call("scale", call("power_scalar", node.inputs[0], exponent=exponent - 1.0), factor=exponent)
    return [call("multiply", dy, slope)]


unary(
    "power_scalar", "x ** exponent", in_double(lambda x, exponent: x**exponent), _power_scalar_gradient, flops=30,
    parameters=("exponent",), attributes=tuple({"exponent": p} for p in (0.0, 0.5, 1.0, 2.0, 3.0, -1.0, 1.7, -0.3)),
    domain=(1e-3, 1e3), special=False,
)  # fmt: skip


# Two operands.
def _divide_gradient(node: Node, dy: Value) -> list[Value]:
    _a, b = node.inputs
    da = call("divide", dy, b)
    return [da, call("negative", call("multiply", da, node.output))]


def _choice_gradient(comparison: str) -> Any:
    """Gradient of maximum and minimum: to the chosen operand, half to each at a tie (as NumPy-based libraries do)."""

    def gradient(node: Node, dy: Value) -> list[Value]:
        a, b = node.inputs
        tie = call("scale", call("equal", a, b), factor=0.5)
        return [
            call("multiply", dy, call("add", call(comparison, a, b), tie)),
            call("multiply", dy, call("add", call(comparison, b, a), tie)),
        ]

    return gradient


def _power_gradient(node: Node, dy: Value) -> list[Value]:
    a, b = node.inputs
    da = call("multiply", dy, call("multiply", b, call("power", a, call("shift", b, amount=-1.0))))
    db = call("multiply", dy, call("multiply", node.output, call("log", a)))
    return [da, db]


AB = ("a", "b")
nary("add", AB, "a + b", plain(np.add), lambda n, d: [d, d], keeps_zero=True)
nary("subtract", AB, "a - b", plain(np.subtract), lambda n, d: [d, call("negative", d)], keeps_zero=True)
nary(
    "multiply",
    AB,
    "a * b",
    plain(np.multiply),
    lambda n, d: [call("multiply", d, n.inputs[1]), call("multiply", d, n.inputs[0])],
    keeps_zero=True,
)
nary("divide", AB, "a / b", plain(np.divide), _divide_gradient)
nary("maximum", AB, "the greater; NaN if either is", plain(np.maximum), _choice_gradient("greater"), tolerance="exact")
nary("minimum", AB, "the smaller; NaN if either is", plain(np.minimum), _choice_gradient("less"), tolerance="exact")
nary(
    "power",
    AB,
    "a ** b",
    in_double(np.power),
    _power_gradient,
    flops=40,
    tolerance="function",
    domains=((0.01, 30.0), (-4.0, 4.0)),
    special=False,
)
nary(
    "squared_difference", AB, "(a - b)^2", plain(lambda a, b: np.square(a - b)),
    lambda n, d: (lambda g: [g, call("negative", g)])(call("multiply", d, call("scale", call("subtract", *n.inputs), factor=2.0))),
    flops=2, keeps_zero=True,
)  # fmt: skip
for _name, _sign, _function in (
    ("equal", "==", np.equal),
    ("not_equal", "!=", np.not_equal),
    ("less", "<", np.less),
    ("less_equal", "<=", np.less_equal),
    ("greater", ">", np.greater),
    ("greater_equal", ">=", np.greater_equal),
):
    nary(_name, AB, f"1 if a {_sign} b else 0", plain(_function), NOT_DIFFERENTIABLE, tolerance="exact")
nary("logical_and", AB, "1 if a and b are nonzero else 0", plain(np.logical_and), NOT_DIFFERENTIABLE, tolerance="exact")
nary("logical_or", AB, "1 if a or b is nonzero else 0", plain(np.logical_or), NOT_DIFFERENTIABLE, tolerance="exact")

# Three operands.
nary(
    "where", ("condition", "a", "b"), "a where condition is nonzero, else b", plain(lambda c, a, b: np.where(c != 0, a, b)),
    lambda n, d: [None, call("where", n.inputs[0], d, 0.0), call("where", n.inputs[0], 0.0, d)], tolerance="exact",
)  # fmt: skip

# Derivatives times dy, as functions of dy and a saved value. "0 for the saved value" holds where the slope is constant in pieces.
nary(
    "abs_gradient",
    ("dy", "x"),
    "dy * sign(x)",
    plain(lambda d, x: d * np.sign(x)),
    lambda n, d: [call("abs_gradient", d, n.inputs[1]), None],
    special=False,
)
nary(
    "erf_gradient",
    ("dy", "x"),
    "dy * 2/sqrt(pi) * exp(-x^2)",
    in_double(lambda d, x: d * (2 / math.sqrt(math.pi)) * np.exp(-x * x)),
    lambda n, d: [
        call("erf_gradient", d, n.inputs[1]),
        call("scale", call("multiply", call("multiply", d, n.inputs[1]), n.output), factor=-2.0),
    ],
    flops=18,
    tolerance="gradient",
    domains=((-10.0, 10.0), (-5.0, 5.0)),
    special=False,
)
nary(
    "clip_gradient", ("dy", "x"), "dy where low <= x <= high, else 0", plain(lambda d, x, low, high: np.where((x >= d.dtype.type(low)) & (x <= d.dtype.type(high)), d, 0)),
    lambda n, d: [call("clip_gradient", d, n.inputs[1], **n.attributes), None], tolerance="exact",
    parameters=("low", "high"), attributes=({"low": -1.0, "high": 2.0},), special=False,
)  # fmt: skip
