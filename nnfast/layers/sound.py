"""Layers that change sound at random in training: shifts in time, and bands of a spectrogram that are covered.

In: samples (batch, time[, channels]) or spectrograms (batch, time, frequency[, channels]). Out: the same shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError, unknown_name
from nnfast.layers.augmentation import Factor, factors, moved
from nnfast.layers.regularization import _RandomLayer
from nnfast.losses.base import as_type
from nnfast.ops.image import FILL_MODES
from nnfast.typing import Config, Tensor


@serialization.register("layer")
class RandomTimeShift(_RandomLayer):
    """Move each recording in time by a whole number of samples.

    factor: a number f for -f .. f, or (lower, upper), in parts of its length; positive: later. fill_mode: "constant" (zeros), "wrap",
    "reflect" or "nearest". Inputs (batch, time) or (batch, time, channels).

    >>> import numpy as np
    >>> RandomTimeShift(0.1)(np.zeros((1, 100), "float32")).shape
    (1, 100)
    """

    def __init__(self, factor: Factor, fill_mode: str = "constant", seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if fill_mode not in FILL_MODES:
            raise unknown_name("fill_mode", fill_mode, FILL_MODES)
        self.factor, self.fill_mode = factor, fill_mode
        self._range = factors(type(self).__name__, "factor", factor)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        sound = as_type(inputs, self.dtype)
        shape = tuple(sound.shape)
        if len(shape) not in (2, 3):
            raise ShapeError(f"{self.name}: expected (batch, time) or (batch, time, channels), got {list(shape)}")
        if not training:
            return sound
        low, high = self._range
        u = ops.random_uniform((shape[0], 1), low, high, self.stream, self.dtype)
        shift = ops.round(u * float(shape[1]))
        rows = ops.reshape(sound, (shape[0], 1, shape[1], shape[2] if len(shape) == 3 else 1))
        # one row per recording, whose neighbours are not looked at
        return ops.reshape(moved(rows, [1.0, 0.0, 0.0, 0.0, 1.0, -shift], fill_mode=self.fill_mode), shape)

    def get_config(self) -> Config:
        config = {**serialization.serialize({"factor": self.factor}), "fill_mode": self.fill_mode, "seed": self.seed}
        return {**super().get_config(), **config}


@serialization.register("layer")
class SpecAugment(_RandomLayer):
    """Cover random bands of time and of frequency of each spectrogram (Park et al., Interspeech 2019).

    time_masks, frequency_masks: how many bands. time_width, frequency_width: each is 0 up to this part of the axis long. value: what
    covered places get. Inputs (batch, time, frequency) or (batch, time, frequency, channels).

    >>> import numpy as np
    >>> SpecAugment()(np.zeros((1, 20, 8), "float32")).shape
    (1, 20, 8)
    """

    def __init__(
        self, time_masks: int = 2, time_width: float = 0.1, frequency_masks: int = 2, frequency_width: float = 0.15,
        value: float = 0.0, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, **kwargs)
        for name, count in (("time_masks", time_masks), ("frequency_masks", frequency_masks)):
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
                raise ValueError(f"SpecAugment({name}={count!r}): expected 0 or a positive integer")
        for name, width in (("time_width", time_width), ("frequency_width", frequency_width)):
            if not 0 <= width <= 1:
                raise ValueError(f"SpecAugment({name}={width!r}): expected a part of the axis, from 0 to 1")
        self.time_masks, self.time_width = time_masks, time_width
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width
        self.value = value

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = as_type(inputs, self.dtype)
        shape = tuple(x.shape)
        if len(shape) not in (3, 4):
            raise ShapeError(
                f"{self.name}: expected (batch, time, frequency) or (batch, time, frequency, channels), got {list(shape)}"
            )
        bands = [(1, self.time_width)] * self.time_masks + [(2, self.frequency_width)] * self.frequency_masks
        if not training or not bands:
            return x
        u = ops.random_uniform((shape[0], 2 * len(bands)), 0.0, 1.0, self.stream, self.dtype)
        inner = math.prod(shape[2:])
        flat = ops.reshape(x, (shape[0], shape[1], inner))
        for i, (axis, width) in enumerate(bands):
            band = self._band(
                shape[axis], width, u[:, 2 * i : 2 * i + 1], u[:, 2 * i + 1 : 2 * i + 2], inner if axis == 2 else 0
            )
            flat = ops.where(band, self.value, flat)
        return ops.reshape(flat, shape)

    def _band(self, extent: int, width: float, long: Tensor, place: Tensor, inner: int) -> Tensor:
        """1 in the band: (batch, time, 1), or (batch, 1, frequency * channels) where inner is given."""
        length = ops.floor(long * float(int(width * extent) + 1))
        start = ops.floor(place * (float(extent + 1) - length))
        index = np.repeat(np.arange(extent, dtype=self.dtype), inner // extent if inner else 1)[None]
        inside = ops.logical_and(ops.greater_equal(index, start), ops.less(index, start + length))
        return ops.reshape(inside, (inside.shape[0], 1, inner) if inner else (inside.shape[0], extent, 1))

    def get_config(self) -> Config:
        names = ("time_masks", "time_width", "frequency_masks", "frequency_width", "value", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
