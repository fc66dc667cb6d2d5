"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

from collections.abc import Sequence

from nnfast import layers
from nnfast.applications.blocks import POOLINGS, image_input
from nnfast.model import Model


def LeNet5(
    input_shape: Sequence[int] = (28, 28, 1),
    classes: int = 10,
    include_top: bool = True,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "lenet5",
) -> Model:
    """Two convolutions 5x5 with tanh and average pooling, three dense layers: 61,706 parameters for 28x28x1 and ten classes.

    The usual form: each map sees all maps below, and the last layer is dense. Images (batch, height, width, channels) in; class
    probabilities (batch, classes) out, or without the top feature maps. The first convolution pads by two, so that 28x28 are the paper's
    32x32. Weights are random.

    Args:
        input_shape: height, width, channels of an image.
        classes: outputs of the last layer.
        include_top: False leaves the dense layers out.
        pooling: without the top, None for feature maps, "avg" or "max" for one number per channel.
        classifier_activation: of the last layer; None for logits.
        name: of the model.

    Errors: ValueError for arguments that do not fit.

    >>> LeNet5().count_params()
    61706
    """
    inputs = image_input("LeNet5", input_shape, classes, pooling, least=12)
    x = layers.Conv2D(6, 5, padding="same", activation="tanh")(inputs)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(16, 5, activation="tanh")(x)
    x = layers.AveragePooling2D(2)(x)
    if include_top:
        x = layers.Flatten()(x)
        x = layers.Dense(120, activation="tanh")(x)
        x = layers.Dense(84, activation="tanh")(x)
        x = layers.Dense(classes, activation=classifier_activation)(x)
    elif pooling:
        x = POOLINGS[pooling]()(x)
    return Model(inputs, x, name=name)
