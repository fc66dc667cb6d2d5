"""Activations as layers: Activation for any of them by name, and those with settings or weights of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import activations, initializers, ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Shape, Tensor


@serialization.register("layer")
class Activation(Layer):
    """An activation by name or function, such as Activation("tanh"). Shape in = shape out.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]], "float32")).tolist()
    [[0.0, 2.0]]
    """

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)

    def get_config(self) -> Config:
        return {**super().get_config(), "activation": serialization.serialize(self.activation)}


@serialization.register("layer")
class ReLU(Layer):
    """max(x, 0), or with settings: max_value above it, x from threshold on, negative_slope * (x - threshold) below.

    >>> import numpy as np
    >>> ReLU(max_value=1.0)(np.array([[-1.0, 0.5, 2.0]], "float32")).tolist()
    [[0.0, 0.5, 1.0]]
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope), ("threshold", threshold)):
            if value is not None and not value >= 0:
                raise ValueError(f"ReLU({name}={value!r}): {name} must be >= 0")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> Config:
        options = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        return {**super().get_config(), **options}


@serialization.register("layer")
class LeakyReLU(Layer):
    """x where x >= 0, negative_slope * x elsewhere. The slope is 0.3 by default, as in Keras (the function has 0.2, PyTorch 0.01).

    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([[-1.0, 2.0]], "float32")).tolist()
    [[-0.5, 2.0]]
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if negative_slope is None or not negative_slope >= 0:
            raise ValueError(f"LeakyReLU(negative_slope={negative_slope!r}): expected a number >= 0")
        self.negative_slope = negative_slope

    def call(self, inputs: Tensor) -> Tensor:
        return ops.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> Config:
        return {**super().get_config(), "negative_slope": self.negative_slope}


@serialization.register("layer")
class PReLU(Layer):
    """x where x >= 0, alpha * x elsewhere, with a learned alpha per feature (He et al. 2015).

    alpha has the shape of the input without the batch, and 1 along shared_axes (counted with the batch as axis 0).

    >>> import numpy as np
    >>> PReLU(alpha_initializer="ones")(np.array([[-1.0, 2.0]], "float32")).tolist()
    [[-1.0, 2.0]]
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.shared_axes = (
            None if shared_axes is None else [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)
        )

    def build(self, input_shape: Shape) -> None:
        sizes = list(input_shape[1:])
        for axis in self.shared_axes or []:
            if not 1 <= axis <= len(sizes):
                raise ShapeError(
                    f"{self.name}: shared axis {axis} is outside 1 to {len(sizes)} for inputs of shape {tuple(input_shape)}"
                )
            sizes[axis - 1] = 1
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) != len(sizes):
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(input_shape)}; axes of unknown size must be among shared_axes"
            )
        self.alpha = self.add_weight(
            "alpha", shape, self.alpha_initializer, regularizer=self.alpha_regularizer, layout="row"
        )

    def call(self, inputs: Tensor) -> Tensor:
        return ops.subtract(ops.relu(inputs), ops.multiply(self.alpha, ops.relu(ops.negative(inputs))))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "alpha_initializer": serialization.serialize(self.alpha_initializer),
            "alpha_regularizer": serialization.serialize(self.alpha_regularizer),
            "shared_axes": self.shared_axes,
        }


@serialization.register("layer")
class ELU(Layer):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015)."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return ops.elu(inputs, self.alpha)

    def get_config(self) -> Config:
        return {**super().get_config(), "alpha": self.alpha}


@serialization.register("layer")
class Softmax(Layer):
    """exp(x) / sum(exp(x)) along axis.

    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 2), "float32")).tolist()
    [[0.5, 0.5]]
    """

    supports_masking = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        return ops.softmax(inputs, self.axis)

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}
