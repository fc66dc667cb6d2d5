"""Windows of long series, one after the other, for layers that keep their states: truncated backpropagation through time.

In: one long series, or several of one length. Out: batches, as an object with a length that is indexed; row i of a batch goes on where row i
of the batch before ended.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.data.arrays import as_rows
from nnfast.data.source import check_batch_size
from nnfast.errors import DataError


class ConsecutiveWindows:
    """Batches (batch_size, window, ...) that follow each other in time, for `stateful=True` layers and fit, evaluate or predict.

    The series is cut into batch_size parts of equal length, which run beside each other; batch k has window k of each. Layers carry their
    states from batch to batch, gradients end at the window's first step (Williams and Peng 1990). States begin with zeros in each epoch.

    Args:
        x: (time, ...); or with batch_size None (rows, time, ...), whose rows are the parts.
        y: targets of all steps, as long as x; by default the next step of x, for models that foretell their input.
        window: steps between two ends of gradients.
        batch_size: parts.
        last: targets of a window's last step alone, for layers that give their last output.

    Steps at the end that fill no window are left out. Raises DataError where nothing is left, or y has another length.

    >>> data = ConsecutiveWindows(np.arange(13), window=2, batch_size=2)
    >>> [x.tolist() for x, _ in (data[i] for i in range(len(data)))]
    [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]
    >>> data[2][1].tolist()
    [[5, 6], [11, 12]]
    """

    resets_state = True

    def __init__(
        self, x: Any, y: Any = None, window: int = 100, batch_size: int | None = 32, last: bool = False
    ) -> None:
        if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 1:
            raise DataError(f"window={window!r}: expected a positive integer")
        rows = as_rows(x, "x")
        if batch_size is None and rows.ndim < 2:
            raise DataError(
                f"x has the shape {list(rows.shape)}: expected (rows, time, ...), or a batch_size to cut it"
            )
        shift = 1 if y is None else 0
        targets = rows if y is None else as_rows(y, "y")
        axis = 0 if batch_size is not None else 1
        if targets.ndim <= axis or targets.shape[: axis + 1] != rows.shape[: axis + 1]:
            raise DataError(
                f"y has the shape {list(targets.shape)}, x {list(rows.shape)}: expected one target per step"
            )
        steps = rows.shape[axis] - shift
        if batch_size is not None:
            steps //= check_batch_size(batch_size)
        self.window, self.last = int(window), bool(last)
        self.length = steps // self.window
        if not self.length:
            raise DataError(
                f"{rows.shape[axis]} steps in {batch_size or len(rows)} rows make no window of {window}: give a smaller one, or fewer rows"
            )
        self.x, self.y = (_parts(part, batch_size, steps, first) for part, first in ((rows, 0), (targets, shift)))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        """Windows number `index`, and their targets."""
        if not 0 <= index < self.length:
            raise IndexError(f"batch {index} of {self.length}")
        first, end = index * self.window, (index + 1) * self.window
        y = self.y[:, end - 1] if self.last else self.y[:, first:end]
        return np.ascontiguousarray(self.x[:, first:end]), np.ascontiguousarray(y)


def _parts(series: np.ndarray, batch_size: int | None, steps: int, first: int) -> np.ndarray:
    """A view (parts, steps, ...) from this step on."""
    if batch_size is None:
        return series[:, first : first + steps]
    return series[first : first + batch_size * steps].reshape(batch_size, steps, *series.shape[1:])
