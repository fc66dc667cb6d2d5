"""From one thing a user calls an array to a NumPy array that a plan can read row by row.

In: NumPy arrays and memory maps, nested lists, anything with the buffer protocol, `__array__`, `__array_interface__` or
DLPack. Out: an array of a supported dtype whose rows are each contiguous. Copies are made only where that asks for one.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.boundary import refuse_unfolded
from nnfast.errors import DataError, DtypeError

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
_CHUNK = 1 << 20  # elements looked at in one go by the checks, so that a memory map is not read whole


def is_array_like(x: Any) -> bool:
    """Whether x is one array by itself, as opposed to a list, tuple, dict, generator or batch source.

    >>> is_array_like(memoryview(b"12")), is_array_like([1, 2])
    (True, False)
    """
    if isinstance(x, np.ndarray | np.generic | bytes | bytearray | memoryview):
        return True
    if any(hasattr(x, name) for name in ("__array__", "__array_interface__", "__dlpack__")):
        return True
    return _buffer(x) is not None


def as_rows(x: Any, name: str) -> NDArray[Any]:
    """The array for x, each of whose rows `a[i]` is contiguous, aligned and in the machine's byte order.

    Args:
        x: array of shape (rows, ...) in any of the forms above.
        name: what to call it in an error.

    Raises:
        DtypeError: x holds objects, text, complex numbers or no numbers at all.
        DataError: x has no axis, has masked elements, or would have to be copied and repeats few elements over gigabytes.

    >>> as_rows([[1.0, 2.0], [3.0, 4.0]], "x").shape
    (2, 2)
    """
    array = _to_array(x, name)
    if array.dtype.name not in DTYPES:
        raise DtypeError(_dtype_message(array, x, name))
    if array.ndim == 0:
        raise DataError(f"{name} is the single number {array[()]!r}: expected an array with one row per sample")
    if not array.dtype.isnative or not array.flags.aligned or not _rows_contiguous(array):
        refuse_unfolded(array, name)
        return np.array(array, array.dtype.newbyteorder("="), order="C", subok=False)
    return array.view(np.ndarray)


def find_not_finite(array: NDArray[Any]) -> int | None:
    """The first row with a NaN or an infinity, or None.

    >>> import numpy as np
    >>> find_not_finite(np.array([[1.0, 2.0], [3.0, np.nan]]))
    1
    """
    if array.dtype.kind != "f" or array.size == 0:
        return None
    step = max(1, _CHUNK // max(1, array[0].size))
    for first in range(0, len(array), step):
        chunk = array[first : first + step]
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not finite.all():
            return first + int(np.argmin(finite))
    return None


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise where an array has a NaN or an infinity, naming the row.

    Raises:
        DataError: there is one.
    """
    row = find_not_finite(array)
    if row is not None:
        raise DataError(f"{name}: row {row} has a NaN or an infinity; remove or fill such rows")


def _to_array(x: Any, name: str) -> NDArray[Any]:
    known = "numpy.ma" in sys.modules  # importing it takes 7 ms, and who has a masked array has done so
    if known and isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError(f"{name} is a masked array with masked elements; fill them first, as in {name}.filled(0)")
    if isinstance(x, np.ndarray):
        return x
    try:
        buffer = _buffer(x)
        if buffer is not None and not hasattr(x, "__array__"):
            return np.asarray(buffer)
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__") and not hasattr(x, "__array_interface__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise DtypeError(
            f"{name} of type {type(x).__name__} does not become an array ({error}); "
            "expected numbers in rows of equal length"
        ) from error


def _buffer(x: Any) -> memoryview | None:
    try:
        return memoryview(x)
    except TypeError:
        return None


def _rows_contiguous(array: NDArray[Any]) -> bool:
    """C-contiguous beyond axis 0; the stride from row to row may be anything."""
    expected = array.itemsize
    for extent, stride in zip(reversed(array.shape[1:]), reversed(array.strides[1:]), strict=True):
        if extent == 0:
            return True
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def _dtype_message(array: NDArray[Any], x: Any, name: str) -> str:
    if hasattr(x, "toarray"):
        return f"{name} is a sparse matrix ({type(x).__name__}); pass {name}.toarray()"
    if array.dtype == object:
        return (
            f"{name} becomes an array of Python objects, so its rows have different lengths or hold text or None; "
            "expected numbers in rows of equal length"
        )
    return f"{name} has dtype {array.dtype}; expected one of {', '.join(DTYPES)}"
