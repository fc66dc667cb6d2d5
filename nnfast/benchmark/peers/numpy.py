"""NumPy: products in its BLAS, into arrays that are there already; networks as they are written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import UPDATES, Case
from nnfast.benchmark.peers import Array, Work, repeated
from nnfast.benchmark.peers.training import CHECKED, LEARNING_RATE, train_by_steps


class Peer:
    def __init__(self, threads: int) -> None:
        self.versions = {"numpy": np.__version__, **_blas(threads)}

    def make(self, case: Case) -> Work | None:
        """Every case but gelu, which NumPy has no erf for, and convolutions, alone or in networks, and attention."""
        if case.kind == "gelu" or case.group in ("convolutions", "attention") or case.network:
            return None
        if case.group == "steps":
            return train_by_steps(case, lambda rate: Network(case, rate).step)
        if case.group == "inference":
            network, x = Network(case), inputs.batch(case)
            return Work(repeated(lambda: network.forward(x)), lambda: [network.forward(x)[-1]])
        if case.kind in UPDATES:
            return update(case)
        function = FUNCTIONS[case.kind]
        operands = inputs.operands(case)
        results = function(*operands, None)
        out = inputs.aligned(results) if isinstance(results, np.ndarray) else None
        return Work(
            repeated(lambda: function(*operands, out)),
            lambda: results if isinstance(results, tuple) else [function(*operands, out)],
        )


def _blas(threads: int) -> dict[str, str]:
    """Version of the BLAS, where threadpoolctl is there to ask; its threads are set by the environment."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    return {
        info["internal_api"]: f"{info['version']} {info.get('architecture', '')} {info['num_threads']} threads"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }


def _softmax(x: Array, out: Array | None) -> Array:
    out = np.exp(np.subtract(x, x.max(axis=1, keepdims=True), out=out), out=out)
    return np.divide(out, out.sum(axis=1, keepdims=True), out=out)


def _cross_entropy(logits: Array, labels: Array, _: Array | None = None) -> tuple[Array, Array]:
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=1, keepdims=True)
    loss = np.log(sums[:, 0]) - shifted[rows, labels]
    powers /= sums
    powers[rows, labels] -= 1
    return loss, powers


def _sigmoid(x: Array, out: Array | None) -> Array:
    out = np.exp(np.negative(x, out=out), out=out)
    return np.reciprocal(np.add(out, 1, out=out), out=out)


FUNCTIONS: dict[str, Any] = {
    "x w": lambda x, w, out: np.matmul(x, w, out=out),
    "x^T dy": lambda x, dy, out: np.matmul(x.T, dy, out=out),
    "dy w^T": lambda dy, w, out: np.matmul(dy, w.T, out=out),
    "kernels.matmul": lambda a, b, out: np.matmul(a, b, out=out),
    "relu": lambda x, out: np.maximum(x, 0, out=out),
    "add": lambda a, b, out: np.add(a, b, out=out),
    "exp": lambda x, out: np.exp(x, out=out),
    "log": lambda x, out: np.log(x, out=out),
    "tanh": lambda x, out: np.tanh(x, out=out),
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "sparse cross-entropy": _cross_entropy,
}


class Optimizer:
    """SGD, with momentum, or Adam, as nnfast.ops.update defines them."""

    def __init__(self, kind: str, weights: list[Array], rate: float) -> None:
        self.kind, self.rate, self.steps = kind, rate, 0
        self.slots = [[np.zeros_like(w) for _ in range(UPDATES[kind][1] - 1)] for w in weights]

    def update(self, weights: list[Array], gradients: list[Array]) -> None:
        """One step, in place."""
        self.steps += 1
        for w, g, slots in zip(weights, gradients, self.slots, strict=True):
            if self.kind == "adam":
                m, v = slots
                rate = np.float32(self.rate / (1 - 0.9**self.steps))
                scale = np.float32(1 / np.sqrt(1 - 0.999**self.steps))
                m += np.float32(0.1) * (g - m)
                v += np.float32(0.001) * (g * g - v)
                w -= rate * m / (scale * np.sqrt(v) + np.float32(1e-7))
            elif self.kind == "sgd_momentum":
                slots[0] *= np.float32(0.9)
                slots[0] -= np.float32(self.rate) * g
                w += slots[0]
            else:
                w -= np.float32(self.rate) * g


def update(case: Case) -> Work:
    """One sweep of an optimizer over weights, with a gradient that stays the same."""
    (start,) = inputs.operands(case)
    weights, gradients = [start.copy()], [start]
    optimizer = Optimizer(case.kind, weights, LEARNING_RATE)

    def result() -> list[Array]:
        fresh = [start.copy()]
        optimizer = Optimizer(case.kind, fresh, LEARNING_RATE)
        for _ in range(CHECKED):
            optimizer.update(fresh, gradients)
        return fresh

    return Work(repeated(lambda: optimizer.update(weights, gradients)), result)


class Network:
    """Dense layers with relu, softmax cross-entropy and an optimizer."""

    def __init__(self, case: Case, rate: float = LEARNING_RATE) -> None:
        self.weights = inputs.weights(case)
        self.optimizer = Optimizer(case.optimizer, self.weights, rate) if case.optimizer else None

    def forward(self, x: Array) -> list[Array]:
        """The input, and each layer's output."""
        values = [x]
        last = len(self.weights) - 2
        for i in range(0, len(self.weights), 2):
            y = values[-1] @ self.weights[i]
            y += self.weights[i + 1]
            values.append(y if i == last else np.maximum(y, 0, out=y))
        return values

    def step(self, x: Array, y: Array) -> float:
        """One training step; returns the loss before it."""
        values = self.forward(x)
        loss, slope = _cross_entropy(values.pop(), y)
        slope /= np.float32(len(x))
        gradients: list[Array] = []
        for i in range(len(self.weights) - 2, -1, -2):
            value = values.pop()
            gradients = [value.T @ slope, slope.sum(axis=0), *gradients]
            if i:
                slope = slope @ self.weights[i].T
                slope *= value > 0
        assert self.optimizer is not None
        self.optimizer.update(self.weights, gradients)
        return float(loss.mean())
