"""What the families share: arguments that are checked, convolution with batch normalisation, and the end of a network.

In: symbols. Out: symbols; `finish` gives the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import layers
from nnfast.model import Model

POOLINGS: dict[str | None, Any] = {None: None, "avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


def image_input(builder: str, input_shape: Sequence[int], classes: int, pooling: str | None, least: int = 1) -> Any:
    """A symbol for images (height, width, channels), each side at least `least`; the arguments of all builders are checked here."""
    shape = tuple(input_shape)
    if len(shape) != 3 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in shape):
        raise ValueError(
            f"{builder}(input_shape={input_shape!r}): expected (height, width, channels), positive integers"
        )
    if min(shape[:2]) < least:
        raise ValueError(f"{builder}(input_shape={input_shape!r}): height and width must be at least {least}")
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"{builder}(classes={classes!r}): classes must be a positive integer")
    if pooling not in POOLINGS:
        raise ValueError(f"{builder}(pooling={pooling!r}): expected None, 'avg' or 'max'")
    return layers.Input(shape)


def check_alpha(builder: str, alpha: float) -> float:
    """The factor on the numbers of channels."""
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
        raise ValueError(
            f"{builder}(alpha={alpha!r}): expected a number above 0, the factor on the channels of each layer"
        )
    return float(alpha)


def rounded(channels: float, divisor: int = 8) -> int:
    """The multiple of divisor nearest to channels, never below 90 % of it (Sandler et al. 2018)."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def convolved(
    x: Any, filters: int, size: int, strides: int = 1, activation: Any = None, padding: Any = "same", **norm: Any
) -> Any:
    """Convolution without bias, batch normalisation, and the layer that `activation` makes."""
    x = layers.Conv2D(filters, size, strides, padding, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(**norm)(x)
    return activation()(x) if activation else x


def depthwise(x: Any, size: int, strides: int, activation: Any, **norm: Any) -> Any:
    """Depthwise convolution without bias, batch normalisation, activation."""
    x = layers.DepthwiseConv2D(size, strides, "same", use_bias=False, depthwise_initializer="he_normal")(x)
    x = layers.BatchNormalization(**norm)(x)
    return activation()(x)


def relu6() -> Any:
    """min(max(x, 0), 6), as the small nets have it (Howard et al. 2017)."""
    return layers.ReLU(6.0)


def finish(
    inputs: Any,
    x: Any,
    include_top: bool,
    classes: int,
    activation: Any,
    pooling: str | None,
    name: str,
    dropout: float = 0.0,
) -> Model:
    """Mean over the image and a dense layer; without the top the feature maps, or their mean or maximum."""
    if include_top:
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dropout(dropout)(x) if dropout else x
        x = layers.Dense(classes, activation=activation)(x)
    elif pooling:
        x = POOLINGS[pooling]()(x)
    return Model(inputs, x, name=name)
