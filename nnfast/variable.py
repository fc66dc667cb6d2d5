"""A tensor that lives between steps: a weight, optimizer state, counters.

In: an initial value. Out: `storage`, flat memory that plans read and write in place. With layout "panel" a
matrix (of more axes: the matrix of the last one) is stored in the 16-column panels that the product kernels read; `numpy()` and `assign` convert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np

from nnfast._core.calls import note_change
from nnfast._core.runtime import Memory
from nnfast.errors import DtypeError, ModelFileError, ShapeError
from nnfast.graph.ir import MOST_ELEMENTS
from nnfast.ops.registry import stored_size

DTYPES = ("float32", "float64", "int32", "int64")

_left: ContextVar[list[int] | None] = ContextVar("nnfast_bytes_left", default=None)


@contextmanager
def weights_of_at_most(nbytes: int) -> Iterator[None]:
    """Inside this block new variables may have so many bytes together; a file's configuration cannot ask for more than the file holds.

    >>> with weights_of_at_most(8):
    ...     v = Variable((2,))
    """
    token = _left.set([nbytes])
    try:
        yield
    finally:
        _left.reset(token)


class Variable:
    """A mutable tensor.

    shape: sizes; dtype: "float32", "float64", "int32" or "int64"; initializer: an array, a number, or a function of
    (shape, dtype); layout: "row" or, with two axes or more, "panel"; home: new memory and an offset in it, in place of memory of its own.

    >>> import numpy as np
    >>> v = Variable((2, 2), initializer=np.eye(2))
    >>> v.assign([[1, 2], [3, 4]])
    >>> v.numpy().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    _nnfast_variable = True

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: str = "float32",
        initializer: Any = 0.0,
        name: str = "variable",
        trainable: bool = True,
        layout: str = "row",
        regularizer: Callable[[Any], Any] | None = None,
        home: tuple[Memory, int] | None = None,
    ) -> None:
        self.shape = tuple(int(extent) for extent in shape)
        self.dtype = str(np.dtype(dtype))
        if self.dtype not in DTYPES:
            raise DtypeError(f"Variable(dtype={dtype!r}): expected one of {', '.join(DTYPES)}")
        if any(extent < 0 for extent in self.shape):
            raise ShapeError(f"Variable(shape={list(shape)}): sizes must not be negative")
        if self.size > MOST_ELEMENTS:
            raise ShapeError(
                f"{name}: shape {list(self.shape)} has more than 2^56 elements, which no memory holds; look for a size that is wrong"
            )
        if layout not in ("row", "panel") or (layout == "panel" and len(self.shape) < 2):
            raise ShapeError(
                f"Variable(layout={layout!r}): expected 'row', or 'panel' for two axes or more; the shape is {list(self.shape)}"
            )
        left = _left.get()
        if left is not None:
            left[0] -= self.size * np.dtype(self.dtype).itemsize
            if left[0] < 0:
                raise ModelFileError(
                    f"{name} {self.dtype}{list(self.shape)}: the weights need more bytes than the file has for them"
                )
        self.layout = layout
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.home: Any = None  # the memory that owns the storage
        self.storage: np.ndarray = np.empty(0)
        try:
            self.move_to(*(home or (Memory(max(self.stored_bytes, 64)), 0)))
            if callable(initializer) or np.ndim(initializer) or initializer != 0:  # new memory is zero
                self.assign(initializer(self.shape, self.dtype) if callable(initializer) else initializer)
        except MemoryError:
            raise MemoryError(
                f"{name}: no memory for {self.stored_bytes:,} bytes, {self.dtype} {list(self.shape)}; "
                "make the layer smaller, or free memory"
            ) from None

    @property
    def trainable(self) -> bool:
        """Whether fit changes the content."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        note_change()

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes in memory; panels are padded to 16 columns."""
        return stored_size(self) * np.dtype(self.dtype).itemsize  # type: ignore[arg-type]

    @property
    def address(self) -> int:
        return int(self.storage.ctypes.data)

    def move_to(self, memory: Any, offset: int) -> None:
        """Keep the content in another piece of memory from now on."""
        count = self.stored_bytes // np.dtype(self.dtype).itemsize
        storage = np.frombuffer(memory, self.dtype, count, offset)
        if self.storage.size:
            storage[:] = self.storage
        self.storage = storage
        self.home = memory
        note_change()

    def numpy(self) -> np.ndarray:
        """A copy of the content, row-major."""
        if self.layout == "row":
            return self.storage.reshape(self.shape).copy()
        rows, columns = prod(self.shape[:-1]), self.shape[-1]
        panels = self.storage.reshape(-(-columns // 16), rows, 16)
        whole = panels.transpose(1, 0, 2).reshape(rows, -(-columns // 16) * 16)
        # a copy: a single panel of 16 columns is still the variable's own memory
        return whole[:, :columns].copy(order="C").reshape(self.shape)

    def assign(self, value: Any) -> None:
        """Replace the content by an array or number of the variable's shape."""
        array = np.asarray(value)
        if array.shape != self.shape and array.ndim:
            raise ShapeError(f"{self.name}.assign: expected shape {list(self.shape)}, got {list(array.shape)}")
        if array.dtype.kind not in "biuf":
            raise DtypeError(f"{self.name}.assign: expected numbers, got dtype {array.dtype}")
        if self.layout == "row":
            self.storage.reshape(self.shape)[...] = array
            return
        rows, columns = prod(self.shape[:-1]), self.shape[-1]
        count = -(-columns // 16)
        padded = np.zeros((rows, count * 16), self.dtype)
        padded[:, :columns] = array.reshape(rows, columns) if array.ndim else array
        self.storage.reshape(count, rows, 16)[...] = padded.reshape(rows, count, 16).transpose(1, 0, 2)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name} {self.dtype}{list(self.shape)}>"

    __array_ufunc__ = None
