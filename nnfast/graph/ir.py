"""Values, nodes and graphs: the program of one training step or one prediction, before it is planned.

In: calls of `Graph.add` from nnfast.graph.trace. Out: `Graph.nodes`, in an order in which they can run.
A graph is pure: an op that updates a weight returns the new weight, and `Graph.updates` says which variable takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nnfast.errors import ShapeError

if TYPE_CHECKING:
    from nnfast.ops.registry import OpDef
    from nnfast.variable import Variable

FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int32", "int64")
BACKWARD = -1  # the segment of the backward pass
MOST_ELEMENTS = 1 << 56  # of a tensor: sizes in bytes, and sums of them, stay below 2^63


class Value:
    """A tensor in a graph: shape, dtype and where it comes from (an input, a constant, a variable or a node).

    `layout` is "row" (row-major) or "panel" (a matrix in the 16-column panels that the product kernels read).
    `mask` is the value that says which positions of a sequence count (1.0) and which are padding (0.0); layers set it while a model
    is traced, passes do not know it. Arithmetic operators are added by nnfast.ops.
    """

    __slots__ = ("graph", "shape", "dtype", "kind", "name", "node", "index", "payload", "layout", "mask")

    def __init__(
        self,
        graph: Graph,
        shape: tuple[int, ...],
        dtype: str,
        kind: str,
        name: str = "",
        node: Node | None = None,
        index: int = 0,
        payload: Any = None,
        layout: str = "row",
    ) -> None:
        if prod(shape) > MOST_ELEMENTS:
            what = name or (node.op.name if node is not None else kind)
            raise ShapeError(
                f"{what}: shape {list(shape)} has more than 2^56 elements, which no memory holds; look for a size that is wrong"
            )
        self.graph = graph
        self.shape = shape
        self.dtype = dtype
        self.kind = kind
        self.name = name
        self.node = node
        self.index = index
        self.payload = payload
        self.layout = layout
        self.mask: Value | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def is_scalar_constant(self) -> bool:
        return self.kind == "constant" and self.payload.size == 1

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name or '?'} {self.dtype}{list(self.shape)}>"

    def __bool__(self) -> bool:
        raise TypeError(
            "a symbolic value has no truth value while a graph is traced: use nnfast.ops.where(condition, a, b) "
            "in place of `if`"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "a symbolic value cannot become a NumPy array while a graph is traced: use the functions of nnfast.ops in place of NumPy's"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a scalar value")
        return self.shape[0]

    __array_ufunc__ = None
    __hash__ = object.__hash__


class Node:
    """One op applied to values."""

    # segment: the part of a training step that the node belongs to; see Graph.segment.
    __slots__ = ("op", "inputs", "attributes", "outputs", "segment")

    def __init__(self, op: OpDef, inputs: Sequence[Value], attributes: dict[str, Any], segment: int = 0) -> None:
        self.op = op
        self.segment = segment
        self.inputs = list(inputs)
        self.attributes = attributes
        self.outputs: list[Value] = []

    @property
    def output(self) -> Value:
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"<node {self.op.name} -> {self.outputs}>"


class Graph:
    """Nodes in execution order, with their inputs, variables and outputs."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.variables: dict[Variable, Value] = {}
        self.constants: dict[tuple[Any, ...], Value] = {}
        self._given: list[Any] = []
        self.outputs: list[Value] = []
        self.updates: list[tuple[Value, Value]] = []
        # What new nodes belong to: 0, a number above 0 for a part of the forward pass that is to be computed a second time where the
        # backward pass reads it (nnfast.passes.recompute), BACKWARD, or a number below that for such a second computation.
        self.segment = 0
        self.segments = 0  # numbers given so far

    def input(self, shape: Sequence[int], dtype: str = "float32", name: str = "") -> Value:
        """Declare a tensor that is given at each run."""
        value = Value(self, tuple(shape), dtype, "input", name or f"input_{len(self.inputs)}")
        self.inputs.append(value)
        return value

    def variable(self, variable: Variable) -> Value:
        """The value that stands for a variable's present content."""
        if variable not in self.variables:
            self.variables[variable] = Value(
                self,
                variable.shape,
                variable.dtype,
                "variable",
                variable.name,
                payload=variable,
                layout=variable.layout,
            )
        return self.variables[variable]

    def constant(self, array: Any, dtype: str) -> Value:
        """A value known now. Equal small constants share one value."""
        data = np.ascontiguousarray(array, dtype=dtype).reshape(np.shape(array))
        key: tuple[Any, ...] = (dtype, data.shape, data.tobytes() if data.size <= 64 else id(array))
        if key not in self.constants:
            self._given.append(array)  # alive, so that its id stays its own
            name = repr(data.item()) if data.size == 1 else "constant"
            self.constants[key] = Value(self, data.shape, dtype, "constant", name, payload=data)
        return self.constants[key]

    def add(self, op: OpDef, inputs: Sequence[Value], attributes: dict[str, Any]) -> list[Value]:
        """Append a node; shapes and dtypes of its outputs come from the op's rule."""
        op.check_operands(len(inputs))
        node = Node(op, inputs, attributes, self.segment)
        for index, (shape, dtype) in enumerate(op.infer(node)):
            layout = node.inputs[op.updates[index]].layout if index < len(op.updates) else op.layout
            node.outputs.append(Value(self, tuple(shape), dtype, "node", node=node, index=index, layout=layout))
        self.nodes.append(node)
        return node.outputs

    def copy(self, node: Node, inputs: Sequence[Value]) -> list[Value]:
        """Append a node of another graph, with the layouts of its outputs; the op's rule is asked only where the inputs' shapes differ."""
        new = Node(node.op, inputs, node.attributes, node.segment)
        if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(inputs, node.inputs, strict=True)):
            specs = node.op.infer(new)
        else:
            specs = [(output.shape, output.dtype) for output in node.outputs]
        for index, ((shape, dtype), old) in enumerate(zip(specs, node.outputs, strict=True)):
            new.outputs.append(Value(self, tuple(shape), dtype, "node", node=new, index=index, layout=old.layout))
        self.nodes.append(new)
        return new.outputs

    def users(self) -> dict[Value, list[Node]]:
        """Which nodes read each value."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                users.setdefault(value, []).append(node)
        return users

    def results(self) -> set[Value]:
        """The values that must survive: outputs and new contents of variables."""
        return {*self.outputs, *(new for _, new in self.updates)}
