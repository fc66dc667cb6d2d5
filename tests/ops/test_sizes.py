"""Sizes at the edges of lanes and blocks, with the memory around every output watched: sentinels in this process, forbidden pages
around inputs and outputs in another. The products have, bit by bit, the sums that the numeric contract says."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import ops, products
from checks.guarded import Between

from nnfast._core import runtime
from nnfast.ops.registry import OPS
from nnfast.plan import eager

LEVEL = pytest.mark.parametrize("level", ops.LEVELS)
DTYPE = pytest.mark.parametrize("dtype", ops.DTYPES)
ELEMENTWISE = [name for name, op in OPS.items() if op.function is not None]
ROWS = ["softmax", "log_softmax", "softmax_gradient", "log_softmax_gradient", "sum", "mean", "max", "argmin"]
LARGE = 70_001


def edges(dtype, level):
    lanes = runtime.lanes(dtype, level)
    return sorted({0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 63, 64, 65, 255, 256, 257, 513})


def watched(op, arrays, attributes, level, threads=1):
    """Run with outputs (and, for updates, inputs) between sentinels, off a cache line; returns the outputs."""
    given = [Between.holding(array, array.itemsize) for array in arrays]
    plan = eager._make(op, [g.array for g in given], attributes, level, threads)
    out = [Between(value.shape, value.dtype, np.dtype(value.dtype).itemsize) for value in plan.graph.outputs]
    plan.call([g.array for g in given], [o.array for o in out])
    for block in (*given, *out):
        assert block.intact(), f"{ops.describe(op, arrays, attributes)}: wrote beside its memory on {level}"
    return [o.array for o in out]


@LEVEL
@DTYPE
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, dtype, level):
    """The first n results are those of a longer array, for every n at an edge."""
    op = OPS[name]
    longest, attributes = max(ops.samples(op, dtype), key=lambda sample: min(a.size for a in sample[0]))
    arrays = [np.resize(array, 600) for array in longest]
    [whole] = watched(op, arrays, attributes, level)
    for n in edges(dtype, level):
        [part] = watched(op, [array[:n] for array in arrays], attributes, level)
        assert ops.same_bits(part, whole[:n]), f"{name}: other bits for the first {n} elements"


@LEVEL
@DTYPE
@pytest.mark.parametrize("name", ROWS)
def test_rows(name, dtype, level):
    """Rows of every length at an edge, and the one beyond a chunk of 8192, against the reference."""
    op = OPS[name]
    rng = np.random.default_rng(3)
    for n in [*edges(dtype, level), 8191, 8192, 8193]:
        if n == 0 and op.kind == "row":
            continue
        if n == 0 and name in ("max", "argmin", "mean"):  # NumPy refuses or warns; csrc/kernels/reduce.h has the rule
            continue
        arrays = [rng.standard_normal((3, n)).astype(dtype)]
        if len(op.inputs) == 2:
            arrays.append(OPS[name.removesuffix("_gradient")].reference(rng.standard_normal((3, n)).astype(dtype)))
        attributes = {"start": 1, "stop": 2} if op.kind == "reduction" else {}
        ops.check_reference(
            op, arrays, attributes, compute=lambda o, a, t, level=level, threads=1: watched(o, a, t, level)
        )


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not op.view])
def test_samples_between_sentinels(name):
    """Every op on its own samples writes its outputs and nothing else, divided over threads too."""
    op = OPS[name]
    with ops.everything_divided():
        for dtype in ops.DTYPES:
            for arrays, attributes in ops.samples(op, dtype):
                watched(op, arrays, attributes, None, threads=2)


@pytest.mark.parametrize("name", ["tanh", "add", "where", "sum", "softmax", "update_adam", "dropout", "transpose"])
def test_large(name):
    """Large arrays, divided over threads: the reference, and the same bits."""
    op = OPS[name]
    rng = np.random.default_rng(0)
    arrays, attributes = ops.samples(op, "float32")[-1]
    if name == "transpose":
        arrays, attributes = [rng.standard_normal((513, 137)).astype(np.float32)], {"axes": (1, 0)}
    elif name == "softmax":
        arrays = [rng.standard_normal((513, 137)).astype(np.float32)]
    elif name == "sum":
        arrays, attributes = [rng.standard_normal((257, 273)).astype(np.float32)], {"start": 0, "stop": 1}
    else:
        arrays = [a if a.dtype != np.float32 else np.resize(rng.random(997).astype(np.float32), LARGE) for a in arrays]
    with ops.everything_divided():
        ops.check_reference(op, arrays, attributes)
        ops.check_bits(op, arrays, attributes)


@LEVEL
@pytest.mark.parametrize("form", products.FORMS)
def test_products_are_the_contract(form, level):
    """float32, bit by bit: one chain of fused multiply-adds per element in ascending order, in chunks of 512."""
    for sizes in (*products.SIZES, *products.LONG[form]):
        wanted = products.oracle(form, sizes, "float32")
        for threads in (1, 2, 3) if level != "scalar" else (1,):
            found, _ = products.run(form, sizes, "float32", level, threads)
            assert found.tobytes() == wanted.tobytes(), f"{form} {sizes} on {level}, {threads} threads"


@LEVEL
@pytest.mark.parametrize("form", products.FORMS)
def test_products_are_the_contract_in_float64(form, level):
    for sizes in ((2, 3, 5), (1, 17, 4), *[tuple(min(s, 3) if s < 500 else 530 for s in products.LONG[form][2])]):
        found, _ = products.run(form, sizes, "float64", level)
        assert found.tobytes() == products.oracle(form, sizes, "float64").tobytes(), f"{form} {sizes} on {level}"


@DTYPE
@pytest.mark.parametrize("form", products.FORMS)
def test_products_have_equal_bits(form, dtype):
    """Levels, threads, row strides and the layout of the result change nothing, in float64 too."""
    for sizes in (*products.SIZES, *products.LONG[form][2:], (130, 70, 90), (40, 600, 530)):
        wanted, _ = products.run(form, sizes, dtype, ops.LEVELS[-1])
        for level in ops.LEVELS:
            for threads in (1, 2, 3) if level != "scalar" else (1,):
                found, _ = products.run(form, sizes, dtype, level, threads)
                assert found.tobytes() == wanted.tobytes(), f"{form} {sizes} on {level}, {threads} threads"
            found, memory = products.run(form, sizes, dtype, level, gap=3, panel=False)
            assert found.tobytes() == wanted.tobytes(), f"{form} {sizes} on {level}, rows apart"
            if form != "linear_weight_gradient":
                assert np.isnan(memory).sum() == max(len(found) - 1, 0) * 3, f"{form} {sizes} wrote between the rows"


@LEVEL
def test_products_of_special_values(level):
    """An infinity or NaN reaches its own row or column of the result, and no other."""
    x, w = np.ones((5, 9), np.float32), np.ones((9, 35), np.float32)
    x[3, 4], w[2, 33] = np.nan, np.inf
    [y] = eager.run_op(OPS["matmul"], [x, w], {"transpose_a": False, "transpose_b": False}, level=level)
    assert np.isnan(y[3]).all() and np.isinf(y[[0, 1, 2, 4], 33]).all()
    assert (np.delete(np.delete(y, 3, 0), 33, 1) == 9).all()


@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
def test_nothing_is_touched_outside():
    """Every op and product with each tensor against a page that may not be read or written; a touch ends the other process."""
    folder = Path(__file__).parent.parent
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONFAULTHANDLER": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from checks.guarded import main; main(sys.argv[1:])", *ops.LEVELS],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.endswith("done\n"), (
        f"last: {done.stdout.strip().splitlines()[-1:]}; {done.stderr[-2000:]}"
    )
