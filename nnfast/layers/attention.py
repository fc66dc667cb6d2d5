"""Attention with several heads: MultiHeadAttention and GroupedQueryAttention.

Called with query, value and perhaps key and attention mask, each (batch, length, features). Heads lie beside each other in the results of
the projections, and the kernels read them there. While tokens are decoded one after the other (nnfast.generate), the trace carries a
cache of keys and values, into which the layer writes those of the new tokens.
"""

from __future__ import annotations

from math import prod
from typing import Any

from nnfast import initializers, ops, regularizers, serialization
from nnfast.errors import NnfastError, ShapeError
from nnfast.graph import trace
from nnfast.layers.base import Layer
from nnfast.layers.embedding import check_count
from nnfast.layers.symbol import flat, is_symbolic
from nnfast.typing import Config, Tensor


def check_rate(layer: str, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ValueError(f"{layer}(dropout={rate!r}): expected a rate in 0 <= dropout < 1")
    return float(rate)


def project(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., n] kernel [n, m] + bias -> [rows, m]."""
    shape = tuple(x.shape)
    y = ops.matmul(ops.reshape(x, (prod(shape[:-1]), shape[-1])), kernel)
    return y if bias is None else ops.add(y, bias)


def remember(layer: Any, causal: bool | None, scores: bool) -> None:
    """A model that is put together from symbols keeps what a call says about causality in the layer; scores it cannot keep."""
    if scores:
        raise NnfastError(
            f"{layer.name}(return_attention_scores=True) while a model is put together: call the layer on arrays, or in a layer of your own"
        )
    if causal is None or causal == layer.use_causal_mask:
        return
    if layer.use_causal_mask is not None:
        raise NnfastError(
            f"{layer.name}(use_causal_mask={causal}): an earlier call, or the constructor, said {layer.use_causal_mask}; make a layer for each"
        )
    layer.use_causal_mask = causal


class HeadsAttention(Layer):
    """What both layers do. Heads of queries, groups of keys and values."""

    def __init__(
        self,
        heads: int,
        groups: int,
        size: int,
        value_size: int,
        dropout: float,
        use_bias: bool,
        output_shape: Any,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        use_causal_mask: bool | None,
        rotary: float | None,
        alibi: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._heads, self._groups, self._size, self._value_size = heads, groups, size, value_size
        self.dropout = check_rate(type(self).__name__, dropout)
        self.use_bias = bool(use_bias)
        if output_shape is not None and not isinstance(output_shape, int):
            output_shape = prod(output_shape) if len(output_shape) == 1 else output_shape
        if output_shape is not None and (not isinstance(output_shape, int) or output_shape < 1):
            raise ValueError(
                f"{type(self).__name__}(output_shape={output_shape!r}): expected a positive integer or None"
            )
        self._output_features = output_shape
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.use_causal_mask = use_causal_mask
        self.rotary = None if rotary is None else float(rotary)
        if self.rotary is not None and size % 2:
            raise ValueError(
                f"{type(self).__name__}(rotary={rotary}): a head of {size} elements cannot be turned in pairs"
            )
        self.alibi = bool(alibi)
        self._causal_now: bool | None = None
        self._scores_now = False
        self._stream = self.seed_stream() if self.dropout else 0

    def build(self, input_shape: Any) -> None:
        shapes = list(input_shape) if isinstance(input_shape, list) else [input_shape]
        query, value = shapes[0], shapes[1] if len(shapes) > 1 else shapes[0]
        key = shapes[2] if len(shapes) > 2 else value
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) != 3 or shape[-1] is None:
                raise ShapeError(f"{self.name}: {name} of shape {tuple(shape)}; expected (batch, length, features)")
        out = self._output_features or query[-1]
        sizes = (
            ("query", query[-1], self._heads * self._size),
            ("key", key[-1], self._groups * self._size),
            ("value", value[-1], self._groups * self._value_size),
            ("attention_output", self._heads * self._value_size, out),
        )
        projections = []
        for name, rows, columns in sizes:
            parts = [
                self.add_weight(f"{name}/kernel", (rows, columns), self.kernel_initializer, self.kernel_regularizer)
            ]
            if self.use_bias:
                parts.append(self.add_weight(f"{name}/bias", (columns,), self.bias_initializer, self.bias_regularizer))
            projections.append(parts)
        self._projections = projections

    def __call__(  # type: ignore[override]
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool | None = None,
        mask: Any = None,
    ) -> Any:
        """query (batch, queries, features), value and key (batch, keys, features); key is value and value is query by default.

        attention_mask: 1 where a query may see a key, (batch, queries, keys), (batch, heads, queries, keys) or (batch, keys).
        return_attention_scores: also the weights, (batch, heads, queries, keys). use_causal_mask: no query sees later keys.
        """
        inputs = (
            query if value is None and isinstance(query, list | tuple) else [query, query if value is None else value]
        )
        if key is not None or attention_mask is not None:
            inputs = [*inputs, inputs[1] if key is None else key]
        if attention_mask is not None:
            inputs = [*inputs, attention_mask]
        inputs = list(inputs)
        if is_symbolic(inputs):
            remember(self, use_causal_mask, return_attention_scores)
        before = self._causal_now, self._scores_now
        self._causal_now, self._scores_now = use_causal_mask, return_attention_scores
        try:
            return super().__call__(inputs, training, mask)
        finally:
            self._causal_now, self._scores_now = before

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        query, value, *rest = flat(inputs)
        key = rest[0] if rest else value
        to_query, to_key, to_value, to_output = self._projections
        batch, length = query.shape[0], query.shape[1]
        q = ops.reshape(project(query, *to_query), (batch, length, self._heads, self._size))
        k = ops.reshape(project(key, *to_key), (batch, key.shape[1], self._groups, self._size))
        v = ops.reshape(project(value, *to_value), (batch, value.shape[1], self._groups, self._value_size))
        causal = self.use_causal_mask if self._causal_now is None else self._causal_now
        padding = None if mask is None else _first(flat(mask)[2:3] or flat(mask)[1:2], flat(mask)[1:2])
        y, scores = self._attend(q, k, v, bool(causal), padding, rest[1] if len(rest) > 1 else None, training)
        y = project(ops.reshape(y, (batch, length, self._heads * self._value_size)), *to_output)
        y = ops.reshape(y, (batch, length, to_output[0].shape[1]))
        return [y, scores] if self._scores_now else y

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, causal: bool, padding: Any, mask: Any, training: bool) -> Any:
        running = trace.current()
        cache = None if running is None else running.cache
        offset = None
        if cache is not None and causal:
            q, k = self._turned(q, k, cache.places(q.shape[1]), cache.capacity)
            k, v = cache.extended(self, k, v)
            offset = cache.place
        else:
            q, k = self._turned(q, k, None, 0)
        dtype = str(q.dtype)
        if padding is not None:
            padding = ops.reshape(padding, (padding.shape[0], 1, 1, padding.shape[1]))
        if mask is not None:
            mask = ops.cast(mask, dtype)
            shape = tuple(mask.shape)
            mask = ops.reshape(mask, (shape[0], *(1,) * (4 - len(shape)), *shape[1:]))
            padding = mask if padding is None else ops.multiply(mask, padding)
        slopes = ops.alibi_slopes(self._heads, dtype) if self.alibi else None

        def attend(value: Tensor) -> Tensor:
            return ops.dot_product_attention(
                q, k, value, mask=padding, is_causal=causal, slopes=slopes, offset=offset,
                dropout=self.dropout if training else 0.0, seed_stream=self._stream,
            )  # fmt: skip

        return attend(v), self._scores(q, k, attend) if self._scores_now else None

    def _scores(self, q: Tensor, k: Tensor, attend: Any) -> Tensor:
        """The weights themselves are what attention makes of the unit matrix."""
        batch, keys = k.shape[:2]
        unit = ops.one_hot(
            ops.cast(ops.full((batch * self._groups, keys), 0.0) + _count(keys), "int32"), keys, str(q.dtype)
        )
        unit = ops.transpose(ops.reshape(unit, (batch, self._groups, keys, keys)), (0, 2, 1, 3))
        return ops.transpose(attend(unit), (0, 2, 1, 3))

    def _turned(self, q: Tensor, k: Tensor, places: Any, length: int) -> tuple[Tensor, Tensor]:
        if self.rotary is None:
            return q, k
        return tuple(ops.rotate(x, self.rotary, places=places, length=length) for x in (q, k))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Where the query is padding, so is the output."""
        return None if previous_mask is None else flat(previous_mask)[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape, input_shape]
        return (*shapes[0][:-1], self._output_features or shapes[0][-1])

    def get_config(self) -> Config:
        config = {
            **super().get_config(),
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "bias_initializer": serialization.serialize(self.bias_initializer),
            "kernel_regularizer": serialization.serialize(self.kernel_regularizer),
            "bias_regularizer": serialization.serialize(self.bias_regularizer),
        }
        extra = {"use_causal_mask": self.use_causal_mask, "rotary": self.rotary, "alibi": self.alibi or None}
        return config | {name: value for name, value in extra.items() if value is not None}


def _first(*found: Any) -> Any:
    return next((x for listed in found for x in listed if x is not None), None)


def _count(n: int) -> Any:
    import numpy as np

    return np.arange(n, dtype=np.float32)


@serialization.register("layer")
class MultiHeadAttention(HeadsAttention):
    """softmax(q k^T / sqrt(key_dim)) v for each head, heads beside each other, then a projection (Vaswani et al. 2017).

    In: `layer(query, value, key=None)`, each (batch, length, features); out (batch, queries, output_shape or features of the query).
    Weights: kernel and bias of query, key, value and output; kernels are matrices whose columns (of the output: rows) are heads beside
    each other, where Keras has three axes. The order is that of Keras. Padding in masks of key or value is passed over.

    Args:
        num_heads: heads.
        key_dim: size of a head of queries and keys.
        value_dim: size of a head of values; key_dim by default.
        dropout: rate for the weights in training.
        use_bias: whether the projections have biases.
        output_shape: features of the output; those of the query by default.
        attention_axes: None; only the middle axis is supported.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: of the weights.
        use_causal_mask: what calls that do not say otherwise do.
        rotary: longest wavelength of rotary positions (10000 is usual), or None.
        alibi: take slopes times the distance off the scores.

    >>> import numpy as np
    >>> layer = MultiHeadAttention(num_heads=2, key_dim=4)
    >>> x = np.ones((1, 3, 8), "float32")
    >>> layer(x, x, use_causal_mask=True).shape
    (1, 3, 8)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        use_causal_mask: bool | None = None,
        rotary: float | None = None,
        alibi: bool = False,
        **kwargs: Any,
    ) -> None:
        if attention_axes not in (None, 1, [1], (1,)):
            raise ValueError(
                f"MultiHeadAttention(attention_axes={attention_axes!r}): only the middle of three axes is supported; permute or reshape the inputs"
            )
        self_heads = check_count("MultiHeadAttention", "num_heads", num_heads)
        size = check_count("MultiHeadAttention", "key_dim", key_dim)
        value_size = check_count("MultiHeadAttention", "value_dim", key_dim if value_dim is None else value_dim)
        super().__init__(
            self_heads, self_heads, size, value_size, dropout, use_bias, output_shape, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, use_causal_mask, rotary, alibi, **kwargs,
        )  # fmt: skip
        self.num_heads, self.key_dim, self.value_dim = self_heads, size, value_size

    def get_config(self) -> Config:
        own = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_features,
        }
        return {**super().get_config(), **own}


@serialization.register("layer")
class GroupedQueryAttention(HeadsAttention):
    """MultiHeadAttention in which several heads of queries share one head of keys and values (Ainslie et al. 2023).

    In, out, masks and weights as MultiHeadAttention.

    Args:
        head_dim: size of a head.
        num_query_heads: heads of queries, a multiple of num_key_value_heads.
        num_key_value_heads: heads of keys and values.
        dropout, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, use_causal_mask, rotary, alibi: as
            in MultiHeadAttention.

    >>> import numpy as np
    >>> x = np.ones((1, 3, 8), "float32")
    >>> GroupedQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
    (1, 3, 8)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        use_causal_mask: bool | None = None,
        rotary: float | None = None,
        alibi: bool = False,
        **kwargs: Any,
    ) -> None:
        size = check_count("GroupedQueryAttention", "head_dim", head_dim)
        heads = check_count("GroupedQueryAttention", "num_query_heads", num_query_heads)
        groups = check_count("GroupedQueryAttention", "num_key_value_heads", num_key_value_heads)
        if heads % groups:
            raise ValueError(
                f"GroupedQueryAttention(num_query_heads={heads}, num_key_value_heads={groups}): the first must be a multiple of the second"
            )
        super().__init__(
            heads, groups, size, size, dropout, use_bias, None, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, use_causal_mask, rotary, alibi, **kwargs,
        )  # fmt: skip
        self.head_dim, self.num_query_heads, self.num_key_value_heads = size, heads, groups

    def get_config(self) -> Config:
        own = {
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }
        return {**super().get_config(), **own}
