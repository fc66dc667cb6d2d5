"""Every public function with hostile arguments: it computes, or it raises an error that names the argument or the call. Never a crash, a
hang, a copy of gigabytes. NNFAST_TEST_HOSTILE sets the number of calls of each function, and NNFAST_TEST_SEED what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checks import hostile

CALLS = int(os.environ.get("NNFAST_TEST_HOSTILE", "10"))
SEED = int(os.environ.get("NNFAST_TEST_SEED", "0"))
TOGETHER = 60  # functions of a process
FIRST = range(0, len(hostile.functions()), TOGETHER)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of memory and time are those of POSIX")


@pytest.mark.parametrize("first", FIRST)
def test_hostile_arguments(first):
    command = [sys.executable, "-m", "checks.hostile", *map(str, (first, first + TOGETHER, CALLS, SEED))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NNFAST_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {lines[-1:]}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    ended = [line[1:] for line in lines if line[0] == "end"]
    assert len(ended) > CALLS
    problems = [f"{found[0]}({', '.join(found[1])}): {wrong}" for found in ended if (wrong := hostile.problem(*found))]
    assert not problems, f"{len(problems)} of {len(ended)} calls\n" + "\n".join(problems[:20])


def test_problems_are_seen():
    used = ["x=array"], ["x", "x_min"]
    assert hostile.problem("nnfast.ops.clip", *used, "ok") is None
    assert hostile.problem("nnfast.ops.clip", *used, "TypeError", "clip(x=None): not a number") is None
    assert hostile.problem("nnfast.ops.clip", *used, "TypeError", "float() argument must be a string")
    assert hostile.problem("nnfast.ops.clip", *used, "AttributeError", "x has no attribute shape")
    assert hostile.problem("nnfast.ops.clip", *used, "MemoryError", "clip: x")
    assert hostile.problem("nnfast.ops.clip", *used, "too long")
