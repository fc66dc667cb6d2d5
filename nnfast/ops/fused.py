"""Ops that only passes make: a product with its epilogue, and a chain of elementwise ops as one program.

`body` holds what was fused, so the reference runs the parts one after the other; the result has the same bits as the parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnfast.errors import GraphError
from nnfast.graph.ir import Node, Value
from nnfast.ops import conv
from nnfast.ops.registry import OPS, Call, Operation, Sample, Specs, define, elementwise_call

MAX_BUFFERS = 16  # NNF_MAX_BUFFERS
MAX_TEMPORARIES = 16  # NNF_MAX_TEMPORARIES


@dataclass(frozen=True)
class Part:
    """One fused op. `operands` index the node's inputs; from len(inputs) on, the results of earlier parts."""

    op: str
    attributes: tuple[tuple[str, Any], ...]
    operands: tuple[int, ...]

    @property
    def parameters(self) -> tuple[float, ...]:
        given = dict(self.attributes)
        return tuple(float(given[name]) for name in OPS[self.op].parameters)


def _never(node: Node, *_: Any) -> list[Value | None]:
    raise GraphError(f"{node.op.name} is made after differentiation")


def _run_body(arrays: list[np.ndarray], body: tuple[Part, ...]) -> np.ndarray:
    values = list(arrays)
    for part in body:
        values.append(OPS[part.op].reference(*(values[i] for i in part.operands), **dict(part.attributes)))
    return values[-1]


# A chain of elementwise ops. The last part gives the output.
def _infer_program(node: Node) -> Specs:
    return [(np.broadcast_shapes(*(value.shape for value in node.inputs)), node.inputs[0].dtype)]


def _program_calls(node: Node) -> list[Call]:
    """Temporaries are reused as soon as their last reader is done."""
    body: tuple[Part, ...] = node.attributes["body"]
    inputs = len(node.inputs)
    last_read = {operand: i for i, part in enumerate(body) for operand in part.operands}
    slots: dict[int, int] = {i: 1 + i for i in range(inputs)}
    free: list[int] = []
    temporaries = 0
    program = []
    for i, part in enumerate(body):
        operands = [slots[o] for o in part.operands]
        free += [slots[o] for o in dict.fromkeys(part.operands) if o >= inputs and last_read[o] == i]
        if i == len(body) - 1:
            slot = 0
        elif free:
            slot = free.pop()
        else:
            slot = 1 + inputs + temporaries
            temporaries += 1
        slots[inputs + i] = slot
        function = OPS[part.op].function
        assert function is not None
        a, b, c = [*operands, -1, -1][:3]
        program.append(Operation(function, slot, a, b, c, part.parameters))
    return [elementwise_call(node, program, temporaries)]


def _program_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    body = (
        Part("multiply", (), (0, 1)),
        Part("tanh", (), (3,)),
        Part("add", (), (4, 2)),
        Part("scale", (("factor", 0.5),), (5,)),
        Part("multiply", (), (6, 4)),
    )
    for shapes in (((5,), (5,), (5,)), ((33, 70), (70,), (33, 1)), ((4, 300), (1, 300), ()), ((0, 3), (3,), (1,))):
        yield [rng.standard_normal(shape).astype(dtype) for shape in shapes], {"body": body}


define(
    name="elementwise_program", inputs=("*xs",), formula="its parts one after the other", kind="elementwise", infer=_infer_program,
    reference=lambda *xs, body: _run_body(list(xs), body), gradient=_never, kernel=None, calls=_program_calls,
    flops=lambda n: float(n.output.size * sum(OPS[p.op].flops(n) / max(n.output.size, 1) for p in n.attributes["body"])),
    tolerance="sum", samples=_program_samples, promotes=False,
)  # fmt: skip


# A product with an epilogue. Each part takes the running value first, then at most one further operand.
def _product_reference(
    a: np.ndarray, b: np.ndarray, *operands: np.ndarray, body: tuple[Part, ...], product: str, **attributes: Any
) -> np.ndarray:
    return _run_body([*operands, OPS[product].reference(a, b, **attributes)], body)


def _product_calls(node: Node) -> list[Call]:
    operands = node.inputs[2:]
    columns = node.output.shape[-1]
    program = []
    for part in node.attributes["body"]:
        function = OPS[part.op].function
        assert function is not None
        other = part.operands[1] if len(part.operands) > 1 else -1
        stride = 0 if other < 0 or (operands[other].size == columns and node.output.size != columns) else columns
        program.append(Operation(function, 0, 0, 3 + other if other >= 0 else -1, stride, part.parameters))
    calls = OPS[node.attributes["product"]].kernel_calls(node)
    return [Call(call.kernel, call.sizes, call.scalars, program=tuple(program)) for call in calls]


def _product_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    plain = {"product": "matmul", "transpose_a": False, "transpose_b": False}
    dense = (Part("add", (), (1, 0)), Part("relu", (), (2,)))
    backward = (Part("tanh_gradient", (), (1, 0)),)
    for m, n, k in ((1, 5, 3), (7, 33, 20), (64, 16, 600), (0, 3, 2), (3, 5, 0)):
        x, w = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        yield [x, w, rng.standard_normal(n).astype(dtype)], {**plain, "body": dense}
        dy = rng.standard_normal((m, n)).astype(dtype)
        yield [dy, w, np.tanh(x)], {**plain, "transpose_b": True, "body": backward}
    residual = (Part("add", (), (2, 0)), Part("add", (), (3, 1)), Part("relu", (), (4,)))
    for name, arrays, attributes in conv.epilogue_samples(rng, dtype):
        shape = OPS[name].reference(*arrays, **attributes).shape
        operands = [rng.standard_normal(shape[-1]).astype(dtype), rng.standard_normal(shape).astype(dtype)]
        yield [*arrays, *operands], {**attributes, "product": name, "body": residual}


define(
    name="product_with_epilogue", inputs=("a", "b", "*operands"), formula="a b, then its parts one after the other", kind="contraction",
    infer=lambda n: OPS[n.attributes["product"]].infer(n), reference=_product_reference, gradient=_never, kernel=None, calls=_product_calls,
    flops=lambda n: OPS[n.attributes["product"]].flops(n),
    tolerance="product", samples=_product_samples, promotes=False,
)  # fmt: skip
