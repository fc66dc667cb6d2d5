"""The arrays of a case: the same in every process, since they come from the case's name alone.

In: a case. Out: float32 arrays, labels in int32. Products are positive on average nowhere, so that errors do not hide.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nnfast.benchmark.cases import TRAINING_ROWS, Case, sizes_of
from nnfast.benchmark.sequences import NETWORKS, Decoder, Encoder, Lookup

Array = NDArray[Any]
ALIGNMENT = (
    64  # bytes: a process that gets its arrays across cache lines by chance would be slower in L1, whatever the library
)
EPOCH_ROWS, EPOCH_FLOPS = 8192, 40e9  # what an epoch of a training case has at most


def _generator(case: Case) -> np.random.Generator:
    return np.random.default_rng(crc32(case.name.encode()))


def aligned(array: Array) -> Array:
    """A copy that begins at a cache line.

    >>> aligned(np.ones(3)).ctypes.data % ALIGNMENT
    0
    """
    memory = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copy: Array = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def operands(case: Case) -> list[Array]:
    """The operands of a product, a function, a row operation: what is named in the case's kind, in that order."""
    return [aligned(array) for array in _operands(case)]


def _operands(case: Case) -> list[Array]:
    generator = _generator(case)

    def normal(*shape: int) -> Array:
        return generator.standard_normal(shape, dtype=np.float32)

    if case.group in ("products", "training products", "plain products"):
        m, k, n = case.sizes
        shapes = {"x^T dy": ((m, k), (m, n)), "dy w^T": ((m, n), (k, n))}.get(case.kind, ((m, k), (k, n)))
        return [normal(*shape) for shape in shapes]
    if case.group == "convolutions":
        batch, pixels, channels, outputs, taps, _ = case.sizes
        x, y = (batch, pixels, pixels, channels), (batch, case.out, case.out, outputs)
        w = (taps, taps, channels, outputs)
        return [normal(*shape) for shape in {"conv": (x, w), "conv dx": (y, w), "conv dw": (x, y)}[case.kind]]
    if case.group == "attention":  # q, k, v, and the gradient of the result
        return [normal(*case.sizes) for _ in range(4)]
    if case.kind == "log":
        return [np.abs(normal(*case.sizes)) + np.float32(0.01)]
    if case.kind == "add":
        return [normal(*case.sizes), normal(*case.sizes)]
    if case.kind == "sparse cross-entropy":
        rows, columns = case.sizes
        return [normal(rows, columns), generator.integers(0, columns, rows, dtype=np.int32)]
    return [normal(*case.sizes)]


def weights(case: Case) -> list[Array]:
    """Kernel [inputs, units] and bias [units] of each layer, in turn; kernels as large as Glorot's. Those of a network on images or
    sequences in the order in which it is built."""
    generator = _generator(case)
    if case.network:
        return [_weight(generator, kind, shape) for kind, shape in sizes_of(case.network).weights]
    arrays = []
    for inputs, units in pairwise(case.sizes):
        limit = np.sqrt(6 / (inputs + units))
        arrays.append(generator.uniform(-limit, limit, (inputs, units)).astype(np.float32))
        arrays.append(np.zeros(units, np.float32))
    return arrays


def _weight(generator: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    if kind == "kernel":  # as large as He's
        reach = prod(shape[:-1]) if shape[-1] > 1 else prod(shape[:2])
        return np.sqrt(np.float32(2 / reach)) * generator.standard_normal(shape, dtype=np.float32)
    if kind == "table":
        return generator.standard_normal(shape, dtype=np.float32)
    if kind == "recurrent":  # small, so that errors do not grow from step to step
        return np.sqrt(np.float32(0.25 / shape[0])) * generator.standard_normal(shape, dtype=np.float32)
    return np.full(shape, float(kind in ("gamma", "variance")), np.float32)


def batches(case: Case) -> int:
    """How many batches an epoch of a training case has: many where steps are short, as in use."""
    return max(4, min(EPOCH_ROWS // case.batch, int(EPOCH_FLOPS / case.flops)))


def rows_and_labels(case: Case) -> tuple[Array, Array]:
    """Rows [count, inputs] and labels [count] to train on. A quarter of the labels is random, so that gradients stay what they are."""
    generator = _generator(case)
    count = TRAINING_ROWS if case.kind == "whole training" else batches(case) * case.batch
    if isinstance(text := NETWORKS.get(case.network), Decoder):
        tokens = generator.integers(0, text.vocabulary, (count, text.context + 1), dtype=np.int32)
        return tokens[:, :-1].copy(), tokens[:, 1:].copy()
    if isinstance(table := NETWORKS.get(case.network), Lookup):
        named = generator.integers(0, table.rows, (count, 1), dtype=np.int32)
        return named, generator.integers(0, table.classes, count, dtype=np.int32)
    if case.network:
        x = generator.standard_normal((count, *case.sizes), dtype=np.float32)
        return x, generator.integers(0, 10, count, dtype=np.int32)
    x = generator.standard_normal((count, case.sizes[0]), dtype=np.float32)
    truth = generator.standard_normal((case.sizes[0], case.sizes[-1]), dtype=np.float32)
    labels = np.where(
        generator.random(count) < 0.75, (x @ truth).argmax(axis=1), generator.integers(0, case.sizes[-1], count)
    )
    return x, labels.astype(np.int32)


def batch(case: Case) -> Array:
    """One batch to predict."""
    if isinstance(text := NETWORKS.get(case.network), Decoder | Encoder):  # 0 is an encoder's padding
        return _generator(case).integers(1, text.vocabulary, (case.batch, text.context), dtype=np.int32)
    shape = case.sizes if case.network else case.sizes[:1]
    return _generator(case).standard_normal((case.batch, *shape), dtype=np.float32)
