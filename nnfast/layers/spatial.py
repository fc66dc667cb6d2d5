"""Layers that change the spatial size: ZeroPadding, Cropping, UpSampling, Resizing, PixelShuffle.

Inputs are (batch, *spatial, channels), or (batch, channels, *spatial) with data_format="channels_first".
"""

from __future__ import annotations

from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError, unknown_name
from nnfast.layers.pooling import Spatial
from nnfast.losses.base import as_type
from nnfast.ops.resample import INTERPOLATIONS
from nnfast.typing import Config, Tensor
from nnfast.windows import check_padding, is_whole, per_axis

Pairs = tuple[tuple[int, int], ...]


def _pairs(value: Any, rank: int, owner: str, name: str) -> Pairs:
    """(before, after) per axis; for one axis also just the two numbers."""
    try:
        return check_padding([value] if rank == 1 and isinstance(value, list | tuple) else value, rank, owner, ())
    except ValueError:
        form = "(before, after)" if rank == 1 else f"{rank} numbers, or {rank} pairs (before, after)"
        raise ValueError(f"{owner}({name}={value!r}): expected a whole number >= 0, {form}") from None


class _Border(Spatial):
    """Base of padding and cropping."""

    argument: str

    def __init__(self, pairs: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.pairs = _pairs(pairs, self.rank, type(self).__name__, self.argument)

    def _per_axis(self, outside: Any) -> list[Any]:
        """The pairs of all axes, `outside` for batch and channels."""
        if self.data_format == "channels_last":
            return [outside, *self.pairs, outside]
        return [outside, outside, *self.pairs]

    def get_config(self) -> Config:
        pairs: list[Any] = [list(pair) for pair in self.pairs]
        return {**super().get_config(), self.argument: pairs[0] if self.rank == 1 else pairs}


class _ZeroPadding(_Border):
    argument = "padding"

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        return ops.pad(inputs, self._per_axis((0, 0)))


class _Cropping(_Border):
    argument = "cropping"

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        pairs = self._per_axis((0, 0))
        for n, (before, after) in zip(inputs.shape, pairs, strict=True):
            if before + after >= n > 0 and (before or after):
                raise ShapeError(
                    f"{self.name}: cropping {self.pairs} leaves nothing of inputs of shape {tuple(inputs.shape)}"
                )
        bounds = [slice(before, n - after) for n, (before, after) in zip(inputs.shape, pairs, strict=True)]
        return ops.slice(inputs, (slice(None), *bounds[1:]))


@serialization.register("layer")
class ZeroPadding1D(_ZeroPadding):
    """Zeros before and behind the steps. In (batch, steps, channels). padding: a number, or (before, after).

    >>> import numpy as np
    >>> ZeroPadding1D((2, 1))(np.ones((1, 4, 3), "float32")).shape
    (1, 7, 3)
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@serialization.register("layer")
class ZeroPadding2D(_ZeroPadding):
    """Zeros around height and width. In (batch, height, width, channels). padding: a number, one per axis, or (before, after) per axis.

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 2)))(np.ones((1, 4, 4, 3), "float32")).shape
    (1, 5, 8, 3)
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@serialization.register("layer")
class ZeroPadding3D(_ZeroPadding):
    """Zeros around depth, height and width. padding: a number, one per axis, or (before, after) per axis.

    >>> import numpy as np
    >>> ZeroPadding3D(1)(np.ones((1, 4, 4, 4, 3), "float32")).shape
    (1, 6, 6, 6, 3)
    """

    rank = 3

    def __init__(self, padding: Any = (1, 1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@serialization.register("layer")
class Cropping1D(_Cropping):
    """Steps cut off at both ends. In (batch, steps, channels). cropping: a number, or (before, after).

    >>> import numpy as np
    >>> Cropping1D((0, 2))(np.ones((1, 4, 3), "float32")).shape
    (1, 2, 3)
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@serialization.register("layer")
class Cropping2D(_Cropping):
    """Rows and columns cut off at the border. cropping: a number, one per axis, or (before, after) per axis.

    >>> import numpy as np
    >>> Cropping2D(((1, 0), (1, 1)))(np.ones((1, 4, 4, 3), "float32")).shape
    (1, 3, 2, 3)
    """

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@serialization.register("layer")
class Cropping3D(_Cropping):
    """The border of depth, height and width cut off. cropping: a number, one per axis, or (before, after) per axis.

    >>> import numpy as np
    >>> Cropping3D()(np.ones((1, 4, 4, 4, 3), "float32")).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


def _check_interpolation(owner: str, interpolation: Any) -> str:
    if interpolation not in INTERPOLATIONS:
        raise unknown_name(f"interpolation of {owner}", interpolation, INTERPOLATIONS)
    return str(interpolation)


class _UpSampling(Spatial):
    def __init__(self, size: Any, data_format: str | None, interpolation: str, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size = per_axis(size, self.rank, type(self).__name__, "size")
        self.interpolation = _check_interpolation(type(self).__name__, interpolation)

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        extents = inputs.shape[1:-1] if self.data_format == "channels_last" else inputs.shape[2:]
        sizes = [n * factor for n, factor in zip(extents, self.size, strict=True)]
        return ops.resize(inputs, sizes, self.interpolation, data_format=self.data_format)

    def get_config(self) -> Config:
        size = self.size[0] if self.rank == 1 else list(self.size)
        return {**super().get_config(), "size": size, "interpolation": self.interpolation}


@serialization.register("layer")
class UpSampling1D(_UpSampling):
    """Each step `size` times. In (batch, steps, channels). interpolation: "nearest", or others of ops.resize.

    >>> import numpy as np
    >>> UpSampling1D(2)(np.array([[[1.0], [2.0]]], "float32")).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """

    rank = 1

    def __init__(
        self, size: int = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, interpolation, **kwargs)


@serialization.register("layer")
class UpSampling2D(_UpSampling):
    """Height and width `size` times as large. interpolation: "nearest", "bilinear", or others of ops.resize.

    >>> import numpy as np
    >>> UpSampling2D((1, 2), interpolation="bilinear")(np.array([[[[0.0], [4.0]]]], "float32")).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """

    rank = 2

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, interpolation, **kwargs)


@serialization.register("layer")
class UpSampling3D(_UpSampling):
    """Depth, height and width `size` times as large. interpolation: "nearest", or others of ops.resize.

    >>> import numpy as np
    >>> UpSampling3D()(np.ones((1, 2, 2, 2, 3), "float32")).shape
    (1, 4, 4, 4, 3)
    """

    rank = 3

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, interpolation, **kwargs)


@serialization.register("layer")
class Resizing(Spatial):
    """Images of (height, width), real, whatever the input's dtype. In (batch, any height, any width, channels).

    Args:
        height, width: of the output.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5" or "area", with half-pixel centres.
        crop_to_aspect_ratio: cut the input to the output's proportions first, around its middle.
        pad_to_aspect_ratio: put `fill_value` around the input first, in place of changing its proportions.
        fill_mode: "constant".
        fill_value: of the padding.
        antialias: widen the filter where the image shrinks.
        data_format: "channels_last" (default) or "channels_first".

    >>> import numpy as np
    >>> Resizing(2, 3)(np.ones((1, 8, 8, 3), "uint8")).shape
    (1, 2, 3, 3)
    """

    rank = 2

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.height = per_axis(height, 1, "Resizing", "height")[0]
        self.width = per_axis(width, 1, "Resizing", "width")[0]
        self.interpolation = _check_interpolation("Resizing", interpolation)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing: give one of crop_to_aspect_ratio and pad_to_aspect_ratio")
        if fill_mode != "constant":
            raise ValueError(f"Resizing(fill_mode={fill_mode!r}): expected 'constant'")
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        self.fill_value = float(fill_value)
        self.antialias = bool(antialias)

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        images = as_type(inputs, self.dtype)
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            images = self._in_proportion(images)
        return ops.resize(
            images, (self.height, self.width), self.interpolation, self.antialias, data_format=self.data_format
        )

    def _in_proportion(self, images: Tensor) -> Tensor:
        first = 1 if self.data_format == "channels_last" else 2
        h, w = images.shape[first : first + 2]
        across, down = h * self.width // self.height, w * self.height // self.width  # the other side, for each kept
        if self.crop_to_aspect_ratio:
            size = (min(h, max(down, 1)), min(w, max(across, 1)))
            starts = ((h - size[0]) // 2, (w - size[1]) // 2)
            cut = [slice(a, a + n) for a, n in zip(starts, size, strict=True)]
            return ops.slice(images, (*[slice(None)] * first, *cut))
        missing = (max(down - h, 0), max(across - w, 0))
        pairs = [(0, 0)] * 4
        pairs[first : first + 2] = [(n // 2, n - n // 2) for n in missing]
        return ops.pad(images, pairs, constant_values=self.fill_value)

    def get_config(self) -> Config:
        names = ("height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_value", "antialias")  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@serialization.register("layer")
class PixelShuffle(Spatial):
    """(batch, H, W, C r^2) -> (batch, H r, W r, C), r = upscale_factor, in PyTorch's order of channels (Shi et al. 2016).

    >>> import numpy as np
    >>> PixelShuffle(2)(np.array([[[[1.0, 2.0, 3.0, 4.0]]]], "float32"))[0, :, :, 0].tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    rank = 2

    def __init__(self, upscale_factor: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        if not is_whole(upscale_factor, 1):
            raise ValueError(f"PixelShuffle(upscale_factor={upscale_factor!r}): expected a positive integer")
        self.upscale_factor = int(upscale_factor)

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs)
        return ops.depth_to_space(inputs, self.upscale_factor, data_format=self.data_format)

    def get_config(self) -> Config:
        return {**super().get_config(), "upscale_factor": self.upscale_factor}
