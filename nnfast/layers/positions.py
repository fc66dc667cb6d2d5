"""Positions of tokens: learned (PositionEmbedding), of sines (SinePositionEncoding), rotary (RotaryEmbedding). Names as in Keras-hub.

ALiBi and rotary positions inside attention are arguments of MultiHeadAttention.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import initializers, ops, serialization
from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.layers.base import Layer
from nnfast.layers.embedding import check_count
from nnfast.ops.attending import sine_table
from nnfast.typing import Config, Shape, Tensor


def places_now(length: int) -> Any:
    """Where the tokens of this trace stand, int32 [length]; None for from 0 on."""
    running = trace.current()
    return None if running is None or running.cache is None else running.cache.places(length)


def _check(layer: Layer, shape: Any) -> None:
    if len(shape) != 3:
        raise ShapeError(f"{layer.name}: inputs of shape {tuple(shape)}; expected (batch, length, features)")


@serialization.register("layer")
class PositionEmbedding(Layer):
    """A learned vector for each place, in the shape of the input: add the two.

    In (batch, length, features), out the same shape. Weights: embeddings (sequence_length, features).

    Args:
        sequence_length: most places there can be.
        initializer: first values.

    >>> import numpy as np
    >>> x = np.ones((2, 3, 4), "float32")
    >>> PositionEmbedding(8, initializer="zeros")(x).sum()
    np.float32(0.0)
    """

    supports_masking = True

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence_length = check_count("PositionEmbedding", "sequence_length", sequence_length)
        self.initializer = initializers.get(initializer)

    def build(self, input_shape: Shape) -> None:
        _check(self, input_shape)
        features = input_shape[-1]
        if features is None:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(input_shape)}; expected a known number of features")
        self.embeddings = self.add_weight(
            "embeddings", (self.sequence_length, features), self.initializer, layout="row"
        )

    def call(self, inputs: Tensor) -> Tensor:
        _check(self, inputs.shape)
        length = inputs.shape[1]
        if length > self.sequence_length:
            raise ShapeError(
                f"{self.name}: {length} places; this layer was made for at most sequence_length={self.sequence_length}"
            )
        places = places_now(length)
        rows = (
            ops.slice(self.embeddings, slice(0, length)) if places is None else ops.embedding(self.embeddings, places)
        )
        return ops.broadcast_to(rows, tuple(inputs.shape))

    def get_config(self) -> Config:
        own = {"sequence_length": self.sequence_length, "initializer": serialization.serialize(self.initializer)}
        return {**super().get_config(), **own}


@serialization.register("layer")
class SinePositionEncoding(Layer):
    """Sines and cosines of the place, in turn: sin(p / w^(2i/n)), cos(p / w^(2i/n)) (Vaswani et al. 2017). Add it to the input.

    In (batch, length, features), features even; out the same shape.

    Args:
        max_wavelength: w.

    >>> import numpy as np
    >>> SinePositionEncoding()(np.ones((1, 1, 4), "float32")).ravel().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """

    supports_masking = True

    def __init__(self, max_wavelength: float = 10000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def call(self, inputs: Tensor) -> Tensor:
        _check(self, inputs.shape)
        length, size = inputs.shape[1:]
        if size % 2:
            raise ShapeError(f"{self.name}: {size} features; expected an even number")
        running = trace.current()
        places = places_now(length)
        most = length if places is None else running.cache.capacity  # type: ignore[union-attr]
        cosine, sine = sine_table(most, size, self.max_wavelength, 1.0, str(inputs.dtype))
        table = np.stack([sine, cosine], -1).reshape(most, size)
        return ops.broadcast_to(table if places is None else ops.embedding(table, places), tuple(inputs.shape))

    def get_config(self) -> Config:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


@serialization.register("layer")
class RotaryEmbedding(Layer):
    """Rotary positions: pairs of elements (i, i + n/2) turned by place / scaling_factor * max_wavelength^(-2i/n) (Su et al. 2021).

    In (batch, length, features) or (batch, length, heads, features), features even; out the same shape. For queries and keys.

    Args:
        max_wavelength: the longest wavelength.
        scaling_factor: divides places.

    >>> import numpy as np
    >>> RotaryEmbedding()(np.ones((1, 1, 2), "float32")).tolist()
    [[[1.0, 1.0]]]
    """

    supports_masking = True

    def __init__(self, max_wavelength: float = 10000, scaling_factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        if len(shape) not in (3, 4):
            raise ShapeError(
                f"{self.name}: inputs of shape {shape}; expected (batch, length, features) or (batch, length, heads, features)"
            )
        running, places = trace.current(), places_now(shape[1])
        most = shape[1] if places is None else running.cache.capacity  # type: ignore[union-attr]
        x = inputs if len(shape) == 4 else ops.reshape(inputs, (*shape[:2], 1, shape[2]))
        return ops.reshape(ops.rotate(x, self.max_wavelength, self.scaling_factor, places, most), shape)

    def get_config(self) -> Config:
        own = {"max_wavelength": self.max_wavelength, "scaling_factor": self.scaling_factor}
        return {**super().get_config(), **own}
