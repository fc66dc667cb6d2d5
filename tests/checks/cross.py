"""The program replay.c for another processor: python -m checks.cross COMPILER FOLDER LEVEL...; the result is FOLDER/replay. Levels are those
that need no flags of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wno-unused-function"]


def compile_program(compiler, folder, levels):
    jobs, objects = [], []
    for level in levels:
        for real in (32, 64):
            objects.append(folder / f"{level}{real}.o")
            jobs.append([f"-DNNF_REAL={real}", "-c", f"csrc/isa/{level}.c", "-o", objects[-1]])
    running = []
    for job in jobs:
        if len(running) >= (os.cpu_count() or 1):
            assert running.pop(0).wait() == 0
        running.append(subprocess.Popen([compiler, *FLAGS, *job], cwd=ROOT))
    for process in running:
        assert process.wait() == 0
    sources = ["tests/checks/replay.c", "csrc/dispatch.c"]
    command = [compiler, *FLAGS, "-Icsrc", *sources, *objects, "-static", "-o", folder / "replay", "-lm"]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    compile_program(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
