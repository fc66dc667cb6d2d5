"""Names on both sides: every kernel and function that Python asks for is in the C tables, on every level and for both floating types;
and every row of the C tables has a use in Python, or stands here with its reason."""

import pytest
from checks import ops

import nnfast
from nnfast._core import runtime
from nnfast.graph import trace
from nnfast.graph.ir import Graph
from nnfast.ops.matmul import KERNELS as PRODUCTS
from nnfast.ops.registry import OPS
from nnfast.passes.layout import assign_layouts
from nnfast.passes.simplify import decompose, decompose_late

# Rows of the tables that no op names.
INSIDE_C = {"linear": "copies in elementwise programs", "fill": "spreads one number in elementwise programs"}
UNUSED_FUNCTIONS = {"multiply_add": "no op asks for it yet"}
LIMITS = {"limit_fma", "limit_read", "limit_update", "limit_nothing"}  # nnfast.benchmark.limits calls them
UNUSED_KERNELS = {"sum_squares": "no op asks for it yet"}


def asked_by_the_registry():
    """(kernels, functions) that ops call, over all their samples."""
    kernels, functions = set(PRODUCTS.values()), set()  # some take weights in panels, which samples are not
    for op in OPS.values():
        for dtype in ops.DTYPES:
            for arrays, attributes in ops.samples(op, dtype):
                graph = Graph()
                values = [graph.input(a.shape, str(a.dtype)) for a in arrays]
                graph.outputs = trace.add(graph, op, values, attributes)
                for node in assign_layouts(decompose_late(decompose(graph))).nodes:
                    for call in [] if node.op.view else node.op.kernel_calls(node):
                        kernels.add(call.kernel)
                        functions.update(part.function for part in call.program)
    return kernels, functions


def asked_by_plans():
    """Kernels of the steps around a graph: a model with real and integer inputs."""
    x, i = nnfast.Input((3,)), nnfast.Input((1,), dtype="int32")
    model = nnfast.Model([x, i], nnfast.layers.Dense(2)(nnfast.ops.cast(i, "float32") + x))
    model.compile("sgd", "mse")
    state = model._compiled
    from nnfast.training.step import Signature

    step = state.step("train", Signature(4, (((3,), "float32"), ((1,), "int32")), (((2,), "float32"),)))
    return {step.kernel for step in step.plan.steps} - asked_by_the_registry()[0]


KERNELS, FUNCTIONS = asked_by_the_registry()


@pytest.mark.parametrize("level", [level["name"] for level in runtime.levels()])
@pytest.mark.parametrize("dtype", ops.DTYPES)
def test_python_to_c_and_back(dtype, level):
    kernels, functions = set(runtime.kernels(dtype, level)), set(runtime.functions(dtype, level))
    assert KERNELS | asked_by_plans() | LIMITS | set(UNUSED_KERNELS) == kernels
    assert FUNCTIONS | set(INSIDE_C) | set(UNUSED_FUNCTIONS) == functions


def test_exceptions_are_still_needed():
    assert not KERNELS & set(UNUSED_KERNELS)
    assert not FUNCTIONS & {*INSIDE_C, *UNUSED_FUNCTIONS}


def test_steps_around_the_graph():
    assert asked_by_plans() == {"gather_rows", "gather_rows_int32", "record", "advance"}


def test_functions_are_named_as_their_ops():
    """An elementwise op is one function of its own name."""
    assert {op.function for op in OPS.values() if op.function} == {n for n, op in OPS.items() if op.function}


def test_tables_of_all_levels_are_alike():
    names = {
        (tuple(runtime.kernels(dtype, level["name"])), tuple(runtime.functions(dtype, level["name"])))
        for level in runtime.levels()
        for dtype in ops.DTYPES
    }
    assert len(names) == 1


def test_unknown_names_are_key_errors():
    with pytest.raises(KeyError):
        runtime.kernel("no_such_kernel", "float32")
    with pytest.raises(KeyError):
        runtime.function("no_such_function", "float64")
