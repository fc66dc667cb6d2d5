"""The tests are tested: a gradient that is wrong by 0.05 %, one wrong lane, one wrong bit, a write beside an output, a memory plan or a
barrier with a fault, a pass that changes a number: each is caught by the very function with which the suite checks."""

import dataclasses

import numpy as np
import pytest
from checks import gradients, guarded, models, ops, plans, products
from checks.guarded import Between

from nnfast.errors import GraphError
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, OPS, TOLERANCES, define
from nnfast.plan import eager

FLOATING = [
    name for name, op in OPS.items()
    if not op.view and all(y.dtype.kind == "f" for y in ops.reference_of(op, *ops.samples(op, "float32")[-1]))
]  # fmt: skip
DIFFERENTIABLE = ["tanh", "multiply", "divide", "matmul", "softmax", "sum", "mean", "sparse_cross_entropy", "gelu", "slice", "concatenate",
                  "power", "erf_gradient", "dropout", "max", "transpose", "log_softmax_gradient"]  # fmt: skip


def largest(op, dtype="float32"):
    """The sample with the largest result that is not zero throughout."""

    def key(sample):
        result = ops.reference_of(op, *sample)[0]
        return bool(result.any()), result.size

    return max(ops.samples(op, dtype), key=key)


def mistaken(harm, output=0):
    """run_op, with one output harmed."""

    def compute(op, arrays, attributes, **options):
        found = eager.run_op(op, arrays, attributes, **options)
        found[output] = harm(found[output].copy(), **options)
        return found

    return compute


# Gradients
def scaled_gradient(op, place, factor):
    """The op with its rule's answer for one input multiplied."""

    def rule(node, *outputs):
        found = list(op.gradient(node, *outputs))
        found[place] = call("multiply", found[place], factor)
        return found

    return dataclasses.replace(op, gradient=rule)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_a_gradient_wrong_by_a_half_per_mille_is_caught(name):
    op = OPS[name]
    caught = 0
    samples = [s for s in ops.samples(op, "float64") if gradients.small(s)][:6]
    for arrays, attributes in samples:
        places = gradients.differentiable_inputs(op, arrays)
        gradients.check_gradient(op, arrays, attributes)
        for place in places:
            slopes, trusted = gradients.numeric(op, arrays, attributes, place)
            if not (np.abs(slopes[trusted]) > 0.01).any():
                continue
            for factor in (1.0005, 0.9995):
                with pytest.raises(AssertionError, match="central differences say"):
                    gradients.check_gradient(scaled_gradient(op, place, factor), arrays, attributes)
                caught += 1
    assert caught >= 2


def test_a_gradient_that_is_forgotten_is_caught():
    op = OPS["multiply"]
    arrays, attributes = ops.samples(op, "float64")[2]
    forgetful = dataclasses.replace(op, gradient=lambda node, dy: [op.gradient(node, dy)[0], None])
    with pytest.raises(AssertionError, match="input 'b'"):
        gradients.check_gradient(forgetful, arrays, attributes)
    for wrong in (lambda node, dy: [dy], lambda node, dy: [dy, dy, dy]):
        with pytest.raises(GraphError, match="its gradient rule gave"):
            gradients.check_gradient(dataclasses.replace(op, gradient=wrong), arrays, attributes)


def test_kinks_are_seen_as_such():
    """Near a kink differences cannot be trusted; beside it they are, however close."""
    op = OPS["relu"]
    x = np.array([1e-3, -1e-3, 2.0, 0.0])
    assert gradients.check_gradient(op, [x], {}) == (3, 4)
    with pytest.raises(AssertionError):
        gradients.check_gradient(dataclasses.replace(op, gradient=lambda node, dy: [dy]), [x], {})


# Values
def off(result, units, at):
    """One element moved by so many units of the type's rounding, relative to its size."""
    result.flat[at] += (
        units * np.finfo(result.dtype).eps * max(abs(float(result.flat[at])), float(np.finfo(result.dtype).tiny))
    )
    return result


@pytest.mark.parametrize("name", FLOATING)
def test_a_wrong_lane_is_caught(name):
    """The element of largest magnitude a little beyond the tolerance of its op; in the first lane, in the tail; a zero; a swap."""
    op = OPS[name]
    arrays, attributes = largest(op)
    ops.check_reference(op, arrays, attributes)
    wanted = ops.reference_of(op, arrays, attributes)[0]
    ordinary = np.where(np.isfinite(wanted) & (np.abs(wanted) < 1e30), np.abs(wanted), 0)
    at = int(np.argmax(ordinary))
    assert ordinary.flat[at] > 0, f"{name}: its samples have no finite result but zero"
    units = 2 * (TOLERANCES[op.tolerance] + 3)
    if op.tolerance in ("sum", "product", "update", "gradient"):  # relative to what goes in, which may be larger
        largest_of_all = max(
            float(np.abs(a[np.isfinite(a)]).max(initial=0)) for a in (*arrays, wanted) if a.dtype.kind == "f"
        )
        units *= 1 + largest_of_all / float(ordinary.flat[at])
    for harm in (
        lambda y, **_: off(y, units, at),
        lambda y, **_: off(y, -units, at),
        lambda y, **_: np.where(np.arange(y.size).reshape(y.shape) == at, np.nan, y).astype(y.dtype),
        lambda y, **_: y.astype(np.float64),
        lambda y, **_: y.reshape(-1)[:-1],
    ):
        with pytest.raises(AssertionError, match="times the allowed error"):
            ops.check_reference(op, arrays, attributes, compute=mistaken(harm))


