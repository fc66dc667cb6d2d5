"""The networks on images that are measured, as descriptions that each library builds from its own functions.

A network is a list of steps, each the name of a method of `Builder` and its arguments; `walk` calls them in turn. `Sizes` is the builder
that computes shapes of weights and the arithmetic of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

Step = tuple[Any, ...]
NORM_MOMENTUM, NORM_EPSILON = 0.99, 1e-3


class Builder(Protocol):
    """What a library does with x. Padding is the same on all sides; weights are taken from the case's in this order."""

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any: ...
    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any: ...
    def norm(self, x: Any) -> Any: ...
    def relu(self, x: Any) -> Any: ...
    def relu6(self, x: Any) -> Any: ...
    def max_pool(self, x: Any, size: int) -> Any: ...
    def mean(self, x: Any) -> Any: ...
    def flatten(self, x: Any) -> Any: ...
    def dense(self, x: Any, units: int) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...


def walk(steps: Sequence[Step], builder: Any, x: Any) -> Any:
    """The network on x. A residual step adds what two lists of steps make of x."""
    for name, *given in steps:
        if name == "residual":
            x = builder.add(*(walk(part, builder, x) for part in given))
        else:
            x = getattr(builder, name)(x, *given)
    return x


def _basic(outputs: int, strides: int, same: bool) -> list[Step]:
    """A residual block of two convolutions 3x3 (He et al. 2016)."""
    main = [("conv", outputs, 3, strides, 1, False), ("norm",), ("relu",), ("conv", outputs, 3, 1, 1, False), ("norm",)]
    short = [] if same else [("conv", outputs, 1, strides, 0, False), ("norm",)]
    return [("residual", main, short), ("relu",)]


def _separable(outputs: int, strides: int) -> list[Step]:
    """A depthwise convolution 3x3 and a convolution 1x1 (Howard et al. 2017)."""
    return [("depthwise", 3, strides, 1), ("norm",), ("relu6",), ("conv", outputs, 1, 1, 0, False), ("norm",), ("relu6",)]  # fmt: skip


# channels, stride, and whether the shortcut is x itself
STAGES = (
    *((64, 1, True), (64, 1, True), (128, 2, False), (128, 1, True)),
    *((256, 2, False), (256, 1, True), (512, 2, False), (512, 1, True)),
)
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))


@dataclass(frozen=True)
class Network:
    """Images (height, width, channels), the steps, and how it is trained."""

    shape: tuple[int, int, int]
    steps: tuple[Step, ...]
    batch: int
    optimizer: str


NETWORKS = {
    "small-cnn": Network(
        (28, 28, 1),
        (
            *(("conv", 32, 3, 1, 0, True), ("relu",), ("conv", 64, 3, 1, 0, True), ("relu",), ("max_pool", 2)),
            *(("flatten",), ("dense", 128), ("relu",), ("dense", 10)),
        ),
        64,
        "adam",
    ),
    "resnet18-cifar": Network(
        (32, 32, 3),
        (
            *(("conv", 64, 3, 1, 1, False), ("norm",), ("relu",)),
            *(step for stage in STAGES for step in _basic(*stage)),
            *(("mean",), ("dense", 10)),
        ),
        32,
        "sgd_momentum",
    ),
    "mobilenet-32": Network(
        (32, 32, 3),
        (
            *(("conv", 32, 3, 1, 1, False), ("norm",), ("relu6",)),
            *(step for n, s in BLOCKS for step in _separable(n, s)),
            *(("mean",), ("dense", 10)),
        ),
        32,
        "sgd_momentum",
    ),
}  # fmt: skip


@dataclass
class Sizes:
    """The builder that computes shapes alone: x is (height, width, channels) or (units,)."""

    weights: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)  # kind and shape of each, in order
    flops: float = 0.0  # multiplications and additions of products, of one image
    first: float = 0.0  # of the first layer, whose input needs no gradient

    def _product(self, flops: float) -> None:
        self.first = self.first or flops
        self.flops += flops

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any:
        size = [(n + 2 * padding - taps) // strides + 1 for n in x[:2]]
        self.weights.append(("kernel", (taps, taps, x[2], outputs)))
        self.weights += [("bias", (outputs,))] * bias
        self._product(2.0 * prod(size) * outputs * x[2] * taps**2)
        return (*size, outputs)

    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any:
        size = [(n + 2 * padding - taps) // strides + 1 for n in x[:2]]
        self.weights.append(("kernel", (taps, taps, x[2], 1)))
        self._product(2.0 * prod(size) * x[2] * taps**2)
        return (*size, x[2])

    def norm(self, x: Any) -> Any:
        self.weights += [(name, (x[2],)) for name in ("gamma", "beta", "mean", "variance")]
        return x

    def relu(self, x: Any) -> Any:
        return x

    relu6 = relu

    def max_pool(self, x: Any, size: int) -> Any:
        return (x[0] // size, x[1] // size, x[2])

    def mean(self, x: Any) -> Any:
        return (x[2],)

    def flatten(self, x: Any) -> Any:
        return (prod(x),)

    def dense(self, x: Any, units: int) -> Any:
        self.weights += [("kernel", (x[0], units)), ("bias", (units,))]
        self._product(2.0 * x[0] * units)
        return (units,)

    def add(self, x: Any, y: Any) -> Any:
        assert x == y
        return x


def sizes(network: str) -> Sizes:
    """Shapes of the weights, and flops of one image."""
    found = Sizes()
    walk(NETWORKS[network].steps, found, NETWORKS[network].shape)
    return found


class Taken:
    """The case's weights, taken one after the other."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.left: Iterator[Any] = iter(arrays)

    def take(self, count: int) -> list[Any]:
        """The next ones."""
        return [next(self.left) for _ in range(count)]
