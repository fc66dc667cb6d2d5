"""The graph: its checker names each way in which a graph can be malformed, its printer shows what is there, tracing refuses what cannot
be traced."""

import numpy as np
import pytest
from checks import models

import nnfast
from nnfast import ops
from nnfast.errors import DtypeError, GraphError, ShapeError
from nnfast.graph.check import check
from nnfast.graph.ir import Graph
from nnfast.graph.show import show
from nnfast.graph.trace import tracing
from nnfast.ops.registry import OPS
from nnfast.variable import Variable


def small():
    """x, tanh(x), tanh(x) + x, and a variable that is updated by x."""
    graph = Graph()
    with tracing(graph):
        x = graph.input((2, 3), "float32", "x")
        y = ops.tanh(x)
        graph.outputs = [y + x]
        w = graph.variable(Variable((2, 3), name="w"))
        graph.updates = [(w, w + x)]
    return graph


def test_the_checker_accepts_what_is_traced():
    check(small())
    for name in models.MODELS:
        traced, whole, _ = models.graphs(name)
        check(traced)
        check(whole)


def foreign_value(graph):
    graph.nodes[1].inputs[1] = Graph().input((2, 3), "float32")


def wrong_order(graph):
    graph.nodes[0], graph.nodes[1] = graph.nodes[1], graph.nodes[0]


def lost_node(graph):
    del graph.nodes[0]


def wrong_shape(graph):
    graph.nodes[0].output.shape = (3, 2)


def wrong_dtype(graph):
    graph.nodes[0].output.dtype = "float64"


def lost_result(graph):
    del graph.nodes[1]


def update_of_an_input(graph):
    graph.updates = [(graph.inputs[0], graph.updates[0][1])]


def update_of_another_layout(graph):
    graph.updates[0][1].layout = "panel"


def read_after_update(graph):
    w, new = graph.updates[0]
    graph.add(OPS["add"], [w, new], {})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (foreign_value, "belongs to another graph"),
        (wrong_order, "before it is made"),
        (lost_node, "before it is made"),
        (wrong_shape, "the op's rule says"),
        (wrong_dtype, "the op's rule says"),
        (lost_result, "is not made by the graph"),
        (update_of_an_input, "only a variable has new content"),
        (update_of_another_layout, "shape, dtype and layout must be equal"),
        (read_after_update, "after .* wrote its new content"),
    ],
)
def test_the_checker_sees(harm, message):
    graph = small()
    harm(graph)
    with pytest.raises(GraphError, match=message):
        check(graph)


def test_printer():
    assert show(small()).splitlines() == [
        "input     x: float32[2, 3]",
        "variable  w: float32[2, 3]",
        "%2: float32[2, 3] = tanh(x)",
        "%3: float32[2, 3] = add(%2, x)",
        "%4: float32[2, 3] = add(w, x)",
        "output    %3",
        "update    w <- %4",
    ]


def test_printer_shows_attributes_constants_layouts_and_fused_parts():
    with models.recorded_passes() as seen:
        models.train_step("classifier")
    text = show(seen[-1][1])
    assert "/panel" in text and "body=[add relu]" in text and "rate=0.25" in text
    assert (
        len(text.splitlines())
        == sum(
            len(part) for part in (seen[-1][1].inputs, seen[-1][1].variables, seen[-1][1].nodes, seen[-1][1].updates)
        )
        + 1
    )


def test_equal_small_constants_are_one_value():
    graph = Graph()
    assert graph.constant(1.0, "float32") is graph.constant(np.float32(1), "float32")
    assert graph.constant(1.0, "float32") is not graph.constant(1.0, "float64")
    assert graph.constant([1.0], "float32") is not graph.constant(1.0, "float32")
    assert graph.constant(0.0, "float32") is not graph.constant(-0.0, "float32")
    a, b = np.zeros(100), np.zeros(100)
    assert graph.constant(a, "float32") is graph.constant(a, "float32")
    assert graph.constant(a, "float32") is not graph.constant(b, "float32")


def test_types_meet():
    """Symbolic values decide; numbers and integer tensors follow."""
    graph = Graph()
    with tracing(graph):
        x, y, i = graph.input((2,), "float32"), graph.input((2,), "float64"), graph.input((2,), "int32")
        assert (x + 1).dtype == (x + np.float64(1)).dtype == (x + np.ones(2)).dtype == (x + i).dtype == "float32"
        assert (x + y).dtype == (i + y).dtype == "float64"
        assert (i + i).dtype == "float32"


def test_what_cannot_be_traced_says_so():
    graph = Graph()
    with tracing(graph):
        x = graph.input((2, 3), "float32", "x")
        with pytest.raises(TypeError, match=r"ops\.where"):
            bool(x > 0)
        with pytest.raises(TypeError, match=r"nnfast\.ops"):
            np.asarray(x)
        with pytest.raises(DtypeError, match="number, an array"):
            ops.add(x, "a")
        with pytest.raises(ShapeError, match=r"\[2, 3\] and \[2\] do not broadcast"):
            ops.add(x, np.ones(2))
        with pytest.raises(ShapeError, match="3 columns meet 2 rows"):
            ops.matmul(x, x)
        with pytest.raises(GraphError, match="belongs to another trace"):
            ops.add(x, Graph().input((2, 3), "float32"))
        with pytest.raises(GraphError, match="counters"):
            ops.dropout(x, 0.5, 0)
    with pytest.raises(ShapeError, match="counters"):
        ops.dropout(np.ones(3), 0.5, 0)


def test_traces_nest_and_end():
    from nnfast.graph.trace import current

    outer, inner = Graph(), Graph()
    assert current() is None
    with tracing(outer), pytest.raises(ZeroDivisionError), tracing(inner):
        assert current().graph is inner
        raise ZeroDivisionError
    assert current() is None
    assert isinstance(nnfast.ops.tanh(np.ones(2)), np.ndarray)
