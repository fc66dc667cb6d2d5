"""Recurrent layers whose states are images: ConvLSTM1D to ConvLSTM3D.

In (batch, time, sizes ..., channels), out (batch, sizes ..., filters), or with return_sequences (batch, time, sizes ..., filters). The
inputs of all time steps are convolved at once; the convolutions of the state stand one after the other in the graph.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnfast import activations, initializers, ops, regularizers, serialization, windows
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.layers.recurrent import RNN
from nnfast.ops import convolving
from nnfast.typing import Config, Shape, Tensor

GATES = 4
ENCODED = (
    "activation", "recurrent_activation", "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer",
)  # fmt: skip
PLAIN = ("filters", "padding", "data_format", "use_bias", "unit_forget_bias", "dropout", "recurrent_dropout", "seed")


class ConvLSTMCell(Layer):
    """Weights, and the run over a sequence, of the ConvLSTM layers; `axes` says over how many axes they convolve."""

    def __init__(
        self, axes: int, filters: int, kernel_size: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any, activation: Any,
        recurrent_activation: Any, use_bias: bool, kernel_initializer: Any, recurrent_initializer: Any, bias_initializer: Any, unit_forget_bias: bool,
        kernel_regularizer: Any, recurrent_regularizer: Any, bias_regularizer: Any, dropout: float, recurrent_dropout: float, seed: int | None,
        owner: str, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if isinstance(filters, bool) or not isinstance(filters, int | np.integer) or filters < 1:
            raise ValueError(f"{owner}(filters={filters!r}): filters must be a positive integer")
        for argument, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= rate < 1:
                raise ValueError(f"{owner}({argument}={rate!r}): expected a share in 0 <= {argument} < 1")
        self.axes = axes
        self.filters = int(filters)
        self.sizes: tuple[int, ...] = ()  # of the states, known after build
        self.kernel_size = windows.per_axis(kernel_size, axes, owner, "kernel_size")
        self.strides = windows.per_axis(strides, axes, owner, "strides")
        self.padding = windows.check_padding(padding, axes, owner, convolving.paddings(axes))
        self.data_format = windows.check_data_format(data_format, owner)
        self.dilation_rate = windows.per_axis(dilation_rate, axes, owner, "dilation_rate")
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.dropout = float(dropout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.seed = seed
        self.input_stream, self.state_stream = self.seed_stream(), self.seed_stream()

    @property
    def _first(self) -> bool:
        return bool(self.data_format == "channels_first")

    def build(self, input_shape: Shape) -> None:
        """input_shape: that of one time step, (batch, sizes ..., channels) or (batch, channels, sizes ...)."""
        shape: Shape = (input_shape[0], *input_shape[2:], input_shape[1]) if self._first else tuple(input_shape)
        if len(shape) != self.axes + 2 or None in shape[1:]:
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(input_shape)} at each time step; expected {self.axes} sizes and the channels, all known"
            )
        width = GATES * self.filters
        sizes: list[Any] = list(shape[1:])
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, sizes[-1], width), self.kernel_initializer, self.kernel_regularizer
        )
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", (*self.kernel_size, self.filters, width), self.recurrent_initializer, self.recurrent_regularizer
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (width,), self.bias_initializer, self.bias_regularizer, layout="row")
            if self.unit_forget_bias:
                start = self.bias.numpy()
                start[self.filters : 2 * self.filters] = 1.0
                self.bias.assign(start)
        form = sizes[:-1], self.kernel_size, self.strides
        pairs = windows.padding_of(self.padding, *form, self.dilation_rate)
        self.sizes = windows.output_sizes(self.name, *form, pairs, self.dilation_rate)

    @property
    def state_size(self) -> list[tuple[int, ...]]:
        """Shapes of h and c, without the batch."""
        shape = (self.filters, *self.sizes) if self._first else (*self.sizes, self.filters)
        return [shape, shape]

    def call(self, inputs: list[Tensor], training: bool = False) -> list[Tensor]:
        """One time step: from [x, h, c] to [output, new h, new c]."""
        x, *states = inputs
        y, last = self.sequence(ops.expand_dims(x, 1), states, None, False, training)
        return [y[:, 0], *last]

    def sequence(
        self, inputs: Tensor, states: list[Tensor], mask: Tensor | None, backwards: bool, training: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Outputs (batch, time, ...) in time's order, and the last h and c."""
        batch, length, *rest = inputs.shape
        x = self._dropped(inputs, training)
        x = convolving.channels_last(ops.reshape(x, (batch * length, *rest)), self.data_format)
        x = ops.conv(x, self.kernel, self.strides, self.padding, dilation_rate=self.dilation_rate)
        x = x if self.bias is None else ops.add(x, self.bias)
        shape = tuple(x.shape[1:-1])
        x = ops.reshape(x, (batch, length, *shape, GATES * self.filters))
        empty = (batch, *shape, self.filters)
        h, c = [convolving.channels_last(state, self.data_format) for state in states] or [
            ops.full(empty, 0.0, str(x.dtype)) for _ in range(2)
        ]
        factor = None
        if training and self.recurrent_dropout:
            factor = ops.dropout(ops.full(empty, 1.0, str(x.dtype)), self.recurrent_dropout, self.state_stream)
        outputs: dict[int, Tensor] = {}
        for t in reversed(range(length)) if backwards else range(length):
            new_h, new_c = self._step(x[:, t], h, c, factor)
            if mask is not None:
                counts = ops.reshape(mask[:, t], (batch, *(1,) * (self.axes + 1)))
                new_h, new_c = ops.where(counts, new_h, h), ops.where(counts, new_c, c)
            h, c, outputs[t] = new_h, new_c, convolving.as_given(new_h, self.data_format)
        last = [convolving.as_given(state, self.data_format) for state in (h, c)]
        return ops.stack([outputs[t] for t in range(length)], axis=1), last

    def _step(self, x: Tensor, h: Tensor, c: Tensor, factor: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = h if factor is None else ops.multiply(h, factor)
        sums = ops.add(x, ops.conv(seen, self.recurrent_kernel, padding="same"))
        i, f, g, o = (sums[..., k * self.filters : (k + 1) * self.filters] for k in range(GATES))
        gate = self.recurrent_activation
        c = ops.add(ops.multiply(gate(f), c), ops.multiply(gate(i), self.activation(g)))
        return ops.multiply(gate(o), self.activation(c)), c

    def _dropped(self, x: Tensor, training: bool) -> Tensor:
        """Inputs after dropout, the same elements in all time steps."""
        if not training or not self.dropout:
            return x
        ones = ops.full((x.shape[0], 1, *x.shape[2:]), 1.0, str(x.dtype))
        return ops.multiply(x, ops.dropout(ones, self.dropout, self.input_stream))

    def get_config(self) -> Config:
        return {
            **{name: getattr(self, name) for name in PLAIN},
            **{name: list(getattr(self, name)) for name in ("kernel_size", "strides", "dilation_rate")},
            **{name: serialization.serialize(getattr(self, name)) for name in ENCODED},
        }


class _ConvLSTM(RNN):
    """RNN with a ConvLSTMCell: takes the cell's arguments."""

    axes: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.axes, filters, kernel_size, strides, padding, data_format, dilation_rate, activation, recurrent_activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, dropout, recurrent_dropout, seed, type(self).__name__, dtype=kwargs.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, activity_regularizer=activity_regularizer, **kwargs
        )  # fmt: skip

    def get_config(self) -> Config:
        config = super().get_config()
        for name in ("cell", "unroll", "zero_output_for_mask"):
            del config[name]
        return {**self.cell.get_config(), **config}


