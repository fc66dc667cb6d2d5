"""What `nnfast bench` measures: steps of plans and kernels on arrays, each beside the same work in NumPy.

In: sizes. Out: Cases. A step reads weights in the library's layout and runs INNER times per call, as in an epoch; NumPy writes into
arrays that are there already. Kernels on arrays pack plain row-major operands and go through Python at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast import kernels, passes
from nnfast.config import get_num_threads
from nnfast.graph.ir import Graph
from nnfast.ops.elementwise import call
from nnfast.ops.random import COUNTERS
from nnfast.plan.plan import build
from nnfast.variable import Variable

Array = NDArray[Any]
INNER = 16

# rows, inputs, outputs of a layer
LAYERS = (
    (32, 64, 64),
    (32, 784, 256),
    (128, 784, 512),
    (128, 256, 10),
    (1, 1024, 1024),
    (256, 256, 256),
    (1024, 1024, 1024),
)
ROWS = ((32, 10), (128, 1000))
WEIGHTS = (10_000, 1_000_000)
PRODUCTS = ((32, 784, 256), (128, 784, 512), (256, 256, 256), (1024, 1024, 1024))
ELEMENTS = (10_000, 1_000_000)


@dataclass(frozen=True)
class Case:
    """One line of the table: what, its size, both functions, how many times one call does the work, and its flops."""

    name: str
    size: str
    nnfast: Callable[[], Array]
    numpy: Callable[[], Array]
    times: int = 1
    flops: float | None = None


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def make_cases(quick: bool) -> list[Case]:
    """The cases of the table; with quick, the first of each kind."""
    few: Callable[[Any], Any] = (lambda items: items[:1]) if quick else (lambda items: items)
    cases = [make(*sizes) for make in (forward, weight_gradient, input_gradient) for sizes in few(LAYERS)]
    cases += [softmax(*sizes) for sizes in few(ROWS)]
    cases += [make(size) for make in (momentum, adam) for size in few(WEIGHTS)]
    cases += [matmul(*sizes) for sizes in few(PRODUCTS)]
    cases += [elementwise(name, size) for size in few(ELEMENTS) for name in NUMPY_FUNCTIONS]
    return cases


def _step(
    name: str, size: str, graph: Graph, feeds: list[Array], numpy: Callable[[], Array], flops: float | None = None
) -> Case:
    """A case from a graph with one output, and the function that does its work once in NumPy."""
    plan = build(passes.run(graph, forward=False), threads=get_num_threads())
    result = plan.call(feeds)
    plan.bind(feeds, result)

    def with_nnfast() -> Array:
        plan.run(INNER)
        return result[0]

    def with_numpy() -> Array:
        for _ in range(INNER - 1):
            numpy()
        return numpy()

    return Case(name, size, with_nnfast, with_numpy, INNER, flops)


def forward(m: int, k: int, n: int) -> Case:
    """y = relu(x w + b)."""
    x, w, b, out = normal(m, k), normal(k, n), normal(n), np.empty((m, n), np.float32)
    graph = Graph()
    weight = graph.variable(Variable((k, n), initializer=w, layout="panel"))
    product = call("matmul", graph.input((m, k)), weight, transpose_a=False, transpose_b=False)
    graph.outputs = [call("relu", call("add", product, graph.variable(Variable((n,), initializer=b))))]

    def numpy() -> Array:
        np.matmul(x, w, out=out)
        np.add(out, b, out=out)
        return np.maximum(out, 0, out=out)

    return _step("layer: relu(x w + b)", f"{m} x {k} x {n}", graph, [x], numpy, 2.0 * m * k * n)


def weight_gradient(m: int, k: int, n: int) -> Case:
    """dw = x^T dy."""
    x, dy, out = normal(m, k), normal(m, n), np.empty((k, n), np.float32)
    graph = Graph()
    graph.outputs = [call("matmul", graph.input((m, k)), graph.input((m, n)), transpose_a=True, transpose_b=False)]
    return _step(
        "dw = x^T dy", f"{m} x {k} x {n}", graph, [x, dy], lambda: np.matmul(x.T, dy, out=out), 2.0 * m * k * n
    )


def input_gradient(m: int, k: int, n: int) -> Case:
    """dx = dy w^T."""
    dy, w, out = normal(m, n), normal(k, n), np.empty((m, k), np.float32)
    graph = Graph()
    weight = graph.variable(Variable((k, n), initializer=w, layout="panel"))
    graph.outputs = [call("matmul", graph.input((m, n)), weight, transpose_a=False, transpose_b=True)]
    return _step("dx = dy w^T", f"{m} x {k} x {n}", graph, [dy], lambda: np.matmul(dy, w.T, out=out), 2.0 * m * k * n)


def softmax(rows: int, columns: int) -> Case:
    """Softmax of rows."""
    x = normal(rows, columns)
    graph = Graph()
    graph.outputs = [call("softmax", graph.input((rows, columns)))]

    def numpy() -> Array:
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return _step("softmax", f"{rows} x {columns}", graph, [x], numpy)


def _update(
    name: str, slots: int, size: int, attributes: dict[str, Any], numpy: Callable[[Array, Array, list[Array]], Array]
) -> Case:
    """A weight's update from a gradient of nothing, so that both sides stay where they are however often they run."""
    w, g = normal(size), np.zeros(size, np.float32)
    state = [np.zeros(size, np.float32) for _ in range(slots)]
    graph = Graph()
    values = [graph.variable(Variable((size,), initializer=start)) for start in (w, g, *state)]
    rate = graph.variable(Variable((1,), "float64", 0.01))
    counters = graph.variable(Variable((COUNTERS,), "int64", 0))
    made = call(f"update_{name}", *values, rate, counters, **attributes)
    graph.updates = list(zip([values[0], *values[2:]], made, strict=True))
    graph.outputs = [call("reshape", graph.input((size,)), shape=(size,))]
    weight = values[0].payload
    case = _step(f"update: {name}", f"{size:,}", graph, [w], lambda: numpy(w, g, state))

    def with_nnfast() -> Array:
        case.nnfast()
        return weight.storage

    return Case(case.name, case.size, with_nnfast, case.numpy, INNER)


