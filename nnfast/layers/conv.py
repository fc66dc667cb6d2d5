"""Conv1D, Conv2D, Conv3D and their transposes: each output pixel is a weighted sum of the pixels and channels around it."""

from __future__ import annotations

from typing import Any

from nnfast import initializers, ops, regularizers, serialization
from nnfast.layers._convolution import Convolution
from nnfast.ops import convolving
from nnfast.typing import Config, Shape, Tensor


class _Conv(Convolution):
    """Conv1D, Conv2D, Conv3D."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = self.count(filters, "filters")
        self.groups = self.count(groups, "groups")
        if self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__}(filters={filters}, groups={groups}): filters must be a multiple of groups"
            )
        self.set_up(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer
        )  # fmt: skip
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        channels = self.channels(input_shape)
        if channels % self.groups:
            raise ValueError(f"{self.name}: {channels} input channels are no multiple of groups={self.groups}")
        depthwise = self.groups == channels == self.filters
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters), self.kernel_initializer, self.kernel_regularizer,
            layout="row" if depthwise else "panel",
        )  # fmt: skip
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        x = self.first(inputs)
        return self.finish(ops.conv(x, self.kernel, self.strides, self.padding, None, self.dilation_rate))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "kernel_regularizer": serialization.serialize(self.kernel_regularizer),
        }


@serialization.register("layer")
class Conv1D(_Conv):
    """activation(convolution over one axis, as time, + bias).

    In (batch, steps, channels), out (batch, new steps, filters). Weights: kernel (kernel_size, channels / groups, filters), bias
    (filters,). Equal to Keras' Conv1D. Errors: ValueError for arguments, ShapeError for inputs that do not fit.

    Args:
        filters: channels of the output.
        kernel_size: steps that the kernel sees.
        strides: steps from one output to the next.
        padding: "valid" (none), "same" (as many outputs as steps / strides, rounded up), "causal" (no output sees later steps), or steps
            (before, after).
        data_format: "channels_last", or "channels_first" for (batch, channels, steps).
        dilation_rate: distance of the kernel's taps.
        groups: so many parts of the channels are convolved each by itself.
        activation: name or function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: first values of the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties, added to the loss.

    >>> import numpy as np
    >>> layer = Conv1D(1, 2, padding="causal", kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0], [3.0]]], "float32"))[0, :, 0].tolist()
    [1.0, 3.0, 5.0]
    """

    axes = 1


@serialization.register("layer")
class Conv2D(_Conv):
    """activation(convolution over height and width + bias).

    In (batch, height, width, channels), out (batch, new height, new width, filters). Weights: kernel (height, width, channels / groups,
    filters), bias (filters,). Equal to Keras' Conv2D: with "same" an odd pixel of padding goes to the end. Arguments and errors as in
    Conv1D, sizes one for both axes or one for each; no "causal".

    >>> import numpy as np
    >>> layer = Conv2D(4, 3, activation="relu", padding="same")
    >>> layer(np.zeros((1, 8, 6, 3), "float32")).shape
    (1, 8, 6, 4)
    """


@serialization.register("layer")
class Conv3D(_Conv):
    """activation(convolution over depth, height and width + bias).

    In (batch, depth, height, width, channels), out the same with new sizes and filters. Arguments and errors as in Conv2D.

    >>> import numpy as np
    >>> Conv3D(2, (1, 2, 2), strides=(1, 2, 2))(np.zeros((1, 3, 4, 4, 1), "float32")).shape
    (1, 3, 2, 2, 2)
    """

    axes = 3


class _ConvTranspose(Convolution):
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = self.count(filters, "filters")
        self.set_up(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer
        )  # fmt: skip
        if self.padding == "causal":
            raise ValueError(f"{type(self).__name__}(padding='causal'): expected 'valid', 'same' or numbers")
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = convolving.check_output_padding(output_padding, self.strides, type(self).__name__)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, self.filters, self.channels(input_shape)), self.kernel_initializer, self.kernel_regularizer,
            layout="panel",
        )  # fmt: skip
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        x = self.first(inputs)
        y = ops.conv_transpose(
            x, self.kernel, self.strides, self.padding, self.output_padding, None, self.dilation_rate
        )
        return self.finish(y)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": None if self.output_padding is None else list(self.output_padding),
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "kernel_regularizer": serialization.serialize(self.kernel_regularizer),
        }


@serialization.register("layer")
class Conv1DTranspose(_ConvTranspose):
    """activation(transposed convolution over one axis + bias): with strides the output has as many times more steps.

    In (batch, steps, channels), out (batch, new steps, filters): steps * strides with padding "same", with "valid" as many more as the
    kernel is wider than the stride. Weights: kernel (kernel_size, filters, channels), bias (filters,). Equal to Keras' Conv1DTranspose.

    Args:
        output_padding: further steps at the end, fewer than strides; None for the sizes above.
        filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, kernel_initializer, bias_initializer,
        kernel_regularizer, bias_regularizer, activity_regularizer: as in Conv1D; no "causal".

    >>> import numpy as np
    >>> layer = Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0]]], "float32"))[0, :, 0].tolist()
    [1.0, 1.0, 2.0, 2.0]
    """

    axes = 1


@serialization.register("layer")
class Conv2DTranspose(_ConvTranspose):
    """activation(transposed convolution over height and width + bias). Arguments as in Conv1DTranspose.

    In (batch, height, width, channels), out (batch, new height, new width, filters).

    >>> import numpy as np
    >>> Conv2DTranspose(4, 3, strides=2, padding="same")(np.zeros((1, 5, 6, 2), "float32")).shape
    (1, 10, 12, 4)
    """


@serialization.register("layer")
class Conv3DTranspose(_ConvTranspose):
    """activation(transposed convolution over depth, height and width + bias). Arguments as in Conv1DTranspose.

    In (batch, depth, height, width, channels), out the same with new sizes and filters.

    >>> import numpy as np
    >>> Conv3DTranspose(1, 2, strides=2)(np.zeros((1, 2, 3, 4, 2), "float32")).shape
    (1, 4, 6, 8, 1)
    """

    axes = 3
