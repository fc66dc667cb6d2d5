"""Generated from the registry: every gradient rule, also those of derivative ops (second derivatives), agrees with central differences
of the reference in float64 to 1e-5, away from kinks; and the compiled plan of the gradient agrees with the reference."""

import numpy as np
import pytest
from checks import gradients, ops

import nnfast
from nnfast import reference
from nnfast.graph.check import check
from nnfast.ops.registry import NOT_DIFFERENTIABLE, OPS
from nnfast.passes.simplify import decompose
from nnfast.plan.plan import build

# Ops whose rule refuses, and why.
MADE_AFTER_DIFFERENTIATION = [
    "elementwise_program",
    "product_with_epilogue",
    "block_moments",
    "combine_moments",
    "block_products",
    "turn_weight",
]
REWRITTEN_BEFORE = [name for name in OPS if name.endswith("_of_probabilities")]
NO_SECOND_DERIVATIVE = [
    f"{name}_gradient"
    for name in (
        "elu",
        "selu",
        "gelu",
        "gelu_tanh",
        "silu",
        "hard_silu",
        "softplus",
        "softsign",
        "mish",
        "layer_norm",
        "rms_norm",
        "attention",
        "embedding",
        "lstm",
        "gru",
        "simple_rnn",
    )
]
REFUSING = {*MADE_AFTER_DIFFERENTIATION, *REWRITTEN_BEFORE, *NO_SECOND_DERIVATIVE}
CUT = {"stop_gradient"}  # zero by definition, which is not what differences say
BY_HAND = {"cast"}  # differences in float32 see nothing
DIFFERENTIABLE = [n for n, op in OPS.items() if op.gradient != NOT_DIFFERENTIABLE and n not in REFUSING | CUT | BY_HAND]


def usable(name):
    """Small samples with floating outputs, none of which only gradients read, and of which some are finite."""
    op = OPS[name]
    found = [s for s in ops.samples(op, "float64") if gradients.small(s) and not s[1].get("keep")]
    found = [s for s in found if gradients.float_outputs(op, ops.reference_of(op, *s))]
    return [s for s in found if np.isfinite(gradients.weighted(op, *s)).any()][:12]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient(name):
    compared = total = 0
    for arrays, attributes in usable(name):
        found, there = gradients.check_gradient(OPS[name], arrays, attributes)
        compared, total = compared + found, total + there
    assert compared >= 5 and compared >= 0.5 * total, f"{name}: only {compared} of {total} elements could be compared"


@pytest.mark.parametrize("name", sorted(REFUSING))
def test_rules_that_refuse_say_so(name):
    arrays, attributes = usable(name)[-1]
    assert gradients.refuses(OPS[name], arrays, attributes)


def test_no_gradient_flows_through_what_is_not_differentiable():
    for name, op in OPS.items():
        if op.gradient != NOT_DIFFERENTIABLE and name not in CUT:
            continue
        for arrays, attributes in usable(name)[:2]:
            if op.kind == "update":
                continue
            assert not any(g.any() for g in gradients.analytic(op, arrays, attributes)), name


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if not OPS[n].view])
def test_compiled_gradient(name):
    """The gradient's graph, planned and run, gives what the interpreter gives."""
    for arrays, attributes in usable(name)[:3]:
        graph = gradients.trace_gradients(OPS[name], arrays, attributes)
        with np.errstate(all="ignore"):
            wanted = reference.run(graph, arrays)[0]
        graph = nnfast.passes.run(decompose(graph), forward=False)
        check(graph)
        found = build(graph, threads=2).call(arrays)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * max(np.abs(b).max(initial=0), 1))


def test_gradients_add_up_where_a_value_is_read_twice():
    f = nnfast.value_and_grad(lambda x: nnfast.ops.sum(x * nnfast.ops.exp(x) + x))
    x = np.array([0.3, -1.2])
    _, [gradient] = f(x)
    np.testing.assert_allclose(gradient, np.exp(x) * (1 + x) + 1, rtol=1e-14)


def test_gradients_of_broadcast_operands_are_summed():
    f = nnfast.value_and_grad(lambda a, b, c: nnfast.ops.sum(a * b * c))
    a, b, c = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 4.0]), np.array([[2.0], [3.0]])
    _, (da, db, dc) = f(a, b, c)
    np.testing.assert_array_equal(da, b * c)
    np.testing.assert_array_equal(db, (a * c).sum(0))
    np.testing.assert_array_equal(dc, (a * b).sum(1, keepdims=True))


def test_cast():
    """Between floats the gradient is cast back; none comes back from integers."""
    f = nnfast.value_and_grad(lambda a: nnfast.ops.sum(nnfast.ops.cast(a, "float64") * 3.0))
    _, [gradient] = f(np.ones(2, np.float32))
    assert gradient.dtype == np.float32 and gradient.tolist() == [3.0, 3.0]
    f = nnfast.value_and_grad(lambda a: nnfast.ops.sum(nnfast.ops.cast(nnfast.ops.cast(a, "int32"), "float32") * a))
    _, [gradient] = f(np.array([1.5, 2.5], np.float32))
    assert gradient.tolist() == [1.0, 2.0]


def test_one_value_as_two_gradients():
    f = nnfast.value_and_grad(lambda a, b: nnfast.ops.sum(a + b))
    _, (da, db) = f(np.zeros(3), np.zeros(3))
    assert da.tolist() == db.tolist() == [1.0, 1.0, 1.0]
    da[0] = 5.0
    assert db[0] == 1.0


def test_argument_without_a_path_gets_zeros():
    f = nnfast.value_and_grad(lambda a, b: nnfast.ops.sum(a))
    _, (_, gradient) = f(np.ones(3), np.ones((2, 2)))
    assert gradient.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_only_scalars_have_gradients():
    with pytest.raises(nnfast.errors.ShapeError, match="scalar"):
        nnfast.value_and_grad(lambda a: a * 2)(np.ones(3))


def test_second_derivative_through_two_traces():
    """d/dx of (d/dx sum tanh(x))^2 against differences: a gradient penalty, as in Wasserstein networks."""
    from nnfast.passes.autodiff import gradients as differentiate

    def penalty(x):
        [slope] = differentiate(nnfast.ops.sum(nnfast.ops.tanh(x)), [x])
        return nnfast.ops.sum(slope * slope)

    x = np.array([0.2, -0.7, 1.1])
    _, [found] = nnfast.value_and_grad(penalty)(x)
    t = np.tanh(x)
    np.testing.assert_allclose(found, 2 * (1 - t * t) * (-2 * t * (1 - t * t)), rtol=1e-13)
