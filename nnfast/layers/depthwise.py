"""Convolutions of each channel by itself, and with a mixing of the channels after: DepthwiseConv1D/2D, SeparableConv1D/2D."""

from __future__ import annotations

from typing import Any

from nnfast import initializers, ops, regularizers, serialization
from nnfast.layers._convolution import Convolution
from nnfast.typing import Config, Shape, Tensor


class _DepthwiseConv(Convolution):
    """DepthwiseConv1D, DepthwiseConv2D."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = self.count(depth_multiplier, "depth_multiplier")
        self.set_up(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer
        )  # fmt: skip
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)

    def build(self, input_shape: Shape) -> None:
        channels = self.channels(input_shape)
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, channels, self.depth_multiplier), self.depthwise_initializer, self.depthwise_regularizer
        )  # fmt: skip
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        x = self.first(inputs)
        return self.finish(ops.depthwise_conv(x, self.kernel, self.strides, self.padding, None, self.dilation_rate))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": serialization.serialize(self.depthwise_initializer),
            "depthwise_regularizer": serialization.serialize(self.depthwise_regularizer),
        }


@serialization.register("layer")
class DepthwiseConv1D(_DepthwiseConv):
    """activation(convolution of each channel by itself, over one axis, + bias).

    In (batch, steps, channels), out (batch, new steps, channels * depth_multiplier). Weights: kernel (kernel_size, channels,
    depth_multiplier), bias. Equal to Keras' DepthwiseConv1D.

    Args:
        depth_multiplier: outputs for each channel.
        depthwise_initializer, depthwise_regularizer: of the kernel.
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer,
        activity_regularizer: as in Conv1D.

    >>> import numpy as np
    >>> DepthwiseConv1D(3, depth_multiplier=2)(np.zeros((1, 5, 4), "float32")).shape
    (1, 3, 8)
    """

    axes = 1


@serialization.register("layer")
class DepthwiseConv2D(_DepthwiseConv):
    """activation(convolution of each channel by itself, over height and width, + bias). Arguments as in DepthwiseConv1D.

    In (batch, height, width, channels), out (batch, new height, new width, channels * depth_multiplier).

    >>> import numpy as np
    >>> DepthwiseConv2D(3, padding="same")(np.zeros((1, 5, 5, 4), "float32")).shape
    (1, 5, 5, 4)
    """


class _SeparableConv(Convolution):
    """SeparableConv1D, SeparableConv2D."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = self.count(filters, "filters")
        self.depth_multiplier = self.count(depth_multiplier, "depth_multiplier")
        self.set_up(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer
        )  # fmt: skip
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)

    def build(self, input_shape: Shape) -> None:
        channels = self.channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier), self.depthwise_initializer, self.depthwise_regularizer
        )  # fmt: skip
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel", (*(1,) * self.axes, channels * self.depth_multiplier, self.filters), self.pointwise_initializer,
            self.pointwise_regularizer, layout="panel",
        )  # fmt: skip
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        x = self.first(inputs)
        y = ops.separable_conv(
            x, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding, None, self.dilation_rate
        )
        return self.finish(y)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": serialization.serialize(self.depthwise_initializer),
            "pointwise_initializer": serialization.serialize(self.pointwise_initializer),
            "depthwise_regularizer": serialization.serialize(self.depthwise_regularizer),
            "pointwise_regularizer": serialization.serialize(self.pointwise_regularizer),
        }


@serialization.register("layer")
class SeparableConv1D(_SeparableConv):
    """activation(DepthwiseConv1D, then a mixing of its channels by a kernel of one step, + bias).

    In (batch, steps, channels), out (batch, new steps, filters). Weights: depthwise_kernel (kernel_size, channels, depth_multiplier),
    pointwise_kernel (1, channels * depth_multiplier, filters), bias (filters,). Equal to Keras' SeparableConv1D.

    Args:
        filters: channels of the output.
        depth_multiplier: channels in between, for each of the input.
        depthwise_initializer, depthwise_regularizer, pointwise_initializer, pointwise_regularizer: of the two kernels.
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer,
        activity_regularizer: as in Conv1D.

    >>> import numpy as np
    >>> SeparableConv1D(6, 3)(np.zeros((1, 5, 4), "float32")).shape
    (1, 3, 6)
    """

    axes = 1


@serialization.register("layer")
class SeparableConv2D(_SeparableConv):
    """activation(DepthwiseConv2D, then a mixing of its channels by a kernel of one pixel, + bias). Arguments as in SeparableConv1D.

    In (batch, height, width, channels), out (batch, new height, new width, filters).

    >>> import numpy as np
    >>> SeparableConv2D(6, 3, strides=2, padding="same")(np.zeros((1, 5, 5, 4), "float32")).shape
    (1, 3, 3, 6)
    """
