"""How far a kernel may be from the reference: read by the generated tests, the self-test and the benchmark's check.

In: an op, its inputs, a result and the reference computed in float64. Out: the worst error in units of what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnfast.ops.registry import TOLERANCES, OpDef


def worst_error(op: OpDef, arrays: Sequence[np.ndarray], result: np.ndarray, reference: np.ndarray) -> float:
    """Worst error over the allowed error: at most 1 is right, infinity for a wrong shape, dtype, NaN or infinity.

    The allowed error is TOLERANCES[op.tolerance] units of rounding, of the result for functions; for sums, products and derivatives,
    which may cancel, of the largest magnitude that goes in.
    """
    if result.shape != reference.shape or result.dtype != reference.dtype:
        return np.inf
    if result.size == 0 or result.dtype.kind != "f":
        return 0.0 if np.array_equal(result, reference) else np.inf
    with np.errstate(all="ignore"):
        same = (result == reference) | (np.isnan(result) & np.isnan(reference))
        if same.all():
            return 0.0
        if not np.isfinite(np.where(same, 0, result)).all() or not np.isfinite(np.where(same, 0, reference)).all():
            return np.inf
        limits = np.finfo(result.dtype)
        scale = np.abs(reference.astype(np.float64)) + float(limits.tiny) / float(limits.eps)
        if op.tolerance in ("sum", "product", "update", "gradient"):
            scale = scale + _magnitude(op, arrays, reference)
        error = np.abs(result.astype(np.float64) - reference.astype(np.float64)) / (scale * float(limits.eps))
        worst = float(np.max(np.where(same, 0.0, error)))
    allowed = TOLERANCES[op.tolerance]
    return worst / allowed if allowed else np.inf


def _magnitude(op: OpDef, arrays: Sequence[np.ndarray], reference: np.ndarray) -> np.ndarray | float:
    """What the terms of a result are as large as."""
    if op.tolerance == "gradient":
        return np.broadcast_to(np.abs(arrays[0].astype(np.float64)), reference.shape)
    floats = [np.abs(a[np.isfinite(a)]) for a in (*arrays, reference) if a.dtype.kind == "f"]
    return max((float(a.max()) for a in floats if a.size), default=0.0)
