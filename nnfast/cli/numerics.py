"""`nnfast numerics`: the worst error of each elementwise function. The figures that were measured, or (--sample, --all) measured anew.

In: names and how many inputs. Out: a table or JSON, and 1 where a function is over its bound, where levels differ, or where results are
not those of the committed hash. All 2^32 inputs of a function take about a minute on two threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnfast._core import runtime
from nnfast.config import get_num_threads
from nnfast.errors import unknown_name
from nnfast.precision import measured, numerics
from nnfast.precision.functions import FUNCTIONS
from nnfast.precision.measure import SAMPLE_STRIDE, Finding, measure

MACHINE = "two-core Intel Xeon, AVX-512"
PER_PROGRESS = 0.5  # seconds


def run(
    names: Sequence[str],
    stride: int | None,
    levels: Sequence[str],
    threads: int | None,
    file: str | None,
    as_json: bool,
) -> int:
    """Show the measured figures (stride None), or measure."""
    for name in names:
        if name not in FUNCTIONS:
            raise unknown_name("function", name, FUNCTIONS)
    chosen = list(names) or list(FUNCTIONS)
    if stride is None:
        rows = {name: row for name, row in numerics().items() if name in chosen}
    else:
        rows = {}
        for name in chosen:
            rows[name] = _measured_row(name, stride, list(levels) or _fast_levels(), threads or get_num_threads())
            if file is not None:
                _write(Path(file), name, stride, rows[name])
            if not as_json:
                _print_row(name, rows[name])
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        print()
    elif stride is None:
        for name, row in rows.items():
            _print_row(name, row)
    return 1 if any(row.get("problems") for row in rows.values()) else 0


def _fast_levels() -> list[str]:
    """The levels of this machine that are quick enough for all inputs, the best first."""
    names = [str(level["name"]) for level in runtime.levels() if level["available"]]
    return [name for name in reversed(names) if name != "scalar"] or names


def _measured_row(name: str, stride: int, levels: list[str], threads: int) -> dict[str, Any]:
    progress = _Progress(name) if sys.stderr.isatty() else None
    found = measure(name, stride, levels, threads, progress=progress)
    bound = FUNCTIONS[name].bound
    assert found.worst_ulp is not None and found.worst_at is not None
    return {
        "worst_ulp": round(found.worst_ulp, 4),
        "at": found.worst_at,
        "bound": bound,
        "inputs": found.inputs,
        "levels": sorted(level for level in levels if level not in found.differs),
        "sha256": found.sha256,
        "problems": _problems(name, stride, bound, found),
    }


def _problems(name: str, stride: int, bound: float, found: Finding) -> list[str]:
    problems = [
        f"{level} differs from the first level at {at!r} ({float(at).hex()})" for level, at in found.differs.items()
    ]
    if found.worst_ulp is not None and not found.worst_ulp <= bound:
        problems.append(f"{found.worst_ulp:.3f} ULP at {found.worst_at!r}, allowed are {bound:g}")
    known = measured()["functions"].get(name, {}).get(_kind(stride))
    if known is not None and known["sha256"] != found.sha256:
        problems.append(f"results differ from those that were measured ({known['sha256'][:16]}...)")
    return problems


def _kind(stride: int) -> str:
    return {1: "all", SAMPLE_STRIDE: "sample"}.get(stride, f"every {stride}")


def _print_row(name: str, row: dict[str, Any]) -> None:
    inputs = "all" if row["inputs"] == 2**32 else f"{row['inputs']:,}"
    levels = ", ".join(row["levels"])
    text = f"{name:14} {row['worst_ulp']:6.3f} ULP at {row['at']!r:24} of {row['bound']:g}; {inputs} inputs; {levels}; {row['sha256'][:16]}"
    print(text, flush=True)
    for problem in row.get("problems", ()):
        print(f"{'':14} FAILED: {problem}", flush=True)


def _write(file: Path, name: str, stride: int, row: dict[str, Any]) -> None:
    """Put the row into a file like measured.json."""
    content = json.loads(file.read_text()) if file.exists() else {}
    content["made_by"] = "nnfast numerics --all (and --sample) --write nnfast/precision/measured.json"
    content["machine"] = MACHINE
    content["numpy"] = np.__version__
    kept = {key: row[key] for key in ("worst_ulp", "inputs", "levels", "sha256")}
    kept["worst_at"] = float(row["at"]).hex()
    content.setdefault("functions", {}).setdefault(name, {})[_kind(stride)] = kept
    order = {known: i for i, known in enumerate(FUNCTIONS)}
    content["functions"] = dict(sorted(content["functions"].items(), key=lambda item: order[item[0]]))
    file.write_text(json.dumps(content, indent=1) + "\n")


class _Progress:
    """A line that says how far a function is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin = self.shown = time.perf_counter()

    def __call__(self, done: int, count: int) -> None:
        now = time.perf_counter()
        if now - self.shown < PER_PROGRESS and done < count:
            return
        self.shown = now
        left = (now - self.begin) * (count - done) / done
        end = "\r" if done < count else "\r\033[K"
        print(f"{self.name}: {done / count:.0%}, {left:.0f} s left  ", end=end, file=sys.stderr, flush=True)