@pytest.mark.parametrize("name", ["add", "tanh", "sum", "argmax", "where", "cast"])
def test_a_wrong_last_element_is_caught(name):
    """As of a tail that is computed by another way, or not at all."""
    op = OPS[name]
    arrays, attributes = ops.samples(op, "float32")[3]

    def untouched_tail(y, **_):
        y.flat[-1] = 77
        return y

    with pytest.raises(AssertionError):
        ops.check_reference(op, arrays, attributes, compute=mistaken(untouched_tail))


@pytest.mark.parametrize("name", FLOATING)
def test_one_bit_on_one_level_or_team_is_caught(name):
    """The last bit of one element, on one level, or with three threads."""
    op = OPS[name]
    arrays, attributes = largest(op)
    ops.check_bits(op, arrays, attributes, counts=(1, 3))

    def flip(y):
        flat = y.reshape(-1)
        at = int(np.flatnonzero(np.isfinite(flat))[0])
        flat[at] = np.nextafter(flat[at], flat.dtype.type(np.inf) if flat[at] <= 0 else flat.dtype.type(0))
        return y

    for harm in (
        lambda y, level, threads: flip(y) if level == ops.LEVELS[0] else y,
        lambda y, level, threads: flip(y) if threads == 3 else y,
    ):
        with pytest.raises(AssertionError, match="differs from"):
            ops.check_bits(op, arrays, attributes, counts=(1, 3), compute=mistaken(harm))


def test_bits_know_zeros_and_forgive_nan_payloads():
    assert not ops.same_bits(np.array([0.0]), np.array([-0.0]))
    assert not ops.same_bits(np.array([0.0]), np.array([0.0], np.float32))
    assert not ops.same_bits(np.array([1.0, np.nan]), np.array([np.nan, 1.0]))
    other = np.array([0x7FF8000000000001], np.int64).view(np.float64)
    assert np.isnan(other[0]) and ops.same_bits(np.array([np.nan]), other)


def test_a_changed_input_is_caught():
    def greedy(op, arrays, attributes, **_):
        found = eager.run_op(op, arrays, attributes)
        arrays[0].flat[0] += 1
        return found

    arrays, attributes = ops.samples(OPS["tanh"], "float32")[3]
    with pytest.raises(AssertionError, match="input 0 was changed"):
        ops.check_inputs_stay(OPS["tanh"], arrays, attributes, compute=greedy)


def test_a_kernel_that_cares_for_alignment_is_caught():
    def picky(op, arrays, attributes, **_):
        [y] = eager.run_op(op, arrays, attributes)
        return [y if arrays[0].flags.c_contiguous and arrays[0].ctypes.data % 4 == 0 else y + 1]

    arrays, attributes = ops.samples(OPS["tanh"], "float32")[3]
    with pytest.raises(AssertionError, match="unaligned"):
        ops.check_any_memory(OPS["tanh"], arrays, attributes, compute=picky)


def test_a_tail_that_is_computed_differently_is_caught():
    def scalar_tail(op, arrays, attributes, **options):
        [y] = eager.run_op(op, arrays, attributes, **options)
        if len(y) % 16:
            y[-1] = np.nextafter(y[-1], np.float32(0))
        return [y]

    x = np.linspace(0.1, 1, 40, dtype=np.float32)
    ops.check_places(OPS["tanh"], [x], {})
    with pytest.raises(AssertionError, match="other bits from element"):
        ops.check_places(OPS["tanh"], [x], {}, compute=scalar_tail)


def test_a_write_beside_an_output_is_caught():
    for shift in (0, 4):
        block = Between((3, 5), np.float32, shift)
        block.array[...] = 1
        assert block.intact() and block.array.ctypes.data % 64 == shift
        for at in (block.begin - 1, block.end):
            block.block[at] ^= 1
            assert not block.intact()
            block.block[at] ^= 1


