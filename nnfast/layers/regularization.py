"""Layers that act in training only: Dropout, GaussianNoise; and ActivityRegularization, which only adds to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor

SEEDED_STREAMS = 1 << 31  # random streams from here on belong to seeds that the user chose, below to `next_stream`


class _RandomLayer(Layer):
    """A layer with a random stream of its own: the next one, or that of the seed given."""

    supports_masking = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < SEEDED_STREAMS
        ):
            raise ValueError(f"{type(self).__name__}(seed={seed!r}): expected an integer from 0 to 2^31 - 1, or None")
        self.seed = None if seed is None else int(seed)
        self.stream = self.seed_stream() if self.seed is None else SEEDED_STREAMS + self.seed


@serialization.register("layer")
class Dropout(_RandomLayer):
    """In training, set each element to 0 with probability `rate` and divide the others by 1 - rate (Srivastava et al. 2014).

    Outside training, and for rate 0, the output is the input. noise_shape: sizes of the mask, 1 or None where one draw holds for a
    whole axis or for its full size. seed: the layer's random stream does not depend on the layers before it.

    >>> import numpy as np
    >>> Dropout(0.5)(np.ones((1, 3), "float32")).tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout(rate={rate!r}): rate must be in 0 <= rate <= 1, the share of elements set to 0")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else list(noise_shape)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        if self.noise_shape is None:
            return ops.dropout(inputs, self.rate, self.stream)
        shape = self._mask_shape(tuple(inputs.shape))
        return ops.multiply(inputs, ops.dropout(ops.full(shape, 1.0, str(inputs.dtype)), self.rate, self.stream))

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        assert self.noise_shape is not None
        if len(self.noise_shape) != len(shape):
            raise ShapeError(
                f"{self.name}: noise_shape {self.noise_shape} and inputs of shape {shape} must have the same number of axes"
            )
        mask = tuple(size if wanted is None else wanted for wanted, size in zip(self.noise_shape, shape, strict=True))
        if any(wanted not in (1, size) for wanted, size in zip(mask, shape, strict=True)):
            raise ShapeError(
                f"{self.name}: noise_shape {self.noise_shape} does not broadcast to inputs of shape {shape}"
            )
        return mask

    def get_config(self) -> Config:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


@serialization.register("layer")
class GaussianNoise(_RandomLayer):
    """In training, add normal noise with mean 0 and standard deviation stddev; outside training, the output is the input.

    >>> import numpy as np
    >>> GaussianNoise(0.1)(np.ones((1, 2), "float32")).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not 0 <= stddev < float("inf"):
            raise ValueError(f"GaussianNoise(stddev={stddev!r}): stddev must be a finite number >= 0")
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return ops.add(inputs, ops.random_normal(tuple(inputs.shape), 0.0, self.stddev, self.stream, str(inputs.dtype)))

    def get_config(self) -> Config:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


@serialization.register("layer")
class ActivityRegularization(Layer):
    """The input as it is, and l1 * sum(|x|) + l2 * sum(x^2) added to the loss, divided by the batch size.

    >>> import numpy as np
    >>> ActivityRegularization(l2=0.1)(np.ones((1, 2), "float32")).tolist()
    [[1.0, 1.0]]
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> Config:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}
