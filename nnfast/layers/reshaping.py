"""Layers that move elements and compute nothing: Flatten, Reshape, Permute, RepeatVector, Identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor


@serialization.register("layer")
class Flatten(Layer):
    """(batch, a, b, ...) -> (batch, a * b * ...).

    >>> import numpy as np
    >>> Flatten()(np.zeros((2, 3, 4), "float32")).shape
    (2, 12)
    """

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        return ops.reshape(inputs, (shape[0], math.prod(shape[1:])))


@serialization.register("layer")
class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one size may be -1.

    >>> import numpy as np
    >>> Reshape((2, -1))(np.zeros((5, 6), "float32")).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(size) for size in target_shape)
        if any(size < -1 for size in self.target_shape) or self.target_shape.count(-1) > 1:
            raise ValueError(f"Reshape(target_shape={tuple(target_shape)}): expected sizes >= 0, and at most one -1")

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        return ops.reshape(inputs, (shape[0], *self._sizes(shape)))

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        elements = math.prod(shape[1:])
        known = math.prod(size for size in self.target_shape if size != -1)
        if -1 in self.target_shape and known and elements % known == 0:
            return tuple(elements // known if size == -1 else size for size in self.target_shape)
        if known != elements or -1 in self.target_shape:
            raise ShapeError(
                f"{self.name}: {elements} elements of inputs of shape {shape} do not fit target_shape {self.target_shape}"
            )
        return self.target_shape

    def get_config(self) -> Config:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


@serialization.register("layer")
class Permute(Layer):
    """Reorder the axes after the batch: dims are their numbers, from 1. Permute((2, 1)) swaps the first two.

    >>> import numpy as np
    >>> Permute((2, 1))(np.zeros((5, 3, 4), "float32")).shape
    (5, 4, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(int(dim) for dim in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute(dims={tuple(dims)}): expected each of 1 to {len(self.dims)} once")

    def call(self, inputs: Tensor) -> Tensor:
        if len(inputs.shape) != len(self.dims) + 1:
            raise ShapeError(f"{self.name}: dims {self.dims} and inputs of shape {tuple(inputs.shape)} do not fit")
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> Config:
        return {**super().get_config(), "dims": list(self.dims)}


@serialization.register("layer")
class RepeatVector(Layer):
    """(batch, features) -> (batch, n, features): the same vector n times.

    >>> import numpy as np
    >>> RepeatVector(3)(np.zeros((2, 4), "float32")).shape
    (2, 3, 4)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"RepeatVector(n={n!r}): n must be a positive integer")
        self.n = n

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        if len(shape) != 2:
            raise ShapeError(f"{self.name}: inputs of shape {shape}; expected (batch, features)")
        return ops.broadcast_to(ops.reshape(inputs, (shape[0], 1, shape[1])), (shape[0], self.n, shape[1]))

    def get_config(self) -> Config:
        return {**super().get_config(), "n": self.n}


@serialization.register("layer")
class Identity(Layer):
    """The input as it is.

    >>> import numpy as np
    >>> Identity()(np.ones((1, 2), "float32")).tolist()
    [[1.0, 1.0]]
    """

    supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs
