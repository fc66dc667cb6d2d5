"""Windows of a time series, as views of it; batches of them; and forecasts that need no training, to compare with.

In: a series (time,) or (time, features). Out: windows (count, length, ...) that share the series' memory, which fit takes as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nnfast.data.arrays import as_rows
from nnfast.data.epochs import CountsEpochs
from nnfast.data.order import permutation
from nnfast.data.source import check_batch_size
from nnfast.errors import DataError

Array = NDArray[Any]


def windows(series: Any, length: int, horizon: int = 0, stride: int = 1, rate: int = 1) -> Any:
    """Windows of `length` time steps, each `stride` steps after the one before, as a view: nothing is copied.

    series: (time,) or (time, features), numbers. Returns x (count, length[, features]); with horizon > 0 the pair x, y, where y
    (count, horizon[, features]) is what follows each window. rate: steps from one element of a window to the next. The views are
    read-only.

    Raises DataError for sizes that are no positive integers, or a series that is shorter than a window.

    >>> x, y = windows(np.arange(6), 3, horizon=1)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [[3], [4], [5]])
    """
    for name, value in (("length", length), ("stride", stride), ("rate", rate)):
        _check(f"windows({name}={value!r})", value, 1)
    _check(f"windows(horizon={horizon!r})", horizon, 0)
    array = as_rows(series, "series")
    whole = (length + horizon - 1) * rate + 1
    if len(array) < whole:
        raise DataError(
            f"windows: the series has {len(array)} time steps; windows of {length} and a horizon of {horizon} take {whole}"
        )
    both = np.moveaxis(sliding_window_view(array, whole, axis=0), -1, 1)[::stride, ::rate]
    return (both[:, :length], both[:, length:]) if horizon else both


class SeriesBatches(CountsEpochs):
    """Batches of windows and targets, cut from a series as they are asked for; what `timeseries_dataset_from_array` makes.

    It has `__len__` and `__getitem__`, so fit, evaluate and predict take it; each epoch is shuffled anew.
    """

    def __init__(self, x: Array, y: Array | None, batch_size: int | None, seed: int | None) -> None:
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.seed = seed
        self._order = self._ordered()

    def _ordered(self) -> NDArray[np.int64]:
        if self.seed is None:
            return np.arange(len(self.x))
        return permutation(len(self.x), seed=self.seed, epoch=self.epoch)

    def __len__(self) -> int:
        return len(self.x) if self.batch_size is None else -(-len(self.x) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        size = self.batch_size
        rows: Any = self._order[index] if size is None else self._order[index * size : (index + 1) * size]
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])

    def set_epoch(self, epoch: int) -> None:
        """Give the batches of this epoch from now on."""
        super().set_epoch(epoch)
        self._order = self._ordered()


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> SeriesBatches:
    """Batches of windows, as keras.utils.timeseries_dataset_from_array; memory holds the series and one batch.

    data: (time, ...). targets: (time, ...), of which targets[i] belongs to the window that begins at step i; or None for windows alone.
    sequence_length, sequence_stride, sampling_rate: as length, stride and rate of `windows`. batch_size: windows in a batch, or None for
    single ones. shuffle: another order in each epoch, from seed. start_index, end_index: the part of data that is used; the end is not.

    Raises DataError for sizes out of range.

    >>> batches = timeseries_dataset_from_array(np.arange(10), np.arange(4, 10), 4, batch_size=4)
    >>> [(x.shape, y.tolist()) for x, y in (batches[0], batches[1])]
    [((4, 4), [4, 5, 6, 7]), ((2, 4), [8, 9])]
    """
    array = as_rows(data, "data")
    begin, end = start_index or 0, len(array) if end_index is None else end_index
    if not 0 <= begin < end <= len(array):
        raise DataError(
            f"timeseries_dataset_from_array(start_index={start_index!r}, end_index={end_index!r}): expected 0 <= start < end <= {len(array)}"
        )
    x = windows(array[begin:end], sequence_length, stride=sequence_stride, rate=sampling_rate)
    y = None
    if targets is not None:
        y = as_rows(targets, "targets")[begin:end][::sequence_stride]
        x = x[: len(y)]
        y = y[: len(x)]
    size = None if batch_size is None else check_batch_size(batch_size)
    return SeriesBatches(x, y, size, (seed or 0) if shuffle else None)


def last_value(x: Any, horizon: int = 1) -> Array:
    """The forecast that nothing changes: the last value of each window, `horizon` times.

    x: windows (count, length[, features]). Returns (count, horizon[, features]).

    >>> last_value(np.array([[1.0, 2.0, 3.0]]), 2).tolist()
    [[3.0, 3.0]]
    """
    return seasonal_naive(x, horizon, season=1)


def seasonal_naive(x: Any, horizon: int = 1, season: int = 1) -> Array:
    """The forecast that all is as it was a season before: the last `season` values of each window, over and over.

    x: windows (count, length[, features]) of at least a season. Returns (count, horizon[, features]).

    Raises DataError for windows that are shorter than a season.

    >>> seasonal_naive(np.array([[1, 2, 3, 4]]), 5, season=3).tolist()
    [[2, 3, 4, 2, 3]]
    """
    array = np.asarray(x)
    _check(f"seasonal_naive(horizon={horizon!r})", horizon, 1)
    _check(f"seasonal_naive(season={season!r})", season, 1)
    if array.ndim < 2 or array.shape[1] < season:
        raise DataError(
            f"seasonal_naive: windows of shape {array.shape}; expected (count, length, ...) with a season of {season} steps at least"
        )
    places = array.shape[1] - season + np.arange(horizon) % season
    return array[:, places]


def _check(what: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{what}: expected an integer of at least {least}")
