"""One step of a model as a plan: traced for given shapes, differentiated, passed, planned.

In: a model, its targets, the shapes of a batch. Out: a Step: the plan, and where each recorded number stands in the log.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nnfast import ops, passes
from nnfast.config import get_num_threads
from nnfast.environment import debug_words
from nnfast.graph.check import check
from nnfast.graph.ir import Graph, Value
from nnfast.graph.trace import tracing
from nnfast.layers.symbol import flat
from nnfast.losses.base import expand_weight
from nnfast.optimizers.base import GRADIENT_SUM
from nnfast.passes.autodiff import gradients
from nnfast.plan.plan import Plan, Streams, build
from nnfast.plan.show import show
from nnfast.training.state import TrainingState
from nnfast.training.targets import Target

Spec = tuple[tuple[int, ...], str]  # shape of a row, dtype


@dataclass(frozen=True)
class Signature:
    """The shapes of a batch: a plan belongs to one of these."""

    rows: int
    inputs: tuple[Spec, ...]
    targets: tuple[Spec, ...] = ()
    weights: tuple[Spec, ...] = ()
    masks: tuple[tuple[int, int, str], ...] = ()  # which input, length, dtype


@dataclass
class Record:
    """Numbers of one kind in the log: the loss, or one statistic of a metric."""

    name: str
    metric: Any  # None for a loss
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        return self.start + prod(self.shape)


class Step:
    """A planned step and its records."""

    def __init__(self, plan: Plan, records: list[Record], signature: Signature) -> None:
        self.plan = plan
        self.records = records
        self.signature = signature
        self.rows = signature.rows
        self.width = records[-1].stop if records else 0


def _inputs(graph: Graph, specs: Sequence[Spec], rows: int, names: Sequence[str]) -> list[Value]:
    return [graph.input((rows, *shape), dtype, name) for (shape, dtype), name in zip(specs, names, strict=True)]


def _set_masks(graph: Graph, xs: list[Value], signature: Signature) -> None:
    """Inputs for the masks of padded sequences."""
    for place, time, dtype in signature.masks:
        xs[place].mask = graph.input((signature.rows, time), dtype, f"mask_{place}")


def _call(model: Any, xs: list[Value]) -> list[Value]:
    return list(flat(model(model.pack_inputs(xs))))


def predict_graph(model: Any, signature: Signature) -> Graph:
    """A prediction as traced, before any pass."""
    graph = Graph()
    with tracing(graph, training=False):
        xs = _inputs(graph, signature.inputs, signature.rows, model.input_names)
        _set_masks(graph, xs, signature)
        graph.outputs = _call(model, xs)
    return graph


def predict_step(model: Any, signature: Signature, without: Sequence[str] = ()) -> Plan:
    """The plan of a prediction."""
    graph = passes.run(predict_graph(model, signature), forward=True, without=without)
    return planned(passes.run(graph, forward=False, without=without), None, without)


def make_step(
    model: Any,
    targets: Sequence[Target],
    state: TrainingState,
    signature: Signature,
    optimizer: Any | None,
    without: Sequence[str] = (),
    updates: bool = True,
    groups: Mapping[Any, int] | None = None,
    beside: Plan | None = None,
) -> Step:
    """The plan of a training step, or of a test step where optimizer is None; without updates, gradients are only added up. groups: layers
    that are recomputed, with the number of the segment that they belong to. beside: a plan whose arena it may share."""
    graph = Graph()
    training = optimizer is not None
    with tracing(graph, training, state.counters) as trace:
        trace.groups, graph.segments = dict(groups or {}), len(set((groups or {}).values()))
        xs = _inputs(graph, signature.inputs, signature.rows, model.input_names)
        count = len(targets)
        ys = _inputs(graph, signature.targets, signature.rows, [f"y_{i}" for i in range(count)])
        ws = _inputs(
            graph, signature.weights, signature.rows, [f"sample_weight_{i}" for i in range(len(signature.weights))]
        )
        _set_masks(graph, xs, signature)
        outputs = _call(model, xs)
        total, named = _losses(targets, ys, outputs, ws)
        total = _with_penalties(model, total, trace.losses)
        records, values = _records(targets, ys, outputs, ws, total, named)
        graph.outputs = values
        weights = model.trainable_weights if training else []
        for variable in weights:
            graph.variable(variable)
    graph = passes.run(graph, forward=True, without=without)
    if training:
        _add_updates(graph, weights, state, optimizer, updates)
    graph = passes.run(graph, forward=False, without=without)
    plan = planned(graph, Streams(state.counters, training), without, beside)
    return Step(plan, records, signature)


def planned(
    graph: Graph, streams: Streams | None = None, without: Sequence[str] = (), beside: Plan | None = None
) -> Plan:
    """The plan of a graph after its passes."""
    if __debug__:
        check(graph)
    plan = build(graph, threads=get_num_threads(), streams=streams, without=without, beside=beside)
    if "plan" in debug_words():
        print(show(plan), file=sys.stderr)
    return plan


def _losses(
    targets: Sequence[Target], ys: list[Value], outputs: list[Value], ws: list[Value]
) -> tuple[Value, list[tuple[str, Value]]]:
    """The weighted sum of the losses, and each by name where there are several outputs."""
    total: Any = None
    named = []
    for i, (target, y, output) in enumerate(zip(targets, ys, outputs, strict=True)):
        if target.loss is None:
            continue
        value = target.loss(y, output, _weight(ws, i, output.dtype))
        if value.size != 1:
            value = ops.mean(value)
        if len(targets) > 1:
            named.append((f"{target.name}_loss", value))
        value = value if target.weight == 1.0 else value * target.weight
        total = value if total is None else total + value
    return total, named


def _weight(ws: list[Value], i: int, dtype: str) -> Value | None:
    return ops.cast(ws[i], dtype) if ws else None


def _counted(output: Value, weight: Value | None) -> Value | None:
    """The weight of a metric, with 0 where the layers' mask says padding."""
    if output.mask is None:
        return weight
    mask = ops.cast(output.mask, output.dtype)
    return mask if weight is None else ops.multiply(mask, expand_weight(weight, mask))


