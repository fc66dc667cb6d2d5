"""`nnfast selftest`: every op of the registry, on every SIMD level that this machine has, against NumPy. Under 10
seconds.

In: the op registry with its samples. Out: one line per level, the disagreements, and 1 where there is one.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

import nnfast.ops  # noqa: F401  (fills the registry)
from nnfast._core import runtime
from nnfast.cli.compare import disagreement
from nnfast.ops.registry import OPS, OpDef, Sample
from nnfast.plan.eager import run_op

SAMPLES = 3  # of each op; the test suite takes all
DTYPES = ("float32", "float64")
MOST_SHOWN = 20


def run(as_json: bool) -> int:
    """Check all levels; returns 0 where everything agrees."""
    results = []
    for level in runtime.levels():
        name = str(level["name"])
        if level["available"]:
            results.append(check_level(name))
        else:
            results.append({"level": name, "available": False, "reason": level["reason"], "failures": []})
        if not as_json:
            _print_level(results[-1])
    failed = any(result["failures"] for result in results)
    if as_json:
        json.dump({"passed": not failed, "levels": results}, sys.stdout, indent=2)
        print()
    else:
        print("selftest FAILED" if failed else "selftest passed")
    return 1 if failed else 0


def check_level(level: str) -> dict[str, Any]:
    """Check every op on one level, in float32 and float64, on one thread and on two."""
    start = time.perf_counter()
    count = 0
    failures = []
    for op in OPS.values():
        for dtype in DTYPES:
            for threads, (arrays, attributes) in enumerate(choose_samples(op, dtype), 1):
                found = run_op(op, arrays, attributes, level=level, threads=1 + threads % 2)
                message = disagreement(op, arrays, attributes, found)
                count += 1
                if message is not None:
                    failures.append(
                        f"{message} ({dtype}, shapes {[list(array.shape) for array in arrays]}, {attributes})"
                    )
    seconds = time.perf_counter() - start
    return {
        "level": level,
        "available": True,
        "ops": len(OPS),
        "checks": count,
        "seconds": round(seconds, 3),
        "failures": failures,
    }


def choose_samples(op: OpDef, dtype: str) -> list[Sample]:
    """The largest sample, the smallest that is not empty, and one between."""
    samples = [s for s in op.samples(np.random.default_rng(7), dtype) if all(array.size for array in s[0])]
    samples.sort(key=lambda sample: sum(array.size for array in sample[0]))
    if len(samples) <= SAMPLES:
        return samples
    return [samples[-1], samples[len(samples) // 2], samples[0]]


def _print_level(result: dict[str, Any]) -> None:
    if not result["available"]:
        print(f"{result['level']:8} not available: {result['reason']}")
        return
    failures = result["failures"]
    state = "ok" if not failures else f"{len(failures)} of {result['checks']} checks FAILED"
    print(f"{result['level']:8} {result['ops']} ops, {result['checks']} checks, {result['seconds']:.2f} s: {state}")
    for failure in failures[:MOST_SHOWN]:
        print(f"         {failure}")
