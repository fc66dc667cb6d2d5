"""The benchmark's end of the pipes to a library's process.

In: a peer's name and a number of threads. Out: a Process that makes, computes and times cases when asked, and is quiet in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nnfast.benchmark.limits import available_cores
from nnfast.errors import NnfastError

HOLD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # settings with which OpenBLAS would not show what it can
COUNTS = ("NNFAST_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
# Pools spin after a call, up to 0.2 s; where the system does not say which threads run, this is waited.
BLIND_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 0.002
QUIET_LOOKS = 3


class Process:
    """One library in a process of its own; use it in a `with` block."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._process = subprocess.Popen(
            command(["nnfast.benchmark.worker", name, str(threads)], threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(threads),
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()  # closes its standard input, at which it ends

    def ask(self, what: str, **details: Any) -> Any:
        """The answer to a question.

        Raises:
            NnfastError: what went wrong there.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps({"ask": what, **details}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise NnfastError(f"nnfast bench: the process of {self.name} ended at {what} {details or ''}")
        answer = json.loads(line)
        if "error" in answer:
            raise NnfastError(answer["error"])
        return answer["answer"]

    def wait_until_quiet(self) -> None:
        """Return when no thread of the process runs any more: pools spin for a while after their work."""
        folder = Path(f"/proc/{self._process.pid}/task")
        if not folder.is_dir():
            time.sleep(BLIND_PAUSE_SECONDS)
            return
        end, quiet = time.perf_counter() + LONGEST_PAUSE_SECONDS, 0
        while quiet < QUIET_LOOKS and time.perf_counter() < end:
            quiet = 0 if any(_runs(thread) for thread in folder.iterdir()) else quiet + 1
            time.sleep(LOOK_SECONDS)


def _runs(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except OSError:  # it ended meanwhile
        return False


def environment(threads: int) -> dict[str, str]:
    """The environment of every library's process: so many threads, and nothing that slows one side."""
    kept = {name: value for name, value in os.environ.items() if name not in HOLD_BACK}
    return kept | dict.fromkeys(COUNTS, str(threads)) | {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}


def command(module: list[str], threads: int) -> list[str]:
    """The command of a process; on fewer threads than cores it may only run on so many cores: some libraries know no other limit."""
    if threads >= available_cores() or not hasattr(os, "sched_setaffinity"):
        return [sys.executable, "-m", *module]
    bound = f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{threads}])"
    start = f"import runpy, sys; sys.argv = {module!r}; runpy.run_module({module[0]!r}, run_name='__main__')"
    return [sys.executable, "-c", f"{bound}; {start}"]
