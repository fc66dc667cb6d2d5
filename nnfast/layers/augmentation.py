"""Layers that change images at random in training: flips, crops, shifts, rotations, zooms, colours, holes.

In: images of shape (batch, height, width, channels), integers or floats. Out: floats of the same values, moved or changed, each image in
its own way; outside training the images as they are (RandomCrop and CenterCrop: their middle). All draws come from the model's counters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError, unknown_name
from nnfast.layers.base import Layer
from nnfast.layers.regularization import _RandomLayer
from nnfast.losses.base import as_type
from nnfast.ops.image import FILL_MODES, INTERPOLATIONS
from nnfast.typing import Config, Tensor

Factor = float | Sequence[float]
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")


def image_shape(layer: Layer, images: Tensor) -> tuple[int, int, int, int]:
    """Batch, height, width and channels."""
    if len(images.shape) != 4:
        raise ShapeError(
            f"{layer.name}: expected images of shape (batch, height, width, channels), got {list(images.shape)}"
        )
    batch, height, width, channels = images.shape
    return batch, height, width, channels


def factors(
    layer: str, name: str, factor: Factor, least: float = -math.inf, symmetric: bool = True
) -> tuple[float, float]:
    """The range of a factor: (-f, f) for a number f, or (0, f) where it is not symmetric; a pair as it is."""
    given = np.asarray(factor, np.float64)
    if given.shape not in ((), (2,)) or not np.isfinite(given).all():
        raise ValueError(f"{layer}({name}={factor!r}): expected a number, or a pair (lower, upper)")
    if given.ndim == 0 and given < 0:
        raise ValueError(f"{layer}({name}={factor!r}): a single number must be 0 or more")
    low, high = (
        (-float(given) if symmetric else 0.0, float(given)) if given.ndim == 0 else (float(given[0]), float(given[1]))
    )
    if not least <= low <= high:
        raise ValueError(
            f"{layer}({name}={factor!r}): expected {'' if least == -math.inf else f'{least} <= '}lower <= upper"
        )
    return low, high


class _RandomImage(_RandomLayer):
    """A layer on images that draws `draws` numbers in [0, 1) for each image."""

    draws = 1

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        images = as_type(inputs, self.dtype)
        shape = image_shape(self, images)
        if not training:
            return self.unchanged(images, shape)
        u = ops.random_uniform((shape[0], self.draws), 0.0, 1.0, self.stream, self.dtype)
        return self.change(images, shape, [u[:, i : i + 1] for i in range(self.draws)])

    def unchanged(self, images: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        """What comes out when the model is not trained."""
        return images

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        """The images changed; each draw has shape (batch, 1)."""
        raise NotImplementedError


def moved(images: Tensor, matrix: Sequence[Any], size: tuple[int, int] | None = None, interpolation: str = "nearest",
          fill_mode: str = "reflect", fill_value: float = 0.0) -> Tensor:  # fmt: skip
    """Each image by its map: matrix is six columns of shape (batch, 1), or numbers; see the op affine_image."""
    batch, height, width, _ = images.shape
    dtype = str(images.dtype)
    columns = [ops.full((batch, 1), m, dtype) if isinstance(m, int | float) else m for m in matrix]
    height, width = (height, width) if size is None else size
    modes = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": float(fill_value)}
    return ops.call("affine_image", images, ops.concatenate(columns, axis=1), height=height, width=width, **modes)


@serialization.register("layer")
class RandomFlip(_RandomImage):
    """Mirror each image with probability 1/2: "horizontal" (left and right change sides), "vertical", or both independently.

    >>> import numpy as np
    >>> RandomFlip("horizontal")(np.zeros((1, 2, 2, 1), "uint8")).shape
    (1, 2, 2, 1)
    """

    draws = 2

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if mode not in FLIPS:
            raise unknown_name("mode", mode, FLIPS)
        self.mode = mode

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        matrix: list[Any] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        for axis, word, extent in ((0, "vertical", shape[1]), (1, "horizontal", shape[2])):
            if word in self.mode.split("_"):
                flip = ops.less(draws[axis], 0.5)
                matrix[4 * axis], matrix[2 + 3 * axis] = 1.0 - 2.0 * flip, flip * float(extent - 1)
        return moved(images, matrix)

    def get_config(self) -> Config:
        return {**super().get_config(), "mode": self.mode, "seed": self.seed}


@serialization.register("layer")
class CenterCrop(Layer):
    """The middle of each image, of shape (batch, height, width, channels).

    >>> import numpy as np
    >>> CenterCrop(1, 2)(np.arange(12, dtype="float32").reshape(1, 3, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 6.0]]
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width = _positive(type(self).__name__, height=height, width=width)

    def call(self, inputs: Tensor) -> Tensor:
        images = as_type(inputs, self.dtype)
        return _middle(self, images, image_shape(self, images), self.height, self.width)

    def get_config(self) -> Config:
        return {**super().get_config(), "height": self.height, "width": self.width}


