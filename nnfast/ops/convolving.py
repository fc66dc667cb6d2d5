"""Functions of nnfast.ops that convolve: over one to three axes, channels last or first, with Keras' names for padding.

In: inputs (batch, sizes ..., channels) and a kernel (sizes ..., channels / groups, outputs). The ops are in nnfast.ops.conv.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.ops.elementwise import call
from nnfast.ops.shaping import broadcast_to, reshape, shape_of, transpose
from nnfast.windows import DATA_FORMATS, check_data_format, check_padding, padding_of, per_axis

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]

Tensor = Any  # a Value, a Variable or a NumPy array
Sizes = int | Sequence[int]
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]
PADDINGS = ("valid", "same", "causal")


def paddings(axes: int) -> tuple[str, ...]:
    """The words that stand for a padding."""
    return PADDINGS if axes == 1 else PADDINGS[:2]


def channels_last(x: Tensor, data_format: str) -> Tensor:
    """(batch, channels, ...) -> (batch, ..., channels), where the format says so."""
    axes = len(shape_of(x))
    return x if data_format == DATA_FORMATS[0] else transpose(x, (0, *range(2, axes), 1))


def as_given(x: Tensor, data_format: str) -> Tensor:
    """Back to the format of the inputs."""
    axes = len(shape_of(x))
    return x if data_format == DATA_FORMATS[0] else transpose(x, (0, axes - 1, *range(1, axes - 1)))


def _spatial(x: Tensor, kernel: Tensor, owner: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape, kernel_shape = shape_of(x), shape_of(kernel)
    if not 3 <= len(shape) <= 5 or len(kernel_shape) != len(shape):
        raise ShapeError(
            f"{owner}: inputs of shape {list(shape)} and a kernel of shape {list(kernel_shape)}: expected (batch, sizes of 1 to 3 axes, "
            "channels) and a kernel with as many axes"
        )
    return shape, kernel_shape


def conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: Padding = "valid", data_format: str | None = None, dilation_rate: Sizes = 1
) -> Tensor:  # fmt: skip
    """Convolution over one to three axes: at each output pixel the sum, over the kernel's pixels and channels, of inputs times kernel.

    inputs (batch, sizes ..., channels), kernel (sizes ..., channels / groups, outputs), both float32 or float64; the number of groups
    follows from the channels. padding: "valid", "same", "causal" (one axis), or pixels per axis. Out (batch, sizes ..., outputs).
    Errors: ShapeError for shapes that do not fit, ValueError for other arguments. Equal to keras.ops.conv.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.conv(np.ones((1, 4, 1), "float32"), np.ones((3, 1, 1), "float32"), padding="same")[0, :, 0].tolist()
    [2.0, 3.0, 3.0, 2.0]
    """
    form = check_data_format(data_format, "conv")
    x = channels_last(inputs, form)
    shape, kernel_shape = _spatial(x, kernel, "conv")
    axes = len(shape) - 2
    if kernel_shape[-2] < 1 or shape[-1] % kernel_shape[-2]:
        raise ShapeError(f"conv: {shape[-1]} input channels are no multiple of the kernel's {kernel_shape[-2]}")
    stepped = per_axis(strides, axes, "conv", "strides")
    dilation = per_axis(dilation_rate, axes, "conv", "dilation_rate")
    pairs = padding_of(
        check_padding(padding, axes, "conv", paddings(axes)), shape[1:-1], kernel_shape[:-2], stepped, dilation
    )
    groups = shape[-1] // kernel_shape[-2]
    y = call("conv", x, kernel, strides=stepped, padding=pairs, dilation=dilation, groups=groups)
    return as_given(y, form)


def depthwise_conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: Padding = "valid", data_format: str | None = None, dilation_rate: Sizes = 1
) -> Tensor:  # fmt: skip
    """Convolution of each channel by itself, with one or more outputs for each.

    inputs (batch, sizes ..., channels), kernel (sizes ..., channels, multiplier); out (batch, sizes ..., channels * multiplier), the
    outputs of a channel beside each other. Arguments and errors as in conv. Equal to keras.ops.depthwise_conv.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.depthwise_conv(np.ones((1, 3, 2), "float32"), np.ones((3, 2, 1), "float32")).tolist()
    [[[3.0, 3.0]]]
    """
    form = check_data_format(data_format, "depthwise_conv")
    x = channels_last(inputs, form)
    shape, kernel_shape = _spatial(x, kernel, "depthwise_conv")
    channels, multiplier = kernel_shape[-2:]
    if shape[-1] != channels:
        raise ShapeError(f"depthwise_conv: {shape[-1]} input channels and a kernel for {channels}")
    if multiplier > 1:  # as many inputs as outputs
        x = reshape(broadcast_to(reshape(x, (*shape, 1)), (*shape, multiplier)), (*shape[:-1], channels * multiplier))
    y = conv(x, reshape(kernel, (*kernel_shape[:-2], 1, channels * multiplier)), strides, padding, None, dilation_rate)
    return as_given(y, form)


def separable_conv(
    inputs: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor, strides: Sizes = 1, padding: Padding = "valid",
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """depthwise_conv, then a convolution by a kernel of one pixel that mixes the channels.

    depthwise_kernel (sizes ..., channels, multiplier), pointwise_kernel (1 ..., channels * multiplier, outputs). Arguments and errors as
    in conv. Equal to keras.ops.separable_conv.

    >>> import numpy as np, nnfast
    >>> x, d, p = np.ones((1, 3, 2), "float32"), np.ones((3, 2, 1), "float32"), np.ones((1, 2, 1), "float32")
    >>> nnfast.ops.separable_conv(x, d, p).tolist()
    [[[6.0]]]
    """
    form = check_data_format(data_format, "separable_conv")
    x = depthwise_conv(channels_last(inputs, form), depthwise_kernel, strides, padding, None, dilation_rate)
    return as_given(conv(x, pointwise_kernel), form)


def transposed_size(
    size: int, kernel: int, stride: int, padding: Any, output_padding: int | None, dilation: int
) -> tuple[int, tuple[int, int]]:
    """Outputs of a transposed convolution along one axis, and the padding of the convolution that it turns round."""
    reach = (kernel - 1) * dilation + 1
    if not isinstance(padding, str):
        out = (size - 1) * stride + reach - sum(padding) + (output_padding or 0)
        return out, (padding[0], padding[1] - min(output_padding or 0, padding[1]))
    if output_padding is not None:
        out = (size - 1) * stride + reach - (2 * (reach // 2) if padding == "same" else 0) + output_padding
    elif padding == "same":
        out = size * stride
    else:
        out = size * stride + max(reach - stride, 0)
    total = max((size - 1) * stride + reach - out, 0) if padding == "same" else 0
    return out, (total // 2, total - total // 2)


def conv_transpose(
    inputs: Tensor, kernel: Tensor, strides: Sizes, padding: Padding = "valid", output_padding: int | Sequence[int | None] | None = None,
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution, the gradient of conv for its inputs: each input pixel adds the kernel, times its value, to the outputs.

    inputs (batch, sizes ..., channels), kernel (sizes ..., outputs, channels). The output has size * stride pixels with padding "same",
    with "valid" as many more as the kernel is wider than the stride; output_padding adds pixels at the end. Errors as in conv. Equal to
    keras.ops.conv_transpose.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.conv_transpose(np.ones((1, 2, 1), "float32"), np.ones((3, 1, 1), "float32"), 2)[0, :, 0].tolist()
    [1.0, 1.0, 2.0, 1.0, 1.0]
    """
    form = check_data_format(data_format, "conv_transpose")
    x = channels_last(inputs, form)
    shape, kernel_shape = _spatial(x, kernel, "conv_transpose")
    axes = len(shape) - 2
    if shape[-1] != kernel_shape[-1]:
        raise ShapeError(
            f"conv_transpose: {shape[-1]} input channels and a kernel of shape {list(kernel_shape)}: its last axis must be {shape[-1]}"
        )
    stepped = per_axis(strides, axes, "conv_transpose", "strides")
    dilation = per_axis(dilation_rate, axes, "conv_transpose", "dilation_rate")
    more = check_output_padding(output_padding, stepped, "conv_transpose")
    words = check_padding(padding, axes, "conv_transpose", paddings(axes))
    each = (words,) * axes if isinstance(words, str) else words
    found = [
        transposed_size(*axis)
        for axis in zip(shape[1:-1], kernel_shape[:-2], stepped, each, more, dilation, strict=True)
    ]
    y = call(
        "conv_input_gradient", x, kernel, sizes=tuple(size for size, _ in found), padding=tuple(pair for _, pair in found), strides=stepped,
        dilation=dilation, groups=1, weight_shape=kernel_shape,
    )  # fmt: skip
    return as_given(y, form)


def check_output_padding(value: Any, strides: Sequence[int], owner: str) -> tuple[int | None, ...]:
    """Pixels per axis, each less than the stride, or None for all."""
    if value is None:
        return (None,) * len(strides)
    numbers = (value,) * len(strides) if isinstance(value, int | np.integer) else tuple(value)
    if len(numbers) != len(strides) or any(not 0 <= n < s for n, s in zip(numbers, strides, strict=True)):
        raise ValueError(
            f"{owner}(output_padding={value!r}): expected numbers from 0 to less than the strides {strides}"
        )
    return tuple(int(n) for n in numbers)
