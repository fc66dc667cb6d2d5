"""Runs a function over float32 inputs and says how far its results lie from the reference, and their SHA-256.

In: a name of FUNCTIONS and a stride: 1 takes all 2^32 bit patterns, 255 every 255th (16,843,010 of them, in each binade and both signs
alike). Out: Finding. Results are hashed in pieces, each NaN as the same one, then the pieces' hashes in order: a hash depends on the
results alone, whatever the threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnfast.ops import OPS
from nnfast.ops.registry import OpDef
from nnfast.plan.eager import run_op
from nnfast.precision.functions import FUNCTIONS, Function

PATTERNS = 2**32
SAMPLE_STRIDE = 255
PIECE = 2**22  # inputs that are hashed together; part of what the hash means
BLOCK = 2**15  # inputs that are worked on at once: all arrays of a block stay in L2
SMALLEST_EXPONENT, LARGEST_EXPONENT = 1023 - 126, 1023 + 127  # of normal float32 numbers, in a float64's bits


@dataclass(frozen=True)
class Finding:
    """What was found of one function."""

    inputs: int
    worst_ulp: float | None  # None where only the hash was asked for
    worst_at: float | None
    sha256: str  # of the first level's results
    differs: dict[str, float]  # other levels whose results are not the first's, and an input where they are not


@dataclass
class _Worst:
    ulp: float = 0.5  # where every result is the correctly rounded one
    pattern: int = 0


def measure(
    name: str,
    stride: int = SAMPLE_STRIDE,
    levels: Sequence[str | None] = (None,),
    threads: int = 1,
    errors: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Finding:
    """One function on every `stride`th bit pattern.

    levels: SIMD levels (None: the one in use); all are compared with the first, which is compared with the reference where `errors` says
    so. progress: called with the inputs done and their number.
    """
    count = -(-PATTERNS // stride)
    starts = range(0, count, PIECE)
    digest = hashlib.sha256()
    worst = _Worst()
    differs: dict[str, int] = {}
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for piece, found, others in pool.map(partial(_piece, name, stride, count, levels, errors), starts):
            digest.update(piece)
            if found.ulp > worst.ulp:
                worst = found
            differs = others | differs
            done = min(done + PIECE, count)
            if progress is not None:
                progress(done, count)
    return Finding(
        count,
        worst.ulp if errors else None,
        _number(worst.pattern) if errors else None,
        digest.hexdigest(),
        {level: _number(pattern) for level, pattern in differs.items()},
    )


def _number(pattern: int) -> float:
    return float(np.uint32(pattern).view(np.float32))


def _piece(
    name: str, stride: int, count: int, levels: Sequence[str | None], errors: bool, start: int
) -> tuple[bytes, _Worst, dict[str, int]]:
    """Hash, worst error, and where other levels differ, of inputs start .. start + PIECE - 1."""
    function, op = FUNCTIONS[name], OPS[name]
    digest = hashlib.sha256()
    worst = _Worst()
    differs: dict[str, int] = {}
    first_level, *others = levels
    places = np.arange(BLOCK, dtype=np.uint32) * np.uint32(stride)
    y, z = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(start, min(start + PIECE, count), BLOCK):
        n = min(BLOCK, count - first)
        bits = places[:n] + np.uint32(first * stride)
        x = bits.view(np.float32)
        found = _compute(op, x, function, first_level, y[:n])
        for level in others:
            other = _compute(op, x, function, level, z[:n])
            if level not in differs and not np.array_equal(other.view(np.int32), found.view(np.int32)):
                differs[str(level)] = int(bits[np.argmax(other.view(np.int32) != found.view(np.int32))])
        if errors:
            _look_for_worse(worst, found, function, x, bits)
        digest.update(found.data)
    return digest.digest(), worst, differs


def _compute(op: OpDef, x: np.ndarray, function: Function, level: str | None, out: np.ndarray) -> np.ndarray:
    """Results with each NaN as the same one."""
    run_op(op, [x], function.attributes, level=level, threads=1, out=[out])
    nan = np.isnan(out)
    if nan.any():
        out[nan] = np.nan
    return out


def _look_for_worse(worst: _Worst, found: np.ndarray, function: Function, x: np.ndarray, bits: np.ndarray) -> None:
    """Update `worst`, where a result is not the correctly rounded one."""
    with np.errstate(all="ignore"):
        exact = function.reference(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    other = found != rounded
    other &= ~(np.isnan(found) & np.isnan(rounded))
    candidates = np.flatnonzero(other)
    if not candidates.size:
        return
    error = ulps(found[candidates], exact[candidates])
    i = int(error.argmax())
    if error[i] > worst.ulp:
        worst.ulp, worst.pattern = float(error[i]), int(bits[candidates[i]])


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance of float32 results from float64 ones, in units in the last place of the exact result; inf for a NaN on one side only.

    Beyond the largest float32 the unit is that of the last binade, and an infinity counts as 2^128, where it begins.
    """
    most = 2.0**128
    with np.errstate(all="ignore"):
        exact = np.clip(exact, -most, most)
        distance = np.abs(np.clip(found.astype(np.float64), -most, most) - exact)
        exponent = np.clip(exact.view(np.int64) >> 52 & 0x7FF, SMALLEST_EXPONENT, LARGEST_EXPONENT)
        error = distance / ((exponent - 23) << 52).view(np.float64)
    return np.where(np.isnan(error), np.where(np.isnan(exact) & np.isnan(found), 0.0, np.inf), error)
