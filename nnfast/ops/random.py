"""Random numbers from counters: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

A value is a function of seed, stream, iteration and element index, so it does not depend on threads, batches or order.
`counters` is the model's int64 vector: [iteration, row, slot, seed, ...] (NNF_ITERATION ... in csrc/nnfast.h).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Sample, Specs, define

ITERATION, ROW, SLOT, SEED, COUNTERS = 0, 1, 2, 3, 8
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)


def philox(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> np.ndarray:
    """Ten rounds on four uint32 counter words (uint64 arrays of equal shape); returns [4, ...] uint32 words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ np.uint64(k0), p1 & LOW, (p0 >> SHIFT) ^ c3 ^ np.uint64(k1), p0 & LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def words(count: int, stream: int, counters: np.ndarray) -> np.ndarray:
    """The first `count` uint32 words of a stream at the present iteration."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    seed, iteration = int(counters[SEED]) & (2**64 - 1), int(counters[ITERATION]) & (2**64 - 1)
    full = np.ones_like(blocks)
    last = ((stream & 0xFFFFFFFF) ^ ((iteration >> 32) << 16)) & 0xFFFFFFFF
    counter = (blocks & LOW, blocks >> SHIFT, full * np.uint64(iteration & 0xFFFFFFFF), full * np.uint64(last))
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).T.reshape(-1)[:count]


def unit(count: int, stream: int, counters: np.ndarray, dtype: str) -> np.ndarray:
    """Uniform numbers in [0, 1): 24 bits for float32, 53 for float64."""
    if dtype == "float32":
        return (words(count, stream, counters) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    pairs = words(2 * count, stream, counters).reshape(-1, 2).astype(np.uint64)
    return ((pairs[:, 0] | pairs[:, 1] << SHIFT) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _uniform_reference(
    counters: np.ndarray, shape: tuple[int, ...], low: float, high: float, stream: int, dtype: str
) -> np.ndarray:
    u = unit(prod(shape), stream, counters, dtype).astype(np.float64)
    return (low + (high - low) * u).astype(dtype).reshape(shape)


def _normal_reference(
    counters: np.ndarray, shape: tuple[int, ...], mean: float, std: float, stream: int, dtype: str
) -> np.ndarray:
    count = prod(shape)
    u = unit(count + count % 2, stream, counters, dtype).astype(np.float64).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(1 - u[:, 0]))
    angle = 2 * np.pi * u[:, 1]
    pair = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]
    return (mean + std * pair).astype(dtype).reshape(shape)


def _dropout_reference(x: np.ndarray, counters: np.ndarray, rate: float, stream: int) -> np.ndarray:
    if rate >= 1:
        return np.zeros_like(x)
    keep = words(x.size, stream, counters).astype(np.float64) >= rate * 2.0**32
    return np.where(keep.reshape(x.shape), x * x.dtype.type(1 / (1 - rate)), 0).astype(x.dtype)


def _counters(rng: np.random.Generator) -> np.ndarray:
    counters = np.zeros(COUNTERS, np.int64)
    counters[ITERATION] = rng.integers(0, 1 << 40)
    counters[SEED] = rng.integers(0, 1 << 62)
    return counters


def _samples(first: str, second: str) -> Any:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for shape in ((0,), (1,), (3,), (16,), (65,), (7, 11), (1000,)):
            yield (
                [_counters(rng)],
                {"shape": shape, first: -1.0, second: 2.0, "stream": int(rng.integers(0, 1000)), "dtype": dtype},
            )

    return samples


def _dropout_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, rate in (((0,), 0.5), ((1,), 0.5), ((17,), 0.2), ((33, 65), 0.5), ((40,), 0.0), ((40,), 1.0)):
        yield [rng.standard_normal(shape).astype(dtype), _counters(rng)], {"rate": rate, "stream": 3}


def _infer(node: Node) -> Specs:
    return [(tuple(node.attributes["shape"]), node.attributes["dtype"])]


def _arguments(first: str, second: str) -> Any:
    return lambda n: ([n.output.size, n.attributes["stream"]], [n.attributes[first], n.attributes[second]])


def _dropout_gradient(node: Node, dy: Value) -> list[Value | None]:
    return [call("dropout", dy, node.inputs[1], **node.attributes), None]


_draws: dict[str, Any] = {"kind": "random", "promotes": False}
define(
    name="random_uniform", inputs=("counters",), formula="low + (high - low) u, u uniform in [0, 1)", infer=_infer, reference=_uniform_reference,
    gradient=NOT_DIFFERENTIABLE, kernel="random_uniform", arguments=_arguments("low", "high"), flops=lambda n: 12.0 * n.output.size,
    tolerance="sum", samples=_samples("low", "high"), **_draws,
)  # fmt: skip
define(
    name="random_normal", inputs=("counters",), formula="mean + std z, z standard normal by Box and Muller (1958)", infer=_infer, reference=_normal_reference,
    gradient=NOT_DIFFERENTIABLE, kernel="random_normal", arguments=_arguments("mean", "std"), flops=lambda n: 60.0 * n.output.size,
    tolerance="sum", samples=_samples("mean", "std"), **_draws,
)  # fmt: skip
define(
    name="dropout", inputs=("x", "counters"), formula="x / (1 - rate) with probability 1 - rate, else 0; the same mask for the gradient",
    infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)], reference=_dropout_reference, gradient=_dropout_gradient, kernel="dropout",
    arguments=lambda n: ([n.output.size, n.attributes["stream"]], [n.attributes["rate"]]), flops=lambda n: 12.0 * n.output.size, tolerance="exact",
    samples=_dropout_samples, in_place=(0,), **_draws,
)  # fmt: skip