@serialization.register("layer")
class ConvLSTM1D(_ConvLSTM):
    """An LSTM whose products are convolutions over one axis. See ConvLSTM2D.

    In (batch, time, size, channels), out (batch, new size, filters), or with return_sequences (batch, time, new size, filters).

    >>> import numpy as np
    >>> ConvLSTM1D(3, 3, padding="same")(np.zeros((2, 5, 8, 4), "float32")).shape
    (2, 8, 3)
    """

    axes = 1


@serialization.register("layer")
class ConvLSTM2D(_ConvLSTM):
    """An LSTM whose products are convolutions over images: what moves from frame to frame (Shi et al. 2015).

    In (batch, time, height, width, channels), out (batch, new height, new width, filters), or with return_sequences all time steps. Equal
    to Keras' ConvLSTM2D: gates i, f, c, o; strides, padding and dilation_rate belong to the convolution of the inputs, that of the state
    keeps its size.

    Args:
        filters, kernel_size, strides, padding ("valid", "same", or pixels), data_format, dilation_rate: as in Conv2D.
        activation, recurrent_activation: of the new content and the output, and of the gates.
        unit_forget_bias: whether the bias of the gate f begins at 1.
        dropout, recurrent_dropout: shares of the inputs, and of the state before its convolution, that are 0 in training; the same in
            all time steps.
        return_sequences, return_state, go_backwards, stateful: as in RNN; the states h and c are images.

    Errors: ValueError for arguments out of range, ShapeError for inputs that do not fit.

    >>> import numpy as np
    >>> ConvLSTM2D(3, 3, return_sequences=True)(np.zeros((2, 5, 8, 8, 1), "float32")).shape
    (2, 5, 6, 6, 3)
    """

    axes = 2


@serialization.register("layer")
class ConvLSTM3D(_ConvLSTM):
    """An LSTM whose products are convolutions over three axes. See ConvLSTM2D.

    In (batch, time, depth, height, width, channels), out (batch, new sizes, filters), or with return_sequences all time steps.

    >>> import numpy as np
    >>> ConvLSTM3D(2, 2)(np.zeros((1, 3, 4, 4, 4, 1), "float32")).shape
    (1, 3, 3, 3, 2)
    """

    axes = 3
