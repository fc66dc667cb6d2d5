"""Networks on sequences as ONNX nodes: its recurrent operators, and transformers of basic ones, since there is no operator of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import Taken
from nnfast.benchmark.sequences import GATES, NETWORKS, NORM_EPSILON, Decoder, Encoder, Recurrent

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}


class Build:
    """Collects nodes and constants."""

    def __init__(self, case: Case) -> None:
        self.weights = Taken(inputs.weights(case))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{len(self.constants)}"))
        return f"w{len(self.constants) - 1}"

    def node(self, op: str, *operands: Any, outputs: int = 1, **attributes: Any) -> str:
        """The name of the node's last output. Operands: names, or arrays."""
        from onnx import helper

        names = [item if isinstance(item, str) else self.constant(item) for item in operands]
        last = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [*[""] * (outputs - 1), last], **attributes))
        return last

    def linear(self, x: str) -> str:
        kernel, bias = self.weights.take(2)
        return self.node("Add", self.node("MatMul", x, kernel), bias)


def nodes_and_weights(case: Case) -> tuple[list[Any], list[Any]]:
    """Nodes from "x" to "y", and the constants that they read."""
    build, described = Build(case), NETWORKS[case.network]
    if isinstance(described, Recurrent):
        _recurrent(build, described)
    elif isinstance(described, Encoder):
        _encode(build, described)
    else:
        assert isinstance(described, Decoder), "tables are trained, not predicted"
        _decode(build, described)
    build.nodes[-1].output[0] = "y"
    return build.nodes, build.constants


def _gates(array: Any, cell: str) -> Any:
    """The last axis in ONNX' order of gates: that of an LSTM is input, output, forget, cell."""
    if cell != "lstm":
        return array
    i, f, c, o = np.split(array, 4, -1)
    return np.concatenate([i, o, f, c], -1)


def _recurrent(build: Build, described: Recurrent) -> None:
    units, count = described.units, described.directions
    given: dict[str, Any] = {"hidden_size": units, "direction": "bidirectional" if count == 2 else "forward"}
    if described.cell == "gru":
        given["linear_before_reset"] = 1
    y = build.node("Transpose", "x", perm=[1, 0, 2])
    for layer in range(described.layers):
        kernels, recurrents, biases = [], [], []
        for _ in range(count):
            kernel, recurrent, bias = (_gates(array, described.cell) for array in build.weights.take(3))
            pair = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
            kernels.append(kernel.T)
            recurrents.append(recurrent.T)
            biases.append(pair.reshape(2 * GATES[described.cell] * units))
        operands = [y, *map(np.stack, (kernels, recurrents, biases))]
        last = layer == described.layers - 1
        y = build.node(OPERATORS[described.cell], *operands, outputs=2 if last else 1, **given)
        if not last:  # [steps, directions, batch, units]
            y = build.node("Reshape", build.node("Transpose", y, perm=[0, 2, 1, 3]), np.array([0, 0, -1]))
    y = build.node("Reshape", build.node("Transpose", y, perm=[1, 0, 2]), np.array([0, -1]))
    build.node("Gemm", y, *build.weights.take(2))


def _norm(build: Build, x: str, weights: list[Any]) -> str:
    return build.node("LayerNormalization", x, *weights, axis=-1, epsilon=NORM_EPSILON)


def _attend(build: Build, described: Decoder | Encoder, x: str, weights: list[Any]) -> str:
    def heads(x: str, perm: tuple[int, ...]) -> str:
        return build.node("Transpose", build.node("Reshape", x, np.array([0, 0, described.heads, -1])), perm=perm)

    q, k, v = (build.node("Add", build.node("MatMul", x, weights[i]), weights[i + 1]) for i in (0, 2, 4))
    scores = build.node("MatMul", heads(q, (0, 2, 1, 3)), heads(k, (0, 2, 3, 1)))
    scores = build.node("Mul", scores, np.float32((described.width // described.heads) ** -0.5))
    if isinstance(described, Decoder):
        mask = np.triu(np.full((described.context, described.context), -np.inf, np.float32), 1)
        scores = build.node("Add", scores, mask)
    mixed = build.node("MatMul", build.node("Softmax", scores, axis=-1), heads(v, (0, 2, 1, 3)))
    mixed = build.node("Reshape", build.node("Transpose", mixed, perm=(0, 2, 1, 3)), np.array([0, 0, -1]))
    return build.node("Add", build.node("MatMul", mixed, weights[6]), weights[7])


def _hidden(build: Build, x: str, weights: list[Any]) -> str:
    hidden = build.node("Add", build.node("MatMul", x, weights[0]), weights[1])
    half = build.node("Mul", hidden, np.float32(0.5))
    phi = build.node("Add", build.node("Erf", build.node("Mul", hidden, np.float32(0.5**0.5))), np.float32(1))
    return build.node("Add", build.node("MatMul", build.node("Mul", half, phi), weights[2]), weights[3])


def _decode(build: Build, described: Decoder) -> None:
    take = build.weights.take
    embedding, positions = take(2)
    x = build.node("Add", build.node("Gather", embedding, "x"), positions)
    for _ in range(described.blocks):
        attention, before, inner, after = take(8), take(2), take(4), take(2)
        x = build.node("Add", x, _attend(build, described, _norm(build, x, before), attention))
        x = build.node("Add", x, _hidden(build, _norm(build, x, after), inner))
    build.linear(_norm(build, x, take(2)))


def _encode(build: Build, described: Encoder) -> None:
    take = build.weights.take
    embedding, positions, segments = take(3)
    x = _norm(build, build.node("Add", build.node("Gather", embedding, "x"), positions + segments[0]), take(2))
    for _ in range(described.blocks):
        attention, middle, inner, last = take(8), take(2), take(4), take(2)
        x = _norm(build, build.node("Add", x, _attend(build, described, x, attention)), middle)
        x = _norm(build, build.node("Add", x, _hidden(build, x, inner)), last)
    mean = build.node("ReduceMean", x, axes=[1], keepdims=0)
    build.node("LpNormalization", mean, axis=-1, p=2)
