"""OpDef: the one place where a fact about an op stands.

Each family file of nnfast.ops makes its OpDefs with `define`. Trace, checker, autodiff, passes, plan, reference, the generated
tests, the self-test and the benchmark read them here. Fields have no defaults where an op without them could not be tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nnfast.errors import ShapeError

if TYPE_CHECKING:
    from nnfast.graph.ir import Node, Value

Specs = Sequence[tuple[tuple[int, ...], str]]
Arrays = Sequence[np.ndarray]
Sample = tuple[list[np.ndarray], dict[str, Any]]

KINDS = ("elementwise", "contraction", "attention", "reduction", "row", "loss", "shape", "random", "update", "layout")

# Allowed difference to the reference, in units of the type's epsilon; nnfast.ops.tolerance says relative to what.
# "tail": of e^(-x^2), where the rounding of the exponent itself costs |x|^2 units in float64.
TOLERANCES = {
    "exact": 0,
    "rounding": 1,
    "function": 4,
    "tail": 128,
    "gradient": 32,
    "sum": 32,
    "product": 64,
    "update": 32,
}

NNF_CHUNK = 512  # a sum of products is cut here; csrc/nnfast.h

NOT_DIFFERENTIABLE = "not differentiable"


@dataclass(frozen=True)
class Operation:
    """One function of an elementwise program (y, a, b, c are slots) or of a product's epilogue (see nnf_operation in csrc/nnfast.h)."""

    function: str
    y: int
    a: int
    b: int = -1
    c: int = -1
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class Call:
    """One kernel call of a node: which outputs and inputs it gets (all, in order, unless said), its sizes and scalars."""

    kernel: str
    sizes: Sequence[int]
    scalars: Sequence[float] = ()
    outputs: Sequence[int | None] | None = None  # None in the sequence: a buffer that the kernel does without
    inputs: Sequence[int | None] | None = None
    dtype: str | None = None  # whose table the kernel comes from, where that is not the output's type
    program: Sequence[Operation] = ()
    portion: float = 1.0  # of its buffers' bytes that this call moves


@dataclass(frozen=True, kw_only=True, eq=False)
class OpDef:
    """One op: formula, shape rule, reference, gradient, kernel, cost, tolerance, samples."""

    name: str
    inputs: tuple[str, ...]  # names; a last name with a star takes any number
    formula: str
    kind: str
    infer: Callable[[Node], Specs]
    reference: Callable[..., Any]  # arrays and attributes -> array or tuple of arrays
    gradient: (
        Callable[..., Sequence[Value | None]] | str
    )  # (node, *output gradients) -> input gradients, or NOT_DIFFERENTIABLE
    kernel: str | Callable[[Node], str] | None  # None: calls, an elementwise function, a view, or decomposed by a pass
    flops: Callable[[Node], float]
    tolerance: str
    samples: Callable[[np.random.Generator, str], Iterable[Sample]]  # (generator, dtype) -> inputs and attributes
    function: str | None = None  # name of the elementwise function in C
    parameters: tuple[str, ...] = ()  # attributes that become the function's scalar parameters, in order
    arguments: Callable[[Node], tuple[Sequence[int], Sequence[float]]] | None = None  # kernel's sizes and scalars
    calls: Callable[[Node], Sequence[Call]] | None = None  # in place of `kernel`, for a node of several kernel calls
    decompose: Callable[..., Any] | None = None  # (node) -> values, in other ops
    late: bool = False  # decomposed after differentiation: the gradient is that of the whole
    promotes: bool = True  # operands are brought to one floating type
    view: bool = False  # the output is the input's memory under another shape
    in_place: tuple[int, ...] = ()  # inputs whose memory output 0 may take over
    overwrites: tuple[
        tuple[int, int], ...
    ] = ()  # further pairs of an output and the input whose memory it may take over
    updates: tuple[int, ...] = ()  # output i is written over input updates[i]
    layout: str = "row"  # of the outputs in memory
    keeps_zero: bool = False  # f(0, ..) == 0: may run on padded panels
    panels: tuple[int, ...] = ()  # inputs that the kernel reads from panels

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise TypeError(f"op name {self.name!r}: expected lower case words joined by underscores")
        if self.kind not in KINDS:
            raise TypeError(f"op {self.name}: kind {self.kind!r} is none of {KINDS}")
        if self.tolerance not in TOLERANCES:
            raise TypeError(f"op {self.name}: tolerance {self.tolerance!r} is none of {tuple(TOLERANCES)}")
        ways = [
            self.kernel is not None,
            self.calls is not None,
            self.function is not None,
            self.decompose is not None,
            self.view,
        ]
        if sum(ways) != 1:
            raise TypeError(f"op {self.name}: give exactly one of kernel, calls, function, decompose and view")
        if self.kernel is not None and self.arguments is None:
            raise TypeError(f"op {self.name}: a kernel needs `arguments`, the rule for its sizes and scalars")

    def check_operands(self, count: int) -> None:
        """Raise ShapeError unless the op can be applied to so many operands."""
        any_number = bool(self.inputs) and self.inputs[-1].startswith("*")
        least = len(self.inputs) - any_number
        if count < least or (count > least and not any_number):
            raise ShapeError(
                f"{self.name}: {count} operand{'' if count == 1 else 's'} given; expected {least}{' or more' * any_number} ({', '.join(self.inputs)})"
            )

    @property
    def in_graph_only(self) -> bool:
        """The op reads the model's counters, so it has no meaning on arrays alone."""
        return "counters" in self.inputs

    def kernel_calls(self, node: Node) -> Sequence[Call]:
        """The kernel calls that compute this node."""
        if self.function is not None:
            a, b, c = [*range(1, 1 + len(node.inputs)), -1, -1][:3]
            parameters = tuple(float(node.attributes[p]) for p in self.parameters)
            return [elementwise_call(node, [Operation(self.function, 0, a, b, c, parameters)], temporaries=0)]
        if self.calls is not None:
            return self.calls(node)
        assert self.kernel is not None and self.arguments is not None, self.name
        sizes, scalars = self.arguments(node)
        return [Call(self.kernel if isinstance(self.kernel, str) else self.kernel(node), sizes, scalars)]


