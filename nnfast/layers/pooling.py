"""Pooling layers: the greatest or the mean of windows, of whole axes, or of a fixed number of windows.

All are thin classes over three bases; inputs are (batch, *spatial, channels), or (batch, channels, *spatial) with
data_format="channels_first".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor
from nnfast.windows import check_data_format, check_padding, per_axis


class Spatial(Layer):
    """A layer on `rank` spatial axes between batch and channels."""

    rank: int

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format, type(self).__name__)

    def check_rank(self, inputs: Tensor) -> None:
        """ShapeError unless there are `rank` spatial axes."""
        if len(inputs.shape) != self.rank + 2:
            axes = ["steps"] if self.rank == 1 else ["depth", "height", "width"][3 - self.rank :]
            form = ["batch", *axes, "channels"] if self.data_format == "channels_last" else ["batch", "channels", *axes]
            raise ShapeError(f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected ({', '.join(form)})")

    def get_config(self) -> Config:
        return {**super().get_config(), "data_format": self.data_format}


class Pooling(Spatial):
    """Windows of `pool_size`, `strides` apart."""

    function: Any

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Any = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        self.pool_size = per_axis(pool_size, self.rank, name, "pool_size")
        self.strides = self.pool_size if strides is None else per_axis(strides, self.rank, name, "strides")
        self.padding = check_padding(padding, self.rank, name)

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        return type(self).function(inputs, self.pool_size, self.strides, self.padding, data_format=self.data_format)

    def get_config(self) -> Config:
        padding = self.padding if isinstance(self.padding, str) else [list(pair) for pair in self.padding]
        own = {"pool_size": list(self.pool_size), "strides": list(self.strides), "padding": padding}
        return {**super().get_config(), **own}


class GlobalPooling(Spatial):
    """All spatial axes at once."""

    function: Any

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self.check_rank(inputs)
        first = 1 if self.data_format == "channels_last" else 2
        axes = tuple(range(first, first + self.rank))
        if mask is None or self.rank > 1:
            return type(self).function(inputs, axes, self.keepdims)
        counts = ops.expand_dims(ops.cast(mask, str(inputs.dtype)), -1 if first == 1 else 1)
        return self.over(inputs, counts, axes)

    def over(self, inputs: Tensor, counts: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The same over the steps whose `counts` is 1."""
        if type(self).function.__name__ == "mean":
            total = ops.maximum(ops.sum(counts, axes, self.keepdims), 1.0)
            return ops.divide(ops.sum(ops.multiply(inputs, counts), axes, self.keepdims), total)
        least = float(np.finfo(str(inputs.dtype)).min)
        return ops.max(ops.where(counts, inputs, least), axes, self.keepdims)

    def get_config(self) -> Config:
        return {**super().get_config(), "keepdims": self.keepdims}


class AdaptivePooling(Spatial):
    """`output_size` windows per axis, whatever the input's size."""

    function: Any

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.output_size = per_axis(output_size, self.rank, type(self).__name__, "output_size")

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        return type(self).function(inputs, self.output_size, data_format=self.data_format)

    def get_config(self) -> Config:
        return {**super().get_config(), "output_size": list(self.output_size)}


WINDOWS = """

    In (batch, {axes}, channels), out the same with floor((n + padding - pool_size) / strides) + 1 elements per axis.

    Args:
        pool_size: size of a window, one number or one per axis.
        strides: how far apart windows begin; pool_size by default.
        padding: "valid"; "same", so that ceil(n / strides) windows fit; or numbers, as (before, after) per axis.
        data_format: "channels_last" (default) or "channels_first".

    >>> import numpy as np
    >>> {name}(2)(np.ones({shape}, "float32")).shape
    {pooled}
    """
WHOLE = """

    In (batch, {axes}, channels), out (batch, channels), or with keepdims=True (batch, {ones}, channels). With one axis, steps that a mask
    leaves out do not count.

    >>> import numpy as np
    >>> {name}()(np.ones({shape}, "float32")).shape
    (2, 3)
    """
