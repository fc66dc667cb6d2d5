"""Every kernel's bits: golden hashes, and the same steps replayed with kernels that are compiled for another processor.

golden/kernels.json has a hash for each op and type, of its outputs on all its samples, and of each training. aarch64 (levels scalar and neon)
is cross-compiled and run in an emulator, where both tools are there.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
from checks import beside, models, ops, replay

from nnfast._core import runtime

GOLDEN = Path(__file__).parent / "golden" / "kernels.json"
CROSS = Path(__file__).parent / "checks" / "cross.py"
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
NO_RESULT = "limit_"  # the kernels of csrc/kernels/limits.h measure the machine


@pytest.fixture(scope="module")
def recordings():
    found = [r for dtype in ops.DTYPES for op in ops.compiled() for r in replay.of_op(op, dtype)]
    found += [r for dtype in ops.DTYPES for r in replay.of_the_rest(dtype)]
    found += [r for dtype in ops.DTYPES for name in models.MODELS for r in replay.of_training(name, dtype)]
    return found


def hashes(recordings, results):
    """A hash for each name, of the results of its recordings in order."""
    arrays = {}
    for recording, result in zip(recordings, results, strict=True):
        arrays.setdefault(recording.name, []).extend(result)
    return {name: replay.digest(parts) for name, parts in arrays.items()}


def wanted(recordings):
    return hashes(recordings, [[array for _, _, array in recording.wanted] for recording in recordings])


def test_every_kernel_is_recorded(recordings):
    covered = {name for recording in recordings for name in recording.names()}
    for dtype in ops.DTYPES:
        names = {*runtime.kernels(dtype), *runtime.functions(dtype)}
        missing = {name for name in names if (name, dtype) not in covered and not name.startswith(NO_RESULT)}
        if dtype == "float64":
            missing -= {
                "sort_ids",
                "ctc_collapse",
                "edit_distance",
            }  # of integers: plans take those in the table of float32
        assert not missing, dtype


def test_golden_hashes(recordings, update_golden):
    """A change of bits is a change of the contract: pytest --update-golden writes them anew, and CHANGELOG.md says so."""
    found = wanted(recordings)
    if update_golden:
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    golden = json.loads(GOLDEN.read_text())
    changed = sorted(name for name in {*found, *golden} if found.get(name) != golden.get(name))
    assert not changed, f"not as in {GOLDEN.name}: {', '.join(changed)}"


def missing_tools():
    return [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]


def compiling(folder):
    return None if missing_tools() else [sys.executable, CROSS, COMPILER, folder, "scalar", "neon"]


AARCH64 = beside.Program(compiling)


@pytest.fixture(scope="module")
def aarch64():
    """The command that runs the program."""
    if missing_tools():
        pytest.skip(f"aarch64 is not checked: {' and '.join(missing_tools())} not installed")
    return [EMULATOR, AARCH64.result()[0] / "replay"]


@pytest.mark.parametrize("level", ["scalar", "neon"])
def test_aarch64(level, aarch64, recordings, tmp_path):
    found = hashes(recordings, replay.replayed(aarch64, level, recordings, tmp_path))
    golden = json.loads(GOLDEN.read_text())
    changed = sorted(name for name in found if found[name] != golden.get(name))
    assert not changed, f"level {level} of aarch64 has other bits: {', '.join(changed)}"


def test_a_wrong_result_is_noticed(recordings):
    """One bit of one result, and a NaN in place of a number."""
    chosen = next(r for r in recordings if r.name == "exp float32" and r.wanted[0][2].size > 8)
    array = chosen.wanted[0][2].copy()
    array.view("int32")[3] ^= 1
    assert replay.digest([array]) != replay.digest([chosen.wanted[0][2]])
