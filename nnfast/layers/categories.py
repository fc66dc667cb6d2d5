"""Numbers from categories: CategoryEncoding, Discretization, Hashing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import DataError, ShapeError
from nnfast.layers.base import Layer
from nnfast.layers.embedding import check_count
from nnfast.typing import Config, Tensor

MODES = ("int", "one_hot", "multi_hot", "count")


def check_mode(layer: str, mode: Any, known: tuple[str, ...] = MODES) -> str:
    if mode not in known:
        raise ValueError(f"{layer}(output_mode={mode!r}): expected one of {', '.join(known)}")
    return str(mode)


def encoded(numbers: Tensor, count: int, mode: str, dtype: str, weights: Any = None) -> Tensor:
    """Numbers from 0 to count - 1 as they are, or as rows of `count` columns: one_hot for each number, multi_hot and count for the last axis.

    A number outside takes no column.
    """
    if mode == "int":
        return ops.cast(numbers, "int32")
    numbers = ops.cast(numbers, "int32")
    shape = tuple(numbers.shape)
    if mode == "one_hot":
        if len(shape) > 1 and shape[-1] == 1:
            numbers = ops.reshape(numbers, shape[:-1])
        return ops.one_hot(numbers, count, dtype)
    if not shape:
        raise ShapeError(f"output_mode={mode!r}: expected at least one axis of numbers")
    hot = ops.one_hot(numbers, count, dtype)
    if weights is not None:
        hot = ops.multiply(hot, ops.expand_dims(ops.cast(weights, dtype), -1))
    axis = len(shape) - 1
    return ops.max(hot, axis=axis) if mode == "multi_hot" else ops.sum(hot, axis=axis)


@serialization.register("layer")
class CategoryEncoding(Layer):
    """Rows of 0 and 1, or counts, from category numbers.

    In (batch, ...) of whole numbers, out: "one_hot" (batch, ..., num_tokens), a last axis of size 1 is dropped; "multi_hot" and "count"
    (batch, num_tokens), where the last axis holds the categories of one sample. A number outside takes no column.

    Args:
        num_tokens: categories.
        output_mode: "one_hot", "multi_hot" or "count".

    >>> import numpy as np
    >>> CategoryEncoding(4, "multi_hot")(np.array([[0, 2], [3, 3]])).tolist()
    [[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_count("CategoryEncoding", "num_tokens", num_tokens)
        self.output_mode = check_mode("CategoryEncoding", output_mode, MODES[1:])

    def call(self, inputs: Tensor) -> Tensor:
        return encoded(inputs, self.num_tokens, self.output_mode, self.dtype)

    def get_config(self) -> Config:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}


@serialization.register("layer")
class Discretization(Layer):
    """The number of the bin that a value falls into: bin i reaches from boundary i - 1 on up to, but without, boundary i.

    In (batch, ...), out int32 of the same shape, or as CategoryEncoding makes of it. NaN falls into bin 0.

    Args:
        bin_boundaries: ascending; n of them make n + 1 bins.
        num_bins: in their place: `adapt(data)` finds boundaries between which equally many values lie.
        output_mode: "int", "one_hot", "multi_hot" or "count".

    >>> import numpy as np
    >>> Discretization([0.0, 1.0])(np.array([-1.0, 0.0, 0.5, 2.0], "float32")).tolist()
    [0, 1, 1, 2]
    """

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, output_mode: str = "int", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if bin_boundaries is None and num_bins is None:
            raise ValueError("Discretization: give bin_boundaries, or num_bins and adapt")
        self.num_bins = None if num_bins is None else check_count("Discretization", "num_bins", num_bins)
        self.output_mode = check_mode("Discretization", output_mode)
        self.bin_boundaries: list[float] | None = None
        if bin_boundaries is not None:
            self._set(bin_boundaries)

    def _set(self, boundaries: Any) -> None:
        found = [float(b) for b in boundaries]
        if any(not a < b for a, b in pairwise(found)):
            raise ValueError(f"Discretization(bin_boundaries={found}): expected ascending numbers, each once")
        self.bin_boundaries = found

    def adapt(self, data: Any) -> None:
        """Take the boundaries from an array: quantiles of its values, equal ones once. DataError for data without numbers."""
        values = np.asarray(data, np.float64).ravel()
        values = np.sort(values[np.isfinite(values)])
        if not values.size or self.num_bins is None:
            raise DataError(f"{self.name}.adapt: expected numbers, and a layer with num_bins")
        places = [i * len(values) // self.num_bins for i in range(1, self.num_bins)]
        self._set(sorted({float(values[p]) for p in places}))

    def call(self, inputs: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise DataError(f"{self.name}: no boundaries yet; call adapt(data) first, or give bin_boundaries")
        if not self.bin_boundaries:
            bins = ops.multiply(ops.cast(inputs, self.dtype), 0.0)
        else:
            table = np.asarray(self.bin_boundaries, self.dtype)
            reached = ops.greater_equal(ops.expand_dims(ops.cast(inputs, self.dtype), -1), table)
            bins = ops.sum(reached, axis=-1)
        return encoded(bins, len(self.bin_boundaries) + 1, self.output_mode, self.dtype)

    def get_config(self) -> Config:
        own = {"bin_boundaries": self.bin_boundaries, "num_bins": self.num_bins, "output_mode": self.output_mode}
        return {**super().get_config(), **own}


def hashed(value: Any, bins: int, salt: int) -> int:
    """A number from 0 to bins - 1 that depends on a text or number alone: BLAKE2b, the same on every machine.

    >>> hashed("word", 10, 0) == hashed("word", 10, 0)
    True
    """
    import hashlib  # takes milliseconds to import

    digest = hashlib.blake2b(str(value).encode(), digest_size=8, salt=salt.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") % bins


@serialization.register("layer")
class Hashing(Layer):
    """A category number for each text or whole number, without a vocabulary: its hash modulo num_bins.

    On arrays only, of strings or whole numbers; out int32 of the same shape, or as CategoryEncoding makes of it. Equal to Keras' Hashing but
    for the function, which is BLAKE2b.

    Args:
        num_bins: categories.
        mask_value: gets category 0 alone; the others share the rest.
        salt: another number gives other categories.
        output_mode: "int", "one_hot", "multi_hot" or "count".

    >>> layer = Hashing(100)
    >>> bool((layer(["a", "b"]) == layer(["a", "b"])).all())
    True
    """

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: int | None = None, output_mode: str = "int", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_bins = check_count("Hashing", "num_bins", num_bins)
        if mask_value is not None and self.num_bins < 2:
            raise ValueError(
                "Hashing(num_bins=1, mask_value=...): the masked value takes the only bin; give two at least"
            )
        self.mask_value = mask_value
        self.salt = salt
        self.output_mode = check_mode("Hashing", output_mode)

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().__call__(array_of(self, inputs), training, mask)

    def call(self, inputs: Any) -> Any:
        bins, first = (self.num_bins, 0) if self.mask_value is None else (self.num_bins - 1, 1)
        known: dict[Any, int] = {} if self.mask_value is None else {self.mask_value: 0}
        for value in np.unique(inputs).tolist():
            known.setdefault(value, first + hashed(value, bins, self.salt or 0))
        numbers = np.array([known[v] for v in inputs.ravel().tolist()], np.int32).reshape(inputs.shape)
        return encoded(numbers, self.num_bins, self.output_mode, self.dtype)

    def get_config(self) -> Config:
        own = {"num_bins": self.num_bins, "mask_value": self.mask_value, "salt": self.salt}
        return {**super().get_config(), **own, "output_mode": self.output_mode}


def array_of(layer: Layer, inputs: Any) -> np.ndarray:
    """An array of strings or whole numbers; DataError for what is neither."""
    array = np.asarray(inputs)
    if array.dtype.kind == "O" and all(isinstance(x, str) for x in array.ravel().tolist()):
        array = array.astype(np.str_)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "Uiu":
        raise DataError(
            f"{layer.name}: expected an array of strings or whole numbers, got {type(inputs).__name__} of dtype {array.dtype}; text is prepared before it goes into a model"
        )
    return array
