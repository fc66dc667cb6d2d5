"""What a library costs before it does anything: import time, size on disk, memory of a training, time of its first training step.

In: peers' names. Out: facts of each, from fresh processes: `python -m nnfast.benchmark.footprint NAME THREADS`, and for the memory of one
more training `... CASE` behind it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np  # so that import times are beyond NumPy's

from nnfast.benchmark.process import command, environment

CASE = "fit 784-512-256-10 batch 128"
IMAGES = "fit resnet18-cifar batch 32"
EPOCHS = 3
BLOCK, EVERY = 1 << 20, 16  # of a large package one block in so many is compressed, and stands for the others
GENERATED = {".c", ".pyc", ".o"}  # in a source tree, not in an installed package


def footprints(names: Sequence[str], threads: int) -> dict[str, dict[str, Any]]:
    """Facts of each library."""
    found = {}
    for name in names:
        found[name] = _fresh([name, str(threads)], threads)
        images = _fresh([name, str(threads), IMAGES], threads)
        found[name]["image_peak_bytes"] = images.get("peak_bytes")
    return found


def _fresh(arguments: list[str], threads: int) -> dict[str, Any]:
    """What a fresh process finds."""
    done = subprocess.run(
        command(["nnfast.benchmark.footprint", *arguments], threads),
        env=environment(threads),
        capture_output=True,
        text=True,
        check=False,
    )
    last = (done.stdout or done.stderr).strip().rpartition("\n")[2]
    facts: dict[str, Any] = json.loads(last) if done.returncode == 0 else {"error": last}
    return facts


def measure(name: str, threads: int) -> dict[str, Any]:
    """Facts of one library, in this process, which must be fresh."""
    assert np.__version__
    from nnfast.benchmark.peers import PEERS

    package = PEERS[name].packages[0]
    facts: dict[str, Any] = {"import_seconds": None if name == "numpy" else import_seconds(package)}
    facts["installed_bytes"], facts["compressed_bytes"] = sizes(package)
    return facts | first_training(name, threads)


def import_seconds(package: str) -> float:
    """Least time of three imports beyond NumPy's, each in a process of its own."""
    code = f"import numpy, time; start = time.perf_counter(); import {package}; print(time.perf_counter() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(run.stdout.split()[-1]) for run in runs)


def sizes(package: str) -> tuple[int, int]:
    """Bytes of a package's files, and about how many they are when compressed as in a wheel."""
    if package == "nnfast":  # may be installed from a source tree
        root = Path(__file__).parent.parent
        files = [path for path in root.rglob("*") if path.is_file() and path.suffix not in GENERATED]
    else:
        distribution = {"sklearn": "scikit-learn"}.get(package, package)
        files = [Path(str(path.locate())) for path in metadata.files(distribution) or [] if path.suffix != ".pyc"]
        if package == "jax":  # its compiled part is a distribution of its own
            files += [Path(str(path.locate())) for path in metadata.files("jaxlib") or [] if path.suffix != ".pyc"]
    files = [path for path in files if path.is_file()]
    installed = sum(path.stat().st_size for path in files)
    every = EVERY if installed > 50 * BLOCK else 1
    compressed = sum(_compressed(path, every) for path in files)
    return installed, compressed


def _compressed(path: Path, every: int) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < every * BLOCK:
            return len(zlib.compress(file.read(BLOCK))) * max(size, 1) // max(min(size, BLOCK), 1)
        taken = 0
        for start in range(0, size, every * BLOCK):
            file.seek(start)
            taken += len(zlib.compress(file.read(BLOCK)))
        return taken * every


def first_training(name: str, threads: int, case: str = CASE) -> dict[str, Any]:
    """Seconds of the first epoch beyond a later one: tracing, compiling, planning; and the process's greatest memory."""
    from nnfast.benchmark.cases import BY_NAME
    from nnfast.benchmark.peers import make_peer

    work = make_peer(name, threads).make(BY_NAME[case])
    if work is None:
        return {}
    times = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        work.run(1)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "first_call_seconds": max(times[0] - min(times[1:]), 0.0),
        "peak_bytes": peak if sys.platform == "darwin" else peak * 1024,
    }


if __name__ == "__main__":
    count = int(sys.argv[2])
    print(json.dumps(first_training(sys.argv[1], count, sys.argv[3]) if sys.argv[3:] else measure(sys.argv[1], count)))
