"""Attention without projections: Attention (dot products) and AdditiveAttention (a sum of tanh), as in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.layers.attention import check_rate, remember
from nnfast.layers.base import Layer
from nnfast.layers.symbol import flat, is_symbolic
from nnfast.typing import Config, Tensor


def _weighted(scores: Tensor, value: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """softmax(scores [batch, queries, keys]) value [batch, keys, n], and the softmax.

    The kernel of attention does both: products of the scores with the unit matrix are the scores themselves.
    """
    batch, queries, keys = scores.shape
    unit = np.broadcast_to(np.eye(keys, dtype=str(scores.dtype))[None, :, None], (batch, keys, 1, keys)).copy()
    q = ops.reshape(scores, (batch, queries, 1, keys))

    def attend(v: Tensor) -> Tensor:
        return ops.dot_product_attention(q, unit, v, scale=1.0, **options)

    y = attend(ops.reshape(value, (batch, keys, 1, value.shape[2])))
    weights = attend(unit)
    return ops.reshape(y, (batch, queries, value.shape[2])), ops.reshape(weights, (batch, queries, keys))


class _Scored(Layer):
    """What both have: query, value and key, masks, scores on request."""

    def __init__(self, dropout: float, use_causal_mask: bool | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = check_rate(type(self).__name__, dropout)
        self._stream = self.seed_stream() if self.dropout else 0
        self.use_causal_mask = use_causal_mask
        self._now: tuple[bool, bool | None] = (False, None)

    def __call__(  # type: ignore[override]
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool | None = None,
    ) -> Any:
        """inputs: [query, value] or [query, value, key]; mask: [query's, value's], 1 where a place counts."""
        if is_symbolic(list(inputs)):
            remember(self, use_causal_mask, return_attention_scores)
        before = self._now
        self._now = (bool(return_attention_scores), use_causal_mask)
        try:
            return super().__call__(list(inputs), training, mask)
        finally:
            self._now = before

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        query, value, *rest = flat(inputs)
        key = rest[0] if rest else value
        for name, x in (("query", query), ("value", value), ("key", key)):
            if len(x.shape) != 3:
                raise ShapeError(f"{self.name}: {name} of shape {tuple(x.shape)}; expected (batch, length, features)")
        if key.shape[:2] != value.shape[:2]:
            raise ShapeError(f"{self.name}: key {tuple(key.shape)} and value {tuple(value.shape)} must be equally long")
        seen = None if mask is None else flat(mask)[1]
        if seen is not None:
            seen = ops.reshape(seen, (seen.shape[0], 1, 1, seen.shape[1]))
        causal = self.use_causal_mask if self._now[1] is None else self._now[1]
        options = {"mask": seen, "is_causal": bool(causal)}
        if training and self.dropout and trace.current() is not None:
            options |= {"dropout": self.dropout, "seed_stream": self._stream}
        y, weights = self._attended(query, value, key, options)
        return [y, weights] if self._now[0] else y

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None if previous_mask is None else flat(previous_mask)[0]

    def _attended(self, query: Tensor, value: Tensor, key: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def get_config(self) -> Config:
        config = {**super().get_config(), "dropout": self.dropout}
        return config if self.use_causal_mask is None else {**config, "use_causal_mask": self.use_causal_mask}


@serialization.register("layer")
class Attention(_Scored):
    """softmax(scores) value, with scores = query key^T ("dot") or sum of tanh(query + key) ("concat") (Luong et al. 2015).

    In: [query, value] or [query, value, key], each (batch, length, features); key is value by default. Out (batch, queries, features of
    value). Weights: scale with use_scale; concat_score_weight with "concat". As Keras' Attention: no division by the root of the size.

    Args:
        use_scale: multiply the scores by a weight.
        score_mode: "dot" or "concat".
        dropout: rate for the softmax in training.
        use_causal_mask: what calls that do not say otherwise do.

    >>> import numpy as np
    >>> x = np.ones((1, 3, 4), "float32")
    >>> Attention()([x, x]).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        use_causal_mask: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout, use_causal_mask, **kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"Attention(score_mode={score_mode!r}): expected 'dot' or 'concat'")
        self.use_scale = bool(use_scale)
        self.score_mode = score_mode

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight("scale", (), "ones") if self.use_scale else None
        concat = self.score_mode == "concat"
        self.concat_score_weight = self.add_weight("concat_score_weight", (), "ones") if concat else None

    def _attended(self, query: Tensor, value: Tensor, key: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        if self.concat_score_weight is not None:
            factor = 1.0 if self.scale is None else self.scale
            scores = ops.multiply(_sum_of_tanh(query, key, factor), self.concat_score_weight)
            return _weighted(scores, value, **options)
        if self.scale is not None:
            query = ops.multiply(query, self.scale)
        batch, queries, size = query.shape
        q = ops.reshape(query, (batch, queries, 1, size))
        k = ops.reshape(key, (batch, key.shape[1], 1, size))

        def attend(v: Tensor) -> Tensor:
            y = ops.dot_product_attention(
                q, k, ops.reshape(v, (batch, v.shape[1], 1, v.shape[2])), scale=1.0, **options
            )
            return ops.reshape(y, (batch, queries, v.shape[2]))

        if not self._now[0]:
            return attend(value), None
        keys = key.shape[1]
        unit = np.broadcast_to(np.eye(keys, dtype=str(query.dtype))[None], (batch, keys, keys)).copy()
        return attend(value), attend(unit)

    def get_config(self) -> Config:
        own = {"use_scale": self.use_scale, "score_mode": self.score_mode}
        return {**super().get_config(), **own}


@serialization.register("layer")
class AdditiveAttention(_Scored):
    """softmax(scores) value with scores = sum of scale * tanh(query + key) over the features (Bahdanau et al. 2015).

    In: [query, value] or [query, value, key], each (batch, length, features); key is value by default. Out (batch, queries, features of
    value). Weights: scale (features,) with use_scale. As Keras' AdditiveAttention. At most 512 keys.

    Args:
        use_scale: weigh the features of the sum.
        dropout: rate for the softmax in training.
        use_causal_mask: what calls that do not say otherwise do.

    >>> import numpy as np
    >>> x = np.ones((1, 3, 4), "float32")
    >>> AdditiveAttention()([x, x]).shape
    (1, 3, 4)
    """

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, use_causal_mask: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(dropout, use_causal_mask, **kwargs)
        self.use_scale = bool(use_scale)

    def build(self, input_shape: Any) -> None:
        features = input_shape[0][-1]
        self.scale = self.add_weight("scale", (features,), "glorot_uniform", layout="row") if self.use_scale else None

    def _attended(self, query: Tensor, value: Tensor, key: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        return _weighted(_sum_of_tanh(query, key, 1.0 if self.scale is None else self.scale), value, **options)

    def get_config(self) -> Config:
        return {**super().get_config(), "use_scale": self.use_scale}


def _sum_of_tanh(query: Tensor, key: Tensor, factor: Any) -> Tensor:
    """[batch, queries, keys]: sum over the features of factor * tanh(query + key)."""
    batch, queries, size = query.shape
    q = ops.reshape(query, (batch, queries, 1, size))
    k = ops.reshape(key, (batch, 1, key.shape[1], size))
    return ops.sum(ops.multiply(ops.tanh(ops.add(q, k)), factor), axis=-1)
