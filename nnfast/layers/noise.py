"""Further layers that act in training only: SpatialDropout, AlphaDropout, GaussianDropout, StochasticDepth.

Dropout and GaussianNoise stand in regularization.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.regularization import Dropout, _RandomLayer
from nnfast.typing import Config, Tensor
from nnfast.windows import check_data_format

SELU_FLOOR = -1.6732632423543772 * 1.0507009873554805  # what selu goes to, -alpha * scale


class _SpatialDropout(Dropout):
    """Whole channels at once."""

    rank: int

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, None, seed, **kwargs)
        self.data_format = check_data_format(data_format, type(self).__name__)
        ones = [1] * self.rank
        self.noise_shape = [None, *ones, None] if self.data_format == "channels_last" else [None, None, *ones]

    def get_config(self) -> Config:
        config = super().get_config()
        del config["noise_shape"]
        return {**config, "data_format": self.data_format}


@serialization.register("layer")
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels: all steps of a channel are 0, or none (Tompson et al. 2015). In (batch, steps, channels).

    >>> import numpy as np
    >>> SpatialDropout1D(0.5)(np.ones((1, 2, 1), "float32")).tolist()
    [[[1.0], [1.0]]]
    """

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, kwargs.pop("data_format", None), seed, **kwargs)


@serialization.register("layer")
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole feature maps (Tompson et al. 2015). In (batch, height, width, channels).

    >>> import numpy as np
    >>> SpatialDropout2D(0.5)(np.ones((1, 1, 2, 1), "float32")).ravel().tolist()
    [1.0, 1.0]
    """

    rank = 2


@serialization.register("layer")
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole volumes (Tompson et al. 2015). In (batch, depth, height, width, channels).

    >>> import numpy as np
    >>> SpatialDropout3D(0.5)(np.ones((1, 1, 1, 2, 1), "float32")).ravel().tolist()
    [1.0, 1.0]
    """

    rank = 3


@serialization.register("layer")
class AlphaDropout(Dropout):
    """Dropout for selu: dropped elements take selu's floor, and mean and variance stay (Klambauer et al. 2017).

    a (x kept + floor (1 - kept)) + b, a = ((1 - rate) (1 + rate floor^2))^(-1/2), b = -a rate floor, floor = -1.758. 0 <= rate < 1.

    >>> import numpy as np
    >>> AlphaDropout(0.5)(np.ones((1, 2), "float32")).tolist()
    [[1.0, 1.0]]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, noise_shape, seed, **kwargs)
        _below_one(self, rate)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        shape = tuple(inputs.shape)
        mask = shape if self.noise_shape is None else self._mask_shape(shape)
        kept = ops.greater(ops.dropout(ops.full(mask, 1.0, str(inputs.dtype)), self.rate, self.stream), 0.0)
        a = ((1 - self.rate) * (1 + self.rate * SELU_FLOOR**2)) ** -0.5
        mixed = ops.add(ops.multiply(ops.subtract(inputs, SELU_FLOOR), kept), SELU_FLOOR)
        return ops.add(ops.multiply(mixed, a), -a * SELU_FLOOR * self.rate)


def _below_one(layer: Any, rate: float) -> None:
    if not rate < 1:
        raise ValueError(f"{type(layer).__name__}(rate={rate!r}): rate must be in 0 <= rate < 1")


@serialization.register("layer")
class GaussianDropout(_RandomLayer):
    """In training, multiply each element by a normal number with mean 1 and variance rate / (1 - rate) (Srivastava et al. 2014).

    >>> import numpy as np
    >>> GaussianDropout(0.5)(np.ones((1, 2), "float32")).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(f"GaussianDropout(rate={rate!r}): rate must be in 0 <= rate < 1")
        self.rate = rate

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        stddev = (self.rate / (1 - self.rate)) ** 0.5
        factor = ops.random_normal(tuple(inputs.shape), 1.0, stddev, self.stream, str(inputs.dtype))
        return ops.multiply(inputs, factor)

    def get_config(self) -> Config:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@serialization.register("layer")
class StochasticDepth(Dropout):
    """In training, whole samples of a residual branch are 0 with probability `rate`, the others divided by 1 - rate (Huang et al. 2016).

    The input is the branch; or a list [shortcut, branch], whose sum is the output.

    >>> import numpy as np
    >>> StochasticDepth(0.5)([np.ones((1, 2), "float32"), np.ones((1, 2), "float32")]).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, rate: float = 0.5, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, None, seed, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        several = isinstance(inputs, list | tuple)
        if several and len(inputs) != 2:
            raise ShapeError(f"{self.name}: expected a tensor or [shortcut, branch], got {len(inputs)} tensors")
        branch = inputs[1] if several else inputs
        if training and self.rate > 0:
            shape = (branch.shape[0], *[1] * (len(branch.shape) - 1))
            kept = ops.dropout(ops.full(shape, 1.0, str(branch.dtype)), self.rate, self.stream)
            branch = ops.multiply(branch, kept)
        return ops.add(inputs[0], branch) if several else branch

    def get_config(self) -> Config:
        config = super().get_config()
        del config["noise_shape"]
        return config
