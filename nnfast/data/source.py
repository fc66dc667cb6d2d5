"""Training data that lies in memory (or in a memory map) as whole arrays.

In: what a user passes to fit, evaluate or predict. Out: an ArraySource, whose arrays a plan gathers rows from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import check_finite
from nnfast.data.order import permutation
from nnfast.data.ragged import Mask, Padded
from nnfast.data.structure import as_row_list, as_weight_list
from nnfast.errors import DataError


class ArraySource:
    """Arrays of equal length: inputs, then targets, then weights, each in the model's order, and the masks of inputs that are Padded.

    Args:
        x: inputs; see `as_row_list`.
        y: targets, or None where none are asked for.
        sample_weight: weights of rows, or None; see `as_weight_list`.
        input_names: names of the model's inputs.
        target_names: names of the model's outputs; empty for a prediction.
        check_nan: raise for a NaN or an infinity in x, y or sample_weight.

    Attributes:
        arrays: list of arrays of shape (rows, ...), no copies of the user's where their rows are contiguous.
        rows: their common length.
        inputs, targets, weights, masks: how many of the arrays are of each kind.

    Raises:
        DataError: no rows, different lengths, or (on request) NaN.
        DtypeError: something that does not become numbers.

    >>> import numpy as np
    >>> source = ArraySource(np.zeros((5, 3)), np.arange(5))
    >>> source.rows, [array.shape for array in source.arrays]
    (5, [(5, 3), (5,)])
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        input_names: Sequence[str] = ("x",),
        target_names: Sequence[str] = ("y",),
        check_nan: bool = False,
    ) -> None:
        found = as_input_list(x, input_names)
        inputs, masks = found[: len(input_names)], found[len(input_names) :]
        rows = len(inputs[0]) if inputs else 0
        targets: list[NDArray[Any]] = []
        weights: list[NDArray[Any]] = []
        if y is not None and target_names:
            targets = as_row_list(without_lengths(y, target_names)[0], target_names, "y")
            weights = as_weight_list(sample_weight, target_names, rows)
        self._set(inputs, targets, weights, masks)
        if check_nan:
            for label, array in zip(self._labels(), self.arrays, strict=True):
                check_finite(array, label)

    def _set(
        self,
        inputs: list[NDArray[Any]],
        targets: list[NDArray[Any]],
        weights: list[NDArray[Any]],
        masks: list[NDArray[Any]],
    ) -> None:
        self.arrays = [*inputs, *targets, *weights, *masks]
        self.inputs, self.targets, self.weights, self.masks = len(inputs), len(targets), len(weights), len(masks)
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            pairs = ", ".join(f"{label}: {length}" for label, length in zip(self._labels(), lengths, strict=True))
            raise DataError(f"arrays of different lengths ({pairs}); each needs one row per sample")
        self.rows = lengths[0] if lengths else 0
        if self.rows == 0:
            raise DataError("the data are empty: x has 0 rows; at least one is needed")

    def _labels(self) -> list[str]:
        kinds = (("x", self.inputs), ("y", self.targets), ("sample_weight", self.weights), ("mask", self.masks))
        return [kind if count == 1 else f"{kind}[{i}]" for kind, count in kinds for i in range(count)]

    def steps(self, batch_size: int) -> int:
        """Number of batches of an epoch, the last, smaller one included."""
        return -(-self.rows // check_batch_size(batch_size))

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The shuffled order of the rows in an epoch; see `permutation`."""
        with self._memory_for("order", 8):
            return permutation(self.rows, seed, epoch)

    def plain_order(self) -> NDArray[np.int64]:
        """The rows as they lie."""
        with self._memory_for("order", 8):
            return np.arange(self.rows)

    @contextmanager
    def _memory_for(self, what: str, size: int) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise MemoryError(
                f"no memory for the {what} of the {self.rows:,} rows of x ({size * self.rows:,} bytes): give fewer, or batches"
            ) from None

    def batches(self, batch_size: int, order: NDArray[np.int64] | None = None) -> Iterator[list[NDArray[Any]]]:
        """The batches of one epoch; without `order` they are views of the arrays. The last may be smaller."""
        check_batch_size(batch_size)
        for first in range(0, self.rows, batch_size):
            rows = slice(first, first + batch_size) if order is None else order[first : first + batch_size]
            yield [array[rows] for array in self.arrays]

    def part(self, first: int, last: int) -> ArraySource:
        """Rows first .. last - 1, without a copy."""
        arrays = [array[first:last] for array in self.arrays]
        return self._with(arrays)

    def with_weights(self, weights: Sequence[NDArray[Any]]) -> ArraySource:
        """The same rows with other weights, one array per target."""
        return self._with([*self.arrays[: self.inputs + self.targets], *weights, *self._masks()])

    def _masks(self) -> list[NDArray[Any]]:
        return self.arrays[len(self.arrays) - self.masks :]

    def with_class_weight(self, weights: Mapping[int, float]) -> ArraySource:
        """The same rows, weighted by their classes; weights that they have already are multiplied.

        Raises:
            DataError: there are several targets, or what class_weights raises.
        """
        if self.targets != 1:
            raise DataError(
                f"class_weight works for models with one output; this one has {self.targets}: use sample_weight"
            )
        with self._memory_for("class_weight", 12):
            per_row = class_weights(self.arrays[self.inputs], weights)
            if self.weights:
                per_row = per_row * np.asarray(self.arrays[-1]).reshape(-1)
            return self.with_weights([per_row.astype(np.float32)])

    def _with(self, arrays: list[NDArray[Any]]) -> ArraySource:
        source = ArraySource.__new__(ArraySource)
        end = self.inputs + self.targets
        last = len(arrays) - self.masks
        source._set(arrays[: self.inputs], arrays[self.inputs : end], arrays[end:last], arrays[last:])
        return source


def as_input_list(x: Any, names: Sequence[str]) -> list[NDArray[Any]]:
    """One array per input, as from as_row_list, and then the masks of those that are Padded."""
    x, lengths = without_lengths(x, names)
    inputs = as_row_list(x, names, "x")
    return [*inputs, *(Mask.of(lengths[i], inputs[i].shape[1], i) for i in lengths)]


def without_lengths(data: Any, names: Sequence[str]) -> tuple[Any, dict[int, NDArray[Any]]]:
    """Data with arrays in place of Padded, and the lengths by the place of the input among the names."""
    if isinstance(data, Padded):
        return data.array, {0: data.lengths}
    if isinstance(data, Mapping):
        found = {names.index(k): v.lengths for k, v in data.items() if isinstance(v, Padded) and k in names}
        return {k: v.array if isinstance(v, Padded) else v for k, v in data.items()}, found
    if isinstance(data, list | tuple) and any(isinstance(item, Padded) for item in data):
        found = {i: item.lengths for i, item in enumerate(data) if isinstance(item, Padded)}
        return [item.array if isinstance(item, Padded) else item for item in data], found
    return data, {}


def check_batch_size(batch_size: Any) -> int:
    """The batch size, which must be a positive integer.

    Raises:
        DataError: it is not.

    >>> check_batch_size(32)
    32
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise DataError(f"batch_size={batch_size!r}: expected a positive integer, such as 32")
    return int(batch_size)


def split_validation(source: ArraySource, validation_split: float) -> tuple[ArraySource, ArraySource]:
    """Split off the last rows for validation, as Keras does: before any shuffling, without a copy.

    Args:
        source: all rows.
        validation_split: the part that is held out, between 0 and 1.

    Returns:
        Training rows 0 .. floor(rows (1 - validation_split)) - 1, and the rest.

    Raises:
        DataError: the split is outside 0 to 1, or leaves nothing on one side.

    >>> import numpy as np
    >>> [part.rows for part in split_validation(ArraySource(np.zeros((10, 1)), np.zeros(10)), 0.2)]
    [8, 2]
    """
    boundary, rows = split_rows(source.rows, validation_split)
    return source.part(0, boundary), source.part(boundary, rows)


def split_rows(rows: int, validation_split: float) -> tuple[int, int]:
    """The first row that is held out, and the end.

    >>> split_rows(10, 0.25)
    (7, 10)
    """
    if not 0 < validation_split < 1:
        raise DataError(f"validation_split={validation_split!r}: expected a number between 0 and 1, such as 0.2")
    boundary = math.floor(rows * (1 - validation_split))
    if boundary == 0:
        raise DataError(f"validation_split={validation_split!r} leaves none of the {rows} rows for training")
    return boundary, rows


def class_weights(targets: NDArray[Any], weights: Mapping[int, float]) -> NDArray[np.float64]:
    """The weight of each row from the weight of its class; classes not named weigh 1.

    Args:
        targets: labels of shape (rows,) or (rows, 1), or one-hot rows of shape (rows, classes).
        weights: class to weight.

    Returns:
        float64 array of shape (rows,).

    Raises:
        DataError: a class is not a whole number of 0 or more, a weight is negative, or targets have another shape.

    >>> import numpy as np
    >>> class_weights(np.array([0, 1, 1]), {1: 2.5}).tolist()
    [1.0, 2.5, 2.5]
    """
    if not isinstance(weights, Mapping):
        raise DataError(
            f"class_weight={weights!r}: expected a dictionary from class to weight, such as {{0: 1.0, 1: 2.5}}"
        )
    for label, weight in weights.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 0:
            raise DataError(f"class_weight: class {label!r} must be a whole number of 0 or more")
        if not weight >= 0:
            raise DataError(f"class_weight: the weight {weight!r} of class {label} must be 0 or more")
    if targets.ndim > 2:
        raise DataError(f"class_weight needs labels or one-hot rows as y, got the shape {list(targets.shape)}")
    labels = targets.reshape(-1) if targets.size == len(targets) else np.argmax(targets, axis=1)
    result = np.ones(len(targets))
    for label, weight in weights.items():
        result[labels == label] = weight
    return result
