"""Cells: one time step of a recurrent net. nnfast.layers.RNN runs them over a sequence; where the kernels have the whole sequence as one
step (`sequence` does not give None), it takes that.

A cell is called with (inputs, states) and gives (output, new states); states are lists of (batch, units). Weights as in Keras: kernel
(features, gates * units), recurrent_kernel (units, gates * units), bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nnfast import activations, initializers, ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.ops import recurrent
from nnfast.typing import Config, Shape, Tensor

Result = tuple[Tensor, list[Tensor]]


class Cell(Layer):
    """Base of the cells: arguments, weights, dropout. Subclass Layer itself for a cell of your own: state_size, build, call(inputs, states)."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        if isinstance(units, bool) or not isinstance(units, int | np.integer) or units < 1:
            raise ValueError(f"{name}(units={units!r}): units must be a positive integer")
        for argument, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name}({argument}={rate!r}): expected a share in 0 <= {argument} < 1")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.dropout = float(dropout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.seed = seed
        self.input_stream, self.state_stream = self.seed_stream(), self.seed_stream()

    @property
    def state_size(self) -> Any:
        """Units of the state; a list where there are several."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        """Units of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        shape: Shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        features = shape[-1]
        if features is None:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(shape)}; the number of features must be known")
        width = self.gates * self.units
        self.kernel = self.add_weight("kernel", (features, width), self.kernel_initializer, self.kernel_regularizer)
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", (self.units, width), self.recurrent_initializer, self.recurrent_regularizer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", self._bias_shape(), self.bias_initializer, self.bias_regularizer, layout="row"
            )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def __call__(self, inputs: Any, states: Any = None, training: bool | None = None) -> Any:  # type: ignore[override]
        if states is None:
            return super().__call__(inputs, training)
        output, *new = super().__call__([inputs, *_listed(states)], training)
        return output, new

    def call(self, inputs: Any, states: Any = None, training: bool = False) -> Any:
        """One time step. Without `states`, inputs is a list [x, *states], and a list comes back."""
        if states is None:
            output, new = self.call(inputs[0], list(inputs[1:]), training)
            return [output, *new]
        batch = inputs.shape[0]
        factor, x = self.state_factor(batch, str(inputs.dtype), training), self.dropped(inputs, training)
        return self.step(ops.add(ops.matmul(x, self.kernel), self._input_bias()), _listed(states), factor)

    def step(self, x: Tensor, states: list[Tensor], factor: Tensor | None) -> Result:
        """The new output and states from x W + b and the old states; factor: of the state in the product."""
        raise NotImplementedError(f"{type(self).__name__} must define step(x, states, factor)")

    def sequence(
        self, inputs: Tensor, states: list[Tensor], mask: Tensor | None, backwards: bool, training: bool
    ) -> tuple[Tensor, list[Tensor]] | None:
        """Outputs (batch, time, units) in time's order and last states, by one kernel; None where there is none for this cell."""
        name, activation = self._kernel()
        if name is None:
            return None
        batch, length, features = inputs.shape
        rows = ops.reshape(self.dropped(inputs, training), (batch * length, features))
        x = ops.add(ops.matmul(rows, self.kernel), self._input_bias())
        operands = dict(zip(("h0", "c0"), states, strict=False))
        operands |= {"mask": mask, "dropout": self.state_factor(batch, str(inputs.dtype), training)}
        operands["bias"] = self._state_bias()
        x = ops.reshape(x, (batch, length, self.gates * self.units))
        y, *last = recurrent.run(name, x, self.recurrent_kernel, operands, backwards=backwards, activation=activation)
        return y, last

    def _kernel(self) -> tuple[str | None, str]:
        """The op of nnfast.ops.recurrent, and its activation."""
        return None, "tanh"

    def _input_bias(self) -> Any:
        return 0.0 if self.bias is None else self.bias

    def _state_bias(self) -> Any:
        return None

    def dropped(self, x: Tensor, training: bool) -> Tensor:
        """Inputs (batch[, time], features) after dropout, the same features of a sequence in all steps."""
        if not training or self.dropout == 0:
            return x
        shape = (x.shape[0], *(1,) * (len(x.shape) - 2), x.shape[-1])
        return ops.multiply(x, ops.dropout(ops.full(shape, 1.0, str(x.dtype)), self.dropout, self.input_stream))

    def state_factor(self, batch: int, dtype: str, training: bool) -> Tensor | None:
        """Factors of the state in the product, or None."""
        if not training or self.recurrent_dropout == 0:
            return None
        return ops.dropout(ops.full((batch, self.units), 1.0, dtype), self.recurrent_dropout, self.state_stream)

    def product(self, h: Tensor, factor: Tensor | None) -> Tensor:
        """h times recurrent_kernel, after dropout."""
        return ops.matmul(h if factor is None else ops.multiply(h, factor), self.recurrent_kernel)

    def get_initial_state(self, batch_size: int) -> list[np.ndarray]:
        """Zeros."""
        return [np.zeros((batch_size, self.units), self.dtype) for _ in range(self.states)]

    def get_config(self) -> Config:
        encoded = ("activation", "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer")  # fmt: skip
        plain = ("units", "use_bias", "dropout", "recurrent_dropout", "seed")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            **{name: serialization.serialize(getattr(self, name)) for name in encoded},
        }


