"""`import nnfast` loads NumPy and nothing heavy, starts no thread, and reads no file outside the package."""

import json
import subprocess
import sys

CODE = """
import json, os, sys, sysconfig
import numpy, numpy.typing, pathlib
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
import nnfast
after = len(os.listdir("/proc/self/task")) if threads else 0
package = os.path.dirname(nnfast.__file__)
library = sysconfig.get_path("stdlib")
own = [name for name in opened if not os.path.abspath(name).startswith((package, library))]
print(json.dumps({"modules": sorted(sys.modules), "threads": [threads, after], "opened": own}))
"""
HEAVY = {"tqdm", "safetensors", "matplotlib", "sklearn", "pooch", "scipy", "pandas", "torch", "hashlib", "tempfile"}


def facts():
    command = [sys.executable, "-W", "error", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_is_light():
    found = facts()
    assert not HEAVY & {name.split(".")[0] for name in found["modules"]}
    assert found["threads"][0] == found["threads"][1]
    assert found["opened"] == []
