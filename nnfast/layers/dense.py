"""Dense: every output unit reads every input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast import activations, initializers, ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Shape, Tensor


@serialization.register("layer")
class Dense(Layer):
    """activation(x @ kernel + bias).

    In (batch, ..., n), out (batch, ..., units). Weights: kernel (n, units), bias (units,). Equal to Keras' Dense; PyTorch's Linear
    keeps the kernel transposed. Errors: ValueError for units that are not a positive integer, UnknownNameError for an activation,
    initializer or regularizer that is not known, ShapeError for inputs whose last axis changes.

    Args:
        units: size of the output's last axis.
        activation: name or function, applied to the result; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: first values of the weights.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        activity_regularizer: penalty on the output.

    >>> import numpy as np
    >>> layer = Dense(1, kernel_initializer="ones")
    >>> layer(np.array([[1.0, 2.0]], "float32")).tolist()
    [[3.0]]
    """

    supports_masking = True

    def __init__(
        self,
        units: int,
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
        if isinstance(units, bool) or not isinstance(units, int | np.integer) or units < 1:
            raise ValueError(f"Dense(units={units!r}): units must be a positive integer")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(input_shape)}; expected (batch, ..., features) with a known number of features"
            )
        self.kernel = self.add_weight(
            "kernel", (input_shape[-1], self.units), self.kernel_initializer, regularizer=self.kernel_regularizer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.bias_initializer, regularizer=self.bias_regularizer)

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        if shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                f"{self.name}: inputs of shape {shape}; expected {self.kernel.shape[0]} features on the last axis"
            )
        rows = inputs if len(shape) == 2 else ops.reshape(inputs, (math.prod(shape[:-1]), shape[-1]))
        outputs = ops.matmul(rows, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        if len(shape) != 2:
            outputs = ops.reshape(outputs, (*shape[:-1], self.units))
        return self.activation(outputs)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": serialization.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "bias_initializer": serialization.serialize(self.bias_initializer),
            "kernel_regularizer": serialization.serialize(self.kernel_regularizer),
            "bias_regularizer": serialization.serialize(self.bias_regularizer),
        }
