"""Networks on sequences in nnfast, as layers."""

from __future__ import annotations

from typing import Any

import nnfast
from nnfast import layers
from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import Work, repeated
from nnfast.benchmark.sequences import NETWORKS, NORM_EPSILON, SEGMENTS, Encoder, Lookup, Recurrent
from nnfast.benchmark.sequences import Decoder as Described
from nnfast.decoding import Decoder

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
        if isinstance(network, Lookup):
            y = _lookup(network, x)
        else:
            y = _encode(network, x) if isinstance(network, Encoder) else _decode(network, x)
    last = y if isinstance(network, Encoder) else layers.Dense(network.classes)(y)
    made = nnfast.Model(x, last)
    made.set_weights(inputs.weights(case))
    return made


def decode(case: Case) -> Work:
    """The token at the end of the context, when the keys and values of all before it are kept."""
    tokens = inputs.batch(case)
    decoder = Decoder(model(case), case.batch, tokens.shape[1])
    decoder.feed(tokens[:, :-1])
    history, place = decoder.history, decoder.cache.filled.storage

    def step() -> Any:
        decoder.history, place[0] = history, history.shape[1]
        return decoder.feed(tokens[:, -1:])

    return Work(repeated(step), lambda: [step()])


def _lookup(network: Lookup, x: Any) -> Any:
    return layers.Flatten()(layers.Embedding(network.rows, network.width, sparse=True)(x))


def _encode(network: Encoder, x: Any) -> Any:
    return layers.BertEncoder(
        network.vocabulary, network.blocks, network.heads, network.width, network.hidden, network.context, SEGMENTS, pooling="mean",
        layer_norm_epsilon=NORM_EPSILON,
    )(x)  # fmt: skip


def _decode(network: Described, x: Any) -> Any:
    y = layers.Embedding(network.vocabulary, network.width)(x)
    y = layers.Add()([y, layers.PositionEmbedding(network.context)(y)])
    for _ in range(network.blocks):
        block = layers.TransformerDecoder(
            network.hidden, network.heads, activation="gelu", layer_norm_epsilon=NORM_EPSILON, normalize_first=True
        )  # fmt: skip
        y = block(y)
    return layers.LayerNormalization(epsilon=NORM_EPSILON)(y)
