"""Layers that change the values of images at random in training: brightness, contrast, holes.

In: images of shape (batch, height, width, channels). Out: images of the same shape, limited to value_range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.layers.augmentation import Factor, _RandomImage, factors
from nnfast.typing import Config, Tensor

Range = tuple[float, float]


class _InRange(_RandomImage):
    """A layer that knows the least and the greatest value of its images."""

    def __init__(self, value_range: Sequence[float], seed: int | None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        given = np.asarray(value_range, np.float64)
        if given.shape != (2,) or not given[0] < given[1]:
            raise ValueError(f"{type(self).__name__}(value_range={value_range!r}): expected (least, greatest)")
        self.value_range = [float(given[0]), float(given[1])]

    def get_config(self) -> Config:
        return {**super().get_config(), "value_range": self.value_range, "seed": self.seed}


def per_image(draw: Tensor) -> Tensor:
    """(batch, 1) as (batch, 1, 1, 1)."""
    return ops.reshape(draw, (draw.shape[0], 1, 1, 1))


@serialization.register("layer")
class RandomBrightness(_InRange):
    """Add a number to all values of an image: `factor` of value_range's width, a number f for -f .. f, or (lower, upper).

    >>> import numpy as np
    >>> RandomBrightness(0.2)(np.zeros((1, 2, 2, 1), "uint8")).shape
    (1, 2, 2, 1)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = factor
        self._range = factors(type(self).__name__, "factor", factor)

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        low, high = self._range
        least, greatest = self.value_range
        added = (low + (high - low) * draws[0]) * (greatest - least)
        return ops.clip(images + per_image(added), least, greatest)

    def get_config(self) -> Config:
        return {**super().get_config(), **serialization.serialize({"factor": self.factor})}


@serialization.register("layer")
class RandomContrast(_InRange):
    """(x - mean) * c + mean, with the mean of each channel of each image and c from 1 - lower to 1 + upper.

    factor: a number f for both, or (lower, upper), each 0 or more.

    >>> import numpy as np
    >>> RandomContrast(0.2)(np.zeros((1, 2, 2, 1), "uint8")).shape
    (1, 2, 2, 1)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = factor
        pair = np.broadcast_to(np.asarray(factor, np.float64), (2,)) if np.size(factor) in (1, 2) else np.array([-1.0])
        if not (pair >= 0).all():
            raise ValueError(f"RandomContrast(factor={factor!r}): expected a number of 0 or more, or a pair of such")
        self._lower, self._upper = float(pair[0]), float(pair[1])

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        batch, height, width, channels = shape
        contrast = ops.reshape((1.0 - self._lower) + (self._lower + self._upper) * draws[0], (batch, 1, 1))
        # As rows of width * channels: runs of three channels would leave most lanes idle.
        rows = ops.reshape(images, (batch, height, width * channels))
        columns = ops.reshape(ops.mean(rows, axis=1), (batch, width, channels))
        mean = ops.broadcast_to(ops.mean(columns, axis=1, keepdims=True), (batch, width, channels))
        mean = ops.reshape(mean, (batch, 1, width * channels))
        return ops.reshape(ops.clip((rows - mean) * contrast + mean, *self.value_range), shape)

    def get_config(self) -> Config:
        return {**super().get_config(), **serialization.serialize({"factor": self.factor})}


def filled_box(images: Tensor, inside: Tensor, area: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """The images, with those of `inside` in a rectangle of the image's proportions.

    area: its part of the image; down, right: where it may lie, in 0..1; it stays inside the image. All (batch, 1).
    """
    batch, height, width, channels = images.shape
    side = ops.sqrt(area)
    in_rows = _between(side, down, height, 1, images.dtype)
    in_columns = _between(side, right, width, channels, images.dtype)
    box = ops.logical_and(
        ops.reshape(in_rows, (batch, height, 1)), ops.reshape(in_columns, (batch, 1, width * channels))
    )
    flat = (batch, height, width * channels)
    return ops.reshape(ops.where(box, ops.reshape(inside, flat), ops.reshape(images, flat)), images.shape)


def _between(side: Tensor, place: Tensor, extent: int, times: int, dtype: str) -> Tensor:
    """1 from the beginning of a rectangle to its end: (batch, extent * times), each index repeated."""
    length = ops.round(side * float(extent))
    start = ops.floor(place * (float(extent + 1) - length))
    index = np.repeat(np.arange(extent, dtype=dtype), times)[None]
    return ops.logical_and(ops.greater_equal(index, start), ops.less(index, start + length))


@serialization.register("layer")
class RandomErasing(_InRange):
    """With probability `factor`, fill a rectangle of each image (Zhong et al., AAAI 2020).

    factor: the probability. scale: its least and greatest part of the image's area; it has the image's proportions. fill_value: a
    number, or None for random values in value_range.

    >>> import numpy as np
    >>> RandomErasing(0.5)(np.zeros((1, 4, 4, 1), "uint8")).shape
    (1, 4, 4, 1)
    """

    draws = 4

    def __init__(
        self, factor: float = 1.0, scale: Sequence[float] = (0.02, 0.33), fill_value: float | None = None,
        value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, **kwargs)
        if not 0 <= factor <= 1:
            raise ValueError(f"RandomErasing(factor={factor!r}): a probability from 0 to 1 is expected")
        if len(scale) != 2 or not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"RandomErasing(scale={scale!r}): expected (lower, upper), parts of the area from 0 to 1")
        self.factor, self.scale, self.fill_value = factor, [float(part) for part in scale], fill_value
        self._noise = self.seed_stream() if fill_value is None else None

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        low, high = self.scale
        area = (low + (high - low) * draws[1]) * ops.less(draws[0], self.factor)
        if self._noise is None:
            inside = ops.full(shape, float(self.fill_value or 0.0), self.dtype)
        else:
            inside = ops.random_uniform(shape, self.value_range[0], self.value_range[1], self._noise, self.dtype)
        return filled_box(images, inside, area, draws[2], draws[3])

    def get_config(self) -> Config:
        config = {"factor": self.factor, "scale": self.scale, "fill_value": self.fill_value}
        return {**super().get_config(), **config}
