"""Networks on images in nnfast, as layers."""

from __future__ import annotations

from typing import Any

import nnfast
from nnfast import layers
from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import NETWORKS, NORM_EPSILON, NORM_MOMENTUM, Taken, walk


class Build:
    """images.Builder on symbols; `made` says which weights each layer gets."""

    def __init__(self, arrays: list[Any]) -> None:
        self.weights = Taken(arrays)
        self.made: list[tuple[Any, list[Any]]] = []

    def _apply(self, layer: Any, x: Any, weights: int) -> Any:
        self.made.append((layer, self.weights.take(weights)))
        return layer(x)

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any:
        return self._apply(layers.Conv2D(outputs, taps, strides, padding, use_bias=bias), x, 1 + bias)

    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any:
        return self._apply(layers.DepthwiseConv2D(taps, strides, padding, use_bias=False), x, 1)

    def norm(self, x: Any) -> Any:
        return self._apply(layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON), x, 4)

    def relu(self, x: Any) -> Any:
        return layers.ReLU()(x)

    def relu6(self, x: Any) -> Any:
        return layers.ReLU(6.0)(x)

    def max_pool(self, x: Any, size: int) -> Any:
        return layers.MaxPooling2D(size)(x)

    def mean(self, x: Any) -> Any:
        return layers.GlobalAveragePooling2D()(x)

    def flatten(self, x: Any) -> Any:
        return layers.Flatten()(x)

    def dense(self, x: Any, units: int) -> Any:
        return self._apply(layers.Dense(units), x, 2)

    def add(self, x: Any, y: Any) -> Any:
        return layers.Add()([x, y])


def model(case: Case) -> Any:
    """The model with the case's weights, not compiled."""
    build = Build(inputs.weights(case))
    x = nnfast.Input(case.sizes)
    network = nnfast.Model(x, walk(NETWORKS[case.network].steps, build, x))
    for layer, arrays in build.made:
        layer.set_weights([array.reshape(w.shape) for array, w in zip(arrays, layer.get_weights(), strict=True)])
    return network
