"""Input: where the data of a model come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import config
from nnfast.errors import DtypeError, NnfastError
from nnfast.layers.base import unique_name
from nnfast.layers.symbol import Symbol


def Input(
    shape: Sequence[int | None], batch_size: int | None = None, dtype: str | None = None, name: str | None = None
) -> Symbol:
    """A symbol for data of this shape (without the batch); None for a size that differs from batch to batch, as in Input((None, 8)) for
    sequences: each size that is met gets a plan. dtype: "float32" (default), "float64" or "int32"; of the other types of NumPy,
    small integers count as the default (they are converted row by row), large ones as "int32".

    >>> Input((784,)).shape
    (None, 784)
    """
    if isinstance(shape, int):
        shape = (shape,)
    if isinstance(shape, str) or any(not _is_size(extent) for extent in shape):
        raise NnfastError(
            f"Input(shape={tuple(shape)}): expected positive integers, or None for a size that is not fixed; the batch is not part of the shape"
        )
    return Symbol(
        (None, *(None if extent is None else int(extent) for extent in shape)),
        _input_dtype(dtype),
        name or unique_name("input"),
    )


def _is_size(extent: Any) -> bool:
    return extent is None or (
        isinstance(extent, int | np.integer) and not isinstance(extent, bool) and bool(extent >= 1)
    )


def _input_dtype(dtype: Any) -> str:
    try:
        given = np.dtype(dtype or config.floatx())
    except TypeError:
        given = np.dtype(object)
    if given.name in ("float32", "float64", "int32"):
        return given.name
    if given.kind not in "biuf":
        raise DtypeError(f"Input(dtype={dtype!r}): expected 'float32', 'float64' or 'int32'")
    return "int32" if given.kind in "iu" and given.itemsize >= 4 else config.floatx()
