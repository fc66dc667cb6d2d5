"""TransformerEncoder and TransformerDecoder: attention and a dense part, each with its residual and normalisation. Names as in Keras-hub."""

from __future__ import annotations

from typing import Any

from nnfast import activations, initializers, ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.attention import MultiHeadAttention, check_rate
from nnfast.layers.base import Layer
from nnfast.layers.dense import Dense
from nnfast.layers.embedding import check_count
from nnfast.layers.normalization import LayerNormalization
from nnfast.layers.regularization import Dropout
from nnfast.layers.symbol import flat
from nnfast.typing import Config, Tensor


class _Transformer(Layer):
    """What both have: sizes, a dense part, and the order of residual and normalisation."""

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float,
        activation: Any,
        layer_norm_epsilon: float,
        kernel_initializer: Any,
        bias_initializer: Any,
        normalize_first: bool,
        rotary: float | None,
        alibi: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.intermediate_dim = check_count(owner, "intermediate_dim", intermediate_dim)
        self.num_heads = check_count(owner, "num_heads", num_heads)
        self.dropout = check_rate(owner, dropout)
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = bool(normalize_first)
        self.rotary = rotary
        self.alibi = bool(alibi)

    def _initializers(self) -> dict[str, Any]:
        return {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}

    def _attention(self, features: int, causal: bool, name: str, positions: bool) -> tuple[Layer, Layer, Layer]:
        """Attention, its normalisation and its dropout."""
        if features % self.num_heads:
            raise ShapeError(f"{self.name}: {features} features do not divide into num_heads={self.num_heads}")
        attention = MultiHeadAttention(
            self.num_heads, features // self.num_heads, dropout=self.dropout, use_causal_mask=causal, **self._initializers(), dtype=self.dtype,
            rotary=self.rotary if positions else None, alibi=self.alibi and positions, name=f"{self.name}_{name}",
        )  # fmt: skip
        return attention, self._normalization(f"{name}_layer_norm"), Dropout(self.dropout, dtype=self.dtype)

    def _normalization(self, name: str) -> Layer:
        return LayerNormalization(epsilon=self.layer_norm_epsilon, dtype=self.dtype, name=f"{self.name}_{name}")

    def _build_dense(self, features: int) -> None:
        options = {**self._initializers(), "dtype": self.dtype}
        self.intermediate = Dense(self.intermediate_dim, self.activation, name=f"{self.name}_intermediate", **options)
        self.output_dense = Dense(features, name=f"{self.name}_output", **options)
        self.output_norm = self._normalization("output_layer_norm")
        self.output_dropout = Dropout(self.dropout, dtype=self.dtype)

    def _residual(self, x: Tensor, norm: Layer, dropout: Layer, inner: Any) -> Tensor:
        """x + inner(norm(x)), or norm(x + inner(x))."""
        if self.normalize_first:
            return ops.add(x, dropout(inner(norm(x))))
        return norm(ops.add(x, dropout(inner(x))))

    def _dense(self, x: Tensor) -> Tensor:
        return self.output_dense(self.intermediate(x))

    def _rows(self, x: Tensor) -> tuple[Tensor, Any]:
        """All tokens as rows of a matrix, so that products take over what follows them; and the way back."""
        shape = tuple(x.shape)
        if len(shape) != 3:
            raise ShapeError(f"{self.name}: inputs of shape {shape}; expected (batch, length, features)")

        def sequences(rows: Tensor) -> Tensor:
            return ops.reshape(rows, shape)

        return ops.reshape(x, (shape[0] * shape[1], shape[2])), sequences

    def _attended(self, layer: Any, sequences: Any, other: Any, mask: Any) -> Any:
        """Attention of rows to the places of `other`, or to those of their own sequence."""

        def attend(rows: Tensor) -> Tensor:
            x = sequences(rows)
            return ops.reshape(layer(x, x if other is None else other, mask=mask), tuple(rows.shape))

        return attend

    def get_config(self) -> Config:
        config = {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": serialization.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "bias_initializer": serialization.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
        }
        if self.rotary is not None:
            config["rotary"] = self.rotary
        return config | ({"alibi": True} if self.alibi else {})


