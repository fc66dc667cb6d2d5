"""Normalisation along axes of each sample: LayerNormalization, RMSNormalization, UnitNormalization; and of a weight: SpectralNormalization.

The other half, with statistics per channel, stands in batch_normalization.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from nnfast import initializers, ops, regularizers, serialization
from nnfast.errors import NnfastError, ShapeError
from nnfast.graph import trace
from nnfast.layers.base import Layer
from nnfast.typing import Config, Shape, Tensor
from nnfast.variable import Variable
from nnfast.windows import is_whole


def check_epsilon(layer: str, epsilon: float) -> float:
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not epsilon >= 0:
        raise ValueError(f"{layer}(epsilon={epsilon!r}): expected a small number >= 0, which keeps a root from being 0")
    return float(epsilon)


def check_axes(layer: str, axis: Any) -> int | list[int]:
    """One axis, or a list of axes."""
    if isinstance(axis, int) and not isinstance(axis, bool):
        return axis
    if isinstance(axis, list | tuple) and axis and all(isinstance(a, int) for a in axis):
        return list(axis)
    raise ValueError(f"{layer}(axis={axis!r}): expected an axis or a list of axes")


def sizes_of(layer: Layer, shape: Shape, axis: int | list[int]) -> tuple[int, ...]:
    """The sizes of these axes, none of which may be the batch."""
    axes = [axis] if isinstance(axis, int) else axis
    found = [shape[a] if -len(shape) <= a < len(shape) else None for a in axes]
    if any(size is None for size in found) or any(a % len(shape) == 0 for a in axes):
        raise ShapeError(
            f"{layer.name}: axis {axis} of inputs of shape {tuple(shape)}; expected axes of known size behind the batch"
        )
    return tuple(
        size for _, size in sorted(zip([a % len(shape) for a in axes], found, strict=True)) if size is not None
    )


class Normalizing(Layer):
    """A layer with a factor gamma and a term beta, either of which may be left out."""

    supports_masking = True

    def __init__(
        self,
        axis: Any,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes(type(self).__name__, axis)
        self.epsilon = check_epsilon(type(self).__name__, epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, input_shape: Shape) -> None:
        sizes = sizes_of(self, input_shape, self.axis)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight("gamma", sizes, self.gamma_initializer, self.gamma_regularizer, layout="row")
        if self.center:
            self.beta = self.add_weight("beta", sizes, self.beta_initializer, self.beta_regularizer, layout="row")

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": serialization.serialize(self.beta_initializer),
            "gamma_initializer": serialization.serialize(self.gamma_initializer),
            "beta_regularizer": serialization.serialize(self.beta_regularizer),
            "gamma_regularizer": serialization.serialize(self.gamma_regularizer),
        }


@serialization.register("layer")
class LayerNormalization(Normalizing):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance of each sample over `axis` (Ba et al. 2016).

    In and out (batch, ...). Weights: gamma and beta, of the sizes of `axis`. As Keras' layer, with PyTorch's epsilon of 1e-5.

    Args:
        axis: the axis, or axes, to normalise over; not the batch.
        epsilon: added to the variance.
        center, scale: whether beta, and gamma, are there.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer: of the weights.

    >>> import numpy as np
    >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]], "float32")).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, **kwargs
        )  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)


@serialization.register("layer")
class RMSNormalization(Layer):
    """x / sqrt(mean(x^2) + epsilon) * scale, the mean of each sample over `axis` (Zhang, Sennrich 2019). Weight: scale.

    >>> import numpy as np
    >>> RMSNormalization(epsilon=0.0)(np.array([[3.0, -3.0]], "float32")).tolist()
    [[1.0, -1.0]]
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes("RMSNormalization", axis)
        self.epsilon = check_epsilon("RMSNormalization", epsilon)

    def build(self, input_shape: Shape) -> None:
        self.scale = self.add_weight("scale", sizes_of(self, input_shape, self.axis), "ones", layout="row")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.rms_normalization(inputs, self.scale, self.axis, self.epsilon)

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


@serialization.register("layer")
class UnitNormalization(Layer):
    """x / sqrt(max(sum(x^2), 1e-12)): each sample has length 1 over `axis`.

    >>> import numpy as np
    >>> UnitNormalization()(np.array([[3.0, 4.0]], "float32")).round(4).tolist() == np.float32([[0.6, 0.8]]).round(4).tolist()
    True
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes("UnitNormalization", axis)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.l2_normalize(inputs, self.axis)

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}


@serialization.register("layer")
class SpectralNormalization(Layer):
    """A layer whose kernel is divided by its largest singular value, sigma (Miyato et al. 2018).

    sigma = v W u by power iteration: v = W u / |W u|, u = W^T v / |W^T v|, W the kernel with all but its last axis merged. u is a
    weight that training updates, `power_iterations` times per step; sigma is differentiated with u and v held. The kernel itself
    stays as the optimizer made it, as in PyTorch; Keras writes the divided one back.

    >>> import numpy as np, nnfast
    >>> layer = SpectralNormalization(nnfast.layers.Dense(2, kernel_initializer="ones"), power_iterations=20)
    >>> layer(np.ones((1, 2), "float32"), training=True).round(3).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(
                f"SpectralNormalization(layer={layer!r}): expected a layer with a kernel, such as Dense(10)"
            )
        if not is_whole(power_iterations, 1):
            raise ValueError(
                f"SpectralNormalization(power_iterations={power_iterations!r}): expected a positive integer"
            )
        self.layer = layer
        self.power_iterations = int(power_iterations)

    def build(self, input_shape: Shape) -> None:
        self.layer.build_once(input_shape)
        if not isinstance(getattr(self.layer, "kernel", None), Variable):
            raise NnfastError(f"{self.name}: layer {self.layer.name} has no weight `kernel` to be normalised")
        columns = self._kernel.shape[-1]
        self.vector_u = self.add_weight(
            "vector_u", (1, columns), initializers.TruncatedNormal(stddev=0.02), trainable=False, layout="row"
        )

    @property
    def _kernel(self) -> Variable:
        kernel: Variable = self.layer.kernel  # type: ignore[attr-defined]
        return kernel

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        kernel = self._kernel
        matrix = ops.reshape(_value(kernel), (prod(kernel.shape[:-1]), kernel.shape[-1]))
        fixed = ops.stop_gradient(matrix)
        across, u = ops.transpose(fixed), _value(self.vector_u)
        for _ in range(self.power_iterations):
            v = ops.l2_normalize(ops.matmul(u, across))
            u = ops.l2_normalize(ops.matmul(v, fixed))
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.sum(ops.multiply(ops.matmul(v, matrix), u), axis=1, keepdims=True)
        divided = ops.reshape(ops.divide(matrix, sigma), kernel.shape)
        if training:
            self.add_update(self.vector_u, u)
        try:
            object.__setattr__(self.layer, "kernel", divided)  # for this call: the layer's own weight stays its child
            return self.layer(inputs)
        finally:
            object.__setattr__(self.layer, "kernel", kernel)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "layer": serialization.serialize(self.layer),
            "power_iterations": self.power_iterations,
        }

    @classmethod
    def from_config(cls, config: Config) -> Layer:
        """A new layer from what `get_config` gave."""
        return cls(**{**config, "layer": serialization.deserialize("layer", config["layer"])})


def _value(variable: Variable) -> Tensor:
    """The variable in a trace, or its content."""
    return variable.numpy() if trace.current() is None else variable
