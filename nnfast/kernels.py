"""The kernels alone: NumPy arrays in, NumPy arrays out, threaded, with `out=`. Same kernels and same bits as in models.

Arrays are float32 or float64; other floats and integers are converted. `out` must have the result's shape and dtype; it may be
strided, and may be one of the operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops
from nnfast.errors import DtypeError, ShapeError
from nnfast.ops.registry import OPS

ELEMENTWISE = tuple(name for name, op in OPS.items() if op.function is not None)


def _give(result: np.ndarray, out: np.ndarray | None, name: str) -> np.ndarray:
    if out is None:
        return result
    if not isinstance(out, np.ndarray):
        raise DtypeError(f"{name}(out=...): expected a NumPy array, got {type(out).__name__}")
    if out.shape != result.shape:
        raise ShapeError(f"{name}(out=...): expected shape {list(result.shape)}, got {list(out.shape)}")
    if out.dtype != result.dtype:
        raise DtypeError(f"{name}(out=...): expected dtype {result.dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise DtypeError(f"{name}(out=...): the array is read-only")
    out[...] = result
    return out


def matmul(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Matrix product of row-major arrays: a [..., K], b [K, N] -> [..., N].

    Each element is a chain of fused multiply-adds over ascending K in chunks of 512. Raises ShapeError where sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
    [[11.0]]
    """
    return _give(ops.matmul(np.asarray(a), np.asarray(b)), out, "matmul")


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """activation(x weight + bias). x [..., K], weight [K, N], bias [N]; activation: the name of an elementwise function.

    >>> linear([[1.0, -2.0]], [[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], "relu").tolist()
    [[1.5, 0.0]]
    """
    y = ops.matmul(np.asarray(x), np.asarray(weight))
    if bias is not None:
        y = ops.add(y, np.asarray(bias))
    if activation is not None:
        from nnfast import activations

        y = activations.get(activation)(y)
    return _give(y, out, "linear")


def softmax(x: Any, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """exp(x - max) / sum(exp(x - max)) along an axis."""
    return _give(ops.softmax(np.asarray(x), axis), out, "softmax")


def log_softmax(x: Any, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """x - logsumexp(x) along an axis."""
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


def _elementwise(name: str) -> Any:
    op = OPS[name]

    def function(*operands: Any, out: np.ndarray | None = None, **parameters: float) -> np.ndarray:
        given = {**_DEFAULTS.get(name, {}), **parameters}
        missing = [parameter for parameter in op.parameters if parameter not in given]
        if missing or len(operands) != len(op.inputs):
            raise DtypeError(f"{name}: expected {', '.join(op.inputs)}{''.join(f', {p}=' for p in op.parameters)}, got {len(operands)} arrays and {sorted(parameters)}")
        return _give(ops.call(name, *(np.asarray(x) for x in operands), **given), out, name)

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
