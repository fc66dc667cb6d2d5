"""MobileNet (Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision applications")."""

from __future__ import annotations

from collections.abc import Sequence

from nnfast.applications.blocks import check_alpha, convolved, depthwise, finish, image_input, relu6
from nnfast.model import Model

# channels and stride of each block: a depthwise convolution 3x3 and a convolution 1x1
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip


def MobileNet(
    input_shape: Sequence[int] = (224, 224, 3),
    alpha: float = 1.0,
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    dropout: float = 1e-3,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenet",
    first: tuple[int, int] = (32, 2),
    blocks: Sequence[tuple[int, int]] = BLOCKS,
) -> Model:
    """Depthwise and 1x1 convolutions: 4,253,864 parameters with 1000 classes, of which 4,231,976 are trained.

    Images (batch, height, width, channels) in; class probabilities (batch, classes) out. Weights are random. Arguments as in LeNet5, and:

    Args:
        alpha: factor on the channels of each layer.
        dropout: share of the features dropped before the last layer.
        first: channels and stride of the first convolution.
        blocks: channels and stride of each block; of the paper by default, with other ones a net for small images.

    Errors: ValueError for arguments that do not fit.

    >>> MobileNet((32, 32, 3), alpha=0.25, classes=10, first=(32, 1), blocks=[(64, 1), (128, 2)]).output_shape
    (None, 10)
    """
    alpha = check_alpha("MobileNet", alpha)
    inputs = image_input("MobileNet", input_shape, classes, pooling)
    x = convolved(inputs, max(1, int(first[0] * alpha)), 3, first[1], relu6)
    for channels, strides in blocks:
        x = depthwise(x, 3, strides, relu6)
        x = convolved(x, max(1, int(channels * alpha)), 1, activation=relu6)
    return finish(inputs, x, include_top, classes, classifier_activation, pooling, name, dropout)
