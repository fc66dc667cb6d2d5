"""Arrays larger than memory, from files: shuffled by blocks, so that a disk reads runs and not single rows.

In: memory maps (`numpy.load(..., mmap_mode="r")`, `numpy.memmap`) or arrays. Out: batches, as an object with a length that is
indexed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import as_rows
from nnfast.data.epochs import CountsEpochs
from nnfast.data.order import permutation
from nnfast.data.source import check_batch_size
from nnfast.errors import DataError


class BlockShuffled(CountsEpochs):
    """Batches of rows in an order that is random over blocks of rows, and random inside groups of blocks.

    Blocks of consecutive rows are put in a random order; `blocks_at_once` of them are read together, their rows mixed and cut
    into batches. Reads are runs of `block_rows` rows, and memory holds one group.

    Args:
        x: array or memory map of shape (rows, ...).
        y: targets of shape (rows, ...), or None.
        batch_size: rows in a batch.
        block_rows: rows of a block.
        blocks_at_once: blocks whose rows are mixed.
        seed: of the order; each epoch has another one.

    Raises:
        DataError: no rows, different lengths, or a size that is not a positive integer.
        DtypeError: something that does not become numbers.

    >>> data = BlockShuffled(np.arange(10), batch_size=4, block_rows=2, blocks_at_once=2)
    >>> len(data), sorted(np.concatenate([data[i] for i in range(3)]).tolist()) == list(range(10))
    (3, True)
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        block_rows: int = 256,
        blocks_at_once: int = 16,
        seed: int = 0,
    ) -> None:
        self.arrays = [as_rows(x, "x"), *([as_rows(y, "y")] if y is not None else [])]
        self.rows = len(self.arrays[0])
        if self.rows == 0:
            raise DataError("the data are empty: x has 0 rows; at least one is needed")
        if len(self.arrays[-1]) != self.rows:
            raise DataError(f"arrays of different lengths (x: {self.rows}, y: {len(self.arrays[-1])})")
        for name, value in (("block_rows", block_rows), ("blocks_at_once", blocks_at_once)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise DataError(f"{name}={value!r}: expected a positive integer")
        self.batch_size = check_batch_size(batch_size)
        self.block_rows = block_rows
        self.blocks_at_once = blocks_at_once
        self.seed = seed
        self._group: tuple[int, int, list[NDArray[Any]]] | None = None  # epoch, number, mixed rows

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of this epoch: x, or (x, y)."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first, last = index * self.batch_size, min((index + 1) * self.batch_size, self.rows)
        parts: list[list[NDArray[Any]]] = []
        while first < last:
            begin, group = self._group_of(first)
            end = min(last, begin + len(group[0]))
            parts.append([array[first - begin : end - begin] for array in group])
            first = end
        batch = [arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return batch[0] if len(batch) == 1 else tuple(batch)

    def _group_of(self, row: int) -> tuple[int, list[NDArray[Any]]]:
        """The group that holds position `row` of the epoch's order: its first position, and its rows, mixed."""
        blocks = -(-self.rows // self.block_rows)
        order = permutation(blocks, self.seed, self.epoch)
        sizes = np.minimum(self.block_rows, self.rows - order * self.block_rows)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        number = int(np.searchsorted(starts, row, side="right") - 1) // self.blocks_at_once
        begin = int(starts[number * self.blocks_at_once])
        if self._group is None or self._group[:2] != (self.epoch, number):
            chosen = order[number * self.blocks_at_once : (number + 1) * self.blocks_at_once]
            slices = [slice(block * self.block_rows, (block + 1) * self.block_rows) for block in chosen.tolist()]
            rows = [np.concatenate([array[part] for part in slices]) for array in self.arrays]
            mixed = permutation(len(rows[0]), self.seed, self.epoch * blocks + number + 1)
            self._group = self.epoch, number, [array[mixed] for array in rows]
        return begin, self._group[2]
