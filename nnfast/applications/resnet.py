"""ResNet-18, -34 and -50 (He et al. 2016, "Deep residual learning for image recognition").

In the form of PyTorch's torchvision: in a bottleneck the convolution 3x3 has the stride ("ResNet v1.5").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import layers
from nnfast.applications.blocks import convolved, finish, image_input
from nnfast.model import Model

NORM: dict[str, Any] = {"momentum": 0.9, "epsilon": 1e-5}
STEMS = ("imagenet", "cifar")


def ResNet(
    repeats: Sequence[int],
    filters: Sequence[int] = (64, 128, 256, 512),
    bottleneck: bool = False,
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    stem: str = "imagenet",
    classifier_activation: str | None = "softmax",
    name: str = "resnet",
) -> Model:
    """Residual blocks in stages, each of half the size of the one before.

    Images (batch, height, width, channels) in; class probabilities (batch, classes) out. Weights are random. Arguments as in LeNet5, and:

    Args:
        repeats: number of blocks of each stage.
        filters: channels of each stage; a bottleneck gives out four times as many.
        bottleneck: blocks of convolutions 1x1, 3x3, 1x1 in place of two 3x3.
        stem: "imagenet" begins with a convolution 7x7 of stride 2 and a max pooling, "cifar", for small images, with a convolution 3x3.

    Errors: ValueError for arguments that do not fit.

    >>> ResNet((3, 3, 3), (16, 32, 64), input_shape=(32, 32, 3), classes=10, stem="cifar").output_shape
    (None, 10)
    """
    if stem not in STEMS:
        raise ValueError(f"ResNet(stem={stem!r}): expected 'imagenet' or 'cifar'")
    if len(repeats) != len(filters) or not repeats:
        raise ValueError(
            f"ResNet(repeats={repeats!r}, filters={filters!r}): expected a number of blocks and of channels for each stage"
        )
    inputs = image_input("ResNet", input_shape, classes, pooling)
    if stem == "imagenet":
        x = convolved(inputs, filters[0], 7, 2, layers.ReLU, padding=3, **NORM)
        x = layers.MaxPooling2D(3, 2, padding=1)(x)
    else:
        x = convolved(inputs, filters[0], 3, 1, layers.ReLU, padding=1, **NORM)
    block = _bottleneck if bottleneck else _basic
    for stage, (count, channels) in enumerate(zip(repeats, filters, strict=True)):
        for i in range(count):
            x = block(x, channels, 2 if stage and not i else 1)
    return finish(inputs, x, include_top, classes, classifier_activation, pooling, name)


def _basic(x: Any, filters: int, strides: int) -> Any:
    y = convolved(x, filters, 3, strides, layers.ReLU, padding=1, **NORM)
    y = convolved(y, filters, 3, padding=1, **NORM)
    return _joined(y, x, strides)


def _bottleneck(x: Any, filters: int, strides: int) -> Any:
    y = convolved(x, filters, 1, activation=layers.ReLU, padding="valid", **NORM)
    y = convolved(y, filters, 3, strides, layers.ReLU, padding=1, **NORM)
    y = convolved(y, 4 * filters, 1, padding="valid", **NORM)
    return _joined(y, x, strides)


def _joined(y: Any, x: Any, strides: int) -> Any:
    """relu(y + x), x through a convolution 1x1 where the shapes differ."""
    if strides != 1 or x.shape[-1] != y.shape[-1]:
        x = convolved(x, y.shape[-1], 1, strides, padding="valid", **NORM)
    return layers.ReLU()(layers.Add()([y, x]))


def ResNet18(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    stem: str = "imagenet",
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
) -> Model:
    """ResNet of 18 layers: 11,689,512 trainable parameters with 1000 classes. Arguments and errors as in ResNet.

    >>> ResNet18((32, 32, 3), include_top=False, pooling="avg", stem="cifar").output_shape
    (None, 512)
    """
    return ResNet(
        (2, 2, 2, 2), input_shape=input_shape, classes=classes, include_top=include_top, pooling=pooling, stem=stem,
        classifier_activation=classifier_activation, name=name,
    )  # fmt: skip


def ResNet34(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    stem: str = "imagenet",
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
) -> Model:
    """ResNet of 34 layers: 21,797,672 trainable parameters with 1000 classes. Arguments and errors as in ResNet."""
    return ResNet(
        (3, 4, 6, 3), input_shape=input_shape, classes=classes, include_top=include_top, pooling=pooling, stem=stem,
        classifier_activation=classifier_activation, name=name,
    )  # fmt: skip


def ResNet50(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    stem: str = "imagenet",
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
) -> Model:
    """ResNet of 50 layers, with bottlenecks: 25,557,032 trainable parameters with 1000 classes. Arguments and errors as in ResNet."""
    return ResNet(
        (3, 4, 6, 3), bottleneck=True, input_shape=input_shape, classes=classes, include_top=include_top, pooling=pooling, stem=stem,
        classifier_activation=classifier_activation, name=name,
    )  # fmt: skip