def _with_penalties(model: Any, total: Any, losses: list[Value]) -> Any:
    """Add what layers and regularizers ask for."""
    for variable in model.weights:
        if variable.regularizer is not None and variable.trainable:
            losses.append(variable.regularizer(total.graph.variable(variable)))
    for loss in losses:
        total = total + (ops.cast(loss, total.dtype) if loss.dtype != total.dtype else loss)
    return total


def _records(
    targets: Sequence[Target],
    ys: list[Value],
    outputs: list[Value],
    ws: list[Value],
    total: Value,
    named: list[tuple[str, Value]],
) -> tuple[list[Record], list[Value]]:
    """What the plan writes into its log in each batch: losses, then the metrics' statistics."""
    records: list[Record] = []
    values: list[Value] = []

    def record(name: str, metric: Any, value: Any) -> None:
        if not isinstance(value, Value):
            value = total.graph.constant(np.asarray(value), total.dtype)
        start = records[-1].stop if records else 0
        records.append(Record(name, metric, value.shape, start))
        values.append(value)

    record("loss", None, total)
    for name, value in named:
        record(name, None, value)
    for i, (target, y, output) in enumerate(zip(targets, ys, outputs, strict=True)):
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        weight = _weight(ws, i, output.dtype)
        for kind, listed in (("", target.metrics), ("weighted_", target.weighted_metrics)):
            for metric in listed:
                name = _free_name(prefix, kind, metric.name, {r.name for r in records})
                for statistic in metric.statistics(y, output, _counted(output, weight if kind else None)):
                    record(name, metric, statistic)
    return records, values


def _free_name(prefix: str, kind: str, name: str, taken: set[str]) -> str:
    """The name of a metric in the logs: a second one of the same name becomes weighted_name, or name_1."""
    candidates = [prefix + name, f"{prefix}{kind}{name}"]
    return next(c for c in (*candidates, *(f"{candidates[1]}_{i}" for i in range(1, 1000))) if c not in taken)


def _add_updates(graph: Graph, weights: Sequence[Any], state: TrainingState, optimizer: Any, updates: bool) -> None:
    """Gradients of the loss, then one update per weight, or of the sums of gradients."""
    every = optimizer.gradient_accumulation_steps
    with tracing(graph, True, state.counters):
        ordered = [variable for variable in state.slots if variable in set(weights)]
        values = [graph.variable(variable) for variable in ordered]
        found = gradients(graph.outputs[0], values) if values else []
        rates, counters = graph.variable(state.learning_rates), graph.variable(state.counters)
        if every is not None:
            counters = graph.variable(state.updates)
            sums = [state.slots[variable][GRADIENT_SUM] for variable in ordered]
            if not updates:
                minus = graph.constant(np.array([-1.0]), "float64")  # the rate with which descent adds
                for total, gradient in zip(sums, found, strict=True):
                    old = graph.variable(total)
                    graph.updates.append((old, ops.update_sgd(old, gradient, minus, counters)))
                return
            found = [
                ops.divide(ops.add(graph.variable(total), gradient), float(every))
                for total, gradient in zip(sums, found, strict=True)
            ]
        for variable, value, gradient in zip(ordered, values, optimizer.clip(found), strict=True):
            slots = {name: graph.variable(slot) for name, slot in state.slots[variable].items() if name != GRADIENT_SUM}
            new, new_slots = optimizer.update(value, gradient, slots, rates, counters)
            graph.updates.append((value, new))
            graph.updates += [(slots[name], new_slots[name]) for name in new_slots]
        if every is not None:
            for total in sums:
                old = graph.variable(total)
                graph.updates.append((old, ops.call("update_fill", old, graph.constant(0.0, old.dtype))))
