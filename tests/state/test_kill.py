"""kill -9 at any moment, the script started again, on another number of threads and another SIMD level: the same bits in the end."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checks.ops import LEVELS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
TESTS = Path(__file__).parent.parent
LONG = 1000.0  # seconds: not killed


def start(folder, seconds, level, threads):
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment |= {"NNFAST_ISA": level, "NNFAST_NUM_THREADS": str(threads)}
    command = [sys.executable, "-W", "error", "-m", "checks.resumable", str(folder), str(seconds)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("seed", range(2))
def test_killed_until_it_is_done(seed, tmp_path):
    """The script trains for half a second or so; each start lives for a random part of that."""
    folders = tmp_path / "through", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    through = start(folders[0], LONG, LEVELS[-1], 1)
    assert through.returncode == 0, through.stderr
    wanted = json.loads(through.stdout)
    assert wanted["calls"] == 60 * (2 + 2 * 7)
    rng = random.Random(seed)
    kills = 0
    for attempt in range(40):
        seconds = rng.uniform(0.02, 0.2) if attempt < 30 else LONG
        done = start(folders[1], seconds, LEVELS[attempt % len(LEVELS)], 1 + attempt % 3)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
    assert kills >= 2
    assert json.loads(done.stdout) == wanted
