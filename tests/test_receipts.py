"""Training receipts of every activation, optimizer and loss, in float32 and float64: equal on any number of threads, on every level, with
passes on or off, stopped at any step and resumed. golden/receipts.json has them, after one epoch and after two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checks import kinds, models, ops

import nnfast
from nnfast import passes

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "golden" / "receipts.json"
KEEPS_BITS = [name for name in passes.names() if name != "stable_losses"]
KIND = pytest.mark.parametrize("name", kinds.names())
THREADS = (1, 2, 3, 5, 8)


def golden():
    return json.loads(GOLDEN.read_text())


def process(level, epochs):
    """The receipts that a process on this level makes."""
    environment = {**os.environ, "NNFAST_ISA": level, "PYTHONPATH": f"{FOLDER}{os.pathsep}{FOLDER.parent}"}
    command = [sys.executable, "-m", "checks.kinds", str(epochs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["level"] == level
    return answer["receipts"]


def test_golden(update_golden):
    """A change of bits is a change of the contract: pytest --update-golden writes them anew, and CHANGELOG.md says so."""
    found = {
        f"{epochs} epochs": {f"{n} {d}": kinds.receipt(n, d, epochs=epochs) for n in kinds.names() for d in ops.DTYPES}
        for epochs in (1, 2)
    }
    if update_golden:
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == golden()
    # tanh, Adam and the mean squared error are one training under three names; the others differ
    assert len(set(found["2 epochs"].values())) > 0.8 * len(found["2 epochs"])


@pytest.mark.parametrize("level", ops.LEVELS)
def test_levels(level):
    epochs = 1 if level == "scalar" else 2  # short: it computes each product by a call
    assert process(level, epochs) == golden()[f"{epochs} epochs"]


@KIND
def test_threads(name):
    with ops.everything_divided():
        for dtype in ops.DTYPES:
            for threads in THREADS:
                with nnfast.num_threads(threads):
                    assert kinds.receipt(name, dtype, epochs=1) == golden()["1 epochs"][f"{name} {dtype}"], threads


@KIND
def test_fused_or_not(name):
    for dtype in ops.DTYPES:
        assert kinds.receipt(name, dtype, without=KEEPS_BITS, epochs=1) == golden()["1 epochs"][f"{name} {dtype}"]


@pytest.mark.parametrize("dtype", ops.DTYPES)
@pytest.mark.parametrize("name", [name for name in kinds.names() if name.startswith("optimizer")])
def test_stopped_at_any_step(name, dtype, tmp_path):
    """Each step of two epochs ends the process's part: what is saved there goes on to the same receipt on another number of threads."""
    model, x, y = kinds.make(name, dtype)
    batches = []
    for epoch in range(2):
        order = nnfast.data.permutation(len(x), model.state.seed, epoch)
        batches += [order[start : start + 16] for start in range(0, len(x), 16)]
    for stop in range(len(batches) + 1):
        model, _, _ = kinds.make(name, dtype)
        for rows in batches[:stop]:
            model.train_on_batch(x[rows], y[rows])
        model.save(tmp_path / "model.nnf")
        model = nnfast.load_model(tmp_path / "model.nnf")
        with nnfast.num_threads(1 + stop % 3):
            for rows in batches[stop:]:
                model.train_on_batch(x[rows], y[rows])
        assert models.fingerprint(model) == golden()["2 epochs"][f"{name} {dtype}"], f"stopped after {stop} steps"
