"""Optimizer updates: one sweep over a weight, its gradient and the optimizer's state.

All take the vector of learning rates (one per batch of a run) and the model's counters; t is the iteration, from 1.
Weight decay is decoupled (Loshchilov, Hutter 2019): w -= rate * weight_decay * w, before the step. Formulas are those of the papers;
epsilon stands outside the root and outside the bias correction, as in PyTorch. State below the smallest normal number of its type
becomes 0: the decaying state of a unit without gradients would end in denormal numbers, on which processors are slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node
from nnfast.ops.random import COUNTERS, ITERATION, SLOT
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, define, stored_size
from nnfast.ops.shape import copy_sizes


def power(base: float, exponent: int) -> float:
    """base ** exponent by repeated squaring, so that every machine gets the same bits."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def _rate(learning_rate: np.ndarray, counters: np.ndarray) -> float:
    return float(learning_rate[counters[SLOT]])


def _decayed(w: np.ndarray, rate: float, weight_decay: float) -> np.ndarray:
    return w - rate * weight_decay * w if weight_decay else w


def _sgd(w: Any, g: Any, learning_rate: Any, counters: Any, weight_decay: float) -> Any:
    rate = _rate(learning_rate, counters)
    return _decayed(w, rate, weight_decay) - rate * g


def _sgd_momentum(
    w: Any,
    g: Any,
    velocity: Any,
    learning_rate: Any,
    counters: Any,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
) -> Any:
    rate = _rate(learning_rate, counters)
    velocity = momentum * velocity - rate * g
    step = momentum * velocity - rate * g if nesterov else velocity
    return _decayed(w, rate, weight_decay) + step, velocity


