"""Lists of sequences of different lengths in fit, evaluate and predict: batches of similar lengths on the way in, rows in their order on
the way out.

In: what a user passes as x, y, sample_weight. Out: BucketedBatches where x has such sequences, else what was passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast.data import BucketedBatches, Padded, Ragged, is_batch_source, is_ragged
from nnfast.errors import DataError
from nnfast.graph.ir import FLOATS
from nnfast.layers.symbol import is_open


def in_buckets(
    model: Any, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool = False, epoch: int = 0
) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight), or (BucketedBatches, None, None) where x has sequences of different lengths."""
    if isinstance(x, BucketedBatches) or (y is None and is_batch_source(x)):
        return x, y, sample_weight
    several = len(model.inputs or [x]) > 1 or isinstance(x, dict)
    found = _marked(x) if several else x
    if not (is_ragged(found) or (several and any(isinstance(item, Ragged) for item in _items(found)))):
        return x, y, sample_weight
    given = [found.get(name) for name in model.input_names_for(found)] if isinstance(found, dict) else _items(found)
    given = given if several else [found]
    symbols = [symbol for symbol, item in zip(model.inputs or [], given, strict=False) if is_ragged(item)]
    if any(len(s.shape) < 2 or (len(s.shape) == 2 and s.shape[1] is not None and s.dtype in FLOATS) for s in symbols):
        return x, y, sample_weight  # rows of numbers, not sequences: nothing is put behind them
    lengths = [symbol.shape[1] for symbol in symbols if symbol.shape[1] is not None]
    options: dict[str, Any] = {"shuffle": bool(shuffle), "seed": model.state.seed if shuffle else 0}
    if lengths:  # the model takes sequences of one length
        longest = max(len(sequence) for item in given if is_ragged(item) for sequence in _sequences(item))
        if longest > min(lengths):
            raise DataError(
                f"a sequence has {longest} steps, the model {model.name} takes {min(lengths)}: cut it, or build the model with Input((None, ...))"
            )
        options["buckets"] = [min(lengths)]
    data = BucketedBatches(found, _marked(y) if isinstance(y, dict) else y, sample_weight, batch_size, **options)
    data.epoch = epoch
    return data, None, None


def reset_where_asked(model: Any, source: Any) -> None:
    """Data whose batches go on with those before (resets_state) begin with states of zeros."""
    if getattr(getattr(source, "data", None), "resets_state", False):
        model.reset_state()


def _items(x: Any) -> list[Any]:
    return list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, list | tuple) else [x]


def _sequences(item: Any) -> Sequence[Any]:
    return item.sequences if isinstance(item, Ragged) else item


def _marked(data: Any) -> Any:
    """Ragged in place of lists of sequences, in a list or dictionary of inputs."""
    if isinstance(data, dict):
        return {key: Ragged(item, key) if is_ragged(item) else item for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [Ragged(item, f"x[{i}]") if is_ragged(item) else item for i, item in enumerate(data)]
    return data


def in_order(model: Any, data: BucketedBatches, parts: Sequence[Sequence[np.ndarray]]) -> list[Any]:
    """The outputs of all batches in the order of the rows: an array, or where their lengths are not fixed, a list of arrays, of which those
    as long as the batch's input end where their sequences do."""
    found = []
    for arrays, shape in zip(zip(*parts, strict=True), model.output_shapes, strict=True):
        rows: list[Any] = [None] * data.rows
        for index, array in enumerate(arrays):
            batch = data[index]
            x = next(item for item in _items(batch if data.y is None else batch[0]) if isinstance(item, Padded))
            follows = is_open(shape) and array.shape[1] == x.shape[1]
            for place, row in enumerate(data.rows_of(index)):
                rows[row] = array[place, : x.lengths[place]] if follows else array[place]
        found.append(rows if is_open(shape) else np.stack(rows))
    return found


def joined(parts: Sequence[Sequence[np.ndarray]]) -> list[Any]:
    """The outputs of batches as they came: an array, or where lengths differ, a list of rows."""
    found: list[Any] = []
    for arrays in zip(*parts, strict=True):
        same = len({array.shape[1:] for array in arrays}) == 1
        found.append(np.concatenate(arrays) if same else [row for array in arrays for row in array])
    return found
