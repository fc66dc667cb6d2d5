"""Functions on tensors: on symbolic values they add to a graph, on NumPy arrays they compute at once.

One file per family defines the ops (registry.OpDef); `functions` holds what users call. The simple elementwise functions and the
operators of symbolic values are made here from the registry.
"""

from __future__ import annotations

from typing import Any

from nnfast.graph.ir import Value as _Value
from nnfast.ops import matmul as _products  # noqa: F401  (the families register their ops)
from nnfast.ops import recurrent as _sequences  # noqa: F401
from nnfast.ops import softmax as _rows  # noqa: F401

from nnfast.ops import (  # noqa: F401  # isort: skip
    activation,
    attention,
    channel,
    ctc,
    elementwise,
    fused,
    image,
    letters,
    lookup,
    loss,
    norm,
    pool,
    random,
    reduce,
    resample,
    shape,
    update,
)
from nnfast.ops.attending import *  # noqa: F403
from nnfast.ops.convolving import *  # noqa: F403
from nnfast.ops.ctc import ctc_loss  # noqa: F401
from nnfast.ops.ctc_decoding import ctc_decode  # noqa: F401
from nnfast.ops.elementwise import call
from nnfast.ops.functions import *  # noqa: F403
from nnfast.ops.functions import matmul, power
from nnfast.ops.letters import edit_distance  # noqa: F401
from nnfast.ops.normalizing import *  # noqa: F403
from nnfast.ops.registry import OPS
from nnfast.ops.shaping import *  # noqa: F403
from nnfast.ops.shaping import reshape as _reshape
from nnfast.ops.shaping import slice as _slice
from nnfast.ops.spatial import *  # noqa: F403
from nnfast.ops.updates import (  # noqa: F401
    update_adagrad,
    update_adam,
    update_rmsprop,
    update_sgd,
    update_sgd_momentum,
)


def _function(name: str, public: str | None = None) -> Any:
    op = OPS[name]

    def function(*operands: Any) -> Any:
        return call(name, *operands)

    function.__name__ = function.__qualname__ = public or name
    function.__doc__ = f"{op.formula}. Operands: {', '.join(op.inputs)}; NumPy's broadcasting."
    return function


add = _function("add")
subtract = _function("subtract")
multiply = _function("multiply")
divide = _function("divide")
maximum = _function("maximum")
minimum = _function("minimum")
squared_difference = _function("squared_difference")
equal = _function("equal")
not_equal = _function("not_equal")
less = _function("less")
less_equal = _function("less_equal")
greater = _function("greater")
greater_equal = _function("greater_equal")
logical_and = _function("logical_and")
logical_or = _function("logical_or")
logical_not = _function("logical_not")
where = _function("where")
negative = _function("negative")
abs = _function("abs")
sign = _function("sign")
square = _function("square")
reciprocal = _function("reciprocal")
sqrt = _function("sqrt")
rsqrt = _function("rsqrt")
exp = _function("exp")
exponential = _function("exp", "exponential")
expm1 = _function("expm1")
log = _function("log")
log1p = _function("log1p")
erf = _function("erf")
sin = _function("sin")
cos = _function("cos")
floor = _function("floor")
round = _function("round")
is_nan = _function("is_nan")
relu = _function("relu")
relu6 = _function("relu6")
selu = _function("selu")
sigmoid = _function("sigmoid")
hard_sigmoid = _function("hard_sigmoid")
tanh = _function("tanh")
silu = _function("silu")
hard_silu = _function("hard_silu")
softplus = _function("softplus")
softsign = _function("softsign")
mish = _function("mish")


def linear(x: Any) -> Any:
    """x itself."""
    return x


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


def install_operators(target: type) -> None:
    """Give symbolic values and variables Python's arithmetic. `==` stays identity; use ops.equal."""
    methods = {
        "__add__": add, "__radd__": _reflected(add), "__sub__": subtract, "__rsub__": _reflected(subtract),
        "__mul__": multiply, "__rmul__": _reflected(multiply), "__truediv__": divide, "__rtruediv__": _reflected(divide),
        "__pow__": power, "__rpow__": _reflected(power), "__matmul__": matmul, "__rmatmul__": _reflected(matmul),
        "__neg__": negative, "__pos__": linear, "__abs__": abs, "__lt__": less, "__le__": less_equal, "__gt__": greater,
        "__ge__": greater_equal, "__getitem__": _slice, "reshape": lambda self, *s: _reshape(self, s[0] if len(s) == 1 and not isinstance(s[0], int) else s),
    }  # fmt: skip
    for name, method in methods.items():
        setattr(target, name, method)


install_operators(_Value)
