"""Scripts that run in a process of their own, with a time limit: what they do to threads, signals or memory stays there."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent


def run_script(script, timeout=60, environment=None, **options):
    """The finished process; `checks` can be imported in the script. A script that hangs fails the test after `timeout` seconds."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), **(environment or {})}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script], env=environment, capture_output=True, text=True,
        timeout=timeout, check=False, **options,
    )  # fmt: skip


def output_of(script, timeout=60, **environment):
    """What the script prints, without the last line break; it has to succeed."""
    done = run_script(script, timeout, environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.rstrip("\n")