def _listed(states: Any) -> list[Tensor]:
    return list(states) if isinstance(states, list | tuple) else [states]


def is_function(function: Any, name: str) -> bool:
    """Whether an activation is the one of this name."""
    return bool(serialization.serialize(function) == name)


@serialization.register("layer")
class SimpleRNNCell(Cell):
    """One step of activation(x W + h U + b). In x (batch, features) and [h (batch, units)], out h and [h]. Equal to Keras' SimpleRNNCell.

    >>> import numpy as np
    >>> cell = SimpleRNNCell(2, kernel_initializer="ones", recurrent_initializer="zeros", activation="relu")
    >>> cell(np.ones((1, 3), "float32"), [np.zeros((1, 2), "float32")])[0].tolist()
    [[3.0, 3.0]]
    """

    def step(self, x: Tensor, states: list[Tensor], factor: Tensor | None) -> Result:
        h = self.activation(ops.add(x, self.product(states[0], factor)))
        return h, [h]

    def _kernel(self) -> tuple[str | None, str]:
        for name in recurrent.ACTIVATIONS:
            if is_function(self.activation, name):
                return "simple_rnn", name
        return None, "tanh"


class _GatedCell(Cell):
    """A cell with recurrent_activation, the function of its gates."""

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(units, activation, *args, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def _is_usual(self) -> bool:
        return is_function(self.activation, "tanh") and is_function(self.recurrent_activation, "sigmoid")

    def get_config(self) -> Config:
        return {**super().get_config(), "recurrent_activation": serialization.serialize(self.recurrent_activation)}


@serialization.register("layer")
class LSTMCell(_GatedCell):
    """One step of a long short-term memory (Hochreiter, Schmidhuber 1997; forget gate: Gers et al. 2000).

    i, f, g, o = x W + h U + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c). In x (batch, features) and [h, c], out h
    and [h, c]. unit_forget_bias: the bias of f begins at 1. Equal to Keras' LSTMCell.

    >>> import numpy as np
    >>> h, states = LSTMCell(2)(np.zeros((1, 3), "float32"), [np.zeros((1, 2), "float32")] * 2)
    >>> h.tolist(), len(states)
    ([[0.0, 0.0]], 2)
    """

    gates = 4
    states = 2

    def __init__(self, units: int, *args: Any, unit_forget_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(units, *args, **kwargs)
        self.unit_forget_bias = unit_forget_bias

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            start = self.bias.numpy()
            start[self.units : 2 * self.units] = 1.0
            self.bias.assign(start)

    def step(self, x: Tensor, states: list[Tensor], factor: Tensor | None) -> Result:
        h, c = states
        sums = ops.add(x, self.product(h, factor))
        i, f, g, o = (sums[:, k * self.units : (k + 1) * self.units] for k in range(4))
        gate = self.recurrent_activation
        c = ops.add(ops.multiply(gate(f), c), ops.multiply(gate(i), self.activation(g)))
        h = ops.multiply(gate(o), self.activation(c))
        return h, [h, c]

    def _kernel(self) -> tuple[str | None, str]:
        return "lstm" if self._is_usual() else None, "tanh"

    def get_config(self) -> Config:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


@serialization.register("layer")
class GRUCell(_GatedCell):
    """One step of a gated recurrent unit (Cho et al. 2014).

    With s = h U: z = sigmoid(x_z + s_z), r = sigmoid(x_r + s_r), n = tanh(x_n + r s_n), h = z h + (1 - z) n. In x (batch, features) and
    [h], out h and [h]. reset_after=False multiplies h by r before the product. With reset_after the bias is (2, 3 * units): of the
    input and of the state. Equal to Keras' GRUCell.

    >>> import numpy as np
    >>> GRUCell(2)(np.zeros((1, 3), "float32"), [np.ones((1, 2), "float32")])[0].shape
    (1, 2)
    """

    gates = 3

    def __init__(self, units: int, *args: Any, reset_after: bool = True, **kwargs: Any) -> None:
        super().__init__(units, *args, **kwargs)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _bias_row(self, row: int) -> Any:
        value = self.bias
        return ops.slice(value, row) if value is not None else None

    def _input_bias(self) -> Any:
        if self.bias is None:
            return 0.0
        return self._bias_row(0) if self.reset_after else self.bias

    def _state_bias(self) -> Any:
        return self._bias_row(1) if self.reset_after else None

    def step(self, x: Tensor, states: list[Tensor], factor: Tensor | None) -> Result:
        [h] = states
        n = self.units
        gate = self.recurrent_activation
        seen = h if factor is None else ops.multiply(h, factor)
        if self.reset_after:
            sums = ops.matmul(seen, self.recurrent_kernel)
            sums = sums if self.bias is None else ops.add(sums, self._bias_row(1))
            z = gate(ops.add(x[:, :n], sums[:, :n]))
            r = gate(ops.add(x[:, n : 2 * n], sums[:, n : 2 * n]))
            new = self.activation(ops.add(x[:, 2 * n :], ops.multiply(r, sums[:, 2 * n :])))
        else:
            weight = self.recurrent_kernel
            sums = ops.matmul(seen, ops.slice(weight, (slice(None), slice(0, 2 * n))))
            z = gate(ops.add(x[:, :n], sums[:, :n]))
            r = gate(ops.add(x[:, n : 2 * n], sums[:, n:]))
            last = ops.matmul(ops.multiply(r, seen), ops.slice(weight, (slice(None), slice(2 * n, 3 * n))))
            new = self.activation(ops.add(x[:, 2 * n :], last))
        h = ops.add(new, ops.multiply(z, ops.subtract(h, new)))
        return h, [h]

    def _kernel(self) -> tuple[str | None, str]:
        return "gru" if self.reset_after and self._is_usual() else None, "tanh"

    def get_config(self) -> Config:
        return {**super().get_config(), "reset_after": self.reset_after}


@serialization.register("layer")
class StackedRNNCells(Layer):
    """Cells on top of each other as one cell. Its states are those of all cells, one after the other.

    >>> import numpy as np
    >>> cells = StackedRNNCells([SimpleRNNCell(2), SimpleRNNCell(3)])
    >>> cells(np.ones((1, 4), "float32"), cells.get_initial_state(1))[0].shape
    (1, 3)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        found = [serialization.deserialize("layer", c) if isinstance(c, dict) else c for c in cells]
        if not found or not all(hasattr(cell, "state_size") for cell in found):
            raise ValueError(f"StackedRNNCells(cells={cells!r}): expected a list of cells, each with a state_size")
        self.cells = found

    @property
    def state_size(self) -> list[int]:
        return [size for cell in self.cells for size in _listed(cell.state_size)]

    @property
    def output_size(self) -> int:
        return int(_listed(self.cells[-1].state_size)[0])

    def __call__(self, inputs: Any, states: Any = None, training: bool | None = None) -> Any:  # type: ignore[override]
        if states is None:
            return super().__call__(inputs, training)
        output, *new = super().__call__([inputs, *_listed(states)], training)
        return output, new

    def call(self, inputs: Any, states: Any = None, training: bool = False) -> Any:
        if states is None:
            output, new = self.call(inputs[0], list(inputs[1:]), training)
            return [output, *new]
        left, new = list(states), []
        for cell in self.cells:
            count = len(_listed(cell.state_size))
            inputs, own = cell(inputs, left[:count], training)
            new, left = [*new, *own], left[count:]
        return inputs, new

    def get_initial_state(self, batch_size: int) -> list[np.ndarray]:
        """Zeros."""
        return [np.zeros((batch_size, size), self.dtype) for size in self.state_size]

    def get_config(self) -> Config:
        return {**super().get_config(), "cells": [serialization.serialize(cell) for cell in self.cells]}
