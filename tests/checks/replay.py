"""Recordings of plans, which the program replay.c runs with any level's kernels, on another processor too (under an emulator).

A recording is the plan's memory before a run, its steps, and what they have to leave behind. In a file, all little-endian: the number of
recordings, and for each: threads, batches, spaces (bytes each), steps. A step is its floating type (32 or 64), kernel, buffers (space and
offset, -1 for none), sizes, scalars, threads, program. int64 or float64 everywhere; what varies in length follows its length.
"""

import contextlib
import hashlib
import struct
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest

import nnfast
from checks import models, ops
from nnfast._core.executor import Executor
from nnfast.ops.registry import Operation
from nnfast.plan import eager
from nnfast.plan.memory import Place
from nnfast.plan.plan import GATHER_CODE, GATHER_ROWS, GATHER_STRIDE, RECORD_STRIDE, SOURCE_CODES, Plan, _in_c
from nnfast.plan.steps import Step
from nnfast.training import phase

THREADS = 3
MOST_ELEMENTS = 40_000  # of a sample: an emulator is slow


@dataclass
class Recording:
    """name: of the case; spaces: bytes before; steps; wanted: (space, offset, array) after."""

    name: str
    spaces: list[bytes]
    steps: list
    batches: int
    wanted: list

    def packed(self):
        parts = [struct.pack("<3q", THREADS, self.batches, len(self.spaces))]
        for content in self.spaces:
            parts += [struct.pack("<q", len(content)), content]
        parts.append(struct.pack("<q", len(self.steps)))
        for step, sizes in self.steps:
            parts += [struct.pack("<q", int(step.dtype[-2:])), _text(step.kernel)]
            places = [(-1, 0) if place is None else (place.space, place.offset) for place in step.buffers]
            parts.append(struct.pack(f"<{1 + 2 * len(places)}q", len(places), *(n for place in places for n in place)))
            parts.append(struct.pack(f"<{1 + len(sizes)}q", len(sizes), *map(int, sizes)))
            parts.append(struct.pack(f"<q{len(step.scalars)}d", len(step.scalars), *step.scalars))
            parts.append(struct.pack("<2q", step.threads, len(step.program)))
            for part in step.program:
                given = [*part.parameters, 0.0, 0.0, 0.0, 0.0][:4]
                parts += [_text(part.function), struct.pack("<4q4d", part.y, part.a, part.b, part.c, *given)]
        return b"".join(parts)

    def names(self):
        """(name, dtype) of every kernel and function."""
        for step, _ in self.steps:
            yield step.kernel, step.dtype
            yield from ((part.function, step.dtype) for part in step.program)


def _text(name):
    return struct.pack("<q", len(name)) + name.encode()


def digest(arrays):
    """SHA-256 of the arrays, each NaN as the same one: payloads are outside the contract."""
    found = hashlib.sha256()
    for array in arrays:
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()


def of_op(op, dtype):
    """A recording for each of the op's samples that is not large."""
    found = []
    with ops.everything_divided():
        for arrays, attributes in ops.samples(op, dtype):
            if sum(array.size for array in arrays) > MOST_ELEMENTS:
                continue
            given = [np.ascontiguousarray(array) for array in arrays]
            plan = eager._make(op, given, attributes, None, THREADS)
            spaces = _memory(plan, [*given, *(np.zeros(v.shape, v.dtype) for v in plan.graph.outputs)])
            results = plan.call([array.copy() for array in given])
            places = [plan.layout.places[value] for value in plan.graph.outputs]
            wanted = [(place.space, place.offset, result) for place, result in zip(places, results, strict=True)]
            steps = [(step, step.sizes) for step in plan.steps]
            found.append(Recording(f"{op.name} {dtype}", spaces, steps, 1, wanted))
    return found