def test_forbidden_pages_are_forbidden():
    """A read one element behind, or before, ends another process by a signal."""
    import subprocess
    import sys
    from pathlib import Path

    folder = Path(guarded.__file__).parent.parent
    for at_end, at in ((True, 4), (False, -1)):
        script = (
            f"import sys; sys.path.insert(0, {str(folder)!r}); from checks.guarded import Pages; import ctypes\n"
            f"x = Pages({at_end}).empty((4,), 'float32'); x[...] = 1; print(float(x.sum()), flush=True)\n"
            f"print(ctypes.c_float.from_address(x.ctypes.data + 4 * {at}).value)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.stdout == "4.0\n" and done.returncode < 0, done


def test_another_order_of_a_sum_is_not_the_contract():
    """The oracle of the products tells chunks of 512 from one chain, and fused from separate rounding."""
    sizes = (3, 7, 1600)
    wanted = products.oracle("linear", sizes, "float32")
    a, b = products.operands("linear", sizes, "float32")
    assert products.run("linear", sizes, "float32")[0].tobytes() == wanted.tobytes()
    separate = np.zeros_like(wanted)
    for k in range(1600):
        separate += a[:, k : k + 1] * b[k]
    assert separate.tobytes() != wanted.tobytes()
    from nnfast import reference

    chain = np.zeros_like(wanted)
    for k in range(1600):
        chain = reference._fma32(a[:, k : k + 1], b[k : k + 1], chain)
    assert chain.tobytes() != wanted.tobytes()
    np.testing.assert_allclose(chain, wanted, rtol=1e-4, atol=1e-4)


# Plans
def step_with_barrier():
    with ops.everything_divided():
        import nnfast

        with nnfast.num_threads(3):
            return models.train_step("classifier")[2].plan


def test_a_missing_barrier_is_caught():
    """Each barrier of a divided plan is needed: without it the check fails."""
    plan = step_with_barrier()
    plans.check_barriers(plan)
    barriers = [step for step in plan.steps if step.barrier]
    assert len(barriers) > 10
    for step in barriers:
        step.barrier = False
        with pytest.raises(AssertionError, match="without a barrier"):
            plans.check_barriers(plan)
        step.barrier = True


def test_values_on_top_of_each_other_are_caught():
    """Any two values that are alive together, laid on one place."""
    plan = models.train_step("custom")[2].plan
    plans.check_memory(plan)
    places = plan.layout.places
    made = [node for node in plan.graph.nodes if not node.op.view and node.op.kind != "update"]
    caught = 0
    for node in made:
        for value in node.inputs:
            if (
                value.kind != "node"
                or value.node.op.view
                or value not in {v for later in made[made.index(node) + 1 :] for v in later.inputs}
            ):
                continue
            own = places[node.output]
            places[node.output] = places[value]
            with pytest.raises(AssertionError):
                plans.check_memory(plan)
            places[node.output] = own
            caught += 1
    assert caught > 5
    plans.check_memory(plan)


def test_a_shifted_overlap_is_caught():
    plan = models.train_step("custom")[2].plan
    step = next(s for s in plan.steps if s.writes() and s.reads() and s.kind == "elementwise")
    step.buffers[0] = dataclasses.replace(step.reads()[0], offset=step.reads()[0].offset + 4)
    with pytest.raises(AssertionError):
        plans.check_in_place(plan)


def test_a_write_to_a_constant_is_caught():
    plan = models.train_step("custom")[2].plan
    step = next(s for s in plan.steps if s.writes())
    step.buffers[0] = dataclasses.replace(step.writes()[0], space=1)
    with pytest.raises(AssertionError, match="writes to a constant"):
        plans.check_constants_stay(plan)


def test_a_pass_that_changes_a_number_is_caught():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("passes_under_test", Path(__file__).parent / "test_passes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, whole, feeds = models.graphs("custom")
    from nnfast.passes.rewrite import rewrite

    def wrong(new, node, inputs):
        return (
            [call("scale", inputs[0], factor=node.attributes["factor"] * (1 + 1e-9))]
            if node.op.name == "scale"
            else None
        )

    module.compare(whole, rewrite(whole, lambda *_: None), feeds, 1e-12)
    with pytest.raises(AssertionError):
        module.compare(whole, rewrite(whole, wrong), feeds, 1e-12)


# Definitions
def test_an_op_without_a_field_cannot_be_defined():
    whole = {field.name: getattr(OPS["tanh"], field.name) for field in dataclasses.fields(OPS["tanh"])} | {
        "name": "untested"
    }
    needed = [f.name for f in dataclasses.fields(OPS["tanh"]) if f.default is dataclasses.MISSING]
    assert {"formula", "reference", "gradient", "flops", "tolerance", "samples", "infer"} <= set(needed)
    for name in needed:
        with pytest.raises(TypeError):
            define(**{key: value for key, value in whole.items() if key != name})
    for change in (
        {"name": "No_Name"},
        {"kind": "odd"},
        {"tolerance": "loose"},
        {"function": None},
        {"view": True},
        {"name": "tanh"},
    ):
        with pytest.raises(TypeError):
            define(**whole | change)
    assert "untested" not in OPS


def test_what_is_called_not_differentiable_is_discrete_or_drawn():
    """Nobody turns off a gradient check by this word: these ops are steps, draws, choices and updates."""
    found = {name for name, op in OPS.items() if op.gradient == NOT_DIFFERENTIABLE}
    assert found == {
        "is_nan", "logical_not", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
        "argmax", "argmin", "one_hot", "in_top_k", "random_uniform", "random_normal",
        "update_sgd", "update_sgd_momentum", "update_adam", "update_rmsprop", "update_rmsprop_full", "update_adagrad",
        "update_average", "update_fill", "update_state", "affine_image", "sort_ids", "cache_write", "ctc_collapse", "edit_distance",
        *(f"sparse_update_{name}" for name in ("sgd", "sgd_momentum", "adam", "rmsprop", "rmsprop_full", "adagrad")),
    }  # fmt: skip
