"""Generated from the registry: every op, level and floating type agrees with its NumPy reference within the tolerance that it states,
has the same bits on every level and number of threads, reads operands in any memory, and changes none."""

import numpy as np
import pytest
from checks import ops

from nnfast.ops._elementwise import SPECIAL, SPECIAL_EXTREME
from nnfast.ops.registry import OPS
from nnfast.plan import eager

EVERY_OP = pytest.mark.parametrize("name", OPS)
DTYPE = pytest.mark.parametrize("dtype", ops.DTYPES)
LEVEL = pytest.mark.parametrize("level", ops.LEVELS)
ELEMENTWISE = [name for name, op in OPS.items() if op.function is not None]


@LEVEL
@DTYPE
@EVERY_OP
def test_reference(name, dtype, level):
    op = OPS[name]
    for arrays, attributes in ops.samples(op, dtype):
        ops.check_reference(op, arrays, attributes, level)


@DTYPE
@EVERY_OP
def test_bits_over_levels_and_threads(name, dtype):
    op = OPS[name]
    with ops.everything_divided():
        for arrays, attributes in ops.samples(op, dtype):
            ops.check_bits(op, arrays, attributes)


@DTYPE
@EVERY_OP
def test_any_memory_and_inputs_stay(name, dtype):
    op = OPS[name]
    for arrays, attributes in ops.samples(op, dtype):
        ops.check_inputs_stay(op, arrays, attributes)
        ops.check_any_memory(op, arrays, attributes)


VALUES = (*SPECIAL_EXTREME, *SPECIAL, 1.5)


def has_rules_for_special_values(op):
    return any(np.isnan(a).any() for arrays, _ in ops.samples(op, "float32") for a in arrays)


@DTYPE
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_special_values(name, dtype):
    """All combinations of zeros of both signs, infinities, NaN, denormals and huge numbers, as the reference has them. Ops that
    promise values only for ordinary operands still let NaN through as the reference does."""
    op = OPS[name]
    grid = np.meshgrid(*[np.array(VALUES, dtype)] * len(op.inputs))
    arrays = [axis.ravel() for axis in grid]
    attributes = ops.samples(op, dtype)[0][1]
    if has_rules_for_special_values(op):
        ops.check_reference(op, arrays, attributes)
        return
    [found], [expected] = eager.run_op(op, arrays, attributes), ops.reference_of(op, arrays, attributes)
    given = np.any([np.isnan(array) for array in arrays], axis=0)
    assert np.array_equal(np.isnan(found[given]), np.isnan(expected[given]))


@DTYPE
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalars(name, dtype):
    """Operands without axes."""
    op = OPS[name]
    arrays, attributes = next(s for s in ops.samples(op, dtype) if s[0][0].size == 7 and s[0][-1].size == 7)
    ops.check_reference(op, [array[3].reshape(()) for array in arrays], attributes)


@LEVEL
@DTYPE
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_special_values_in_every_lane(name, dtype, level):
    """A special value has the same result in every lane of a vector and in the tail, and leaves its neighbours alone."""
    op = OPS[name]
    values = np.array(VALUES, dtype)
    columns = [np.resize(values, 89), np.resize(np.roll(values, 5), 89), np.resize(values[::-1], 89)]
    ops.check_places(op, columns[: len(op.inputs)], ops.samples(op, dtype)[0][1], level)


def test_samples_hold_what_matters():
    """The generated tests are as good as the samples: empty and odd sizes, and special values wherever an op has rules for them."""
    for name in ELEMENTWISE:
        found = ops.samples(OPS[name], "float32")
        sizes = {arrays[0].size for arrays, _ in found}
        assert {0, 1, 15, 16, 17, 255, 257} <= sizes, name
    special = [name for name in ELEMENTWISE if has_rules_for_special_values(OPS[name])]
    assert len(special) > 40
    for name, op in OPS.items():
        assert ops.samples(op, "float64"), name


def test_threads_really_divide():
    """In these tests a step of a few elements is divided; else the bits over threads would show nothing."""
    with ops.everything_divided():
        plan = eager._make(OPS["tanh"], [np.zeros(1025, np.float32)], {}, None, 3)
        assert [step.threads for step in plan.steps] == [3]
    plan = eager._make(OPS["tanh"], [np.zeros(1025, np.float32)], {}, None, 3)
    assert [step.threads for step in plan.steps] == [1]


def test_the_mask_of_dropout_is_that_of_its_gradient():
    op = OPS["dropout"]
    x, counters = np.ones(1000, np.float32), np.zeros(8, np.int64)
    y = eager.run_op(op, [x, counters], {"rate": 0.3, "stream": 5})[0]
    again = eager.run_op(op, [2 * x, counters], {"rate": 0.3, "stream": 5})[0]
    assert np.array_equal(y != 0, again != 0)
    assert 0.6 < (y != 0).mean() < 0.8
