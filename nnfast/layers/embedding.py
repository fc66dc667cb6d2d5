"""Tables of vectors: Embedding, EmbeddingBag, and ReversibleEmbedding, which also reads the table backwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast import initializers, ops, regularizers, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Shape, Tensor

LARGE = 100_000  # rows from which on a table is updated row by row, unless told otherwise


def check_count(layer: str, name: str, value: Any) -> int:
    """value as a positive whole number, of those that sizes can be."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**31:
        raise ValueError(f"{layer}({name}={value!r}): {name} must be a positive integer below 2^31")
    return int(value)


@serialization.register("layer")
class Embedding(Layer):
    """Row i of a table for each number i.

    In (batch, ...) of whole numbers from 0 to input_dim - 1, out (batch, ..., output_dim); a number outside gives NaN. Weights:
    embeddings (input_dim, output_dim). Equal to Keras' Embedding.

    In a training step only the rows that the batch names have a gradient. SGD without momentum and Adagrad touch no others, so a
    step costs as much as its batch. Other optimizers move every row by their running means; with `sparse` they leave rows alone
    that the batch does not name, weight decay included, as PyTorch's SparseAdam does. Limits on the gradients' norms, regularizers
    and a second use of the table make its gradient a whole matrix again.

    Args:
        input_dim: rows of the table.
        output_dim: size of a vector.
        embeddings_initializer: first values.
        embeddings_regularizer: penalty on the table, added to the loss.
        mask_zero: 0 is padding, which the layers behind pass over.
        sparse: update rows alone that a batch names; None: where the table has 100,000 rows or more.

    >>> import numpy as np
    >>> Embedding(10, 3)(np.array([[1, 2]])).shape
    (1, 2, 3)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        sparse: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim = check_count(type(self).__name__, "input_dim", input_dim)
        self.output_dim = check_count(type(self).__name__, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.mask_zero = bool(mask_zero)
        self.sparse = sparse

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            "embeddings", (self.input_dim, self.output_dim), self.embeddings_initializer, self.embeddings_regularizer, layout="row"
        )  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        sparse = self.input_dim >= LARGE if self.sparse is None else bool(self.sparse)
        return ops.embedding(self.embeddings, inputs, sparse)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return ops.not_equal(ops.cast(inputs, self.dtype), 0.0) if self.mask_zero else previous_mask

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": serialization.serialize(self.embeddings_initializer),
            "embeddings_regularizer": serialization.serialize(self.embeddings_regularizer),
            "mask_zero": self.mask_zero,
            "sparse": self.sparse,
        }


@serialization.register("layer")
class EmbeddingBag(Embedding):
    """Mean, sum or greatest of the rows that a bag of numbers names, without regard to their order.

    In (batch, numbers) of whole numbers, out (batch, output_dim). With mask_zero zeros are padding and do not count; an empty bag
    gives zeros. As PyTorch's EmbeddingBag on a matrix, with the arguments of Embedding.

    Args:
        mode: "mean", "sum" or "max".

    >>> import numpy as np
    >>> bag = EmbeddingBag(3, 1, mode="sum", embeddings_initializer="ones")
    >>> bag(np.array([[1, 2, 2]])).tolist()
    [[3.0]]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        mode: str = "mean",
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        sparse: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, mask_zero, sparse, **kwargs
        )
        if mode not in ("mean", "sum", "max"):
            raise ValueError(f"EmbeddingBag(mode={mode!r}): expected 'mean', 'sum' or 'max'")
        self.mode = mode

    def call(self, inputs: Tensor) -> Tensor:
        if len(inputs.shape) != 2:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected (batch, numbers)")
        rows = super().call(inputs)
        if not self.mask_zero:
            return {"mean": ops.mean, "sum": ops.sum, "max": ops.max}[self.mode](rows, axis=1)
        kept = ops.not_equal(ops.cast(inputs, self.dtype), 0.0)
        count = ops.sum(kept, axis=1, keepdims=True)
        kept = ops.expand_dims(kept, -1)
        if self.mode == "max":
            greatest = ops.max(ops.where(kept, rows, -math.inf), axis=1)
            return ops.where(ops.broadcast_to(ops.greater(count, 0.0), greatest.shape), greatest, 0.0)
        total = ops.sum(ops.multiply(rows, kept), axis=1)
        return total if self.mode == "sum" else ops.divide(total, ops.maximum(count, 1.0))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None

    def get_config(self) -> Config:
        return {**super().get_config(), "mode": self.mode}


@serialization.register("layer")
class ReversibleEmbedding(Embedding):
    """An embedding whose table also turns vectors into logits: `layer(vectors, reverse=True)` is vectors times its transpose.

    In (batch, ...) of whole numbers, out (batch, ..., output_dim); in reverse (batch, ..., output_dim), out (batch, ..., input_dim).
    With tie_weights=False the way back has a kernel of its own. Named as in Keras-hub (Press and Wolf 2017).

    Args:
        tie_weights: one table for both ways.
        reverse_bias: add a bias per number on the way back.

    >>> import numpy as np
    >>> layer = ReversibleEmbedding(10, 4)
    >>> layer(layer(np.array([[1, 2]])), reverse=True).shape
    (1, 2, 10)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        reverse_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, embeddings_initializer, embeddings_regularizer, mask_zero, **kwargs)
        self.tie_weights = bool(tie_weights)
        self.reverse_bias = bool(reverse_bias)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.reverse_kernel = self.bias = None
        if not self.tie_weights:
            self.reverse_kernel = self.add_weight(
                "reverse_embeddings", (self.output_dim, self.input_dim), self.embeddings_initializer
            )
        if self.reverse_bias:
            self.bias = self.add_weight("reverse_bias", (self.input_dim,), "zeros")

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None, reverse: bool = False) -> Any:
        return super().__call__([inputs] if reverse else inputs, training, mask)

    def call(self, inputs: Any) -> Tensor:
        """A list of one tensor, as `reverse` makes it, is read backwards; so the two calls stay apart in a saved model."""
        return self.logits(inputs[0]) if isinstance(inputs, list | tuple) else super().call(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if isinstance(inputs, list | tuple):
            return previous_mask[0] if previous_mask else None
        return super().compute_mask(inputs, previous_mask)

    def logits(self, vectors: Tensor) -> Tensor:
        """The way back."""
        shape = tuple(vectors.shape)
        if shape[-1] != self.output_dim:
            raise ShapeError(
                f"{self.name}: vectors of shape {shape}; expected {self.output_dim} features on the last axis"
            )
        rows = ops.reshape(vectors, (math.prod(shape[:-1]), shape[-1]))
        if self.reverse_kernel is None:
            y = ops.call("matmul", rows, self.embeddings, transpose_a=False, transpose_b=True)
        else:
            y = ops.matmul(rows, self.reverse_kernel)
        if self.bias is not None:
            y = ops.add(y, self.bias)
        return ops.reshape(y, (*shape[:-1], self.input_dim))

    def get_config(self) -> Config:
        return {**super().get_config(), "tie_weights": self.tie_weights, "reverse_bias": self.reverse_bias}
