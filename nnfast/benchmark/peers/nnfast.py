"""nnfast itself. Products, functions and updates are plans that run in compiled code as within an epoch, weights in the layout of the
library; "plain products" go through `nnfast.kernels`, networks through `fit`, `train_on_batch` and `predict`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nnfast
from nnfast import kernels, layers, passes
from nnfast._core import runtime
from nnfast.benchmark import inputs
from nnfast.benchmark.cases import TRAINING_EPOCHS, UPDATES, Case
from nnfast.benchmark.peers import Array, Work, nnfast_images, nnfast_sequences, repeated
from nnfast.benchmark.peers.training import CHECKED, LEARNING_RATE, WEIGHT_DECAY, timed_rate
from nnfast.benchmark.sequences import NETWORKS
from nnfast.benchmark.timing import sample
from nnfast.data import ArraySource
from nnfast.graph.ir import Graph
from nnfast.ops.elementwise import call
from nnfast.ops.random import COUNTERS, ITERATION
from nnfast.plan.plan import build
from nnfast.variable import Variable


class Peer:
    def __init__(self, threads: int) -> None:
        nnfast.set_num_threads(threads)
        self.threads = threads
        self.versions = {"nnfast": nnfast.__version__, "level": runtime.level()}

    def make(self, case: Case) -> Work | None:
        """Every case can be done."""
        if case.group == "steps":
            return train(case)
        if case.kind == "decode":
            return nnfast_sequences.decode(case)
        if case.group == "inference":
            return predict(case)
        if case.kind in UPDATES:
            return update(case, self.threads)
        if case.group == "plain products":
            a, b = inputs.operands(case)
            out = inputs.aligned(np.empty((a.shape[0], b.shape[1]), np.float32))
            return Work(repeated(lambda: kernels.matmul(a, b, out=out)), lambda: [kernels.matmul(a, b)])
        return op(case, self.threads)


def op(case: Case, threads: int) -> Work:
    """One op of the registry as a plan."""
    graph = Graph()
    operands = inputs.operands(case)
    transpose = {"transpose_a": case.kind == "x^T dy", "transpose_b": case.kind == "dy w^T"}
    feeds, values = [], []
    for position, array in enumerate(operands):
        if position == 1 and case.kind in ("x w", "dy w^T", "conv", "conv dx"):
            values.append(graph.variable(Variable(array.shape, initializer=array, layout="panel")))
        else:
            feeds.append(array)
            values.append(graph.input(array.shape, str(array.dtype)))
    if case.kind == "sparse cross-entropy":
        graph.outputs = list(nnfast.ops.call("sparse_cross_entropy", *values))
    elif case.group == "convolutions":
        graph.outputs = [convolution(case, values)]
    elif case.kind == "attention":
        graph.outputs = attention(case, *values)
    elif case.group in ("products", "training products"):
        graph.outputs = [call("matmul", *values, **transpose)]
    else:
        graph.outputs = [call(case.kind, *values)]
    plan = build(passes.run(graph, forward=False), threads=threads)
    out = [inputs.aligned(array) for array in plan.call(feeds)]
    plan.bind(feeds, out)

    def result() -> list[Array]:
        plan.run()
        return out

    return Work(plan.run, result)


def attention(case: Case, q: Any, k: Any, v: Any, dy: Any) -> list[Any]:
    """The result and the gradients of q, k and v."""
    given = {"extras": (), "causal": True, "rate": 0.0, "scale": float(case.sizes[3] ** -0.5), "stream": 0}
    y, lse = call("attention", q, k, v, **given)
    return [y, *call("attention_gradient", dy, y, lse, q, k, v, **given)[:3]]


def convolution(case: Case, values: Sequence[Any]) -> Any:
    _, pixels, channels, outputs, taps, strides = case.sizes
    given = {"strides": (strides,) * 2, "padding": ((taps // 2,) * 2,) * 2, "dilation": (1, 1), "groups": 1}
    if case.kind == "conv":
        return call("conv", *values, **given)
    kernel = (taps, taps, channels, outputs)
    if case.kind == "conv dw":
        return call("conv_weight_gradient", *values, weight_shape=kernel, **given)
    return call("conv_input_gradient", *values, sizes=(pixels, pixels), weight_shape=kernel, **given)


ATTRIBUTES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "sgd_momentum": {"momentum": 0.9, "nesterov": False},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}


def update(case: Case, threads: int) -> Work:
    """One sweep of an optimizer over weights, with a gradient that stays the same."""

    def make() -> tuple[Any, Variable, Variable]:
        (w,) = inputs.operands(case)
        slots = [np.zeros_like(w) for _ in range(UPDATES[case.kind][1] - 1)]
        graph = Graph()
        values = [graph.variable(Variable(w.shape, initializer=start)) for start in (w, w.copy(), *slots)]
        rate = graph.variable(Variable((1,), "float64", LEARNING_RATE))
        counters = graph.variable(Variable((COUNTERS,), "int64", 0))
        made = call(f"update_{case.kind}", *values, rate, counters, weight_decay=0.0, **ATTRIBUTES[case.kind])
        made = made if isinstance(made, Sequence) else [made]
        graph.updates = list(zip([values[0], *values[2:]], made, strict=True))
        plan = build(passes.run(graph, forward=False), threads=threads)
        return plan, values[0].payload, counters.payload

    plan, _, _ = make()

    def result() -> list[Array]:
        fresh, weight, counters = make()
        for step in range(CHECKED):
            counters.storage[ITERATION] = step
            fresh.run()
        return [weight.numpy()]

    return Work(plan.run, result)


def model_of(case: Case, rate: float) -> Any:
    """A compiled model with the case's weights."""
    if case.network:
        model = (nnfast_sequences if case.network in NETWORKS else nnfast_images).model(case)
    else:
        hidden = [layers.Dense(units, activation="relu") for units in case.sizes[1:-1]]
        model = nnfast.Sequential([nnfast.Input((case.sizes[0],)), *hidden, layers.Dense(case.sizes[-1])])
        model.set_weights(inputs.weights(case))
    optimizers = nnfast.optimizers
    chosen: dict[str, Callable[[], Any]] = {
        "adam": lambda: optimizers.Adam(rate),
        "adamw": lambda: optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        "sgd_momentum": lambda: optimizers.SGD(rate, 0.9),
    }
    optimizer = chosen[case.optimizer or "sgd_momentum"]()
    model.compile(optimizer, nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def train(case: Case) -> Work:
    """Training of a network: `fit` over all batches, `train_on_batch` on one, or a whole training."""
    x, y = inputs.rows_and_labels(case)
    size = case.batch
    options = {"batch_size": size, "shuffle": False, "verbose": 0}
    model = model_of(case, timed_rate(case))

    def losses() -> list[Array]:
        fresh = model_of(case, LEARNING_RATE)
        if case.kind == "whole training":
            return [np.array(fresh.fit(x, y, epochs=TRAINING_EPOCHS, **options).history["loss"])]
        if case.kind == "train_on_batch":
            return [np.array([float(np.ravel(fresh.train_on_batch(x[:size], y[:size]))[0]) for _ in range(CHECKED)])]
        parts = [slice(first, first + size) for first in range(0, CHECKED * size, size)]
        return [np.array([fresh.fit(x[part], y[part], **options).history["loss"][0] for part in parts])]

    if case.kind == "whole training":
        return Work(repeated(lambda: model.fit(x, y, epochs=TRAINING_EPOCHS, **options)), losses)
    if case.kind == "train_on_batch":
        return Work(repeated(lambda: model.train_on_batch(x[:size], y[:size])), losses)
    return Work(lambda count: model.fit(x, y, epochs=count, **options), losses, times=len(x) // size)


def predict(case: Case) -> Work:
    """`predict` on one batch; of a network on images that is frozen, since the other libraries take its weights as constants."""
    model, x = model_of(case, LEARNING_RATE), inputs.batch(case)
    if case.network and case.network not in NETWORKS:
        model = model.freeze()
    return Work(
        repeated(lambda: model.predict(x, batch_size=len(x), verbose=0)),
        lambda: [model.predict(x, batch_size=len(x), verbose=0)],
    )


EPOCHS = 20
OVERHEAD_CASE = Case("steps", "fit", (30, 64, 2), 256, "adam")
AROUND = ("gather_rows", "gather_rows_int32", "record", "advance")  # steps of a plan that feed it and note the loss


def fit_overhead(rounds: int) -> float:
    """The part of `fit`, with shuffling, that is not forward, gradients and update: median over rounds."""
    model, case = model_of(OVERHEAD_CASE, 1e-6), OVERHEAD_CASE
    x, y = inputs.rows_and_labels(case)
    steps = len(x) // case.batch

    def fit() -> None:
        model.fit(x, y, batch_size=case.batch, epochs=EPOCHS, verbose=0)

    fit()
    source = ArraySource(x, y)
    plan = model.train_step_for(case.batch, list(source.arrays)).plan
    parts = []
    for _ in range(rounds):
        whole = sample(repeated(fit), 1) / EPOCHS
        model.state.begin_run(0)
        plan.run(steps, profile=True)
        spent = zip(plan.steps, plan.profile(), strict=True)
        work = sum(ns for step, (_, ns) in spent if step.kernel not in AROUND)
        parts.append(1 - work * 1e-9 / whole)
    return statistics.median(parts)