@serialization.register("layer")
class RandomCrop(_RandomImage):
    """A part of height x width of each image, anywhere in training, else the middle.

    padding: zeros around each image first, on every side; RandomCrop(32, 32, padding=4) is the usual change of CIFAR images.

    >>> import numpy as np
    >>> RandomCrop(2, 2)(np.zeros((1, 4, 5, 3), "float32")).shape
    (1, 2, 2, 3)
    """

    draws = 2

    def __init__(self, height: int, width: int, seed: int | None = None, padding: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.height, self.width = _positive(type(self).__name__, height=height, width=width)
        if isinstance(padding, bool) or not isinstance(padding, int | np.integer) or padding < 0:
            raise ValueError(f"RandomCrop(padding={padding!r}): padding must be 0 or a positive integer")
        self.padding = int(padding)

    def unchanged(self, images: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        return _middle(self, images, shape, self.height, self.width, self.padding)

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        starts = []
        for draw, extent, wanted in zip(draws, shape[1:3], (self.height, self.width), strict=True):
            places = extent + 2 * self.padding - wanted + 1
            if places < 1:
                raise _too_small(self, shape, self.height, self.width)
            starts.append(ops.minimum(ops.floor(draw * float(places)), float(places - 1)) - float(self.padding))
        matrix = [1.0, 0.0, starts[0], 0.0, 1.0, starts[1]]
        return moved(images, matrix, (self.height, self.width), fill_mode="constant")

    def get_config(self) -> Config:
        config = {"height": self.height, "width": self.width, "seed": self.seed, "padding": self.padding}
        return {**super().get_config(), **config}


class _Moving(_RandomImage):
    """What RandomTranslation, RandomRotation and RandomZoom share: how pixels between and beyond those of the image are found."""

    draws = 2

    def __init__(self, fill_mode: str, interpolation: str, seed: int | None, fill_value: float, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if fill_mode not in FILL_MODES:
            raise unknown_name("fill_mode", fill_mode, FILL_MODES)
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value

    def matrix(self, height: int, width: int, draws: list[Tensor]) -> list[Any]:
        """The map of each image."""
        raise NotImplementedError

    def change(self, images: Tensor, shape: tuple[int, int, int, int], draws: list[Tensor]) -> Tensor:
        matrix = self.matrix(shape[1], shape[2], draws)
        return moved(images, matrix, None, self.interpolation, self.fill_mode, self.fill_value)

    def get_config(self) -> Config:
        config = {"fill_mode": self.fill_mode, "interpolation": self.interpolation}
        return {**super().get_config(), **config, "seed": self.seed, "fill_value": self.fill_value}


@serialization.register("layer")
class RandomTranslation(_Moving):
    """Move each image down by a part of its height and to the right by a part of its width; negative parts: up, left.

    height_factor, width_factor: a number f for -f .. f, or (lower, upper), in parts of the image. fill_mode: "reflect", "wrap",
    "nearest" or "constant" (fill_value). interpolation: "bilinear" or "nearest".

    >>> import numpy as np
    >>> RandomTranslation(0.1, 0.2)(np.zeros((1, 2, 2, 1), "float32")).shape
    (1, 2, 2, 1)
    """

    def __init__(
        self, height_factor: Factor, width_factor: Factor, fill_mode: str = "reflect", interpolation: str = "bilinear",
        seed: int | None = None, fill_value: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, seed, fill_value, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        name = type(self).__name__
        self._ranges = factors(name, "height_factor", height_factor), factors(name, "width_factor", width_factor)

    def matrix(self, height: int, width: int, draws: list[Tensor]) -> list[Any]:
        down, right = (
            -(low + (high - low) * u) * float(extent)
            for u, (low, high), extent in zip(draws, self._ranges, (height, width), strict=True)
        )
        return [1.0, 0.0, down, 0.0, 1.0, right]

    def get_config(self) -> Config:
        config = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **serialization.serialize(config)}


@serialization.register("layer")
class RandomRotation(_Moving):
    """Turn each image about its middle, by a part of a full turn: positive parts against the clock.

    factor: a number f for -f .. f, or (lower, upper), in turns. The other arguments are those of RandomTranslation.

    >>> import numpy as np
    >>> RandomRotation(0.1)(np.zeros((1, 2, 2, 1), "float32")).shape
    (1, 2, 2, 1)
    """

    draws = 1

    def __init__(
        self, factor: Factor, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
        fill_value: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, seed, fill_value, **kwargs)
        self.factor = factor
        self._range = factors(type(self).__name__, "factor", factor)

    def matrix(self, height: int, width: int, draws: list[Tensor]) -> list[Any]:
        low, high = self._range
        angle = (low + (high - low) * draws[0]) * (2 * math.pi)
        cosine, sine = ops.cos(angle), ops.sin(angle)
        row, column = (height - 1) / 2, (width - 1) / 2
        at_row = row - cosine * row - sine * column
        return [cosine, sine, at_row, -sine, cosine, column - cosine * column + sine * row]

    def get_config(self) -> Config:
        return {**super().get_config(), **serialization.serialize({"factor": self.factor})}


@serialization.register("layer")
class RandomZoom(_Moving):
    """Show more (positive factors) or less of each image about its middle.

    height_factor, width_factor: a number f for -f .. f, or (lower, upper): 0.2 shows 20 % more, so that things look smaller;
    width_factor None keeps the proportions. The other arguments are those of RandomTranslation.

    >>> import numpy as np
    >>> RandomZoom(0.2)(np.zeros((1, 2, 2, 1), "float32")).shape
    (1, 2, 2, 1)
    """

    def __init__(
        self, height_factor: Factor, width_factor: Factor | None = None, fill_mode: str = "reflect",
        interpolation: str = "bilinear", seed: int | None = None, fill_value: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, seed, fill_value, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        name = type(self).__name__
        self._height = factors(name, "height_factor", height_factor, least=-1)
        self._width = None if width_factor is None else factors(name, "width_factor", width_factor, least=-1)

    def matrix(self, height: int, width: int, draws: list[Tensor]) -> list[Any]:
        shown: list[Tensor] = []
        for u, range_ in zip(draws, (self._height, self._width), strict=True):
            shown.append(shown[0] if range_ is None else 1.0 + range_[0] + (range_[1] - range_[0]) * u)
        row, column = (height - 1) / 2, (width - 1) / 2
        return [shown[0], 0.0, row - shown[0] * row, 0.0, shown[1], column - shown[1] * column]

    def get_config(self) -> Config:
        config = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **serialization.serialize(config)}


def _positive(layer: str, **sizes: Any) -> list[int]:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{layer}({name}={size!r}): {name} must be a positive integer")
    return [int(size) for size in sizes.values()]


def _middle(
    layer: Layer, images: Tensor, shape: tuple[int, int, int, int], height: int, width: int, padding: int = 0
) -> Tensor:
    top, left = ((shape[axis] + 2 * padding - size) // 2 - padding for axis, size in ((1, height), (2, width)))
    if shape[1] + 2 * padding < height or shape[2] + 2 * padding < width:
        raise _too_small(layer, shape, height, width)
    if top < 0 or left < 0:
        return moved(images, [1.0, 0.0, float(top), 0.0, 1.0, float(left)], (height, width), fill_mode="constant")
    return images[:, top : top + height, left : left + width, :]


def _too_small(layer: Layer, shape: tuple[int, int, int, int], height: int, width: int) -> ShapeError:
    return ShapeError(
        f"{layer.name}: images of {shape[1]} x {shape[2]} are smaller than the part of {height} x {width}; "
        "resize them first (layers.Resizing)"
    )
