"""The kernels alone: NumPy arrays in, NumPy arrays out, threaded, with `out=`. Same kernels and same bits as in models.

Arrays are float32 or float64; other floats and integers are converted. `out` must have the result's shape and dtype; it may be
strided, and may be one of the operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops
from nnfast.boundary import names_itself as _names_itself
from nnfast.errors import DtypeError, ShapeError, unknown_name
from nnfast.ops.registry import OPS
from nnfast.plan.eager import OpCall, op_call

_matmul = op_call(OPS["matmul"], {"transpose_a": False, "transpose_b": False})
_softmax, _log_softmax = op_call(OPS["softmax"], {}), op_call(OPS["log_softmax"], {})
ELEMENTWISE = tuple(name for name, op in OPS.items() if op.function is not None)


def _check_out(name: str, out: np.ndarray | None, shape: tuple[int, ...], dtype: str) -> None:
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise DtypeError(f"{name}(out=...): expected a NumPy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ShapeError(f"{name}(out=...): expected shape {list(shape)}, got {list(out.shape)}")
    if out.dtype != dtype:
        raise DtypeError(f"{name}(out=...): expected dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise DtypeError(f"{name}(out=...): the array is read-only")


def _apply(call: OpCall, operands: tuple[Any, ...], out: Any) -> Any:
    """The op on arrays; the result is computed in `out` where it is given and lies apart from the operands."""
    found = call.quick(operands, out)
    if found is not None:
        return found
    if out is None:
        return call(operands)
    if type(out) is np.ndarray:
        try:
            return call(operands, out)
        except (ShapeError, DtypeError) as error:
            raise type(error)(f"{call.op.name}: {error}") from None
    return _give(call(operands), out, call.op.name)


def _give(result: np.ndarray, out: np.ndarray | None, name: str) -> np.ndarray:
    if out is None:
        return result
    _check_out(name, out, result.shape, str(result.dtype))
    out[...] = result
    return out


def _is_matrix(x: Any) -> bool:
    return (x.ndim if type(x) is np.ndarray else np.ndim(x)) == 2


@_names_itself
def matmul(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Matrix product of row-major arrays: a [..., K], b [K, N] -> [..., N].

    Each element is a chain of fused multiply-adds over ascending K in chunks of 512. Raises ShapeError where sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
    [[11.0]]
    """
    found = _matmul.quick((a, b), out)
    if found is not None:
        return found
    if _is_matrix(a) and _is_matrix(b):
        return _apply(_matmul, (a, b), out)
    return _give(ops.matmul(np.asarray(a), np.asarray(b)), out, "matmul")


def linear(
    x: Any, weight: Any, bias: Any = None, activation: str | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """activation(x weight + bias). x [..., K], weight [K, N], bias [N]; activation: the name of an elementwise function.

    >>> linear([[1.0, -2.0]], [[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], "relu").tolist()
    [[1.5, 0.0]]
    """
    y = ops.matmul(np.asarray(x), np.asarray(weight))
    if bias is not None:
        y = ops.add(y, np.asarray(bias))
    if activation is not None:
        y = softmax(y) if activation == "softmax" else _elementwise(_known(activation))(y)
    return _give(y, out, "linear")


@_names_itself
def softmax(x: Any, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """exp(x - max) / sum(exp(x - max)) along an axis."""
    if isinstance(axis, int) and axis == -1:
        return _apply(_softmax, (x,), out)
    return _give(ops.softmax(np.asarray(x), axis), out, "softmax")


@_names_itself
def log_softmax(x: Any, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """x - logsumexp(x) along an axis."""
    if isinstance(axis, int) and axis == -1:
        return _apply(_log_softmax, (x,), out)
    return _give(ops.log_softmax(np.asarray(x), axis), out, "log_softmax")


def sum(x: Any, axis: Any = None, keepdims: bool = False, out: np.ndarray | None = None) -> np.ndarray:
    """Sum over axes in the fixed order of the numeric contract."""
    return _give(ops.sum(np.asarray(x), axis, keepdims), out, "sum")


def mean(x: Any, axis: Any = None, keepdims: bool = False, out: np.ndarray | None = None) -> np.ndarray:
    """Mean over axes."""
    return _give(ops.mean(np.asarray(x), axis, keepdims), out, "mean")


def max(x: Any, axis: Any = None, keepdims: bool = False, out: np.ndarray | None = None) -> np.ndarray:
    """Greatest element over axes."""
    return _give(ops.max(np.asarray(x), axis, keepdims), out, "max")


def argmax(x: Any, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """Index (int32) of the first greatest element along an axis."""
    return _give(ops.argmax(np.asarray(x), axis), out, "argmax")


def sparse_cross_entropy(logits: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Loss per row and its gradient softmax(logits) - onehot(labels). logits [rows, classes], labels [rows]."""
    loss, gradient = ops.call("sparse_cross_entropy", np.asarray(logits), np.asarray(labels).astype(np.int32))
    return loss, gradient


def _known(activation: str) -> str:
    if activation not in ELEMENTWISE:
        raise unknown_name("activation of linear", activation, [*ELEMENTWISE, "softmax"])
    return activation


def _elementwise(name: str) -> Any:
    op = OPS[name]
    defaults = _DEFAULTS.get(name, {})
    count = len(op.inputs) if len(defaults) == len(op.parameters) else -1  # of operands, where no parameter is needed
    plain = op_call(op, defaults)

    def function(*operands: Any, out: np.ndarray | None = None, **parameters: float) -> np.ndarray:
        if not parameters and len(operands) == count:
            return _apply(plain, operands, out)
        given = {**defaults, **parameters}
        missing = [parameter for parameter in op.parameters if parameter not in given]
        if missing or len(operands) != len(op.inputs):
            raise DtypeError(
                f"{name}: expected {', '.join(op.inputs)}{''.join(f', {p}=' for p in op.parameters)}, got {len(operands)} arrays and {sorted(parameters)}"
            )
        return _apply(op_call(op, given), operands, out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op.formula}. Arrays: {', '.join(op.inputs)}; NumPy's broadcasting."
    return function


_DEFAULTS: dict[str, dict[str, float]] = {"leaky_relu": {"negative_slope": 0.2}, "elu": {"alpha": 1.0}}


def __getattr__(name: str) -> Any:
    """Every elementwise function of the registry: relu, tanh, add, relu_gradient ..."""
    if name in ELEMENTWISE:
        return globals().setdefault(name, _elementwise(name))
    raise AttributeError(f"module 'nnfast.kernels' has no kernel {name!r}; elementwise ones: {', '.join(ELEMENTWISE)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *ELEMENTWISE])
