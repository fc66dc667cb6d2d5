"""Normalisation per channel: BatchNormalization over the batch, GroupNormalization and InstanceNormalization within each sample.

The other half, over axes of each sample, stands in normalization.py.
"""

from __future__ import annotations

from typing import Any

from nnfast import initializers, ops, serialization
from nnfast.layers.normalization import Normalizing, sizes_of
from nnfast.typing import Config, Shape, Tensor
from nnfast.windows import is_whole


@serialization.register("layer")
class BatchNormalization(Normalizing):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, one mean and variance per channel (Ioffe, Szegedy 2015).

    In training they are those of the batch, and moving_mean and moving_variance, weights that are not trained, become
    moving * momentum + batch * (1 - momentum), with the variance divided by the number of elements, as in Keras. Outside training, or
    with trainable=False, the moving ones are used. In and out (batch, ..., channels). Weights in order: gamma, beta, moving_mean,
    moving_variance. PyTorch's momentum is 1 - this one, and its moving variance is divided by one element less.

    Args:
        axis: the axis of the channels.
        momentum: how much of the moving statistics stays in each step.
        epsilon: added to the variance.
        center, scale: whether beta, and gamma, are there.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: first values of the weights.
        beta_regularizer, gamma_regularizer: penalties on the weights.

    >>> import numpy as np
    >>> layer = BatchNormalization(epsilon=0.0, momentum=0.5)
    >>> layer(np.array([[1.0], [3.0]], "float32"), training=True).tolist()
    [[-1.0], [1.0]]
    >>> layer.moving_mean.numpy().tolist()
    [1.0]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            _one_axis("BatchNormalization", axis), epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, **kwargs,
        )  # fmt: skip
        if isinstance(momentum, bool) or not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"BatchNormalization(momentum={momentum!r}): expected a number from 0 to 1")
        self.momentum = float(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        sizes = sizes_of(self, input_shape, self.axis)
        self.moving_mean = self.add_weight("moving_mean", sizes, self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", sizes, self.moving_variance_initializer, trainable=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        assert isinstance(self.axis, int)
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = ops.moments(inputs, self.axis)
            self.add_update(self.moving_mean, mean, self.momentum)
            self.add_update(self.moving_variance, variance, self.momentum)
        return ops.batch_normalization(inputs, mean, variance, self.axis, self.beta, self.gamma, self.epsilon)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "moving_mean_initializer": serialization.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": serialization.serialize(self.moving_variance_initializer),
        }


def _one_axis(layer: str, axis: Any) -> int:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(f"{layer}(axis={axis!r}): expected an integer, the axis of the channels")
    return axis


@serialization.register("layer")
class GroupNormalization(Normalizing):
    """Like BatchNormalization, with mean and variance of each sample over a group of neighbouring channels (Wu, He 2018).

    groups: how many, which must divide the channels; -1 for one group per channel. In and out (batch, ..., channels). Weights: gamma
    and beta per channel. Training and inference compute the same.

    >>> import numpy as np
    >>> GroupNormalization(2, epsilon=0.0)(np.array([[[1.0, 3.0, 5.0, 7.0]]], "float32")).tolist()
    [[[-1.0, 1.0, -1.0, 1.0]]]
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        super().__init__(
            _one_axis(name, axis), epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            **kwargs,
        )  # fmt: skip
        if not is_whole(groups, 1) and groups != -1:
            raise ValueError(f"{name}(groups={groups!r}): expected a positive integer, or -1 for one group per channel")
        self.groups = int(groups)

    def call(self, inputs: Tensor) -> Tensor:
        assert isinstance(self.axis, int)
        groups = inputs.shape[self.axis] if self.groups == -1 else self.groups
        return ops.group_normalization(inputs, groups, self.gamma, self.beta, self.axis, self.epsilon)

    def get_config(self) -> Config:
        return {**super().get_config(), "groups": self.groups}


@serialization.register("layer")
class InstanceNormalization(GroupNormalization):
    """Each channel of each sample brought to mean 0 and variance 1, then * gamma + beta (Ulyanov et al. 2016).

    In and out (batch, ..., channels). GroupNormalization with one group per channel.

    >>> import numpy as np
    >>> InstanceNormalization(epsilon=0.0)(np.array([[[1.0], [3.0]]], "float32")).tolist()
    [[[-1.0], [1.0]]]
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            -1, axis, epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, **kwargs
        )  # fmt: skip

    def get_config(self) -> Config:
        config = super().get_config()
        del config["groups"]
        return config
