"""On what a benchmark ran. Out: a dictionary of facts; no names of users or hosts."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

from nnfast._core import runtime
from nnfast.benchmark.limits import available_cores, caches


def facts(threads: int) -> dict[str, Any]:
    """CPU, cores, caches, SIMD levels, system and date."""
    return {
        "cpu": _cpu(),
        "cores": available_cores(),
        "caches": {name: nbytes for name, nbytes, _ in caches()},
        "level": runtime.level(),
        "levels": [str(level["name"]) for level in runtime.levels() if level["available"]],
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()