def of_the_rest(dtype):
    """Kernels and functions that no op's plan asks for, as steps made by hand: buffers 0 (written) and on, one space each."""
    rng = np.random.default_rng(4)
    x, y, z = (rng.standard_normal(1000).astype(dtype) for _ in range(3))
    counters, labels, order = np.arange(8), np.arange(9) ** 2, np.array([5, 0, 8, 3, 1])
    shape = [1, 4, 1, 0, 1000, *[0] * 5, *([1, *[0] * 5] * 4)]  # rank, buffers, outputs, temporaries, dims, strides
    cases = [
        ("fill", [np.zeros(1000, dtype)], [1000], [0.1], []),
        ("sum_squares", [np.zeros(1, dtype), x], [1000], [], []),
        ("advance", [counters.copy()], [1, 32, 1], [], []),
        (
            "gather_rows_int32",
            [np.zeros(3, np.int32), labels, order, counters],
            [3, 1, 8, SOURCE_CODES["int64"], 9],
            [],
            [],
        ),
        ("elementwise", [np.zeros(1000, dtype), x, y, z], shape, [], [Operation("multiply_add", 0, 1, 2, 3)]),
        ("elementwise", [np.zeros(1000, dtype), x, y, z], shape, [], [Operation("fill", 0, -1, parameters=(0.1,))]),
    ]
    found = []
    for kernel, arrays, sizes, scalars, program in cases:
        places = [Place(i, 0, array.nbytes) for i, array in enumerate(arrays)]
        step = Step(kernel, dtype, places, 1, sizes, scalars, program, threads=THREADS)
        before = [array.tobytes() for array in arrays]
        executor = Executor([_in_c(step, None)], len(arrays), THREADS)
        for i, array in enumerate(arrays):
            executor.bind_array(i, array)
        executor.run()
        found.append(Recording(f"other kernels {dtype}", before, [(step, sizes)], 1, [(0, 0, arrays[0])]))
    return found


def _memory(plan, external):
    owned = [plan.arena, plan._constants, *plan.layout.homes]
    return [bytes(memoryview(memory)) for memory in owned] + [np.ascontiguousarray(a).tobytes() for a in external]


def of_training(name, dtype):
    """A recording for each call into compiled code of a whole `fit`: what it found, and the weights, state and log it left."""
    with _recorded_runs(f"training of {name} {dtype}") as found, ops.everything_divided(), nnfast.num_threads(THREADS):
        models.train(name, dtype=dtype)
    return found


@contextlib.contextmanager
def _recorded_runs(name):
    found, bound = [], {}
    originals = {method: getattr(Plan, method) for method in ("bind_order", "bind_log", "bind_source", "run")}

    def bind_order(plan, order):
        bound.setdefault(id(plan), {})[0] = order
        originals["bind_order"](plan, order)

    def bind_log(plan, log):
        bound.setdefault(id(plan), {})[1] = log
        originals["bind_log"](plan, log)

    def bind_source(plan, index, array):
        bound.setdefault(id(plan), {})[2 + index] = array
        originals["bind_source"](plan, index, array)

    def run(plan, batches=1, threads=0, profile=False):
        arrays = [bound[id(plan)][i] for i in range(len(bound[id(plan)]))]
        spaces = _memory(plan, arrays)
        originals["run"](plan, batches, threads, profile)
        after = [np.frombuffer(home, np.uint8).copy() for home in plan.layout.homes]
        wanted = [(2 + i, 0, content) for i, content in enumerate(after)]
        wanted.append((2 + len(after) + 1, 0, arrays[1].copy()))
        found.append(Recording(name, spaces, _bound_steps(plan, arrays), batches, wanted))

    seconds, phase.RUN_SECONDS = phase.RUN_SECONDS, 1e9  # how many batches a call takes does not depend on the time
    for method, replacement in (("bind_order", bind_order), ("bind_log", bind_log), ("bind_source", bind_source)):
        setattr(Plan, method, replacement)
    Plan.run = run
    try:
        yield found
    finally:
        phase.RUN_SECONDS = seconds
        for method, original in originals.items():
            setattr(Plan, method, original)


def _bound_steps(plan, arrays):
    """Steps, and their sizes as Plan.bind_source and Plan.bind_log set them in the executor."""
    steps = [(step, list(step.sizes)) for step in plan.steps]
    for i in plan._records:
        steps[i][1][RECORD_STRIDE] = arrays[1].shape[1]
    for i, array in zip(plan._gathers, arrays[2:], strict=True):
        sizes = steps[i][1]
        sizes[GATHER_STRIDE] = array.nbytes // len(array)
        sizes[GATHER_CODE], sizes[GATHER_ROWS] = SOURCE_CODES[str(array.dtype)], len(array)
    return steps


def replayed(command, level, recordings, folder):
    """What the program leaves in the places that are wanted, for each recording."""
    given, made = folder / "recordings", folder / "results"
    with given.open("wb") as file:
        file.write(struct.pack("<q", len(recordings)))
        for recording in recordings:
            file.write(recording.packed())
    done = subprocess.run([*command, level, given, made], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.fail(f"replay on {level}: {done.stderr or done.returncode}")
    content, start = made.read_bytes(), 0
    found = []
    for recording in recordings:
        starts = []
        for space in recording.spaces:
            starts.append(start)
            start += len(space)
        found.append(
            [
                np.frombuffer(content, a.dtype, a.size, starts[space] + offset).reshape(a.shape)
                for space, offset, a in recording.wanted
            ]
        )
    assert start == len(content)
    return found
