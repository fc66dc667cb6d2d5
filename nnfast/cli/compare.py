"""Does a kernel's result agree with the NumPy reference, within the tolerance that the op registry states?

In: an op, its input arrays and attributes, and the kernel's outputs. Out: None, or what is wrong in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.ops.registry import OpDef
from nnfast.ops.tolerance import worst_error

Arrays = Sequence[NDArray[Any]]


def disagreement(op: OpDef, arrays: Arrays, attributes: dict[str, Any], outputs: Arrays) -> str | None:
    """Compare outputs with the op's reference; `worst_error` says what is allowed.

    >>> import numpy as np, nnfast.ops
    >>> from nnfast.ops.registry import OPS
    >>> disagreement(OPS["square"], [np.array([3.0])], {}, [np.array([9.5])])
    'square: output 0, element (0,): got 9.5, expected 9.0'
    """
    with np.errstate(all="ignore"):
        results = op.reference(*arrays, **attributes)
    references = [np.asarray(result) for result in (results if isinstance(results, tuple | list) else (results,))]
    if len(references) != len(outputs):
        return f"{op.name}: {len(outputs)} outputs, expected {len(references)}"
    for index, (found, expected) in enumerate(zip(outputs, references, strict=True)):
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return f"{op.name}: output {index} is {_kind(found)}, expected {_kind(expected)}"
        if worst_error(op, arrays, found, expected) > 1:
            place = _worst_place(found, expected)
            return f"{op.name}: output {index}, element {place}: got {found[place]}, expected {expected[place]}"
    return None


def _worst_place(found: NDArray[Any], expected: NDArray[Any]) -> tuple[int, ...]:
    """The element that is the furthest off; one that is NaN or infinite where it should not be comes first."""
    with np.errstate(all="ignore"):
        same = (found == expected) | ((found != found) & (expected != expected))
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64)) / (np.abs(expected) + 1e-300)
    error = np.where(same, -1.0, np.where(np.isnan(error), np.inf, error))
    return tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype}{list(array.shape)}"
