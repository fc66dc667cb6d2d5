"""Plan: steps bound to memory, ready to run; made by `build`.

In: a graph after its passes, and how its inputs are fed. Out: `run`, which enters compiled code once for all batches of a call.
A plan belongs to one set of shapes.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnfast._core import runtime
from nnfast._core.calls import BatchCall, DirectCall, Spec
from nnfast._core.executor import Executor
from nnfast.boundary import refuse_unfolded
from nnfast.errors import DataError, DtypeError, ShapeError
from nnfast.graph.ir import Graph, Value
from nnfast.locks import free_in_child
from nnfast.ops.random import ITERATION, ROW, SLOT
from nnfast.passes import IN_PLACE
from nnfast.passes.reuse import reuse_in_place
from nnfast.plan.memory import ARENA, CONSTANTS, Layout, Place, plan_memory
from nnfast.plan.steps import Step, make_steps
from nnfast.plan.threads import divide, estimate_ns

# Codes of source types that gather_rows converts from (csrc/kernels/shape.h).
SOURCE_CODES = {
    name: code
    for code, name in enumerate(
        ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
    )
} | {"bool": 0}
GATHER_STRIDE, GATHER_CODE, GATHER_ROWS = 2, 3, 4  # places in the sizes of gather_rows
RECORD_STRIDE = 1  # place in the sizes of record


@dataclass
class Streams:
    """What a plan for many batches reads and writes outside the arena: sources, row order, learning rates and the log."""

    counters: Any  # the model's counters, a Variable
    advance_iteration: bool


class Plan:
    """Steps, their memory and the executor that runs them.

    Without streams, `call` takes arrays and gives arrays; the steps read and write them where they lie. With streams, inputs are filled
    by gathering rows of bound sources, outputs are recorded per batch into a log, and the counters move on after each batch.
    """

    def __init__(
        self,
        graph: Graph,
        layout: Layout,
        steps: list[Step],
        threads: int,
        threads_asked: int,
        level: str | None,
        streams: Streams | None,
        beside: Plan | None = None,
    ) -> None:
        self.graph = graph
        self.steps = steps
        self.threads = threads  # used
        self.threads_asked = threads_asked
        self.layout = layout
        self.streams = streams
        self.peak_bytes = layout.arena_bytes
        self.flops = sum(step.flops for step in steps)
        self.bytes_moved = sum(step.nbytes for step in steps)
        self._input_specs = [(value.shape, np.dtype(value.dtype)) for value in graph.inputs]
        self._output_specs = [(value.shape, np.dtype(value.dtype)) for value in graph.outputs]
        self._homes = [(value.payload, value.payload.home) for value in graph.variables.values()]
        self._external = 2 + len(layout.homes)  # first space of sources
        first = self._external + len(graph.inputs)
        spaces = [layout.places[value].space for value in graph.outputs]
        # outputs that share another value's memory
        self._elsewhere = [i for i, space in enumerate(spaces) if space != first + i]
        self._level = level
        self._constants = runtime.Memory(max(layout.constant_bytes, 64))
        for value in graph.constants.values():
            self._view(self._constants, value)[...] = value.payload
        self.arena: Any = beside.arena if beside is not None and self._fits_into(beside) else self._new_arena()
        self._executor = self._new_executor(self.arena)
        self._lock = free_in_child(threading.RLock())
        self._direct: DirectCall | None = None
        self._gathers = [i for i, step in enumerate(steps) if step.kernel.startswith("gather_rows")]
        self._records = [i for i, step in enumerate(steps) if step.kernel == "record"]

    def _fits_into(self, other: Plan) -> bool:
        """Whether another plan's arena does for this one: large enough, and with the gradients, whose padding has to stay, in the same places."""
        return self.peak_bytes <= other.peak_bytes and gradient_places(self) == gradient_places(other)

    def _new_arena(self) -> Any:
        try:
            return runtime.Memory(max(self.layout.arena_bytes, 64))
        except MemoryError:
            raise MemoryError(
                f"the plan needs {self.layout.arena_bytes:,} bytes for its arena; largest values: {_largest(self.layout)}"
            ) from None

    def _new_executor(self, arena: Any) -> Executor:
        executor = Executor(
            [_in_c(step, self._level) for step in self.steps],
            self._external + self._external_count(),
            self.threads,
            sum(map(estimate_ns, self.steps)),
        )
        executor.bind(ARENA, arena.address, arena)
        executor.bind(CONSTANTS, self._constants.address, self._constants)
        for i, home in enumerate(self.layout.homes):
            executor.bind(2 + i, home.address, home)
        return executor

    @property
    def direct(self) -> DirectCall:
        """The plan on arrays that can be used as they lie; several at once on arenas of their own, where no output is read from it."""
        if self._direct is None:
            with self._lock:  # which is free in a forked child; that of functools.cached_property may be held for ever
                self._direct = self._direct or self._make_direct()
        return self._direct

    def _make_direct(self) -> DirectCall:
        inputs, outputs = (
            [Spec(tuple(shape), dtype) for shape, dtype in specs] for specs in (self._input_specs, self._output_specs)
        )
        ops = [node.op for node in self.graph.nodes]
        in_place = len(ops) == 1 and ops[0].kind == "elementwise"

        def another() -> Executor:
            return self._new_executor(self._new_arena())

        most = 1 if self._elsewhere else self.threads_asked
        return DirectCall(self._executor, another, most, self._external, inputs, outputs, in_place, self.threads_asked)

    @property
    def gives_all(self) -> bool:
        """Whether `direct` gives all outputs, none of which shares the memory of another value."""
        return not self._elsewhere

    def _external_count(self) -> int:
        return len(self.graph.inputs) + (len(self.graph.outputs) if self.streams is None else 2)

    def _view(self, memory: Any, value: Value) -> np.ndarray:
        place = self.layout.places[value]
        return np.frombuffer(memory, value.dtype, value.size, place.offset).reshape(value.shape)

    def call(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """Run once on these arrays, of the inputs' shapes; returns the outputs, in `out` where it is given.

        Arrays are read, and `out` is written, where they lie if dtype and layout are the plan's; otherwise they are converted.
        """
        found = None if self._elsewhere else self.direct.call(tuple(arrays), out)
        if found is not None:
            return found
        for i, array in enumerate(arrays):
            if isinstance(array, np.ndarray):
                refuse_unfolded(array, f"array {i} of the inputs")
        given = [
            np.require(array, dtype, ["C", "A", "E"])
            for array, (_, dtype) in zip(arrays, self._input_specs, strict=True)
        ]
        with self._lock:
            results = self.direct.call(tuple(given))
            if results is None:
                raise ShapeError(f"expected arrays of shapes {self._shapes()}, got {[list(a.shape) for a in arrays]}")
            for i in self._elsewhere:
                results[i][...] = self._read(self.graph.outputs[i], [*given, *results])
        return results if out is None else [_fill(a, result) for a, result in zip(out, results, strict=True)]

    def bind(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray]) -> None:
        """Let `run` read these arrays and write `out`, as often as it is called: contiguous, of the plan's shapes and dtypes."""
        for space, (array, (shape, dtype)) in enumerate(
            zip((*arrays, *out), (*self._input_specs, *self._output_specs), strict=True), self._external
        ):
            if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
                raise ShapeError(
                    f"bind: expected a contiguous {dtype} {list(shape)}, got {array.dtype} {list(array.shape)}"
                )
            self._executor.bind_array(space, array)

    def _shapes(self) -> list[list[int]]:
        return [list(shape) for shape, _ in self._input_specs]

    def _read(self, value: Value, bound: Sequence[np.ndarray]) -> np.ndarray:
        """An output that shares the memory of another value: a constant, a variable, an input, an output or something in the arena."""
        place = self.layout.places[value]
        memory: Any = (
            (self.arena, self._constants, *self.layout.homes)[place.space] if place.space < self._external else None
        )
        if memory is None:
            return bound[place.space - self._external].reshape(value.shape)
        return np.frombuffer(memory, value.dtype, value.size, place.offset).reshape(value.shape)

    @property
    def valid(self) -> bool:
        """False when a variable has moved to other memory since."""
        return all(variable.home is home for variable, home in self._homes)

    # Spaces of a plan with streams: row order, log, then one source per input.
    def bind_order(self, order: np.ndarray) -> None:
        """Which source rows the batches take, int64, one after the other."""
        self._executor.bind_array(self._external, order)

    def bind_log(self, log: np.ndarray) -> None:
        """Where outputs go: float64 [batches, width]."""
        self._executor.bind_array(self._external + 1, log)
        for i in self._records:
            self._executor.set_size(i, RECORD_STRIDE, log.shape[1])

    def bind_source(self, index: int, array: np.ndarray) -> None:
        """Rows for an input: an array whose rows are contiguous, of any type in SOURCE_CODES."""
        value = self.graph.inputs[index]
        if tuple(array.shape[1:]) != value.shape[1:]:
            raise DataError(
                f"{value.name}: expected rows of shape {list(value.shape[1:])}, got {list(array.shape[1:])}"
            )
        self._executor.bind(self._external + 2 + index, array.ctypes.data, array)
        step = self._gathers[index]
        self._executor.set_size(step, GATHER_STRIDE, array.strides[0] if len(array) > 1 else array.nbytes)
        self._executor.set_size(step, GATHER_CODE, SOURCE_CODES[str(array.dtype)])
        self._executor.set_size(step, GATHER_ROWS, len(array))

    def batch_call(
        self,
        arrays: Sequence[np.ndarray],
        limits: Sequence[tuple[float, float, bool] | None],
        rates: np.ndarray,
    ) -> BatchCall:
        """The plan on one batch of arrays like these, all of whose rows it takes in order.

        limits: least and greatest number that an array may have, and whether it may have whole numbers only; None where all are fine.
        """
        assert self.streams is not None
        width = sum(value.size for value in self.graph.outputs)
        sizes = [(step, RECORD_STRIDE, width) for step in self._records]
        for step, array in zip(self._gathers, arrays, strict=True):
            rows = len(array)
            sizes += [(step, GATHER_STRIDE, array.nbytes // rows), (step, GATHER_ROWS, rows)]
            sizes.append((step, GATHER_CODE, SOURCE_CODES[str(array.dtype)]))
        sources = [(Spec(array.shape, array.dtype), limit) for array, limit in zip(arrays, limits, strict=True)]
        order, log = np.arange(len(arrays[0])), np.zeros((1, width))
        counters = self.streams.counters.storage
        return BatchCall(
            self._executor, self._external, sources, sizes, order, log, counters, rates, (ROW, SLOT), self.threads_asked
        )

    def run(self, batches: int = 1, threads: int = 0, profile: bool = False) -> None:
        """Run all steps for the next batches."""
        self._executor.run(batches, threads, profile)

    def profile(self) -> list[tuple[str, int]]:
        """Title and nanoseconds of each step, in the last profiled run."""
        return list(zip((step.title for step in self.steps), self._executor.profile_ns(), strict=True))


def gradient_places(plan: Plan) -> list[Place]:
    """Where updates of weights, or of sums of gradients, read their gradients."""
    updates = [node for node in plan.graph.nodes if node.op.kind == "update" and "learning_rate" in node.op.inputs]
    return [plan.layout.places[node.inputs[1]] for node in updates]


def _fill(out: np.ndarray, result: np.ndarray) -> np.ndarray:
    """`out` with the result in it."""
    if out.shape != result.shape:
        raise ShapeError(f"out: expected shape {list(result.shape)}, got {list(out.shape)}")
    if out.dtype != result.dtype:
        raise DtypeError(f"out: expected dtype {result.dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise DtypeError("out: the array is read-only")
    out[...] = result
    return out


def build(
    graph: Graph,
    *,
    threads: int,
    streams: Streams | None = None,
    without: Collection[str] = (),
    level: str | None = None,
    beside: Plan | None = None,
) -> Plan:
    """Plan a graph: memory, steps, division of work. beside: a plan that never runs at the same time, whose arena is shared where that goes."""
    if streams is not None:
        graph.variable(streams.counters)  # read by the steps around the graph
    layout = plan_memory(graph, {} if IN_PLACE in without else reuse_in_place(graph), bound=streams is None)
    steps = make_steps(graph, layout)
    if streams is not None:
        steps = [*_gather_steps(graph, layout, streams), *steps, *_record_steps(graph, layout, streams)]
    used = divide(steps, threads)
    return Plan(graph, layout, steps, used, threads, level, streams, beside)


def _external(layout: Layout, place: int, nbytes: int = 0) -> Place:
    return Place(2 + len(layout.homes) + place, 0, nbytes)


def _gather_steps(graph: Graph, layout: Layout, streams: Streams) -> list[Step]:
    """One step per input: rows of its source -> the arena, converted."""
    steps = []
    counters = layout.places[graph.variable(streams.counters)]
    for i, value in enumerate(graph.inputs):
        rows = value.shape[0]
        row = value.size // max(rows, 1)
        kernel, dtype = ("gather_rows_int32", "float32") if value.dtype == "int32" else ("gather_rows", value.dtype)
        place = layout.places[value]
        source = _external(layout, 2 + i, place.nbytes)
        steps.append(
            Step(
                kernel,
                dtype,
                [place, source, _external(layout, 0), counters],
                1,
                [rows, row, 0, 0, 0],
                title=f"gather {value.name}",
                kind="shape",
            )
        )
    return steps


def _record_steps(graph: Graph, layout: Layout, streams: Streams) -> list[Step]:
    """Outputs -> the log, one after the other, in float64; then the counters move on."""
    steps = []
    counters = layout.places[graph.variable(streams.counters)]
    offset = 0
    for value in graph.outputs:
        log = _external(layout, 1)
        steps.append(
            Step(
                "record",
                value.dtype,
                [log, layout.places[value], counters],
                1,
                [value.size, 0, offset],
                title="record",
                kind="shape",
            )
        )
        offset += value.size
    rows = graph.inputs[0].shape[0] if graph.inputs else 0
    moves = [0, 0, 0]
    moves[ITERATION], moves[ROW], moves[SLOT] = int(streams.advance_iteration), rows, 1
    steps.append(Step("advance", "float64", [counters], 1, moves, title="advance", kind="shape"))
    return steps


def _in_c(step: Step, level: str | None) -> tuple[Any, ...]:
    """A step as the executor takes it: addresses in place of names."""
    program = [
        (runtime.function(part.function, step.dtype, level), part.y, part.a, part.b, part.c, part.parameters)
        for part in step.program
    ]
    buffers: Sequence[Any] = [None if place is None else (place.space, place.offset) for place in step.buffers]
    return (
        runtime.kernel(step.kernel, step.dtype, level),
        list(buffers),
        step.sizes,
        step.scalars,
        program,
        step.threads,
        step.parts,
        int(step.barrier),
    )


def _largest(layout: Layout) -> str:
    sizes = sorted(
        ((place.nbytes, value) for value, place in layout.places.items() if place.space == ARENA),
        key=lambda pair: -pair[0],
    )
    return ", ".join(
        f"{value.node.op.name if value.node else value.name} {list(value.shape)} {nbytes:,}"
        for nbytes, value in sizes[:3]
    )
