"""Random graphs of elementwise ops, reductions, products and moves: the plan agrees with the reference, passes and threads change no
bit, the memory plan holds, and gradients agree with central differences."""

import numpy as np
from checks import ops as checks_ops
from checks import plans
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfast import ops, passes, reference
from nnfast.graph.check import check
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.passes.autodiff import gradients
from nnfast.plan.plan import build

# Smooth and bounded, so that values stay small whatever is put together and differences can be trusted.
UNARY = ["tanh", "sigmoid", "softplus", "silu", "gelu", "sin", "cos", "erf", "softsign", "negative"]
KINKED = ["relu", "abs", "leaky_relu", "hard_sigmoid", "elu", "sign", "floor"]
BINARY = ["add", "subtract", "multiply", "squared_difference"]
CHOICES = ["maximum", "minimum", "less", "where"]
REDUCTIONS = ["sum", "mean", "max", "logsumexp", "variance"]
ROWS = ["softmax", "log_softmax"]
MOVES = ["transpose", "reshape", "slice", "concatenate", "broadcast", "expand"]
KINDS = ["unary", "binary", "reduction", "row", "matmul", "move", "number"]


def number(draw, most):
    return draw(st.integers(0, most - 1))


def grow(draw, pool, smooth):
    """One more value from those that are there."""
    kind = draw(st.sampled_from(KINDS))
    x = pool[number(draw, len(pool))]
    if kind == "unary":
        return bounded(getattr(ops, draw(st.sampled_from(UNARY if smooth else UNARY + KINKED)))(x))
    if kind == "number":
        value = draw(st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 3.7]))
        return bounded(draw(st.sampled_from([ops.add, ops.multiply, ops.subtract]))(*draw(st.permutations([x, value]))))
    if kind == "binary":
        partners = [y for y in pool if fits(x.shape, y.shape)]
        y = partners[number(draw, len(partners))]
        name = draw(st.sampled_from(BINARY if smooth else BINARY + CHOICES))
        return bounded(ops.where(ops.greater(x, 0.1), x, y) if name == "where" else getattr(ops, name)(x, y))
    if kind == "reduction" and x.ndim and x.size:
        name = draw(st.sampled_from(REDUCTIONS))
        axis = draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)))
        if smooth and name == "max":
            name = "mean"
        return bounded(getattr(ops, name)(x, axis, draw(st.booleans())))
    if kind == "row" and x.ndim and x.size:
        return getattr(ops, draw(st.sampled_from(ROWS)))(x, number(draw, x.ndim))
    if kind == "matmul" and x.ndim == 2:
        partners = [y for y in pool if y.ndim == 2 and x.shape[1] in y.shape]
        if partners:
            y = partners[number(draw, len(partners))]
            y = y if y.shape[0] == x.shape[1] else ops.transpose(y)
            return bounded(ops.matmul(x, y))
    if kind == "move":
        return move(draw, x, pool)
    return ops.tanh(x)


def move(draw, x, pool):
    name = draw(st.sampled_from(MOVES))
    if name == "transpose":
        return ops.transpose(x, draw(st.permutations(range(x.ndim))))
    if name == "reshape":
        return ops.reshape(x, draw(st.sampled_from([(-1,), (x.size, 1), (1, *x.shape)])) if x.size else x.shape)
    if name == "slice" and x.ndim and x.shape[0] > 1:
        begin = number(draw, x.shape[0])
        return x[begin :: draw(st.sampled_from([1, 2, -1]))]
    if name == "concatenate" and x.ndim:
        axis = number(draw, x.ndim)
        partners = [
            y
            for y in pool
            if y.ndim == x.ndim and y.shape[:axis] + y.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]
        ]
        return ops.concatenate([x, partners[number(draw, len(partners))]], axis)
    if name == "broadcast" and x.ndim < 4:
        return ops.broadcast_to(x, (draw(st.integers(1, 3)), *x.shape))
    if name == "expand" and x.ndim < 4:
        return ops.expand_dims(x, draw(st.integers(0, x.ndim)))
    return x * 1.5


def bounded(x):
    """Values grow by at most a little from op to op."""
    return ops.tanh(x * 0.5) if x.ndim and x.size > 40 else x


def fits(a, b):
    try:
        return int(np.prod(np.broadcast_shapes(a, b))) <= 2000
    except ValueError:
        return False


