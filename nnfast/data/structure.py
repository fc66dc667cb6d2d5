"""From what a user passes as x, y or sample_weight to one array per input or output of the model, in the model's order.

In: an array, or a list, tuple or dict of arrays. Out: a list of arrays as `as_rows` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import as_rows, is_array_like
from nnfast.errors import DataError, unknown_name


def as_row_list(data: Any, names: Sequence[str], argument: str) -> list[NDArray[Any]]:
    """One array per name.

    Args:
        data: one array where there is one name; else a list or tuple in the order of names, or a dict by name. A list
            of numbers, or of rows, is one array where there is one name.
        names: the names of the model's inputs or outputs.
        argument: "x" or "y", for errors.

    Raises:
        DataError: the number of arrays differs from the number of names, or a name is missing in a dict.
        UnknownNameError: a name in a dict is none of names.

    >>> [a.tolist() for a in as_row_list({"left": [1], "right": [2]}, ["right", "left"], "x")]
    [[2], [1]]
    """
    if isinstance(data, Mapping):
        return [as_rows(part, f"{argument}[{name!r}]") for name, part in _by_name(data, names, argument).items()]
    parts = _parts(data, len(names))
    if len(parts) != len(names):
        raise DataError(f"{argument} has {len(parts)} arrays; the model takes {len(names)}: {', '.join(names)}")
    if len(parts) == 1:
        return [as_rows(parts[0], argument)]
    return [as_rows(part, f"{argument}[{index}] ({names[index]})") for index, part in enumerate(parts)]


def as_weight_list(data: Any, names: Sequence[str], rows: int) -> list[NDArray[Any]]:
    """One array of weights per output; empty where there are no weights.

    Args:
        data: None; one array for all outputs; a list, tuple or dict of arrays, with None or no entry for weights of 1.
        names: the names of the model's outputs.
        rows: number of rows of the targets.
    """
    if data is None:
        return []
    if isinstance(data, Mapping):
        _known(data, names, "sample_weight")
        parts = [data.get(name) for name in names]
    else:
        parts = _parts(data, len(names))
        if len(parts) == 1:
            return [as_rows(parts[0], "sample_weight")] * len(names)
        if len(parts) != len(names):
            raise DataError(
                f"sample_weight has {len(parts)} arrays; the model has {len(names)} outputs: {', '.join(names)}"
            )
    ones = np.ones(rows, dtype=np.float32)
    labels = [f"sample_weight[{name!r}]" for name in names]
    return [ones if part is None else as_rows(part, label) for part, label in zip(parts, labels, strict=True)]


def _parts(data: Any, count: int) -> list[Any]:
    """The arrays in data: the items of a list of arrays, else data itself."""
    if not isinstance(data, list | tuple) or all(_is_number(item) for item in data):
        return [data]
    if count > 1:
        return list(data)
    return list(data) if len(data) == 1 and is_array_like(data[0]) else [data]


def _is_number(item: Any) -> bool:
    return item is not None and not isinstance(item, list | tuple | Mapping) and np.ndim(item) == 0


def _by_name(data: Mapping[str, Any], names: Sequence[str], argument: str) -> dict[str, Any]:
    _known(data, names, argument)
    missing = [name for name in names if name not in data]
    if missing:
        raise DataError(f"{argument} lacks {', '.join(map(repr, missing))}; it has {', '.join(map(repr, data))}")
    return {name: data[name] for name in names}


def _known(data: Mapping[str, Any], names: Sequence[str], argument: str) -> None:
    for name in data:
        if name not in names:
            raise unknown_name(f"name in {argument}", name, names)
