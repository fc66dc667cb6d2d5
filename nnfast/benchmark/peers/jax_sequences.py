"""Networks on sequences in JAX: recurrent layers as a scan over the steps, whose products with the inputs are done before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnfast.benchmark.images import Taken
from nnfast.benchmark.sequences import NETWORKS, NORM_EPSILON, Decoder, Encoder, Recurrent


def forward(jax: Any, name: str) -> Callable[[list[Any], Any], Any]:
    """The function of weights and series (batch, steps, features), or tokens (batch, context)."""
    described = NETWORKS[name]
    if isinstance(described, Recurrent):
        return lambda weights, x: _recurrent(jax, described, Taken(weights), x)
    if isinstance(described, Encoder):
        return lambda weights, tokens: _encode(jax, described, Taken(weights), tokens)
    assert isinstance(described, Decoder), "JAX has no sparse gradient of a table"
    return lambda weights, tokens: _decode(jax, described, Taken(weights), tokens)


def _step(jax: Any, cell: str, units: int, recurrent: Any, bias: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """(state, what the inputs add to the gates) -> (state, output)."""
    tanh, sigmoid = jax.numpy.tanh, jax.nn.sigmoid

    def lstm(state: Any, given: Any) -> Any:
        h, c = state
        gates = given + h @ recurrent
        i, f, g, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return (h, c), h

    def gru(h: Any, given: Any) -> Any:
        own = h @ recurrent + bias[1]
        z = sigmoid(given[:, :units] + own[:, :units])
        r = sigmoid(given[:, units : 2 * units] + own[:, units : 2 * units])
        n = tanh(given[:, 2 * units :] + r * own[:, 2 * units :])
        h = z * h + (1 - z) * n
        return h, h

    def simple(h: Any, given: Any) -> Any:
        h = tanh(given + h @ recurrent)
        return h, h

    return {"lstm": lstm, "gru": gru, "simple_rnn": simple}[cell]


def _recurrent(jax: Any, described: Recurrent, weights: Taken, x: Any) -> Any:
    numpy, units = jax.numpy, described.units
    y = x.swapaxes(0, 1)
    for _ in range(described.layers):
        outputs, ends = [], []
        for direction in range(described.directions):
            kernel, recurrent, bias = weights.take(3)
            zero = numpy.zeros((x.shape[0], units))
            start = (zero, zero) if described.cell == "lstm" else zero
            step = _step(jax, described.cell, units, recurrent, bias)
            given = y @ kernel + (bias[0] if described.cell == "gru" else bias)
            _, out = jax.lax.scan(step, start, given, reverse=direction == 1)
            outputs.append(out)
            ends.append(out[0] if direction else out[-1])
        y = numpy.concatenate(outputs, -1)
    kernel, bias = weights.take(2)
    return numpy.concatenate(ends, -1) @ kernel + bias


def _norm(jax: Any, x: Any, gamma: Any, beta: Any) -> Any:
    return jax.nn.standardize(x, epsilon=NORM_EPSILON) * gamma + beta


def _attend(jax: Any, heads: int, x: Any, weights: list[Any], causal: bool) -> Any:
    q, k, v = ((x @ weights[i] + weights[i + 1]).reshape(*x.shape[:2], heads, -1) for i in (0, 2, 4))
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=causal).reshape(x.shape)
    return mixed @ weights[6] + weights[7]


def _hidden(jax: Any, x: Any, weights: list[Any]) -> Any:
    return jax.nn.gelu(x @ weights[0] + weights[1], approximate=False) @ weights[2] + weights[3]


def _decode(jax: Any, described: Decoder, weights: Taken, tokens: Any) -> Any:
    embedding, positions = weights.take(2)
    x = embedding[tokens] + positions
    for _ in range(described.blocks):
        attention, before, inner, after = weights.take(8), weights.take(2), weights.take(4), weights.take(2)
        x = x + _attend(jax, described.heads, _norm(jax, x, *before), attention, True)
        x = x + _hidden(jax, _norm(jax, x, *after), inner)
    normed = _norm(jax, x, *weights.take(2))
    kernel, bias = weights.take(2)
    return normed @ kernel + bias


def _encode(jax: Any, described: Encoder, weights: Taken, tokens: Any) -> Any:
    embedding, positions, segments = weights.take(3)
    x = _norm(jax, embedding[tokens] + (positions + segments[0]), *weights.take(2))
    for _ in range(described.blocks):
        attention, middle, inner, last = weights.take(8), weights.take(2), weights.take(4), weights.take(2)
        x = _norm(jax, x + _attend(jax, described.heads, x, attention, False), *middle)
        x = _norm(jax, x + _hidden(jax, x, inner), *last)
    mean = x.mean(1)
    return mean / jax.numpy.linalg.norm(mean, axis=-1, keepdims=True)