def momentum(size: int) -> Case:
    """SGD with momentum."""

    def numpy(w: Array, g: Array, state: list[Array]) -> Array:
        state[0] *= np.float32(0.9)
        state[0] -= np.float32(0.01) * g
        w += state[0]
        return w

    return _update("sgd_momentum", 1, size, {"weight_decay": 0.0, "momentum": 0.9, "nesterov": False}, numpy)


def adam(size: int) -> Case:
    """Adam."""

    def numpy(w: Array, g: Array, state: list[Array]) -> Array:
        m, v = state
        m += np.float32(0.1) * (g - m)
        v += np.float32(0.001) * (g * g - v)
        w -= np.float32(0.1) * m / (np.sqrt(v) / np.float32(0.0316) + np.float32(1e-7))
        return w

    return _update("adam", 2, size, {"weight_decay": 0.0, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, numpy)


def matmul(m: int, k: int, n: int) -> Case:
    """The kernel on plain row-major arrays, with packing."""
    a, b, out, own = normal(m, k), normal(k, n), np.empty((m, n), np.float32), np.empty((m, n), np.float32)
    size = f"{m} x {k} x {n}"
    return Case(
        "kernels.matmul",
        size,
        lambda: kernels.matmul(a, b, out=own),
        lambda: np.matmul(a, b, out=out),
        1,
        2.0 * m * k * n,
    )


NUMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda x, out: np.maximum(x, 0, out=out),
    "exp": lambda x, out: np.exp(x, out=out),
    "tanh": lambda x, out: np.tanh(x, out=out),
    "sigmoid": lambda x, out: np.divide(1, 1 + np.exp(-x), out=out),
}


def elementwise(name: str, size: int) -> Case:
    """An elementwise function of an array."""
    x, out, own = normal(size), np.empty(size, np.float32), np.empty(size, np.float32)
    function, reference = getattr(kernels, name), NUMPY_FUNCTIONS[name]
    return Case(f"kernels.{name}", f"{size:,}", lambda: function(x, out=own), lambda: reference(x, out))
