"""Networks on sequences in nnfast, as layers."""

from __future__ import annotations

from typing import Any

import nnfast
from nnfast import layers
from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.sequences import NETWORKS, NORM_EPSILON, Recurrent

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}


def model(case: Case) -> Any:
    """The model with the case's weights, not compiled."""
    network = NETWORKS[case.network]
    if isinstance(network, Recurrent):
        x = y = nnfast.Input(network.shape)
        for number in range(network.layers):
            layer = CELLS[network.cell](network.units, return_sequences=number < network.layers - 1)
            y = (layers.Bidirectional(layer) if network.directions == 2 else layer)(y)
    else:
        x = nnfast.Input(network.shape, dtype="int32")
        y = layers.Embedding(network.vocabulary, network.width)(x)
        y = layers.Add()([y, layers.PositionEmbedding(network.context)(y)])
        for _ in range(network.blocks):
            block = layers.TransformerDecoder(
                4 * network.width, network.heads, activation="gelu", layer_norm_epsilon=NORM_EPSILON, normalize_first=True
            )  # fmt: skip
            y = block(y)
        y = layers.LayerNormalization(epsilon=NORM_EPSILON)(y)
    made = nnfast.Model(x, layers.Dense(network.classes)(y))
    made.set_weights(inputs.weights(case))
    return made
