"""What a model looks like: the table of `model.summary()`, and the plan report of `model.plan()`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nnfast.errors import NnfastError
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.layers.symbol import Symbol, flat, infer_outputs, is_open, like, try_sizes
from nnfast.plan.plan import Plan
from nnfast.plan.show import show


@dataclass(frozen=True)
class PlanReport:
    """A plan as text, with its figures. Printing it shows the text."""

    text: str
    peak_bytes: int
    flops: float
    bytes_moved: int
    threads: int

    def __str__(self) -> str:
        return self.text


def report(plan: Plan) -> PlanReport:
    """The report of a plan."""
    return PlanReport(show(plan), plan.peak_bytes, plan.flops, plan.bytes_moved, plan.threads)


def summary(model: Any) -> str:
    """Layers with output shapes, parameters and flops per row; then totals."""
    rows = [("layer", "output shape", "parameters", "flops per row")]
    total_flops = 0.0
    for layer, inputs in _calls(model):
        shape, flops = _shape_and_flops(layer, inputs)
        total_flops += flops
        rows.append((f"{layer.name} ({type(layer).__name__})", shape, f"{layer.count_params():,}", f"{flops:,.0f}"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"Model: {model.name}"]
    for i, row in enumerate(rows):
        lines.append(
            "  ".join(
                cell.ljust(width) if c < 2 else cell.rjust(width)
                for c, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
        if i == 0:
            lines.append("-" * len(lines[-1]))
    if any(is_open(symbol.shape) for symbol in model.inputs or []):
        lines.append("flops are for sizes of 1 where sizes are not fixed, or the smallest that the layer takes")
    if not model.built:
        lines.append("not built yet: the shapes follow from the first data, or from an Input")
    trainable = sum(v.size for v in model.trainable_weights)
    total = model.count_params()
    lines.append(
        f"parameters: {total:,} ({trainable:,} trainable, {total - trainable:,} not), flops per row: {total_flops:,.0f}"
    )
    return "\n".join(lines)


def _calls(model: Any) -> Sequence[tuple[Any, Any]]:
    """Layers with the symbols that they are called on."""
    if hasattr(model, "_calls"):
        return [(call.layer, call.inputs) for call in model._calls]
    return [(layer, _first_inputs(layer)) for layer in model.layers]


def _first_inputs(layer: Any) -> Any:
    """Symbols in the shapes that the layer was built for."""
    if layer.input_shape is None:
        return None
    several = isinstance(layer.input_shape, list | dict)
    symbols = [
        Symbol(shape, layer.dtype, layer.name)
        for shape in (flat(layer.input_shape) if several else [layer.input_shape])
    ]
    return like(layer.input_shape, symbols) if several else symbols[0]


def _shape_and_flops(layer: Any, inputs: Any) -> tuple[str, float]:
    """Output shape, and flops of the layer on one row."""
    if inputs is None or not layer.built:
        return "?", 0.0
    symbols = [s for s in flat(inputs) if isinstance(s, Symbol)]
    if not any(is_open(s.shape) for s in symbols):
        graph, outputs = _traced(layer, inputs, symbols, 1)
        shapes = [(None, *value.shape[1:]) for value in outputs]
    else:  # flops for sizes of 1, or the smallest that work
        size = 1
        try:
            graph, _ = _traced(layer, inputs, symbols, size)
        except (NnfastError, ValueError):
            size = try_sizes(layer, inputs, most=1)[0][0]
            graph, _ = _traced(layer, inputs, symbols, size)
        shapes = [shape for shape, _ in infer_outputs(layer, inputs)]
    return " ".join(map(str, shapes)), sum(node.op.flops(node) for node in graph.nodes)


def _traced(layer: Any, inputs: Any, symbols: Sequence[Symbol], size: int) -> tuple[Graph, Sequence[Any]]:
    """The layer on one row, with `size` in place of axes that are not fixed."""
    graph = Graph()
    shapes = [[1, *(size if n is None else n for n in s.shape[1:])] for s in symbols]
    values = [graph.input(shape, s.dtype) for shape, s in zip(shapes, symbols, strict=True)]
    with tracing(graph):
        return graph, flat(layer(like(inputs, values)))
