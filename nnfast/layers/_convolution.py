"""What the convolution layers share: their arguments, checked; channels first or last; bias and activation.

In: the arguments of a layer. Out: `finish`, which makes a convolution's result the layer's output, and the configuration.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import activations, initializers, ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.ops import convolving
from nnfast.typing import Config, Shape, Tensor
from nnfast.windows import DATA_FORMATS, check_data_format, check_padding, per_axis


class Convolution(Layer):
    """The base of the convolution layers; `axes` says over how many axes they go."""

    axes = 2

    def set_up(
        self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any, activation: Any, use_bias: bool,
        bias_initializer: Any, bias_regularizer: Any,
    ) -> None:  # fmt: skip
        """Check and keep the arguments that all of them have."""
        owner = type(self).__name__
        self.kernel_size = per_axis(kernel_size, self.axes, owner, "kernel_size")
        self.strides = per_axis(strides, self.axes, owner, "strides")
        self.padding = check_padding(padding, self.axes, owner, convolving.paddings(self.axes))
        self.data_format = check_data_format(data_format, owner)
        self.dilation_rate = per_axis(dilation_rate, self.axes, owner, "dilation_rate")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def count(self, value: Any, name: str) -> int:
        """A positive integer."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{type(self).__name__}({name}={value!r}): {name} must be a positive integer")
        return int(value)

    def channels(self, input_shape: Shape) -> int:
        """Channels of the inputs."""
        place = -1 if self.data_format == DATA_FORMATS[0] else 1
        channels = input_shape[place] if len(input_shape) == self.axes + 2 else None
        if channels is None:
            order = "(batch, sizes ..., channels)" if place == -1 else "(batch, channels, sizes ...)"
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(input_shape)}; expected {self.axes + 2} axes, {order}, with a known number of channels"
            )
        return channels

    def add_bias(self, units: int) -> None:
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (units,), self.bias_initializer, regularizer=self.bias_regularizer)

    def first(self, inputs: Tensor) -> Tensor:
        """The inputs with channels last."""
        if len(inputs.shape) != self.axes + 2:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected {self.axes + 2} axes")
        return convolving.channels_last(inputs, self.data_format)

    def finish(self, outputs: Tensor) -> Tensor:
        """Bias and activation, then the axes in the order of the inputs."""
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return convolving.as_given(self.activation(outputs), self.data_format)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding if isinstance(self.padding, str) else [list(pair) for pair in self.padding],
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "activation": serialization.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": serialization.serialize(self.bias_initializer),
            "bias_regularizer": serialization.serialize(self.bias_regularizer),
        }
