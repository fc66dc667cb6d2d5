"""Does a kernel's result agree with the NumPy reference, within the tolerance that the op registry states?

In: an op, its input arrays and attributes, and the kernel's outputs. Out: None, or what is wrong in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.ops.registry import TOLERANCES, OpDef

Arrays = Sequence[NDArray[Any]]


def disagreement(op: OpDef, arrays: Arrays, attributes: dict[str, Any], outputs: Arrays) -> str | None:
    """Compare outputs with the reference: bit for bit where the op is exact, else with the reference in float64.

    The error allowed is the op's tolerance times the type's epsilon times the magnitude: that of the result, and for
    sums and products also that of the terms which may cancel in it.

    >>> import numpy as np, nnfast.ops
    >>> from nnfast.ops.registry import OPS
    >>> disagreement(OPS["square"], [np.array([3.0])], {}, [np.array([9.5])])
    'square: output 0, element (0,): got 9.5, expected 9.0'
    """
    exact = op.tolerance == "exact"
    inputs = list(arrays) if exact else [_wide(array) for array in arrays]
    references = _as_list(_reference(op, inputs, attributes))
    if len(references) != len(outputs):
        return f"{op.name}: {len(outputs)} outputs, expected {len(references)}"
    for index, (found, expected) in enumerate(zip(outputs, references, strict=True)):
        if found.shape != expected.shape:
            return f"{op.name}: output {index} has shape {list(found.shape)}, expected {list(expected.shape)}"
        allowed = 0.0 if exact else _allowed(op, inputs, attributes, index, found.dtype, expected)
        where = _first_wrong(found, expected, allowed)
        if where is not None:
            position = tuple(int(i) for i in where)
            return f"{op.name}: output {index}, element {position}: got {found[where]}, expected {expected[where]}"
    return None


def _first_wrong(found: NDArray[Any], expected: NDArray[Any], allowed: Any) -> tuple[Any, ...] | None:
    with np.errstate(all="ignore"):
        rounded = expected.astype(found.dtype)  # overflows as the kernel's type does
        close = np.abs(found.astype(np.float64) - expected.astype(np.float64)) <= allowed
        same = (found == rounded) | (np.isnan(found.astype(np.float64)) & np.isnan(expected.astype(np.float64)))
    wrong = ~(same | close)
    return tuple(np.argwhere(wrong)[0]) if wrong.any() else None


def _allowed(op: OpDef, inputs: Arrays, attributes: dict[str, Any], index: int, dtype: Any, expected: Any) -> Any:
    if dtype.kind != "f":
        return 0.0
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        magnitude = np.abs(expected.astype(np.float64)) + _cancelled(op, inputs, attributes, index, expected)
        return TOLERANCES[op.tolerance] * (float(limits.eps) * magnitude + float(limits.smallest_subnormal))


def _cancelled(op: OpDef, inputs: Arrays, attributes: dict[str, Any], index: int, expected: NDArray[Any]) -> Any:
    """Size of the terms that may have cancelled in the result."""
    if op.tolerance not in ("sum", "product", "update"):
        return 0.0
    if op.name == "matmul" or op.kind == "reduction":
        terms = [np.abs(array) if array.dtype.kind == "f" else array for array in inputs]
        return np.abs(_as_list(_reference(op, terms, attributes))[index])
    finite = [np.abs(array[np.isfinite(array)]) for array in (*inputs, expected) if array.dtype.kind == "f"]
    largest = max((float(array.max()) for array in finite if array.size), default=0.0)
    if op.kind != "contraction":
        return largest
    return largest * largest * inputs[0].shape[0 if attributes.get("transpose_a") else 1]


def _reference(op: OpDef, arrays: Arrays, attributes: dict[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        return op.reference(*arrays, **attributes)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _as_list(results: Any) -> list[NDArray[Any]]:
    return [np.asarray(result) for result in (results if isinstance(results, tuple | list) else (results,))]