def elementwise_call(node: Node, program: Sequence[Operation], temporaries: int) -> Call:
    """A call of the kernel `elementwise`: the node's outputs and inputs under one iteration space, axes merged where all agree."""
    rank = 6  # NNF_MAX_RANK
    tensors = [*node.outputs, *node.inputs]
    if any(value.layout == "panel" for value in tensors):
        shape: tuple[int, ...] = (stored_size(node.output),)
        strides = [[0 if value.size == 1 else 1] for value in tensors]
    else:
        shape = node.output.shape
        strides = [broadcast_strides(value.shape, shape) for value in tensors]
    axes: list[list[int]] = []  # [extent, stride of each tensor ...]
    for i, extent in enumerate(shape):
        if extent == 1:
            continue
        own = [s[i] for s in strides]
        if axes and all(axes[-1][1 + t] == extent * stride for t, stride in enumerate(own)):
            axes[-1] = [axes[-1][0] * extent, *own]
        else:
            axes.append([extent, *own])
    if not axes:
        axes = [[1] + [1] * len(node.outputs) + [0] * len(node.inputs)]
    if len(axes) > rank:
        raise ShapeError(
            f"{node.op.name}: broadcasting over {len(axes)} axes that cannot be merged: at most {rank} are supported"
        )
    blank = [0] * (rank - len(axes))
    sizes = [len(axes), len(tensors), len(node.outputs), temporaries, *[a[0] for a in axes], *[1] * (rank - len(axes))]
    for t in range(len(tensors)):
        sizes += [*[a[1 + t] for a in axes], *blank]
    return Call("elementwise", sizes, program=tuple(program))


def row_strides(shape: Sequence[int]) -> list[int]:
    """Strides of a row-major tensor, in elements."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def broadcast_strides(shape: Sequence[int], target: Sequence[int]) -> list[int]:
    """Strides with which a row-major tensor of `shape` is read as one of shape `target`."""
    strides = [0] * (len(target) - len(shape)) + row_strides(shape)
    extents = [1] * (len(target) - len(shape)) + list(shape)
    return [0 if extent == 1 else stride for extent, stride in zip(extents, strides, strict=True)]


def stored_size(value: Value) -> int:
    """Elements that a value takes in memory: panels are padded to 16 columns."""
    if value.layout == "panel":
        return -(-value.shape[-1] // 16) * 16 * prod(value.shape[:-1])
    return value.size


OPS: dict[str, OpDef] = {}


def define(**fields: Any) -> OpDef:
    """Register an op; a definition that lacks a field fails here, at import."""
    op = OpDef(**fields)
    if op.name in OPS:
        raise TypeError(f"op {op.name} is defined twice")
    OPS[op.name] = op
    return op
