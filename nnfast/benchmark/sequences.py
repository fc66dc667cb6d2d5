"""The networks on sequences that are measured: recurrent ones that classify a series, and a small GPT.

Out: NETWORKS by name, and their weights in the order in which every library takes them: those of nnfast's layers, which are Keras'.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nnfast.benchmark.images import Sizes

STEPS, FEATURES, CLASSES = 100, 32, 10
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
NORM_EPSILON = 1e-5


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
    def classes(self) -> int:
        return self.vocabulary


NETWORKS: dict[str, Recurrent | Decoder] = {
    **{f"{cell}-{units}": Recurrent(cell, units) for cell in GATES for units in (32, 128, 512)},
    **{f"{cell}-128-both-ways": Recurrent(cell, 128, directions=2) for cell in GATES},
    **{f"{cell}-128-two-layers": Recurrent(cell, 128, layers=2) for cell in GATES},
    "gpt": Decoder(4, 128, 4, 64, 65),
}
BATCHES = {"gpt": (12,), **{f"{cell}-128": (32, 1, 8, 128) for cell in GATES}}  # those of all others: 32


def sizes(name: str) -> Sizes:
    """Kind and shape of each weight, and flops of products of one series or text."""
    network = NETWORKS[name]
    if isinstance(network, Recurrent):
        return _recurrent_sizes(network)
    width, hidden, found = network.width, 4 * network.width, Sizes()
    square: list[tuple[str, tuple[int, ...]]] = [("kernel", (width, width)), ("bias", (width,))]
    norm: list[tuple[str, tuple[int, ...]]] = [("gamma", (width,)), ("beta", (width,))]
    found.weights = [("kernel", (network.vocabulary, width)), ("kernel", (network.context, width))]
    for _ in range(network.blocks):
        found.weights += [*square * 4, *norm, ("kernel", (width, hidden)), ("bias", (hidden,))]
        found.weights += [("kernel", (hidden, width)), ("bias", (width,)), *norm]
    found.weights += [*norm, ("kernel", (width, network.vocabulary)), ("bias", (network.vocabulary,))]
    products = sum(prod(shape) for kind, shape in found.weights[2:] if kind == "kernel")
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
