"""Networks of inverted residuals: MobileNetV2 (Sandler et al. 2018) and EfficientNet-Lite0 (Tan, Le 2019; Liu 2020).

An inverted residual widens by a convolution 1x1, convolves depthwise, and narrows again without an activation.
EfficientNet-Lite is EfficientNet without squeeze-and-excitation, with ReLU6 in place of swish, and the published sizes of the ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import layers
from nnfast.applications.blocks import check_alpha, convolved, depthwise, finish, image_input, relu6, rounded
from nnfast.model import Model

# factor, channels, blocks, stride, kernel size
MOBILE = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
LITE0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def _inverted(x: Any, factor: int, filters: int, strides: int, size: int) -> Any:
    given = x.shape[-1]
    y = convolved(x, factor * given, 1, activation=relu6) if factor > 1 else x
    y = convolved(depthwise(y, size, strides, relu6), filters, 1)
    return layers.Add()([y, x]) if strides == 1 and given == filters else y


def _stages(x: Any, stages: Sequence[tuple[int, int, int, int, int]], alpha: float) -> Any:
    for factor, channels, count, strides, size in stages:
        for i in range(count):
            x = _inverted(x, factor, rounded(channels * alpha), 1 if i else strides, size)
    return x


def MobileNetV2(
    input_shape: Sequence[int] = (224, 224, 3),
    alpha: float = 1.0,
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenetv2",
) -> Model:
    """Inverted residuals with depthwise convolutions 3x3: 3,504,872 trainable parameters with 1000 classes.

    Images (batch, height, width, channels) in; class probabilities (batch, classes) out. Weights are random. Arguments and errors as in
    MobileNet.

    >>> MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, pooling="avg").output_shape
    (None, 1280)
    """
    alpha = check_alpha("MobileNetV2", alpha)
    inputs = image_input("MobileNetV2", input_shape, classes, pooling)
    x = convolved(inputs, rounded(32 * alpha), 3, 2, relu6)
    x = _stages(x, MOBILE, alpha)
    x = convolved(x, rounded(1280 * max(alpha, 1.0)), 1, activation=relu6)
    return finish(inputs, x, include_top, classes, classifier_activation, pooling, name)


def EfficientNetLite0(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    dropout: float = 0.2,
    classifier_activation: str | None = "softmax",
    name: str = "efficientnet_lite0",
) -> Model:
    """Inverted residuals with kernels 3x3 and 5x5: 4,652,008 trainable parameters with 1000 classes.

    Images (batch, height, width, channels) in; class probabilities (batch, classes) out. Weights are random. Arguments and errors as in
    MobileNet.

    >>> EfficientNetLite0((32, 32, 3), include_top=False).output_shape
    (None, 1, 1, 1280)
    """
    inputs = image_input("EfficientNetLite0", input_shape, classes, pooling)
    x = convolved(inputs, 32, 3, 2, relu6)
    x = _stages(x, LITE0, 1.0)
    x = convolved(x, 1280, 1, activation=relu6)
    return finish(inputs, x, include_top, classes, classifier_activation, pooling, name, dropout)
