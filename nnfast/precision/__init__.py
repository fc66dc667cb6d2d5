"""How exact the elementwise functions are: `numerics()` tells what was measured, and `nnfast numerics` measures it anew.

functions.py   each function's value in float64 and the error it may have
measure.py     a function over float32 inputs: worst error, SHA-256 of the results
measured.json  what `nnfast numerics --all --write` found
"""

from __future__ import annotations

from typing import Any


def measured() -> dict[str, Any]:
    """The content of measured.json."""
    import json
    from importlib import resources

    found: dict[str, Any] = json.loads((resources.files(__name__) / "measured.json").read_text())
    return found


def numerics() -> dict[str, dict[str, Any]]:
    """The worst error of each elementwise function in float32, by its name, as measured over float32 inputs.

    worst_ulp: distance from the exact result, in units of the result's last place (0.5: always correctly rounded); at: the input that
    has it; bound: what is promised; inputs: how many were tried (4294967296: every float32); levels: the SIMD levels that gave the same
    bits; sha256: of all results in the order of the inputs' bits. `nnfast numerics --all` makes these figures.

    >>> numerics()["exp"]["worst_ulp"] <= numerics()["exp"]["bound"]
    True
    """
    from nnfast.precision.functions import FUNCTIONS

    found = {}
    for name, entry in measured()["functions"].items():
        kind = "all" if "all" in entry else "sample"
        row = entry[kind]
        found[name] = {
            "worst_ulp": row["worst_ulp"],
            "at": float.fromhex(row["worst_at"]),
            "bound": FUNCTIONS[name].bound,
            "inputs": row["inputs"],
            "levels": row["levels"],
            "sha256": row["sha256"],
        }
    return found
