"""Networks on sequences in PyTorch: its recurrent modules, and its scaled dot-product attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import Taken
from nnfast.benchmark.peers import Array, Work, repeated
from nnfast.benchmark.sequences import FEATURES, NETWORKS, NORM_EPSILON, Decoder, Encoder, Lookup, Recurrent


def network(torch: Any, case: Case, training: bool) -> tuple[list[Any], Any]:
    """Its parameters, and the function of series (batch, steps, features), or of tokens (batch, context)."""
    described = NETWORKS[case.network]
    arrays = inputs.weights(case)
    if isinstance(described, Recurrent):
        return _recurrent(torch, described, arrays)
    parameters = [torch.from_numpy(array.copy()).requires_grad_(training) for array in arrays]
    if isinstance(described, Lookup):
        return parameters, lambda tokens: _lookup(torch, parameters, tokens)
    if isinstance(described, Encoder):
        return parameters, lambda tokens: _encode(torch, described, parameters, tokens)
    return parameters, lambda tokens: _decode(torch, described, parameters, tokens)


def in_order(array: Array, cell: str) -> Array:
    """The last axis in PyTorch's order of gates: that of a GRU is reset, update, new."""
    if cell != "gru":
        return array
    update, reset, new = np.split(array, 3, -1)
    return np.concatenate([reset, update, new], -1)


def _recurrent(torch: Any, described: Recurrent, arrays: list[Any]) -> tuple[list[Any], Any]:
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple_rnn": torch.nn.RNN}[described.cell]
    both = described.directions == 2
    cells = kind(FEATURES, described.units, described.layers, batch_first=True, bidirectional=both)
    dense = torch.nn.Linear(described.units * described.directions, described.classes)
    weights = Taken(arrays)

    def fill(module: Any, name: str, array: Array) -> None:
        getattr(module, name).copy_(torch.from_numpy(array))

    with torch.no_grad():
        for layer in range(described.layers):
            for end in ("", "_reverse")[: described.directions]:
                kernel, recurrent, bias = (in_order(array, described.cell) for array in weights.take(3))
                first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
                fill(cells, f"weight_ih_l{layer}{end}", kernel.T)
                fill(cells, f"weight_hh_l{layer}{end}", recurrent.T)
                fill(cells, f"bias_ih_l{layer}{end}", first)
                fill(cells, f"bias_hh_l{layer}{end}", second)
        kernel, bias = weights.take(2)
        fill(dense, "weight", kernel.T)
        fill(dense, "bias", bias)

    def forward(x: Any) -> Any:
        y = cells(x)[0]
        last = torch.cat([y[:, -1, : described.units], y[:, 0, described.units :]], 1) if both else y[:, -1]
        return dense(last)

    return [*cells.parameters(), *dense.parameters()], forward


def decode(torch: Any, case: Case, compiled: Any) -> Work:
    """The token at the end of the context: keys and values [batch, heads, context, size] of each block are written in place."""
    described, functional = NETWORKS[case.network], torch.nn.functional
    assert isinstance(described, Decoder)
    parameters = [torch.from_numpy(array) for array in inputs.weights(case)]
    tokens, context = torch.from_numpy(inputs.batch(case)).long(), described.context
    size = described.width // described.heads
    kept = [torch.zeros(2, case.batch, described.heads, context, size) for _ in range(described.blocks)]

    def after(tokens: Any, first: int) -> Any:
        caches = iter(kept)

        def mix(q: Any, k: Any, v: Any) -> Any:
            end, cache = first + q.shape[2], next(caches)
            cache[0, :, :, first:end], cache[1, :, :, first:end] = k, v
            return functional.scaled_dot_product_attention(q, *cache[:, :, :, :end], is_causal=first == 0)

        return _decode(torch, described, parameters, tokens, mix, first)[:, -1]

    with torch.inference_mode():
        after(tokens[:, :-1], 0)
    last, step = tokens[:, -1:], compiled(lambda token: after(token, context - 1))

    def run() -> Any:
        with torch.inference_mode():
            return step(last)

    return Work(repeated(run), lambda: [run().numpy()])


def _lookup(torch: Any, parameters: list[Any], tokens: Any) -> Any:
    table, kernel, bias = parameters
    return torch.nn.functional.embedding(tokens[:, 0], table, sparse=True) @ kernel + bias


def _attend(heads: int, x: Any, weights: list[Any], mix: Any) -> Any:
    q, k, v = ((x @ weights[i] + weights[i + 1]).unflatten(-1, (heads, -1)).transpose(1, 2) for i in (0, 2, 4))
    return mix(q, k, v).transpose(1, 2).flatten(2) @ weights[6] + weights[7]


def _hidden(torch: Any, x: Any, weights: list[Any]) -> Any:
    return torch.nn.functional.gelu(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


def _decode(torch: Any, described: Decoder, parameters: list[Any], tokens: Any, mix: Any = None, first: int = 0) -> Any:
    """mix: attention of q, k and v (batch, heads, length, size); first: place of the first token."""
    functional = torch.nn.functional
    weights, shape = Taken(parameters), (described.width,)
    embedding, positions = weights.take(2)
    mix = mix or partial(functional.scaled_dot_product_attention, is_causal=True)
    x = functional.embedding(tokens, embedding) + positions[first : first + tokens.shape[1]]
    for _ in range(described.blocks):
        attention, before, inner, after = weights.take(8), weights.take(2), weights.take(4), weights.take(2)
        x = x + _attend(described.heads, functional.layer_norm(x, shape, *before, NORM_EPSILON), attention, mix)
        x = x + _hidden(torch, functional.layer_norm(x, shape, *after, NORM_EPSILON), inner)
    normed = functional.layer_norm(x, shape, *weights.take(2), NORM_EPSILON)
    kernel, bias = weights.take(2)
    return normed @ kernel + bias


def _encode(torch: Any, described: Encoder, parameters: list[Any], tokens: Any) -> Any:
    functional = torch.nn.functional
    weights, shape = Taken(parameters), (described.width,)
    embedding, positions, segments = weights.take(3)
    x = functional.embedding(tokens, embedding) + (positions + segments[0])
    x = functional.layer_norm(x, shape, *weights.take(2), NORM_EPSILON)
    for _ in range(described.blocks):
        attention, middle, inner, last = weights.take(8), weights.take(2), weights.take(4), weights.take(2)
        x = functional.layer_norm(
            x + _attend(described.heads, x, attention, functional.scaled_dot_product_attention),
            shape,
            *middle,
            NORM_EPSILON,
        )
        x = functional.layer_norm(x + _hidden(torch, x, inner), shape, *last, NORM_EPSILON)
    return functional.normalize(x.mean(1), dim=-1)