@serialization.register("layer")
class TransformerEncoder(_Transformer):
    """Self-attention and a dense part, each with a residual and a normalisation (Vaswani et al. 2017).

    In and out (batch, length, features). Padding in the input's mask is passed over. Weights: attention, its normalisation, dense part, its
    normalisation.

    Args:
        intermediate_dim: units of the dense part's hidden layer.
        num_heads: heads; they divide the features.
        dropout: rate for the attention's weights, its output and the output.
        activation: of the hidden layer.
        layer_norm_epsilon: of both normalisations.
        kernel_initializer, bias_initializer: of dense layers and attention.
        normalize_first: normalise what goes into attention and dense part, not what comes out of the residuals.
        rotary, alibi: positions, as in MultiHeadAttention.

    >>> import numpy as np
    >>> TransformerEncoder(16, 2)(np.ones((1, 3, 8), "float32")).shape
    (1, 3, 8)
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        rotary: float | None = None,
        alibi: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer, normalize_first,
            rotary, alibi, **kwargs,
        )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        self.attention, self.attention_norm, self.attention_dropout = self._attention(
            features, False, "self_attention", True
        )
        self._build_dense(features)

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        rows, sequences = self._rows(inputs)
        attend = self._attended(self.attention, sequences, None, [mask, mask])
        rows = self._residual(rows, self.attention_norm, self.attention_dropout, attend)
        return sequences(self._residual(rows, self.output_norm, self.output_dropout, self._dense))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return previous_mask


@serialization.register("layer")
class TransformerDecoder(_Transformer):
    """Causal self-attention, attention to an encoder's output if there is one, and a dense part (Vaswani et al. 2017).

    In: `layer(decoder_sequence, encoder_sequence=None)`, each (batch, length, features); out as the first. With normalize_first and no
    encoder this is the block of GPT-2. Weights: self-attention, its normalisation, those of cross attention, dense part, its normalisation.

    Args:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer, normalize_first, rotary,
            alibi: as in TransformerEncoder.

    >>> import numpy as np
    >>> TransformerDecoder(16, 2, normalize_first=True)(np.ones((1, 3, 8), "float32")).shape
    (1, 3, 8)
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        rotary: float | None = None,
        alibi: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer, normalize_first,
            rotary, alibi, **kwargs,
        )  # fmt: skip

    def __call__(  # type: ignore[override]
        self, decoder_sequence: Any, encoder_sequence: Any = None, training: bool | None = None, mask: Any = None
    ) -> Any:
        inputs = decoder_sequence if encoder_sequence is None else [decoder_sequence, encoder_sequence]
        return super().__call__(inputs, training, mask)

    def build(self, input_shape: Any) -> None:
        several = isinstance(input_shape, list)
        features = (input_shape[0] if several else input_shape)[-1]
        self.self_attention, self.self_attention_norm, self.self_attention_dropout = self._attention(
            features, True, "self_attention", True
        )
        self.cross_attention = None
        if several:
            self.cross_attention, self.cross_attention_norm, self.cross_attention_dropout = self._attention(
                features, False, "cross_attention", False
            )
        self._build_dense(features)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        x, *encoded = flat(inputs)
        own, *others = flat(mask) if mask is not None else [None]
        if bool(encoded) != (self.cross_attention is not None):
            wanted = "an encoder_sequence" if self.cross_attention is not None else "no encoder_sequence"
            raise ShapeError(f"{self.name}: it was first called with {wanted}, and has the weights for that only")
        rows, sequences = self._rows(x)
        attend = self._attended(self.self_attention, sequences, None, [own, own])
        rows = self._residual(rows, self.self_attention_norm, self.self_attention_dropout, attend)
        if self.cross_attention is not None:
            attend = self._attended(self.cross_attention, sequences, encoded[0], [own, others[0] if others else None])
            rows = self._residual(rows, self.cross_attention_norm, self.cross_attention_dropout, attend)
        return sequences(self._residual(rows, self.output_norm, self.output_dropout, self._dense))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None if previous_mask is None else flat(previous_mask)[0]
