"""What holds for every op of the registry, on every level and number of threads. `compute` is nnfast.plan.eager.run_op, or in
test_tests.py a function that makes a mistake."""

import zlib
from contextlib import contextmanager

import numpy as np

import nnfast.ops  # noqa: F401  (fills the registry)
from nnfast._core import runtime
from nnfast._core.executor import set_wake_from
from nnfast.ops.registry import OPS
from nnfast.ops.tolerance import worst_error
from nnfast.plan import eager, threads

LEVELS = [level["name"] for level in runtime.levels() if level["available"]]
DTYPES = ("float32", "float64")


def compiled():
    """All ops but those that only ever show another op's memory."""
    return [op for op in OPS.values() if not op.view]


def samples(op, dtype):
    """The op's own samples, the same in each run."""
    return list(op.samples(np.random.default_rng(zlib.crc32(op.name.encode())), dtype))


@contextmanager
def everything_divided():
    """However small a step or a run is, all threads get a share of it, of a convolution several."""
    limits, part_ns = threads.DIVIDE_FROM_NS, threads.PART_NS
    eager.forget_plans()
    threads.DIVIDE_FROM_NS, threads.PART_NS = dict.fromkeys(limits, 0.0), 1.0
    wake_from = set_wake_from(0)
    try:
        yield
    finally:
        threads.DIVIDE_FROM_NS, threads.PART_NS = limits, part_ns
        set_wake_from(wake_from)
        eager.forget_plans()


def reference_of(op, arrays, attributes):
    with np.errstate(all="ignore"):
        found = op.reference(*arrays, **attributes)
    return [np.asarray(part) for part in (found if isinstance(found, tuple) else (found,))]


def same_bits(a, b):
    """Equal bit by bit; any NaN equals any other."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return a.tobytes() == b.tobytes()
    nan = np.isnan(a)
    if not np.array_equal(nan, np.isnan(b)):
        return False
    return np.where(nan, a.dtype.type(0), a).tobytes() == np.where(nan, b.dtype.type(0), b).tobytes()


def describe(op, arrays, attributes):
    return f"{op.name} on {[f'{a.dtype}{list(a.shape)}' for a in arrays]}, {attributes}"


def check_reference(op, arrays, attributes, level=None, compute=eager.run_op):
    """Within the tolerance that the op states."""
    found = compute(op, arrays, attributes, level=level, threads=1)
    expected = reference_of(op, arrays, attributes)
    assert len(found) == len(expected), describe(op, arrays, attributes)
    for i, (result, wanted) in enumerate(zip(found, expected, strict=True)):
        error = worst_error(op, arrays, result, wanted)
        assert error <= 1, f"{describe(op, arrays, attributes)}: output {i} is {error:.3g} times the allowed error off"


def check_bits(op, arrays, attributes, levels=LEVELS, counts=(1, 2, 3), compute=eager.run_op):
    """The same bits on every level and number of threads. The scalar level runs on one."""
    wanted = compute(op, arrays, attributes, level=levels[-1], threads=1)
    for level in levels:
        for count in counts if level != "scalar" else (1,):
            found = compute(op, arrays, attributes, level=level, threads=count)
            for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
                where = f"{describe(op, arrays, attributes)}: output {i} on {level}, {count} threads"
                assert same_bits(a, b), f"{where} differs from {levels[-1]}, 1 thread"


def check_inputs_stay(op, arrays, attributes, compute=eager.run_op):
    """Inputs are only read."""
    before = [array.tobytes() for array in arrays]
    compute(op, arrays, attributes)
    for i, (array, content) in enumerate(zip(arrays, before, strict=True)):
        assert array.tobytes() == content, f"{describe(op, arrays, attributes)}: input {i} was changed"


def check_any_memory(op, arrays, attributes, compute=eager.run_op):
    """Operands off a cache line, off their own alignment, or with strides: the same bits."""
    wanted = compute(op, arrays, attributes)
    for name, change in (("shifted", shifted), ("unaligned", unaligned), ("strided", strided), ("reversed", reversed_)):
        found = compute(op, [change(array) for array in arrays], attributes)
        for a, b in zip(found, wanted, strict=True):
            assert same_bits(a, b), f"{describe(op, arrays, attributes)}: other bits with {name} inputs"


def shifted(array):
    """The same array, one element off a 64-byte line."""
    return _in_bytes(array, array.itemsize)


def unaligned(array):
    """The same array, at an odd address."""
    return _in_bytes(array, 1)


def _in_bytes(array, shift):
    block = np.zeros(array.nbytes + 128, np.uint8)
    begin = -block.ctypes.data % 64 + shift
    made = block[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    made[...] = array
    return made


def strided(array):
    """The same array as every second element of a larger one, along each axis."""
    made = np.zeros([2 * extent for extent in array.shape], array.dtype)[(*[slice(None, None, 2)] * array.ndim, ...)]
    made[...] = array
    return made


def reversed_(array):
    """The same array with negative strides."""
    flip = (*[slice(None, None, -1)] * array.ndim, ...)
    return np.ascontiguousarray(array[flip]).reshape(array.shape)[flip]


def check_places(op, arrays, attributes, level=None, compute=eager.run_op):
    """Elementwise: an element's result does not depend on where in the array it stands, on a vector's lane or in a tail."""
    [whole] = compute(op, arrays, attributes, level=level, threads=1)
    lanes = runtime.lanes(str(whole.dtype), level)
    for start in (*range(1, lanes + 1), max(len(whole) - 2, 0), max(len(whole) - 1, 0)):
        [part] = compute(op, [array[start:].copy() for array in arrays], attributes, level=level, threads=1)
        assert same_bits(part, whole[start:]), f"{describe(op, arrays, attributes)}: other bits from element {start} on"


def check_between_pages(op, arrays, attributes, level, pages):
    """Inputs and outputs each end (or begin) where the process may not read or write."""
    from nnfast.plan.eager import _make

    given = [pages.holding(array) for array in arrays]
    plan = _make(op, given, attributes, level, 1)
    out = [pages.empty(value.shape, value.dtype) for value in plan.graph.outputs]
    plan.call(given, out)
    if op.kind != "update":
        for result, wanted in zip(out, reference_of(op, arrays, attributes), strict=True):
            assert worst_error(op, arrays, result, wanted) <= 1, describe(op, arrays, attributes)
