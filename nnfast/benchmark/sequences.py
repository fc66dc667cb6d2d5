"""The networks on sequences that are measured: recurrent ones that classify a series, GPTs, a sentence encoder, large tables of vectors.

Out: NETWORKS by name, and their weights in the order in which every library takes them: those of nnfast's layers, which are Keras'.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nnfast.benchmark.images import Sizes

STEPS, FEATURES, CLASSES = 100, 32, 10
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
NORM_EPSILON = 1e-5
SEGMENTS = 2  # of a BERT; all tokens are of the first


@dataclass(frozen=True)
class Recurrent:
    """A series [STEPS, FEATURES] through recurrent layers; the last output, of both directions where there are two, to CLASSES."""

    cell: str
    units: int
    layers: int = 1
    directions: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (STEPS, FEATURES)

    @property
    def classes(self) -> int:
        return CLASSES


@dataclass(frozen=True)
class Decoder:
    """Tokens [context] to the next one's logits [context, vocabulary]: blocks of causal attention and gelu, normalised first."""

    blocks: int
    width: int
    heads: int
    context: int
    vocabulary: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.context,)

    @property
    def hidden(self) -> int:
        return 4 * self.width

    @property
    def classes(self) -> int:
        return self.vocabulary


@dataclass(frozen=True)
class Encoder:
    """Tokens [context] to a unit vector [width]: the blocks of a BERT, normalised last, and the mean over the tokens."""

    blocks: int
    width: int
    heads: int
    hidden: int
    context: int
    vocabulary: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.context,)

    @property
    def classes(self) -> int:
        return self.width


@dataclass(frozen=True)
class Lookup:
    """A number [1] to one of many vectors, and that to CLASSES. Only the rows that a batch names are updated."""

    rows: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def classes(self) -> int:
        return CLASSES


NETWORKS: dict[str, Recurrent | Decoder | Encoder | Lookup] = {
    **{f"{cell}-{units}": Recurrent(cell, units) for cell in GATES for units in (32, 128, 512)},
    **{f"{cell}-128-both-ways": Recurrent(cell, 128, directions=2) for cell in GATES},
    **{f"{cell}-128-two-layers": Recurrent(cell, 128, layers=2) for cell in GATES},
    "gpt": Decoder(4, 128, 4, 64, 65),
    "gpt-384": Decoder(6, 384, 6, 256, 65),
    **{f"minilm-{tokens}": Encoder(6, 384, 12, 1536, tokens, 30522) for tokens in (16, 64)},
    **{f"embedding-{rows}": Lookup(rows, 64) for rows in (10_000, 1_000_000)},
}
ADAMW = ("gpt", "gpt-384")  # all others are trained with Adam
TRAINED: dict[str, tuple[int, ...]] = {  # batches; those of all others: 32
    **{f"{cell}-128": (32, 1, 8, 128) for cell in GATES},
    "gpt": (12,),
    "gpt-384": (8,),
    "minilm-16": (),
    "minilm-64": (),
    "embedding-10000": (4096,),
    "embedding-1000000": (4096,),
}
PREDICTED: dict[str, tuple[int, ...]] = {  # batches; those of all others: none
    **{f"{cell}-128": (32, 1, 8, 128) for cell in GATES},
    "gpt": (1, 12),
    "gpt-384": (1,),
    "minilm-16": (1,),
    "minilm-64": (32,),
}
DECODED = ("gpt-384",)  # one token at the end of the context


def sizes(name: str) -> Sizes:
    """Kind and shape of each weight, and flops of products of one series or text."""
    network = NETWORKS[name]
    if isinstance(network, Recurrent):
        return _recurrent_sizes(network)
    if isinstance(network, Lookup):
        last: list[tuple[str, tuple[int, ...]]] = [("kernel", (network.width, CLASSES)), ("bias", (CLASSES,))]
        return Sizes([("table", (network.rows, network.width)), *last], 2.0 * network.width * CLASSES)
    encodes = isinstance(network, Encoder)
    width, hidden, found = network.width, network.hidden, Sizes()
    square: list[tuple[str, tuple[int, ...]]] = [("kernel", (width, width)), ("bias", (width,))]
    norm: list[tuple[str, tuple[int, ...]]] = [("gamma", (width,)), ("beta", (width,))]
    found.weights = [("kernel", (network.vocabulary, width)), ("kernel", (network.context, width))]
    if encodes:
        found.weights += [("kernel", (SEGMENTS, width)), *norm]
    tables = len(found.weights)
    for _ in range(network.blocks):
        found.weights += [*square * 4, *norm, ("kernel", (width, hidden)), ("bias", (hidden,))]
        found.weights += [("kernel", (hidden, width)), ("bias", (width,)), *norm]
    if not encodes:
        found.weights += [*norm, ("kernel", (width, network.vocabulary)), ("bias", (network.vocabulary,))]
    products = sum(prod(shape) for kind, shape in found.weights[tables:] if kind == "kernel")
    attention = network.blocks * 2 * network.context * width  # without what the mask hides, half of it would be
    found.flops = 2.0 * network.context * (products + attention)
    return found


def _recurrent_sizes(network: Recurrent) -> Sizes:
    found, inputs = Sizes(), FEATURES
    for layer in range(network.layers):
        gates = GATES[network.cell] * network.units
        bias = (2, gates) if network.cell == "gru" else (gates,)
        found.weights += [
            ("kernel", (inputs, gates)),
            ("recurrent", (network.units, gates)),
            ("bias", bias),
        ] * network.directions
        found.flops += 2.0 * STEPS * (inputs + network.units) * gates * network.directions
        if layer == 0:
            found.first = 2.0 * STEPS * inputs * gates * network.directions
        inputs = network.units * network.directions
    found.weights += [("kernel", (inputs, CLASSES)), ("bias", (CLASSES,))]
    found.flops += 2.0 * inputs * CLASSES
    return found
