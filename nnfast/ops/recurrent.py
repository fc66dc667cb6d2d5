"""Recurrent nets over whole sequences: LSTM, GRU (reset after the product), simple RNN, and their gradients.

    xw [B, T, G H]   x W + b of all steps, by one product before; G gates (4, 3, 1)
    w  [H, G H]      the recurrent weight
    y  [B, T, H]     the outputs; h_last (and c_last) [B, H] the state after the last step

A plan has one step for the whole sequence, or for few sequences of many units one per time step (csrc/kernels/recurrent.h). The
weight gradient is one product over all steps. A mask [B, T] with 0 leaves state and output as they were; dropout [B, H] holds factors
of the state in the product, the same in all steps. Optional operands stand in `given`, in their order.
Gradients that fall below 2^-100 (2^-960 in float64) on their way back become 0: they would end in denormal numbers.
The gates of an LSTM lie over xw, and its gradient over them: each element is read before, by the same thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops import _recurrent_reference as reference
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, define
from nnfast.ops.shape import copy_sizes

GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
ACTIVATIONS = ("tanh", "relu")  # of simple_rnn
OPTIONAL = ("h0", "c0", "mask", "dropout", "bias")
OPTIONAL_OF_GRADIENT = ("gates", "dy", "dh_last", "dc_last", "c_before", "y", "h0", "mask", "dropout")
GRADIENT_ORDER = ("dy", "dh_last", "dc_last", "wt", "gates", "c_before", "y", "h0", "mask", "dropout")

# Place of each output in the kernels' buffers; None: the kernel does without. Inputs follow in the order above.
OUTPUTS: dict[str, tuple[int | None, ...]] = {
    "lstm": (0, 1, 2, 3, 4, 5),
    "gru": (0, 1, None, 2, None, 3),
    "simple_rnn": (0, 1, None, 2, None, None),
    "lstm_gradient": (0, 1, 2, None),
    "gru_gradient": (0, 1, None, 2),
    "simple_rnn_gradient": (0, 1, None, None),
}
RESULTS = {"lstm": 3, "gru": 2, "simple_rnn": 2}  # outputs that users see; with `keep` follow those that gradients read

# Which division is faster (csrc/kernels/recurrent.h). On a two-core Intel Xeon with AVX-512 and 2 MB of second-level cache each, one
# sequence of 100 steps by an LSTM of 256 units, 1 MB of weights, took 0.55 ms on one thread and 0.68 ms by units on two, while others
# used the machine: each step waits for the states of the other core. Larger weights, which one cache does not hold, are divided on
# paper only: both ways have not been compared in a quiet minute.
WEIGHT_BYTES = 1 << 20  # more of them than this are divided, up to
SOME_SEQUENCES = 64  # so many sequences
CACHE_SPEED = (
    32  # so much less a byte of the weight counts than one from memory, where a time step's threads are chosen
)


def _by_units(batch: int, units: int, gates: int, given: Sequence[str]) -> bool:
    if "dropout" in given and "h0" in given:  # the first product has an operand of its own
        return False
    large = gates * units * units * 4 > WEIGHT_BYTES
    return batch == 1 or (large and batch < SOME_SEQUENCES)


def _calls(
    kernel: str, steps: Callable[[int], int], named: Callable[[Node], dict[str, int]], order: Sequence[str]
) -> Any:
    cell = kernel.removesuffix("_gradient")

    def calls(node: Node) -> list[Call]:
        attributes = node.attributes
        batch, length, units = _sizes(node, cell)
        places = named(node)
        inputs = [places.get(name) for name in order]
        outputs = [None if i is None or i >= len(node.outputs) else i for i in OUTPUTS[kernel]]
        count = steps(length)
        by_units = _by_units(batch, units, GATES[cell], attributes["given"])
        spans = [(s, s + 1) for s in range(count)] if by_units else [(0, count)]
        flags = [int(attributes["backwards"]), int(by_units), ACTIVATIONS.index(attributes.get("activation", "tanh"))]
        weight = node.inputs[places.get("w", 0)].size
        total = sum(value.size for value in (*node.inputs, *node.outputs))
        portion = ((total - weight) / len(spans) + weight / CACHE_SPEED) / total if by_units else 1.0
        return [
            Call(kernel, [batch, length, units, *span, *flags], outputs=outputs, inputs=inputs, portion=portion)
            for span in spans
        ]

    return calls


def _sizes(node: Node, cell: str) -> tuple[int, int, int]:
    """Batch, length, units."""
    if node.op.name.endswith("_gradient"):
        places = _places_in_gradient(node)
        batch, length, width = node.inputs[places["gates" if "gates" in places else "y"]].shape
        return batch, length, width // (4 if "gates" in places else 1)
    batch, length, width = node.inputs[0].shape
    return batch, length, width // GATES[cell]


def _places(node: Node) -> dict[str, int]:
    return {"xw": 0, "w": 1, **{name: 2 + i for i, name in enumerate(node.attributes["given"])}}


def _places_in_gradient(node: Node) -> dict[str, int]:
    return {"wt": 0, **{name: 1 + i for i, name in enumerate(node.attributes["given"])}}


def _infer(cell: str) -> Callable[[Node], Specs]:
    def infer(node: Node) -> Specs:
        xw, w, *others = node.inputs
        gates = GATES[cell]
        if xw.ndim != 3 or xw.shape[2] % gates:
            raise ShapeError(f"{cell}: xw has shape {list(xw.shape)}; expected (batch, time, {gates} * units)")
        batch, length, units = xw.shape[0], xw.shape[1], xw.shape[2] // gates
        if length < 1:
            raise ShapeError(f"{cell}: the sequences are empty; expected at least one time step")
        shapes = {
            "h0": (batch, units),
            "c0": (batch, units),
            "mask": (batch, length),
            "dropout": (batch, units),
            "bias": (gates * units,),
        }
        wanted = [
            ("w", w, (units, gates * units)),
            *((n, v, shapes[n]) for n, v in zip(node.attributes["given"], others, strict=True)),
        ]
        for name, value, shape in wanted:
            if value.shape != shape:
                raise ShapeError(f"{cell}: {name} has shape {list(value.shape)}; expected {list(shape)}")
        sequence, state = (batch, length, units), (batch, units)
        specs: list[tuple[int, ...]] = [sequence, *[state] * (RESULTS[cell] - 1)]
        if node.attributes["keep"]:
            gate_values = (batch, length, 4 * units)
            specs += {
                "lstm": [sequence, sequence, gate_values],
                "gru": [sequence, gate_values],
                "simple_rnn": [sequence],
            }[cell]
        return [(shape, xw.dtype) for shape in specs]

    return infer


def _infer_gradient(cell: str) -> Callable[[Node], Specs]:
    def infer(node: Node) -> Specs:
        batch, length, units = _sizes(node, cell)
        wide = (batch, length, GATES[cell] * units)
        last = {"lstm": ((batch, units),), "gru": (wide,), "simple_rnn": ()}[cell]
        return [(shape, node.inputs[0].dtype) for shape in (wide, (batch, units), *last)]

    return infer


def _keeping(node: Node) -> list[Value]:
    """What gradients read: from now on the node keeps it. Nothing else sees these outputs, so what is there does not change."""
    if not node.attributes["keep"]:
        node.attributes = {**node.attributes, "keep": True}
        specs = list(node.op.infer(node))
        for index in range(len(node.outputs), len(specs)):
            shape, dtype = specs[index]
            node.outputs.append(Value(node.output.graph, tuple(shape), dtype, "node", node=node, index=index))
    return node.outputs[RESULTS[node.op.name] :]


def _gradient(node: Node, *results: Value | None) -> list[Value | None]:
    cell = node.op.name
    given = dict(zip(node.attributes["given"], node.inputs[2:], strict=True))
    kept = _keeping(node)
    h_before = kept[0]
    operands: dict[str, Value | None] = {"dy": results[0], "dh_last": results[1], **given}
    if cell == "lstm":
        operands |= {"dc_last": results[2], "c_before": kept[1], "gates": kept[2]}
    elif cell == "gru":
        operands |= {"gates": kept[1], "y": node.outputs[0]}
    else:
        operands["y"] = node.outputs[0]
    used = {name: operands[name] for name in OPTIONAL_OF_GRADIENT if operands.get(name) is not None}
    wt = call("pack_panels", node.inputs[1], transpose=True)
    attributes = {k: node.attributes[k] for k in ("backwards", "activation") if k in node.attributes}
    dxw, dh0, *last = call(f"{cell}_gradient", wt, *used.values(), given=tuple(used), **attributes)
    dz = last[0] if cell == "gru" else dxw
    rows = node.inputs[0].shape[0] * node.inputs[0].shape[1]
    dz = call("reshape", dz, shape=(rows, dz.shape[2]))
    states = call("reshape", h_before, shape=(rows, h_before.shape[2]))
    dw = call("matmul", states, dz, transpose_a=True, transpose_b=False)
    found: dict[str, Value] = {"h0": dh0}
    if cell == "lstm":
        found["c0"] = last[0]
    if "bias" in given:
        found["bias"] = call("reshape", call("sum", dz, start=0, stop=1), shape=given["bias"].shape)
    return [dxw, dw, *(found.get(name) for name in node.attributes["given"])]


def _no_second_derivative(node: Node, *_: Value | None) -> list[Value | None]:
    raise GraphError(f"{node.op.name}: recurrent nets have no second derivative; RNN with a cell of your own has")


def _flops(cell: str) -> Callable[[Node], float]:
    def flops(node: Node) -> float:
        batch, length, units = _sizes(node, cell)
        return batch * length * units * GATES[cell] * (2.0 * units + 20.0)

    return flops


def _samples(cell: str) -> Callable[[np.random.Generator, str], Iterable[Sample]]:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        options = ((), ("h0",), ("mask",), ("h0", "mask"), ("dropout",), ("h0", "dropout"))
        for i, (batch, length, units) in enumerate(
            ((1, 1, 1), (1, 2, 2), (2, 3, 1), (2, 2, 2), (5, 3, 17), (6, 4, 16), (0, 2, 3), (1, 3, 70), (7, 2, 33))
        ):
            chosen = options[i % len(options)]
            yield _sample(rng, dtype, cell, (batch, length, units), chosen, bool(i % 2), keep="dropout" in chosen)
            yield _sample(rng, dtype, cell, (batch, length, units), chosen, not i % 2, keep=units > 2)

    return samples


def _sample(
    rng: np.random.Generator,
    dtype: str,
    cell: str,
    sizes: tuple[int, int, int],
    chosen: Sequence[str],
    backwards: bool,
    keep: bool,
) -> Sample:
    batch, length, units = sizes
    gates = GATES[cell]
    wanted = [*chosen, *(["c0"] if cell == "lstm" and "h0" in chosen else []), *(["bias"] if cell == "gru" else [])]
    given = tuple(name for name in OPTIONAL if name in wanted)
    mask = (rng.random((batch, length)) < 0.6).astype(dtype)
    made = {
        "h0": rng.uniform(-1, 1, (batch, units)),
        "c0": rng.standard_normal((batch, units)),
        "mask": mask,
        "dropout": 2.0 * (rng.random((batch, units)) < 0.5),
        "bias": rng.standard_normal(gates * units),
    }
    arrays = [
        rng.standard_normal((batch, length, gates * units)),
        rng.standard_normal((units, gates * units)) / np.sqrt(units),
    ]
    attributes: dict[str, Any] = {"given": given, "backwards": backwards, "keep": keep}
    if cell == "simple_rnn":
        attributes["activation"] = ACTIVATIONS[int(backwards)]
    return [a.astype(dtype) for a in (*arrays, *(made[name] for name in given))], attributes


def _gradient_samples(cell: str) -> Callable[[np.random.Generator, str], Iterable[Sample]]:
    """What the forward samples lead to."""

    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for arrays, forward in _samples(cell)(rng, dtype):
            attributes = {**forward, "keep": True}
            outputs = reference.forward(cell, *arrays, **attributes)
            operands = dict(zip(forward["given"], arrays[2:], strict=True))
            y, states = outputs[0], [rng.standard_normal(outputs[1].shape).astype(dtype) for _ in range(2)]
            operands |= {"dy": rng.standard_normal(y.shape).astype(dtype), "dh_last": states[0], "y": y}
            if cell == "lstm":
                operands |= {"dc_last": states[1], "c_before": outputs[4], "gates": outputs[5]}
            elif cell == "gru":
                operands["gates"] = outputs[3]
            unused = {"lstm": {"y", "h0"}, "gru": set(), "simple_rnn": {"h0"}}[cell]
            if len(operands) % 2:
                unused |= {"dh_last", "dc_last"}
            given = tuple(name for name in OPTIONAL_OF_GRADIENT if name in operands and name not in unused)
            kept = {key: value for key, value in forward.items() if key in ("backwards", "activation")}
            yield [np.ascontiguousarray(arrays[1].T), *(operands[name] for name in given)], {**kept, "given": given}

    return samples


FORMULAS = {
    "lstm": "i f g o = xw + h w; c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c), over time (Hochreiter, Schmidhuber 1997)",
    "gru": "z r n = xw + h w + bias; n = tanh(xw_n + sigmoid(r) (h w + bias)_n); h = n + sigmoid(z) (h - n), over time (Cho et al. 2014)",
    "simple_rnn": "h = activation(xw + h w), over time (Elman 1990)",
}
for _cell, _formula in FORMULAS.items():
    define(
        name=_cell, inputs=("xw", "w", "*optional"), formula=_formula, kind="contraction", infer=_infer(_cell),
        reference=reference.forward_of(_cell), gradient=_gradient, kernel=None,
        calls=_calls(_cell, lambda length: length, _places, ("xw", "w", *OPTIONAL)), flops=_flops(_cell), tolerance="product",
        samples=_samples(_cell), panels=(1,), overwrites=((5, 0),) if _cell == "lstm" else (),
    )  # fmt: skip
    define(
        name=f"{_cell}_gradient", inputs=("wt", "*optional"), formula=f"gradients of {_cell} with respect to xw, the initial state and h w",
        kind="contraction", infer=_infer_gradient(_cell), reference=reference.gradient_of(_cell), gradient=_no_second_derivative, kernel=None,
        calls=_calls(f"{_cell}_gradient", lambda length: length + 1, _places_in_gradient, GRADIENT_ORDER),
        flops=_flops(_cell), tolerance="product", samples=_gradient_samples(_cell), panels=(0,), in_place=(1,) if _cell == "lstm" else (),
    )  # fmt: skip


def _state_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in ((0, 3), (1, 1), (3, 17)):
        yield [rng.standard_normal(shape).astype(dtype) for _ in range(2)], {}


# The state that a stateful layer keeps between batches.
define(
    name="update_state", inputs=("w", "value"), formula="w becomes value", kind="update", infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)],
    reference=lambda w, value: value.copy(), gradient=NOT_DIFFERENTIABLE, kernel=None,
    calls=lambda n: [Call("copy", copy_sizes((n.output.size,), (1,), (1,)), outputs=(), inputs=(0, 1))], flops=lambda n: 0.0,
    tolerance="exact", samples=_state_samples, promotes=False, updates=(0,),
)  # fmt: skip


def run(
    cell: str, xw: Any, w: Any, operands: dict[str, Any], *, backwards: bool = False, activation: str = "tanh"
) -> list[Any]:
    """Outputs [B, T, H] and last states of a sequence; operands by their names, None for those that are not there."""
    given = {name: operands[name] for name in OPTIONAL if operands.get(name) is not None}
    attributes: dict[str, Any] = {"activation": activation} if cell == "simple_rnn" else {}
    keep = "dropout" in given  # the product reads h times dropout, which has to stand somewhere
    found = call(cell, xw, w, *given.values(), given=tuple(given), backwards=backwards, keep=keep, **attributes)
    return list(found)[: RESULTS[cell]]