def _adam(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    learning_rate: Any,
    counters: Any,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> Any:
    rate, t = _rate(learning_rate, counters), int(counters[ITERATION]) + 1
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    step = rate / (1 - power(beta_1, t)) * m / (np.sqrt(v) / np.sqrt(1 - power(beta_2, t)) + epsilon)
    return _decayed(w, rate, weight_decay) - step, m, v


def _rmsprop(
    w: Any, g: Any, mean_square: Any, learning_rate: Any, counters: Any, weight_decay: float, rho: float, epsilon: float
) -> Any:
    rate = _rate(learning_rate, counters)
    mean_square = rho * mean_square + (1 - rho) * g * g
    return _decayed(w, rate, weight_decay) - rate * g / (np.sqrt(mean_square) + epsilon), mean_square


def _rmsprop_full(
    w: Any, g: Any, mean_square: Any, momentum_slot: Any, mean_gradient: Any, learning_rate: Any, counters: Any,
    weight_decay: float, rho: float, momentum: float, epsilon: float, centered: bool,
) -> Any:  # fmt: skip
    rate = _rate(learning_rate, counters)
    mean_square = rho * mean_square + (1 - rho) * g * g
    spread = mean_square
    if centered:
        mean_gradient = rho * mean_gradient + (1 - rho) * g
        spread = mean_square - mean_gradient * mean_gradient
    step = rate * g / (np.sqrt(spread) + epsilon)
    if momentum:
        momentum_slot = step = momentum * momentum_slot + step
    return _decayed(w, rate, weight_decay) - step, mean_square, momentum_slot, mean_gradient


def _adagrad(
    w: Any, g: Any, accumulator: Any, learning_rate: Any, counters: Any, weight_decay: float, epsilon: float
) -> Any:
    rate = _rate(learning_rate, counters)
    accumulator = accumulator + g * g
    return _decayed(w, rate, weight_decay) - rate * g / (np.sqrt(accumulator) + epsilon), accumulator


def _reference(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute in float64, give back the operands' type; state has no denormal numbers."""

    def reference(*arrays: np.ndarray, **attributes: Any) -> Any:
        wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
        result = function(*wide, **attributes)
        weight, *state = [
            np.asarray(r).astype(arrays[0].dtype) for r in (result if isinstance(result, tuple) else (result,))
        ]
        tiny = np.finfo(arrays[0].dtype).tiny
        return weight, *[np.where(np.abs(s) < tiny, np.zeros_like(s), s) for s in state]

    return reference


def _samples(states: int, attributes: list[dict[str, Any]]) -> Callable[[np.random.Generator, str], Iterable[Sample]]:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for chosen in attributes:
            for size in (0, 1, 15, 17, 64, 65, 1000):
                counters = np.zeros(COUNTERS, np.int64)
                counters[ITERATION] = int(rng.integers(0, 50))
                counters[SLOT] = 1
                tensors = [rng.standard_normal(size).astype(dtype) for _ in range(2)]
                tensors += [(0.1 + rng.random(size)).astype(dtype) for _ in range(states)]
                if chosen.get("centered"):  # mean of squares >= square of mean
                    tensors[4] = (tensors[4] * 0.1).astype(dtype)
                yield [*tensors, np.array([9.0, 0.01]), counters], chosen
            tiny = np.finfo(dtype).tiny * np.array(
                [0.5, 1.0, 1.01, 2.0], dtype
            )  # decays to denormal numbers, or stays above
            weight, gradient = np.ones(4, dtype), np.zeros(4, dtype)
            yield [weight, gradient, *[tiny.copy() for _ in range(states)], np.array([9.0, 0.01]), counters], chosen

    return samples


def _check(node: Node) -> None:
    """Raise ShapeError unless gradient and state are as the weight, rates a vector and counters a model's: kernels rely on it."""
    w, *like, rate, counters = node.inputs
    for name, value in zip(node.op.inputs[1:], like, strict=False):
        if (value.shape, value.dtype) != (w.shape, w.dtype):
            raise ShapeError(
                f"{node.op.name}: {name} of shape {list(value.shape)} and {value.dtype}; expected {list(w.shape)} and {w.dtype}, as w"
            )
    if len(rate.shape) != 1 or rate.size < 1 or rate.dtype != "float64":
        raise ShapeError(
            f"{node.op.name}: learning_rate of shape {list(rate.shape)} and {rate.dtype}; expected a vector of float64"
        )
    if counters.shape != (COUNTERS,) or counters.dtype != "int64":
        raise ShapeError(f"{node.op.name}: counters of shape {list(counters.shape)}; expected those of a model")


def _update(
    name: str, function: Callable[..., Any], states: tuple[str, ...], parameters: tuple[str, ...], formula: str, flops: float,
    attributes: list[dict[str, Any]], kernel: str | None = None, buffers: tuple[int | None, ...] | None = None,
) -> None:  # fmt: skip
    """Define update_<name>. `buffers` says which inputs the kernel gets, None for one that this form has not."""
    changed = tuple(i for i in range(2 + len(states)) if i != 1)

    def infer(node: Node) -> Specs:
        _check(node)
        return [(node.inputs[i].shape, node.inputs[i].dtype) for i in changed]

    def calls(node: Node) -> list[Call]:
        scalars = [float(node.attributes.get(p, 0.0)) for p in parameters]
        return [
            Call(
                kernel or name,
                [stored_size(node.inputs[0])],
                scalars,
                outputs=(),
                inputs=buffers or range(len(node.inputs)),
            )
        ]

    define(
        name=f"update_{name}",
        inputs=("w", "g", *states, "learning_rate", "counters"),
        formula=formula,
        kind="update",
        infer=infer,
        reference=_reference(function),
        gradient=NOT_DIFFERENTIABLE,
        kernel=None,
        calls=calls,
        flops=lambda n: flops * n.inputs[0].size,
        tolerance="update",
        samples=_samples(len(states), attributes),
        promotes=False,
        updates=changed,
    )


_update("sgd", _sgd, (), ("weight_decay",), "w -= rate * g", 2, [{"weight_decay": 0.0}, {"weight_decay": 0.1}])
_update(
    "sgd_momentum", _sgd_momentum, ("velocity",), ("weight_decay", "momentum", "nesterov"), "velocity = momentum * velocity - rate * g; w += velocity (Nesterov: momentum * velocity - rate * g)", 5,
    [{"weight_decay": 0.0, "momentum": 0.9, "nesterov": False}, {"weight_decay": 0.01, "momentum": 0.5, "nesterov": True}],
)  # fmt: skip
_update(
    "adam", _adam, ("m", "v"), ("weight_decay", "beta_1", "beta_2", "epsilon"), "m, v running means of g and g^2; w -= rate * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon) (Kingma, Ba 2015)", 12,
    [{"weight_decay": 0.0, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, {"weight_decay": 0.05, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3}],
)  # fmt: skip
RMSPROP = ("weight_decay", "rho", "momentum", "epsilon", "centered")
_update(
    "rmsprop", _rmsprop, ("mean_square",), RMSPROP, "mean_square running mean of g^2; w -= rate * g / (sqrt(mean_square) + epsilon) (Hinton 2012)", 8,
    [{"weight_decay": 0.0, "rho": 0.9, "epsilon": 1e-7}], buffers=(0, 1, 2, None, None, 3, 4),
)  # fmt: skip
_update(
    "rmsprop_full", _rmsprop_full, ("mean_square", "momentum_slot", "mean_gradient"), RMSPROP, "rmsprop with momentum; centered: around the running mean of g (Graves 2013)", 12,
    [
        {"weight_decay": 0.0, "rho": 0.9, "momentum": 0.9, "epsilon": 1e-7, "centered": False},
        {"weight_decay": 0.01, "rho": 0.8, "momentum": 0.5, "epsilon": 1e-3, "centered": True},
        {"weight_decay": 0.01, "rho": 0.8, "momentum": 0.0, "epsilon": 1e-3, "centered": True},
    ],
    kernel="rmsprop",
)  # fmt: skip
_update(
    "adagrad", _adagrad, ("accumulator",), ("weight_decay", "epsilon"), "accumulator += g^2; w -= rate * g / (sqrt(accumulator) + epsilon) (Duchi, Hazan, Singer 2011)", 6,
    [{"weight_decay": 0.0, "epsilon": 1e-7}, {"weight_decay": 0.1, "epsilon": 1e-2}],
)  # fmt: skip


def _fill_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in ((0,), (1,), (3, 17), (1000,)):
        yield [rng.standard_normal(shape).astype(dtype), np.array(rng.standard_normal(), dtype)], {}


# The sum of gradients, after an update.
define(
    name="update_fill", inputs=("w", "value"), formula="w becomes value in each place", kind="update",
    infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)], reference=lambda w, value: np.full_like(w, value), gradient=NOT_DIFFERENTIABLE,
    kernel=None, flops=lambda n: 0.0, tolerance="exact", samples=_fill_samples, promotes=False, updates=(0,),
    calls=lambda n: [Call("copy", copy_sizes((stored_size(n.output),), (1,), (0,)), outputs=(), inputs=(0, 1))],
)  # fmt: skip
