"""BertEncoder: token numbers to vectors of tokens, or one of the whole text (Devlin et al. 2019)."""

from __future__ import annotations

from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.layers.embedding import Embedding, check_count
from nnfast.layers.normalization import LayerNormalization
from nnfast.layers.positions import PositionEmbedding
from nnfast.layers.transformer import TransformerEncoder
from nnfast.typing import Config, Tensor


@serialization.register("layer")
class BertEncoder(Layer):
    """Embeddings of tokens, places and segment, normalised, then TransformerEncoders with gelu; their mean on request.

    In (batch, length) of token numbers, 0 is padding; out (batch, length, hidden_dim), or with pooling="mean" (batch, hidden_dim): the
    mean over the tokens, divided by its norm if `normalize`. Weights: word, position and token type embeddings, normalisation, layers.

    Args:
        vocabulary_size, num_layers, num_heads, hidden_dim, intermediate_dim, max_sequence_length, num_segments: sizes, named as in
            Keras-hub's BertBackbone. All tokens are of segment 0.
        pooling: None or "mean".
        normalize: divide the mean by its Euclidean norm.
        layer_norm_epsilon: of all normalisations.

    >>> import numpy as np
    >>> layer = BertEncoder(30, 1, 2, 8, 16, 10, pooling="mean")
    >>> layer(np.array([[5, 7, 0]])).shape
    (1, 8)
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        pooling: str | None = None,
        normalize: bool = True,
        layer_norm_epsilon: float = 1e-12,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in (None, "mean"):
            raise ValueError(f"BertEncoder(pooling={pooling!r}): expected None or 'mean'")
        sizes = {
            "vocabulary_size": vocabulary_size,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "hidden_dim": hidden_dim,
            "intermediate_dim": intermediate_dim,
            "max_sequence_length": max_sequence_length,
            "num_segments": num_segments,
        }
        self._sizes_given = {name: check_count("BertEncoder", name, value) for name, value in sizes.items()}
        self.pooling = pooling
        self.normalize = bool(normalize)
        self.layer_norm_epsilon = layer_norm_epsilon
        options: dict[str, Any] = {"dtype": self._dtype}
        self.words = Embedding(vocabulary_size, hidden_dim, mask_zero=True, name=f"{self.name}_words", **options)
        self.places = PositionEmbedding(max_sequence_length, name=f"{self.name}_places", **options)
        self.segments = Embedding(num_segments, hidden_dim, name=f"{self.name}_segments", **options)
        self.norm = LayerNormalization(epsilon=layer_norm_epsilon, name=f"{self.name}_norm", **options)
        self.encoders = [
            TransformerEncoder(
                intermediate_dim, num_heads, activation="gelu", layer_norm_epsilon=layer_norm_epsilon,
                name=f"{self.name}_{i}", **options,
            )
            for i in range(num_layers)
        ]  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        if len(inputs.shape) != 2:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected (batch, length) of numbers")
        mask = ops.not_equal(ops.cast(inputs, self.dtype), 0.0)
        words = self.words(inputs)
        segment = ops.cast(ops.zeros_like(mask), "int32")
        x = ops.add(ops.add(words, self.segments(segment)), self.places(words))
        x = self.norm(x)
        for encoder in self.encoders:
            x = encoder(x, mask=mask)
        if self.pooling is None:
            return x
        kept = ops.expand_dims(mask, -1)
        total = ops.sum(ops.multiply(x, kept), axis=1)
        mean = ops.divide(total, ops.maximum(ops.sum(kept, axis=1), 1e-9))
        return ops.l2_normalize(mean, axis=-1, epsilon=1e-24) if self.normalize else mean

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None if self.pooling else ops.not_equal(ops.cast(inputs, self.dtype), 0.0)

    def get_config(self) -> Config:
        own = {"pooling": self.pooling, "normalize": self.normalize, "layer_norm_epsilon": self.layer_norm_epsilon}
        return {**super().get_config(), **self._sizes_given, **own}
