"""Layers of several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, and functions of the same names.

All but Concatenate work element by element with broadcasting; an input with fewer axes gets axes of size 1 after the batch, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor


class Merge(Layer):
    """Base of the element-wise layers: override `merge(a, b)`, which is applied from left to right."""

    supports_masking = True

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(self.merge, self.aligned(inputs))

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """The result for two inputs of equal rank."""
        raise NotImplementedError(f"{type(self).__name__} must define merge(a, b)")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """A position counts where it does in every input that has a mask."""
        known = [mask for mask in previous_mask or [] if mask is not None]
        return reduce(ops.multiply, known) if known else None

    def aligned(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The inputs with one rank, checked to broadcast."""
        if not isinstance(inputs, list | tuple) or len(inputs) < 2:
            raise ShapeError(
                f"{self.name}: expected a list of at least two inputs, as in {type(self).__name__}()([a, b])"
            )
        rank = max(len(x.shape) for x in inputs)
        result = []
        for x in inputs:
            shape = tuple(x.shape)
            wanted = (*shape[:1], *(1,) * (rank - len(shape)), *shape[1:])
            result.append(x if wanted == shape else ops.reshape(x, wanted))
        for sizes in zip(*(x.shape for x in result), strict=True):
            if len({size for size in sizes if size != 1}) > 1:
                shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
                raise ShapeError(f"{self.name}: inputs of shapes {shapes} cannot be combined; sizes must be equal or 1")
        return result


@serialization.register("layer")
class Add(Merge):
    """a + b + ...

    >>> import numpy as np
    >>> Add()([np.ones((1, 2), "float32"), np.ones((1, 2), "float32")]).tolist()
    [[2.0, 2.0]]
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.add(a, b)


@serialization.register("layer")
class Subtract(Merge):
    """a - b, for exactly two inputs."""

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            raise ShapeError(f"{self.name}: expected a list of exactly two inputs, as in Subtract()([a, b])")
        return super().call(inputs)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.subtract(a, b)


@serialization.register("layer")
class Multiply(Merge):
    """a * b * ..., element by element."""

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.multiply(a, b)


@serialization.register("layer")
class Average(Merge):
    """(a + b + ...) / number of inputs.

    >>> import numpy as np
    >>> Average()([np.zeros((1, 2), "float32"), np.ones((1, 2), "float32")]).tolist()
    [[0.5, 0.5]]
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return ops.divide(super().call(inputs), float(len(inputs)))

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.add(a, b)


@serialization.register("layer")
class Maximum(Merge):
    """The greatest of the inputs, element by element."""

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.maximum(a, b)


@serialization.register("layer")
class Minimum(Merge):
    """The smallest of the inputs, element by element."""

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.minimum(a, b)


@serialization.register("layer")
class Concatenate(Layer):
    """The inputs one after the other along axis; all other sizes are equal.

    >>> import numpy as np
    >>> Concatenate()([np.zeros((1, 2), "float32"), np.ones((1, 1), "float32")]).tolist()
    [[0.0, 0.0, 1.0]]
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The masks one after the other, where time steps are put together; else as for Add."""
        masks = list(previous_mask or [])
        known = [mask for mask in masks if mask is not None]
        if not known:
            return None
        if self.axis not in (1, 1 - len(inputs[0].shape)):
            return reduce(ops.multiply, known)
        full = [
            ops.full(tuple(x.shape[:2]), 1.0, known[0].dtype) if m is None else m
            for x, m in zip(inputs, masks, strict=True)
        ]
        return ops.concatenate(full, axis=1)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if not isinstance(inputs, list | tuple) or not inputs:
            raise ShapeError(f"{self.name}: expected a list of inputs, as in Concatenate()([a, b])")
        shapes = [tuple(x.shape) for x in inputs]
        rank = len(shapes[0])
        if not -rank <= self.axis < rank or any(self._others(shape) != self._others(shapes[0]) for shape in shapes):
            raise ShapeError(
                f"{self.name}: inputs of shapes {', '.join(map(str, shapes))} cannot be joined along axis {self.axis}"
            )
        return inputs[0] if len(inputs) == 1 else ops.concatenate(list(inputs), axis=self.axis)

    def _others(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        axis = self.axis % len(shape)
        return len(shape), shape[:axis] + shape[axis + 1 :]

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}


def _function(layer: type[Layer]) -> Callable[..., Tensor]:
    def merged(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
        return layer(**kwargs)(inputs)

    merged.__name__ = merged.__qualname__ = layer.__name__.lower()
    merged.__doc__ = f"{layer.__name__}(**kwargs)(inputs)."
    return merged


add = _function(Add)
subtract = _function(Subtract)
multiply = _function(Multiply)
average = _function(Average)
maximum = _function(Maximum)
minimum = _function(Minimum)
concatenate = _function(Concatenate)
