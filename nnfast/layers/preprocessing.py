"""Layers that bring raw data to a good range: Normalization, which learns mean and variance from data, and Rescaling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.boundary import refuse_unfolded
from nnfast.errors import DataError, ShapeError
from nnfast.layers.base import Layer
from nnfast.losses.base import as_type
from nnfast.typing import Array, Config, Shape, Tensor

ROWS_AT_ONCE = 4096
EPSILON = 1e-7  # least standard deviation, as Keras' epsilon()


@serialization.register("layer")
class Rescaling(Layer):
    """x * scale + offset; integer inputs become real. Rescaling(1 / 255) brings bytes to 0..1.

    >>> import numpy as np
    >>> Rescaling(0.5, offset=1.0)(np.array([[2, 4]], "uint8")).tolist()
    [[2.0, 3.0]]
    """

    supports_masking = True

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs: Tensor) -> Tensor:
        outputs = ops.multiply(as_type(inputs, self.dtype), _constant(self.scale, self.dtype))
        if np.any(np.asarray(self.offset)):
            outputs = ops.add(outputs, _constant(self.offset, self.dtype))
        return outputs

    def get_config(self) -> Config:
        offset, scale = serialization.serialize(self.offset), serialization.serialize(self.scale)
        return {**super().get_config(), "scale": scale, "offset": offset}


def _constant(value: Any, dtype: str) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value, dtype)


@serialization.register("layer")
class Normalization(Layer):
    """(x - mean) / max(sqrt(variance), 1e-7), with mean and variance from `adapt(data)` or from the constructor.

    axis: the axis, or axes, that keep a mean of their own (-1: one per feature; None: one for all). invert: the way back,
    x * sqrt(variance) + mean. mean and variance are saved as weights that are not trained.

    >>> import numpy as np
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0], [2.0]], "float32"))
    >>> layer(np.array([[0.0], [2.0]], "float32")).tolist()
    [[-1.0], [1.0]]
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(f"Normalization(mean={mean!r}, variance={variance!r}): give both or neither")
        self.axis = axis if axis is None or isinstance(axis, int) else [int(one) for one in axis]
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert

    def _kept_axes(self, rank: int) -> list[int]:
        axes = [] if self.axis is None else [self.axis] if isinstance(self.axis, int) else self.axis
        if any(not -rank <= axis < rank or axis % rank == 0 for axis in axes):
            raise ShapeError(
                f"{self.name}: axis {self.axis} does not fit inputs of {rank} axes, of which the first is the batch"
            )
        return sorted(axis % rank for axis in axes)

    def build(self, input_shape: Shape) -> None:
        kept = self._kept_axes(len(input_shape))
        sizes = [input_shape[axis] for axis in kept]
        if None in sizes:
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(input_shape)}; the sizes of axis {self.axis} must be known"
            )
        shape = tuple(size for size in sizes if size is not None)
        self._broadcast_shape = tuple(size if axis in kept and size else 1 for axis, size in enumerate(input_shape))
        fixed = self.input_mean is not None
        mean = np.broadcast_to(np.asarray(self.input_mean if fixed else 0.0, self.dtype), shape)
        variance = np.broadcast_to(np.asarray(self.input_variance if fixed else 1.0, self.dtype), shape)
        self.mean = self.add_weight("mean", shape, lambda shape, dtype: mean, trainable=False, layout="row")
        self.variance = self.add_weight("variance", shape, lambda shape, dtype: variance, trainable=False, layout="row")

    def adapt(self, data: Array | Iterable[Array]) -> None:
        """Take mean and variance from an array (rows, ...), or from an iterable of batches of rows. In float64, and independent of
        any earlier `adapt`. DataError for empty data."""
        if self.input_mean is not None:
            raise ValueError(
                f"{self.name}.adapt: mean and variance were given to the constructor; leave them out to use adapt"
            )
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for rows in _blocks(data):
            block_count, block_mean, block_squares = _moments(rows, self._kept_axes(rows.ndim))
            if block_count == 0:
                continue
            self._ensure_built(rows)
            # Chan et al. 1979: joining two sets of numbers with known means and sums of squared distances
            total = count + block_count
            difference = block_mean - mean
            mean = mean + difference * (block_count / total)
            squares = squares + block_squares + difference * difference * (count / total * block_count)
            count = total
        if count == 0:
            raise DataError(f"{self.name}.adapt: the data are empty; expected at least one row")
        self.mean.assign(mean.astype(self.dtype))
        self.variance.assign((squares / count).astype(self.dtype))

    def call(self, inputs: Tensor) -> Tensor:
        inputs = as_type(inputs, self.dtype)
        mean, variance = (
            ops.reshape(self.mean, self._broadcast_shape),
            ops.reshape(self.variance, self._broadcast_shape),
        )
        deviation = ops.maximum(ops.sqrt(variance), EPSILON)
        if self.invert:
            return ops.add(ops.multiply(inputs, deviation), mean)
        return ops.divide(ops.subtract(inputs, mean), deviation)

    def get_config(self) -> Config:
        mean, variance = serialization.serialize(self.input_mean), serialization.serialize(self.input_variance)
        return {**super().get_config(), "axis": self.axis, "mean": mean, "variance": variance, "invert": self.invert}


def _blocks(data: Any) -> Iterable[Array]:
    """Rows in float64, a few thousand at a time."""
    batches = (
        [data] if hasattr(data, "__array__") or hasattr(data, "__array_interface__") or isinstance(data, list) else data
    )
    for batch in batches:
        array = np.asarray(batch)
        refuse_unfolded(array, "data")
        if array.ndim < 2:
            array = array.reshape(-1, 1)
        for start in range(0, len(array), ROWS_AT_ONCE):
            yield array[start : start + ROWS_AT_ONCE].astype(np.float64)


def _moments(rows: Array, kept: list[int]) -> tuple[int, Array, Array]:
    """Count, mean and sum of squared distances from the mean over all axes but `kept`, by nnfast's own sums."""
    summed = [axis for axis in range(rows.ndim) if axis not in kept]
    count = math.prod(rows.shape[axis] for axis in summed)
    if count == 0:
        return 0, np.zeros(()), np.zeros(())
    mean = np.asarray(ops.mean(rows, axis=summed, keepdims=True))
    squares = np.asarray(ops.sum(np.square(rows - mean), axis=summed))
    return count, mean.reshape(squares.shape), squares
