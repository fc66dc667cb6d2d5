"""Networks on sequences in PyTorch: its recurrent modules, and its scaled dot-product attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import Taken
from nnfast.benchmark.peers import Array
from nnfast.benchmark.sequences import FEATURES, NETWORKS, NORM_EPSILON, Decoder, Recurrent


def network(torch: Any, case: Case, training: bool) -> tuple[list[Any], Any]:
    """Its parameters, and the function of series (batch, steps, features), or of tokens (batch, context)."""
    described = NETWORKS[case.network]
    arrays = inputs.weights(case)
    if isinstance(described, Recurrent):
        return _recurrent(torch, described, arrays)
    parameters = [torch.from_numpy(array.copy()).requires_grad_(training) for array in arrays]
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


def _decode(torch: Any, described: Decoder, parameters: list[Any], tokens: Any) -> Any:
    functional = torch.nn.functional
    weights, shape = Taken(parameters), (described.width,)

    def linear(x: Any) -> Any:
        kernel, bias = weights.take(2)
        return x @ kernel + bias

    def heads(x: Any) -> Any:
        return x.unflatten(-1, (described.heads, -1)).transpose(1, 2)

    embedding, positions = weights.take(2)
    x = functional.embedding(tokens, embedding) + positions
    for _ in range(described.blocks):
        attention, norm, inner, after = weights.take(8), weights.take(2), weights.take(4), weights.take(2)
        normed = functional.layer_norm(x, shape, *norm, NORM_EPSILON)
        q, k, v = (heads(normed @ attention[i] + attention[i + 1]) for i in (0, 2, 4))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + mixed @ attention[6] + attention[7]
        normed = functional.layer_norm(x, shape, *after, NORM_EPSILON)
        x = x + functional.gelu(normed @ inner[0] + inner[1]) @ inner[2] + inner[3]
    return linear(functional.layer_norm(x, shape, *weights.take(2), NORM_EPSILON))