FIXED = """

    In (batch, {axes}, channels), out (batch, *output_size, channels). Window i of n elements and s windows goes from floor(i n / s)
    to ceil((i + 1) n / s), as in PyTorch.

    >>> import numpy as np
    >>> {name}(2)(np.ones({shape}, "float32")).shape
    {pooled}
    """
AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


def _make(name: str, base: type[Spatial], rank: int, function: Any, line: str, text: str) -> Any:
    """A class for one rank, with its documentation; registered under its name."""
    about = text.format(
        name=name, axes=AXES[rank], ones=", ".join("1" * rank), shape=(2, *[4] * rank, 3), pooled=(2, *[2] * rank, 3)
    )
    body = {"rank": rank, "function": staticmethod(function), "__doc__": line + about, "__module__": __name__}
    return serialization.register("layer")(type(name, (base,), body))


_GREATEST, _MEAN = "The greatest element of {}; NaN if one is.", "The mean of {}."
_EACH, _ALL = "each window", "all elements of a channel"
_BUT = "The mean of each window, without what padding adds."

MaxPooling1D = _make("MaxPooling1D", Pooling, 1, ops.max_pool, _GREATEST.format(_EACH), WINDOWS)
MaxPooling2D = _make("MaxPooling2D", Pooling, 2, ops.max_pool, _GREATEST.format(_EACH), WINDOWS)
MaxPooling3D = _make("MaxPooling3D", Pooling, 3, ops.max_pool, _GREATEST.format(_EACH), WINDOWS)
AveragePooling1D = _make("AveragePooling1D", Pooling, 1, ops.average_pool, _BUT, WINDOWS)
AveragePooling2D = _make("AveragePooling2D", Pooling, 2, ops.average_pool, _BUT, WINDOWS)
AveragePooling3D = _make("AveragePooling3D", Pooling, 3, ops.average_pool, _BUT, WINDOWS)
GlobalMaxPooling1D = _make("GlobalMaxPooling1D", GlobalPooling, 1, ops.max, _GREATEST.format(_ALL), WHOLE)
GlobalMaxPooling2D = _make("GlobalMaxPooling2D", GlobalPooling, 2, ops.max, _GREATEST.format(_ALL), WHOLE)
GlobalMaxPooling3D = _make("GlobalMaxPooling3D", GlobalPooling, 3, ops.max, _GREATEST.format(_ALL), WHOLE)
GlobalAveragePooling1D = _make("GlobalAveragePooling1D", GlobalPooling, 1, ops.mean, _MEAN.format(_ALL), WHOLE)
GlobalAveragePooling2D = _make("GlobalAveragePooling2D", GlobalPooling, 2, ops.mean, _MEAN.format(_ALL), WHOLE)
GlobalAveragePooling3D = _make("GlobalAveragePooling3D", GlobalPooling, 3, ops.mean, _MEAN.format(_ALL), WHOLE)
AdaptiveMaxPooling1D = _make("AdaptiveMaxPooling1D", AdaptivePooling, 1, ops.adaptive_max_pool, _GREATEST.format(_EACH), FIXED)  # fmt: skip
AdaptiveMaxPooling2D = _make("AdaptiveMaxPooling2D", AdaptivePooling, 2, ops.adaptive_max_pool, _GREATEST.format(_EACH), FIXED)  # fmt: skip
AdaptiveAveragePooling1D = _make("AdaptiveAveragePooling1D", AdaptivePooling, 1, ops.adaptive_average_pool, _MEAN.format(_EACH), FIXED)  # fmt: skip
AdaptiveAveragePooling2D = _make("AdaptiveAveragePooling2D", AdaptivePooling, 2, ops.adaptive_average_pool, _MEAN.format(_EACH), FIXED)  # fmt: skip
