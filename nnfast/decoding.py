"""One token after the other: a model's plan for the next tokens, and the keys and values of those before.

In: a model that maps numbers (batch, length) to logits (batch, length, vocabulary) without looking ahead. Out: the logits of the last place,
with the bits that the whole sequence at once gives. A layer of causal attention finds the Cache in the running trace, writes the new keys
and values into it and attends to all up to its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops, passes
from nnfast.config import get_num_threads
from nnfast.errors import NnfastError, ShapeError
from nnfast.graph import trace
from nnfast.graph.ir import Graph, Value
from nnfast.graph.trace import tracing
from nnfast.layers.base import Layer
from nnfast.ops.registry import OPS
from nnfast.plan.plan import Plan, build
from nnfast.variable import Variable

# Layers whose output at a place depends on their input there alone, or on the cache.
TOKEN_WISE = {
    "Activation", "Add", "Dense", "Dropout", "ELU", "Embedding", "GaussianNoise", "Identity", "LayerNormalization", "LeakyReLU", "Multiply",
    "PReLU", "PositionEmbedding", "RMSNormalization", "ReLU", "Rescaling", "ReversibleEmbedding", "RotaryEmbedding", "SinePositionEncoding",
    "Softmax", "TransformerDecoder", "UnitNormalization",
}  # fmt: skip
ATTENTION = {"GroupedQueryAttention", "MultiHeadAttention"}


def token_wise(layer: Layer) -> bool:
    """Can the model be run token by token with a cache?"""
    name = type(layer).__name__
    if name in ATTENTION:
        return bool(layer.use_causal_mask)  # type: ignore[attr-defined]
    if name == "OpLayer":
        return layer.op in OPS and OPS[layer.op].kind == "elementwise"  # type: ignore[attr-defined]
    inside = layer.layers
    known = name in TOKEN_WISE or (bool(inside) and name in ("Model", "Sequential", "Functional"))
    return known and getattr(layer, "cross_attention", None) is None and all(map(token_wise, inside))


def context_of(layer: Layer) -> int | None:
    """The most places that a layer inside knows, or None."""
    own = getattr(layer, "sequence_length", None)
    found = [n for n in (own, *(context_of(inner) for inner in layer.layers)) if isinstance(n, int)]
    return min(found) if found else None


class Cache:
    """Keys and values of each layer of attention, and how many places are filled."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.filled = Variable((1,), "int32", 0, "place", trainable=False)
        self.kept: dict[tuple[int, int], tuple[Variable, Variable]] = {}
        self._calls: dict[int, int] = {}

    def begin_trace(self) -> None:
        self._calls = {}

    @property
    def place(self) -> Value:
        """Where the first new token stands, int32 [1]."""
        running = trace.current()
        assert running is not None
        return running.graph.variable(self.filled)

    def places(self, length: int) -> Any:
        """Where `length` new tokens stand, int32 [length]."""
        numbers = ops.add(ops.cast(self.place, "float32"), np.arange(length, dtype=np.float32))
        return ops.cast(numbers, "int32")

    def extended(self, layer: Layer, *new: Value) -> list[Value]:
        """Keys and values of all places, after the new ones have been written."""
        running = trace.current()
        assert running is not None
        turn = self._calls[id(layer)] = self._calls.get(id(layer), -1) + 1
        kept = self.kept.get((id(layer), turn))
        if kept is None:
            kept = tuple(
                Variable((x.shape[0], self.capacity, *x.shape[2:]), x.dtype, 0.0, "cache", trainable=False) for x in new
            )  # type: ignore[assignment]
            assert kept is not None
            self.kept[id(layer), turn] = kept
        results = []
        for variable, x in zip(kept, new, strict=True):
            old = running.graph.variable(variable)
            written = ops.call("cache_write", old, x, self.place)
            results.append(written[0] if isinstance(written, list) else written)
            running.graph.updates.append((old, results[-1]))
        return results

    def reorder(self, rows: np.ndarray) -> None:
        """Let row i of the batch go on from what was row rows[i]."""
        for pair in self.kept.values():
            for variable in pair:
                content = variable.storage.reshape(variable.shape)
                content[...] = content[rows]


class Decoder:
    """A model run token by token: `feed` takes the next numbers (batch, n) and gives the logits behind the last of them (batch, vocabulary).

    cached: with a cache of keys and values; else the whole sequence is computed each time. When the context is full, the later half of
    it is kept, and fed anew.

    >>> import nnfast
    >>> model = nnfast.Sequential([nnfast.Input((8,), dtype="int32"), nnfast.layers.Embedding(5, 5)])
    >>> Decoder(model, batch=1, context=8).feed(np.array([[1, 2]], np.int32)).shape
    (1, 5)
    """

    def __init__(self, model: Any, batch: int, context: int, cached: bool | None = None) -> None:
        self.model = model
        self.batch = batch
        self.context = context
        self.cached = token_wise(model) if cached is None else cached
        self.cache = Cache(context)
        self.history = np.zeros((batch, 0), np.int32)
        self._plans: dict[int, Plan] = {}

    def feed(self, tokens: np.ndarray) -> np.ndarray:
        """The logits behind these tokens, which follow on those fed before."""
        if tokens.ndim != 2 or len(tokens) != self.batch or not tokens.shape[1]:
            raise ShapeError(f"Decoder.feed: tokens {list(tokens.shape)}: expected [{self.batch}, at least 1]")
        tokens = tokens.astype(np.int32)
        self.history = np.concatenate([self.history, tokens], 1)
        if not self.cached:
            self.history = self.history[:, -self.context :]
            return self._run(self.history)
        if int(self.cache.filled.storage[0]) + tokens.shape[1] > self.context:
            tokens = self.history = self.history[:, -max(self.context // 2, 1) :]
            self.cache.filled.storage[0] = 0
        logits = self._run(tokens)
        self.cache.filled.storage[0] += tokens.shape[1]
        return logits

    def reorder(self, rows: np.ndarray) -> None:
        """Let row i go on from what was row rows[i]."""
        self.history = self.history[rows]
        if self.cached:
            self.cache.reorder(rows)

    def _run(self, tokens: np.ndarray) -> np.ndarray:
        length = tokens.shape[1]
        plan = self._plans.get(length)
        if plan is None or not plan.valid:
            plan = self._plans[length] = self._plan(length)
        return plan.call([np.ascontiguousarray(tokens)])[0]

    def _plan(self, length: int) -> Plan:
        graph = Graph()
        with tracing(graph, training=False) as running:
            running.cache = self.cache if self.cached else None
            self.cache.begin_trace()
            logits = self.model(graph.input((self.batch, length), "int32", "tokens"))
            if not isinstance(logits, Value) or logits.ndim != 3 or logits.shape[:2] != (self.batch, length):
                raise NnfastError(
                    f"{self.model.name}: expected a model of numbers (batch, length) to logits (batch, length, vocabulary)"
                )
            graph.outputs = [ops.slice(logits, (slice(None), -1))]
        graph = passes.run(passes.run(graph, forward=True), forward=False)
        return build(graph, threads=get_num_threads())
