"""Layers that mix the images of a batch, and their labels with them: MixUp and CutMix.

In: a dict {"images": (batch, height, width, channels), "labels": (batch, classes)}, labels as probabilities. Out: the same. They stand in
front of a model, in nnfast.AugmentedData, since a model does not see its labels.
"""

from __future__ import annotations

from typing import Any

from nnfast import ops, serialization
from nnfast.errors import DataError
from nnfast.layers.augmentation import image_shape
from nnfast.layers.colour import filled_box, per_image
from nnfast.layers.regularization import _RandomLayer
from nnfast.losses.base import as_type
from nnfast.typing import Config, Tensor

TRIES = 32  # of Johnk's method; with alpha 1, the worst case, all fail once in 4e9 draws


class Mixing(_RandomLayer):
    """A layer that mixes each image with another one of the batch, which is read backwards for that."""

    def __init__(self, alpha: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 1:
            raise ValueError(f"{type(self).__name__}(alpha={alpha!r}): expected a number in 0 < alpha <= 1")
        self.alpha = alpha
        self._places = self.seed_stream()

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not isinstance(inputs, dict) or set(inputs) != {"images", "labels"}:
            raise DataError(
                f'{self.name}: expected a dict {{"images": ..., "labels": ...}}; in front of a model, '
                "nnfast.AugmentedData gives one"
            )
        images, labels = (as_type(inputs[name], self.dtype) for name in ("images", "labels"))
        if len(labels.shape) != 2:
            raise DataError(
                f"{self.name}: labels of shape {list(labels.shape)}: expected (batch, classes), one-hot or probabilities"
            )
        shape = image_shape(self, images)
        if not training or shape[0] < 2:
            return {"images": images, "labels": labels}
        images, kept = self.mix(images, self._beta(shape[0]))
        return {"images": images, "labels": kept * labels + (1.0 - kept) * labels[::-1]}

    def mix(self, images: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed images, and which part of each is its own; kept: (batch, 1), drawn from Beta(alpha, alpha)."""
        raise NotImplementedError

    def _beta(self, batch: int) -> Tensor:
        """(batch, 1) numbers of the distribution Beta(alpha, alpha): Johnk's method (1964), the first success of 32 tries."""
        u = ops.random_uniform((batch, 2 * TRIES), 0.0, 1.0, self.stream, "float64")
        logs = ops.log(1.0 - u) * (1.0 / self.alpha)
        x, y = logs[:, :TRIES], logs[:, TRIES:]
        found = ops.less_equal(ops.exp(x) + ops.exp(y), 1.0)
        share = ops.sigmoid(x - y)
        value = share[:, TRIES - 1 :]
        for i in reversed(range(TRIES - 1)):
            value = ops.where(found[:, i : i + 1], share[:, i : i + 1], value)
        return ops.cast(value, self.dtype)

    def get_config(self) -> Config:
        return {**super().get_config(), "alpha": self.alpha, "seed": self.seed}


@serialization.register("layer")
class MixUp(Mixing):
    """w a + (1 - w) b for each image a and another one b, and for their labels; w from Beta(alpha, alpha) (Zhang et al., ICLR 2018).

    >>> import numpy as np
    >>> pair = {"images": np.zeros((2, 2, 2, 1), "float32"), "labels": np.eye(2, dtype="float32")}
    >>> MixUp(0.2)(pair)["labels"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, alpha: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(alpha, seed, **kwargs)

    def mix(self, images: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        weight = per_image(kept)
        return weight * images + (1.0 - weight) * images[::-1], kept


@serialization.register("layer")
class CutMix(Mixing):
    """A rectangle of each image from another one; labels by area, which is from Beta(alpha, alpha) (Yun et al., ICCV 2019).

    >>> import numpy as np
    >>> pair = {"images": np.zeros((2, 2, 2, 1), "float32"), "labels": np.eye(2, dtype="float32")}
    >>> CutMix()(pair)["labels"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, alpha: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(alpha, seed, **kwargs)

    def mix(self, images: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        batch, height, width, _ = images.shape
        places = ops.random_uniform((batch, 2), 0.0, 1.0, self._places, self.dtype)
        cut = filled_box(images, images[::-1], 1.0 - kept, places[:, :1], places[:, 1:])
        side = ops.sqrt(1.0 - kept)
        area = ops.round(side * float(height)) * ops.round(side * float(width)) * (1.0 / (height * width))
        return cut, 1.0 - area
