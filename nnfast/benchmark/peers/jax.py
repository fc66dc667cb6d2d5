"""JAX: each case is one jitted function; training steps give their old weights back to the compiler (donated)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import TRAFFIC, UPDATES, Case
from nnfast.benchmark.images import NETWORKS, sizes, walk
from nnfast.benchmark.peers import Work, jax_sequences
from nnfast.benchmark.peers.jax_images import Build
from nnfast.benchmark.peers.training import CHECKED, LEARNING_RATE, WEIGHT_DECAY, train_by_steps
from nnfast.benchmark.sequences import NETWORKS as SEQUENCES
from nnfast.benchmark.sequences import Lookup


class Peer:
    def __init__(self, threads: int) -> None:
        import jax

        self.jax: Any = jax
        # XLA has no setting for its threads: it takes the cores that the process may run on
        self.versions = {"jax": f"{jax.__version__}, {threads} threads by affinity"}

    def make(self, case: Case) -> Work | None:
        """Every case but convolutions alone, tables of which a few rows are updated, and decoding with a cache."""
        if case.group == "convolutions" or case.kind == "decode" or isinstance(SEQUENCES.get(case.network), Lookup):
            return None
        if case.group == "steps":
            return train_by_steps(
                case,
                lambda rate: self._trainer(case, rate),
                self.jax.numpy.asarray,
                lambda loss: loss.block_until_ready(),
            )
        if case.kind in UPDATES:
            return self._update(case)
        if case.group == "inference":
            weights = self._arrays(inputs.weights(case))
            forward = self._image_forward(case, False) if case.network in NETWORKS else self._function_of(case)
            return self._call(lambda x: (forward(weights, x),), [inputs.batch(case)])
        return self._call(self._function(case), inputs.operands(case))

    def _arrays(self, arrays: list[Any]) -> list[Any]:
        return [self.jax.numpy.asarray(array) for array in arrays]

    def _call(self, function: Callable[..., tuple[Any, ...]], operands: list[Any]) -> Work:
        jitted = self.jax.jit(function)
        arrays = self._arrays(operands)

        def run(count: int) -> None:
            for _ in range(count):
                last = jitted(*arrays)
            last[0].block_until_ready()

        return Work(run, lambda: [np.asarray(array) for array in jitted(*arrays)])

    def _function(self, case: Case) -> Callable[..., tuple[Any, ...]]:
        numpy, nn = self.jax.numpy, self.jax.nn
        functions: dict[str, Callable[..., Any]] = {
            "x w": lambda x, w: x @ w,
            "x^T dy": lambda x, dy: x.T @ dy,
            "dy w^T": lambda dy, w: dy @ w.T,
            "kernels.matmul": lambda a, b: a @ b,
            "relu": nn.relu,
            "add": numpy.add,
            "exp": numpy.exp,
            "log": numpy.log,
            "tanh": numpy.tanh,
            "sigmoid": nn.sigmoid,
            "gelu": lambda x: nn.gelu(x, approximate=False),
            "softmax": nn.softmax,
        }
        if case.kind == "sparse cross-entropy":
            return self._cross_entropy
        if case.kind == "attention":
            return self._attention
        function = functions[case.kind]
        return lambda *operands: (function(*operands),)

    def _cross_entropy(self, logits: Any, labels: Any) -> tuple[Any, Any]:
        def loss(logits: Any) -> Any:
            rows = -self.jax.nn.log_softmax(logits)[self.jax.numpy.arange(len(labels)), labels]
            return rows.sum(), rows

        gradient, rows = self.jax.grad(loss, has_aux=True)(logits)
        return rows, gradient

    def _attention(self, *operands: Any) -> tuple[Any, ...]:
        *given, dy = operands
        y, gradients = self.jax.vjp(lambda q, k, v: self.jax.nn.dot_product_attention(q, k, v, is_causal=True), *given)
        return y, *gradients(dy)

    def _function_of(self, case: Case) -> Callable[[list[Any], Any], Any]:
        return jax_sequences.forward(self.jax, case.network) if case.network else self._forward

    def _forward(self, weights: list[Any], x: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            x = x if i == len(weights) - 2 else self.jax.nn.relu(x)
        return x

    def _updated(self, kind: str, rate: float, w: Any, g: Any, slots: Any, step: Any) -> tuple[Any, Any]:
        """One step of an optimizer, as nnfast.ops.update defines it."""
        if kind == "adamw":
            w = w - rate * WEIGHT_DECAY * w
        if kind in ("adam", "adamw"):
            m, v = slots
            m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
            root = self.jax.numpy.sqrt(v / (1 - 0.999**step))
            return w - rate / (1 - 0.9**step) * m / (root + 1e-7), [m, v]
        if kind == "sgd_momentum":
            velocity = 0.9 * slots[0] - rate * g
            return w + velocity, [velocity]
        return w - rate * g, []

    def _slots(self, kind: str, w: Any) -> list[Any]:
        return [self.jax.numpy.zeros_like(w) for _ in range(TRAFFIC[kind][1] - 1)]

    def _update(self, case: Case) -> Work:
        gradient = self._arrays(inputs.operands(case))[0]

        def update(w: Any, slots: Any, step: Any, g: Any) -> Any:
            return *self._updated(case.kind, LEARNING_RATE, w, g, slots, step), step + 1

        jitted = self.jax.jit(update, donate_argnums=(0, 1))

        def fresh() -> list[Any]:
            w = self.jax.numpy.array(inputs.operands(case)[0])
            return [w, self._slots(case.kind, w), self.jax.numpy.float32(1)]

        state = fresh()

        def run(count: int) -> None:
            for _ in range(count):
                state[:] = jitted(*state, gradient)
            state[0].block_until_ready()

        def result() -> list[Any]:
            own = fresh()
            for _ in range(CHECKED):
                own[:] = jitted(*own, gradient)
            return [np.asarray(own[0])]

        return Work(run, result)

    def _image_forward(self, case: Case, training: bool) -> Callable[[list[Any], Any], Any]:
        def forward(weights: list[Any], x: Any) -> Any:
            build = Build(self.jax, weights, training)
            y = walk(NETWORKS[case.network].steps, build, x)
            return (y, build.moved) if training else y

        return forward

    def _image_trainer(self, case: Case, rate: float) -> Callable[[Any, Any], Any]:
        forward = self._image_forward(case, True)
        trained = [kind not in ("mean", "variance") for kind, _ in sizes(case.network).weights]

        def merged(chosen: list[Any], others: list[Any]) -> list[Any]:
            left, right = iter(chosen), iter(others)
            return [next(left) if own else next(right) for own in trained]

        def loss_of(chosen: list[Any], others: list[Any], x: Any, y: Any) -> Any:
            found, moved = forward(merged(chosen, others), x)
            scores = self.jax.nn.log_softmax(found)
            return -scores[self.jax.numpy.arange(len(y)), y].mean(), moved

        def train(weights: list[Any], moving: list[Any], slots: list[Any], step: Any, x: Any, y: Any) -> Any:
            (loss, moved), gradients = self.jax.value_and_grad(loss_of, has_aux=True)(weights, moving, x, y)
            triples = zip(weights, gradients, slots, strict=True)
            pairs = [self._updated(case.optimizer, rate, w, g, s, step) for w, g, s in triples]
            return loss, [w for w, _ in pairs], moved, [s for _, s in pairs], step + 1

        jitted = self.jax.jit(train, donate_argnums=(0, 1, 2))
        arrays = [self.jax.numpy.array(array) for array in inputs.weights(case)]
        weights = [array for array, own in zip(arrays, trained, strict=True) if own]
        moving = [array for array, own in zip(arrays, trained, strict=True) if not own]
        slots = [self._slots(case.optimizer, w) for w in weights]
        state: list[Any] = [weights, moving, slots, self.jax.numpy.float32(1)]

        def step(x: Any, y: Any) -> Any:
            loss, *state[:] = jitted(*state, x, y)
            return loss

        return step

    def _trainer(self, case: Case, rate: float) -> Callable[[Any, Any], Any]:
        if case.network in NETWORKS:
            return self._image_trainer(case, rate)
        forward = self._function_of(case)

        def loss_of(weights: list[Any], x: Any, y: Any) -> Any:
            scores = self.jax.nn.log_softmax(forward(weights, x))
            return -self.jax.numpy.take_along_axis(scores, y[..., None], -1).mean()

        def train(weights: list[Any], slots: list[Any], step: Any, x: Any, y: Any) -> Any:
            loss, gradients = self.jax.value_and_grad(loss_of)(weights, x, y)
            pairs = [
                self._updated(case.optimizer, rate, w, g, s, step)
                for w, g, s in zip(weights, gradients, slots, strict=True)
            ]
            return loss, [w for w, _ in pairs], [s for _, s in pairs], step + 1

        jitted = self.jax.jit(train, donate_argnums=(0, 1))
        weights = [self.jax.numpy.array(array) for array in inputs.weights(case)]
        state = [weights, [self._slots(case.optimizer, w) for w in weights], self.jax.numpy.float32(1)]

        def step(x: Any, y: Any) -> Any:
            loss, *state[:] = jitted(*state, x, y)
            return loss

        return step
