"""The same bits: SHA-256 of all weights and optimizer state after a training, for any number of threads, every SIMD level, passes on and
off, batch by batch or whole epochs; row i of a prediction in any batch. The hashes in golden/weights.json hold on every machine."""

import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import models, ops

import nnfast
from nnfast import passes

GOLDEN = Path(__file__).parent / "golden" / "weights.json"
MODEL = pytest.mark.parametrize("name", models.MODELS)
DTYPE = pytest.mark.parametrize("dtype", ops.DTYPES)
KEEPS_BITS = [name for name in passes.names() if name != "stable_losses"]


def golden():
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def trained(name, dtype="float32", **options):
    return models.fingerprint(models.train(name, dtype=dtype, **options))


@DTYPE
@MODEL
def test_golden_hashes(name, dtype, update_golden):
    """A change of bits is a change of the contract: pytest --update-golden writes them anew, and CHANGELOG.md says so."""
    found = trained(name, dtype)
    if update_golden:
        GOLDEN.write_text(json.dumps(golden() | {f"{name} {dtype}": found}, indent=2, sort_keys=True) + "\n")
    assert golden().get(f"{name} {dtype}") == found


@DTYPE
@MODEL
def test_threads(name, dtype):
    """Every step divided, however small, among 1, 2, 3, 5 and 8 threads."""
    hashes = {}
    with ops.everything_divided():
        for threads in (1, 2, 3, 5, 8):
            with nnfast.num_threads(threads):
                hashes[threads] = trained(name, dtype, epochs=1)
                step = models.train_step(name, dtype=dtype)[2]
                assert step.plan.threads == threads
    assert len(set(hashes.values())) == 1, hashes


LEVEL_SCRIPT = """
import json, sys
from nnfast._core import runtime
from checks import models
found = {f"{name} {dtype}": models.fingerprint(models.train(name, dtype=dtype)) for name in models.MODELS for dtype in ("float32", "float64")}
json.dump({"level": runtime.level(), "hashes": found}, sys.stdout)
"""


@pytest.mark.parametrize("level", ops.LEVELS)
def test_levels(level):
    """A process per level, forced by NNFAST_ISA, trains to the committed hashes."""
    folder = Path(__file__).parent
    environment = {**os.environ, "NNFAST_ISA": level, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", LEVEL_SCRIPT], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["level"] == level
    assert answer["hashes"] == golden()


@MODEL
def test_fused_or_not(name):
    """Each pass switched off alone, and all of them."""
    wanted = trained(name)
    for without in (*[[one] for one in KEEPS_BITS], KEEPS_BITS):
        assert trained(name, without=without) == wanted, without


@MODEL
def test_batch_by_batch_or_whole_epochs(name):
    """`fit` in one call, with a callback that looks at each batch, and by train_on_batch."""
    wanted = trained(name, epochs=1)
    model, data, batch = models.MODELS[name]()
    x, y, weight = models.parts(model, data)
    seen = []
    watcher = nnfast.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=1, verbose=0, callbacks=[watcher])
    assert seen and models.fingerprint(model) == wanted
    model, data, batch = models.MODELS[name]()
    order = nnfast.data.permutation(len(data[0]), model.state.seed, 0)
    for start in range(0, len(order), batch):
        rows = [array[order[start : start + batch]] for array in data]
        x, y, weight = models.parts(model, rows)
        model.train_on_batch(x, y, sample_weight=weight)
    assert models.fingerprint(model) == wanted


@MODEL
def test_repeated(name):
    """The same process, the same seed, the same bits; another seed, others."""
    assert trained(name, epochs=1) == trained(name, epochs=1)
    model, data, batch = models.MODELS[name]()
    model.state.counters.storage[3] += 1
    x, y, weight = models.parts(model, data)
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=1, verbose=0)
    assert models.fingerprint(model) != trained(name, epochs=1)


@pytest.mark.parametrize(
    "name", ["classifier", "two_inputs"]
)  # the loss of the other is a local function, not to be saved
def test_stop_and_resume(name, tmp_path):
    """Saved in the middle, loaded, and trained on with another number of threads."""
    wanted = trained(name, epochs=2)
    first = models.train(name, epochs=1)
    first.save(tmp_path / "model.nnf")
    model = nnfast.load_model(tmp_path / "model.nnf")
    _, data, batch = models.MODELS[name]()
    x, y, weight = models.parts(model, data)
    with nnfast.num_threads(3), ops.everything_divided():
        model.fit(x, y, sample_weight=weight, batch_size=batch, initial_epoch=1, epochs=2, verbose=0)
    assert models.fingerprint(model) == wanted