@st.composite
def random_graphs(draw, smooth=False, dtype="float32"):
    """A graph with one to three outputs, and arrays for its inputs."""
    extents = draw(st.lists(st.sampled_from([1, 2, 3, 5, 16, 17, 33]), min_size=3, max_size=3))
    shapes = [(extents[0], extents[1]), (extents[1],), (extents[1], extents[2]), (extents[2], extents[1]), ()]
    if smooth:
        shapes = [tuple(min(extent, 3) for extent in shape) for shape in shapes]
    elif draw(st.integers(0, 9)) == 0:
        shapes[0] = (0, extents[1])
    graph = Graph()
    with tracing(graph):
        pool = [graph.input(shape, dtype) for shape in shapes]
        for _ in range(draw(st.integers(2, 14))):
            value = grow(draw, pool, smooth)
            if value.size <= 4000:
                pool.append(value)
        made = pool[len(shapes) :] or pool[:1]
        graph.outputs = [made[-1], *[made[number(draw, len(made))] for _ in range(draw(st.integers(0, 2)))]]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return graph, [rng.uniform(-1.5, 1.5, shape).astype(dtype) for shape in shapes]


def planned(graph, threads=1, without=()):
    done = passes.run(passes.run(graph, forward=True, without=without), forward=False, without=without)
    check(done)
    return build(done, threads=threads, without=without)


def finite_reference(graph, feeds):
    with np.errstate(all="ignore"):
        return reference.run(graph, feeds)[0]


@settings(max_examples=150)
@given(random_graphs(dtype="float64"))
def test_plan_and_reference(made):
    """In float64, so that what is compared is the graph and not the conditioning. Comparisons and steps are continuous nowhere, so a
    value may differ in a few elements only where an operand sits on the edge; uniform random operands do not."""
    graph, feeds = made
    expected = finite_reference(graph, feeds)
    found = planned(graph).call(feeds)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@settings(max_examples=150)
@given(random_graphs())
def test_passes_threads_and_levels_change_no_bit(made):
    graph, feeds = made
    wanted = planned(graph, without=passes.names()).call(feeds)
    with checks_ops.everything_divided():
        results = [planned(graph, threads).call(feeds) for threads in (1, 2, 3)]
    results += [planned(graph, without=[name]).call(feeds) for name in passes.names()]
    done = passes.run(passes.run(graph, forward=True), forward=False)
    results.append(build(done, threads=1, level="scalar").call(feeds))
    for found in results:
        for a, b in zip(found, wanted, strict=True):
            assert checks_ops.same_bits(a, b)


@settings(max_examples=150)
@given(random_graphs())
def test_memory_and_barriers(made):
    graph, feeds = made
    before = [array.tobytes() for array in feeds]
    with checks_ops.everything_divided():
        for without in ((), passes.names()):
            plan = planned(graph, 3, without)
            for look in plans.ALL:
                look(plan)
            plan.call(feeds)
    assert [array.tobytes() for array in feeds] == before


@given(random_graphs())
def test_calls_do_not_remember(made):
    """A plan that has run on other numbers gives the same result afterwards: nothing is read that was not written."""
    graph, feeds = made
    plan = planned(graph, 2)
    wanted = [array.copy() for array in plan.call(feeds)]
    plan.call([np.full_like(array, np.nan) for array in feeds])
    for a, b in zip(plan.call(feeds), wanted, strict=True):
        assert checks_ops.same_bits(a, b)


@settings(max_examples=40)
@given(random_graphs(smooth=True, dtype="float64"))
def test_gradients(made):
    """The slope along a random direction of all inputs."""
    graph, feeds = made
    with tracing(graph):
        total = ops.sum(graph.outputs[0])
        for output in graph.outputs[1:]:
            total = total + ops.mean(output)
        graph.outputs = [total, *gradients(total, graph.inputs)]
    _, *found = planned(graph).call(feeds)
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(array.shape) for array in feeds]

    def at(distance):
        return float(finite_reference(graph, [a + distance * d for a, d in zip(feeds, directions, strict=True)])[0])

    h = 1e-3
    slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    own = sum(float((g * d).sum()) for g, d in zip(found, directions, strict=True))
    assert abs(own - slope) <= 1e-6 * (
        1 + abs(slope) + sum(float(np.abs(g * d).sum()) for g, d in zip(found, directions, strict=True))
    )
