"""Batches of sequences of similar lengths.

In: sequences of different lengths, with targets and weights. Out: batches, as an object with a length that is indexed; sequences are padded
to one of a few lengths, so that a model needs few plans, and little is computed on padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import as_rows
from nnfast.data.epochs import CountsEpochs
from nnfast.data.order import permutation
from nnfast.data.ragged import Padded, Ragged, is_ragged, lengths_of
from nnfast.data.source import check_batch_size
from nnfast.errors import DataError

BATCH_ORDER = 1 << 32  # added to the epoch for the order of batches


class BucketedBatches(CountsEpochs):
    """Batches for fit, evaluate and predict whose sequences have similar lengths.

    Each sequence belongs to the bucket of the smallest length that holds it. In each epoch rows are shuffled inside buckets; what does
    not fill a batch goes to the next bucket, so that all batches but one have batch_size rows; then batches are shuffled. The batches of an
    epoch are a function of data, seed and epoch.

    Args:
        x: sequences (time, ...): a list of arrays or of lists of numbers, or `nnfast.data.ragged(...)`. For several inputs a list or a
            dictionary, of which at least one is ragged(...).
        y: targets: an array with one row per sequence, sequences of their own (one target per step), a list or dictionary of these, or None.
        sample_weight: one number per row, or sequences of one number per step.
        batch_size: rows of a batch.
        buckets: how many lengths there are to be, or the lengths themselves, ascending.
        shuffle: another order in each epoch; else buckets come in order, shortest first.
        seed: of the order.
        pad_value, target_pad_value: behind the ends of inputs and targets.

    Raises:
        DataError: no rows, different numbers of rows, or a sequence longer than the last bucket.

    >>> data = BucketedBatches([[1, 2, 3], [4], [5, 6]], np.array([0, 1, 0]), batch_size=2, shuffle=False)
    >>> x, y = data[0]
    >>> len(data), x.array.tolist(), x.lengths.tolist(), y.tolist()
    (2, [[4, 0], [5, 6]], [1, 2], [1, 0])
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        buckets: int | Sequence[int] = 8,
        shuffle: bool = True,
        seed: int = 0,
        pad_value: float = 0,
        target_pad_value: float = 0,
    ) -> None:
        self.x, self.y, self.weight = _columns(x, "x"), _columns(y, "y"), _columns(sample_weight, "sample_weight")
        self.batch_size = check_batch_size(batch_size)
        self.shuffle, self.seed = shuffle, seed
        self.pad_value, self.target_pad_value = pad_value, target_pad_value
        inputs = [column for column in _leaves(self.x) if isinstance(column, Ragged)]
        if not inputs:
            raise DataError("x has no sequences of different lengths; mark them by nnfast.data.ragged(...)")
        columns = [*inputs, *_leaves(self.x), *_leaves(self.y), *_leaves(self.weight)]
        self.rows = len(inputs[0])
        if len({len(column) for column in columns}) > 1:
            raise DataError(
                f"{sorted({len(column) for column in columns})} rows in x, y and sample_weight; expected equal numbers"
            )
        self.lengths = lengths_of(inputs)
        self.buckets = _boundaries(self.lengths, buckets)
        self._bucket = np.searchsorted(self.buckets, self.lengths)  # of each row
        self._found: tuple[int, list[tuple[int, NDArray[np.int64]]]] | None = None
        self._times = {id(column): self._times_of(column) for column in columns if isinstance(column, Ragged)}

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of this epoch: x, (x, y) or (x, y, sample_weight); sequences among x as Padded."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        bucket, rows = self._batches()[index]

        def padded(column: Any, value: float) -> Any:
            return column.pad(rows, int(self._times[id(column)][bucket]), value)

        def of_x(column: Any) -> Any:
            if not isinstance(column, Ragged):
                return column[rows]
            return Padded(padded(column, self.pad_value), column.lengths[rows])

        def of_y(column: Any, value: float) -> Any:
            return padded(column, value) if isinstance(column, Ragged) else column[rows]

        x = _mapped(self.x, of_x)
        if self.y is None:
            return x
        y = _mapped(self.y, lambda column: of_y(column, self.target_pad_value))
        return (x, y) if self.weight is None else (x, y, _mapped(self.weight, lambda column: of_y(column, 0)))

    def rows_of(self, index: int) -> NDArray[np.int64]:
        """Numbers of the rows in a batch of this epoch."""
        return self._batches()[index][1]

    def part(self, first: int, last: int, shuffle: bool) -> BucketedBatches:
        """Rows first .. last - 1, in the same buckets."""

        def cut(column: Any) -> Any:
            return column.part(first, last) if isinstance(column, Ragged) else column[first:last]

        x, y, weight = (None if data is None else _mapped(data, cut) for data in (self.x, self.y, self.weight))
        return BucketedBatches(
            x,
            y,
            weight,
            self.batch_size,
            self.buckets.tolist(),
            shuffle,
            self.seed,
            self.pad_value,
            self.target_pad_value,
        )

    def _times_of(self, column: Ragged) -> NDArray[np.int64]:
        """To how many steps each bucket pads a column: to its own, or where lengths differ from the inputs', to the longest it can meet."""
        if np.array_equal(column.lengths, self.lengths):
            return self.buckets
        longest = np.ones(len(self.buckets), np.int64)
        np.maximum.at(longest, self._bucket, column.lengths)
        return np.maximum.accumulate(longest)

    def _batches(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Bucket and rows of each batch of this epoch."""
        if self._found is None or self._found[0] != self.epoch:
            self._found = self.epoch, list(self._cut())
        return self._found[1]

    def _cut(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        rows = permutation(self.rows, self.seed, self.epoch) if self.shuffle else np.arange(self.rows)
        found, left = [], rows[:0]
        for bucket in range(len(self.buckets)):
            left = np.concatenate([left, rows[self._bucket[rows] == bucket]])
            whole = len(left) // self.batch_size
            found += [(bucket, left[i * self.batch_size : (i + 1) * self.batch_size]) for i in range(whole)]
            left = left[whole * self.batch_size :]
        if len(left):
            found.append((int(self._bucket[left].max()), left))
        order = permutation(len(found), self.seed, self.epoch + BATCH_ORDER) if self.shuffle else range(len(found))
        return (found[i] for i in order)


def _boundaries(lengths: NDArray[np.int64], buckets: Any) -> NDArray[np.int64]:
    """The lengths of the buckets, ascending; a number of them so that each gets as many rows."""
    if not isinstance(buckets, int | np.integer):
        given = np.asarray(buckets)
        if (
            given.ndim != 1
            or not len(given)
            or given.dtype.kind not in "iu"
            or (np.diff(given) <= 0).any()
            or given[0] < 1
        ):
            raise DataError(f"buckets={buckets!r}: expected a number, or lengths as ascending whole numbers")
        if lengths.max() > given[-1]:
            raise DataError(
                f"sequence {int(lengths.argmax())} has {lengths.max()} steps, the last of the buckets {given[-1]}: give a longer one"
            )
        return given.astype(np.int64)
    if isinstance(buckets, bool) or buckets < 1:
        raise DataError(f"buckets={buckets!r}: expected a number of at least 1, or lengths as ascending whole numbers")
    known = np.unique(lengths)
    if len(known) <= buckets:
        return known
    places = np.arange(1, buckets + 1) * len(lengths) // buckets - 1
    return np.unique(np.sort(lengths)[places])


def _columns(data: Any, name: str) -> Any:
    """Arrays and Ragged in the structure of the data."""
    if data is None or isinstance(data, Ragged):
        return data
    if isinstance(data, dict):
        return {key: _columns(item, f"{name}[{key!r}]") for key, item in data.items()}
    if isinstance(data, list | tuple) and any(isinstance(item, Ragged) for item in data):
        return [_columns(item, f"{name}[{i}]") for i, item in enumerate(data)]
    if is_ragged(data) or (name == "x" and isinstance(data, list | tuple)):
        return Ragged(data, name)
    return as_rows(data, name)


def _leaves(data: Any) -> list[Any]:
    """The columns."""
    if data is None:
        return []
    if isinstance(data, dict):
        return list(data.values())
    return data if isinstance(data, list) else [data]


def _mapped(data: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(data, dict):
        return {key: function(item) for key, item in data.items()}
    return [function(item) for item in data] if isinstance(data, list) else function(data)