@DTYPE
@MODEL
def test_rows_of_a_prediction(name, dtype):
    """Row i alone, and in batches of every size from 1 to 257."""
    rows = 257
    model, data, _ = models.MODELS[name](dtype)
    x = [np.resize(array, (rows, *array.shape[1:])) for array in data[: len(model.inputs)]]
    x = [
        array + np.linspace(0, 1, rows).astype(dtype).reshape(-1, *[1] * (array.ndim - 1)) for array in x
    ]  # no row twice
    wanted = [np.concatenate(parts) for parts in zip(*[_one(model, x, i) for i in range(rows)], strict=True)]
    assert len(np.unique(wanted[0], axis=0)) == rows
    for size in range(1, rows + 1):
        with nnfast.num_threads(1 + size % 3):
            found = model.predict(x if len(x) > 1 else x[0], batch_size=size, verbose=0)
        for result, expected in zip(found if isinstance(found, list) else [found], wanted, strict=True):
            assert result.tobytes() == expected.tobytes(), f"batches of {size}"


def _one(model, x, i):
    rows = [array[i : i + 1] for array in x]
    found = model.predict_on_batch(rows if len(rows) > 1 else rows[0])
    return found if isinstance(found, list) else [found]


def test_rows_of_a_large_product():
    """Batches on both sides of each border at which the product kernel changes its way, sums longer than a chunk."""
    model = nnfast.Sequential(
        [nnfast.Input((700,)), nnfast.layers.Dense(90, activation="relu"), nnfast.layers.Dense(40)]
    )
    x = np.random.default_rng(0).standard_normal((150, 700)).astype(np.float32)
    wanted = np.concatenate([model.predict_on_batch(x[i : i + 1]) for i in range(150)])
    for size in (2, 3, 5, 6, 7, 13, 14, 15, 28, 63, 64, 65, 128, 150):
        for threads in (1, 2, 3):
            with nnfast.num_threads(threads):
                assert model.predict(x, batch_size=size, verbose=0).tobytes() == wanted.tobytes(), (size, threads)


def test_rows_of_products_with_computed_matrices():
    """A matrix that is no weight is packed, or not, as the number of rows advises."""

    class Squared(nnfast.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight("kernel", (input_shape[-1], 21), layout="row")

        def call(self, inputs):
            return inputs @ (self.kernel * self.kernel) + inputs @ nnfast.ops.tanh(self.kernel)

    model = nnfast.Sequential([nnfast.Input((600,)), Squared()])
    x = np.random.default_rng(0).standard_normal((40, 600)).astype(np.float32)
    wanted = np.concatenate([model.predict_on_batch(x[i : i + 1]) for i in range(40)])
    for size in (2, 7, 8, 9, 16, 40):
        assert model.predict(x, batch_size=size, verbose=0).tobytes() == wanted.tobytes(), size


class FloatState(ctypes.Structure):
    """fenv_t of glibc on x86."""

    _fields_ = (("other", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


FLUSH = 0x8040  # flush to zero, denormals are zero


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="writes the MXCSR register"
)
def test_denormals_are_kept_whatever_the_caller_did():
    """Other libraries switch denormals off for a thread; results do not change."""
    x = np.full(1000, 1e-40, np.float32)
    half = np.full(1000, 0.5, np.float32)
    wanted = nnfast.ops.multiply(x, half)
    assert wanted.all()
    libm, state = ctypes.CDLL("libm.so.6"), FloatState()
    libm.fegetenv(ctypes.byref(state))
    before = state.mxcsr
    try:
        state.mxcsr = before | FLUSH
        libm.fesetenv(ctypes.byref(state))
        found = nnfast.ops.multiply(x, half)
        libm.fegetenv(ctypes.byref(state))
        assert state.mxcsr & FLUSH == FLUSH  # the caller's setting is given back
    finally:
        state.mxcsr = before
        libm.fesetenv(ctypes.byref(state))
    assert found.tobytes() == wanted.tobytes()
