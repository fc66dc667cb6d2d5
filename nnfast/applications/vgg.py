"""VGG-11 (Simonyan, Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", column A)."""

from __future__ import annotations

from collections.abc import Sequence

from nnfast import layers
from nnfast.applications.blocks import POOLINGS, image_input
from nnfast.model import Model

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


def VGG11(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "vgg11",
) -> Model:
    """Eight convolutions 3x3 and three dense layers with dropout: 132,863,336 parameters for 224x224x3 and 1000 classes.

    Images (batch, height, width, channels) in; class probabilities (batch, classes) out. Weights are random; those of the whole net take
    531 MB. Arguments and errors as in LeNet5; each side of the image at least 32.

    >>> VGG11((32, 32, 3), include_top=False).output_shape
    (None, 1, 1, 512)
    """
    inputs = image_input("VGG11", input_shape, classes, pooling, least=32)
    x = inputs
    for stage in STAGES:
        for filters in stage:
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        x = layers.MaxPooling2D(2)(x)
    if include_top:
        x = layers.Flatten()(x)
        for _ in range(2):
            x = layers.Dense(4096, activation="relu")(x)
            x = layers.Dropout(0.5)(x)
        x = layers.Dense(classes, activation=classifier_activation)(x)
    elif pooling:
        x = POOLINGS[pooling]()(x)
    return Model(inputs, x, name=name)
