"""Sequences of different lengths: as lists of arrays (Ragged), and padded into one array that knows what counts (Padded).

In: what a user has: lists of sequences. Out: arrays for a batch, and masks, which a step gives to the layers behind its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import DTYPES, is_array_like
from nnfast.errors import DataError, DtypeError


class Mask(np.ndarray):
    """Which places of an input count, bool (rows, time): an array among those of a batch, known by its class.

    >>> Mask.of(np.array([1, 2]), 3, place=0).tolist()
    [[True, False, False], [True, True, False]]
    """

    place: int  # of the input that it belongs to

    @classmethod
    def of(cls, lengths: NDArray[Any], time: int, place: int) -> Mask:
        """The mask of sequences of these lengths."""
        mask = (np.arange(time) < np.asarray(lengths)[:, None]).view(cls)
        mask.place = place
        return mask

    def __array_finalize__(self, obj: Any) -> None:
        self.place = getattr(obj, "place", 0)


class Padded:
    """Sequences in one array, and how long each is: x for fit, evaluate, predict and the calls on one batch.

    The layers behind the input are given the mask; losses and metrics leave out what they say is padding.

    Args:
        array: (rows, time, ...), each sequence from place 0 on.
        lengths: whole numbers (rows,), from 1 to time.

    Raises:
        DataError: the lengths are not such numbers.

    >>> Padded(np.zeros((2, 3)), [1, 3]).shape
    (2, 3)
    """

    def __init__(self, array: Any, lengths: Any) -> None:
        self.array, self.lengths = np.asarray(array), np.asarray(lengths)
        if self.array.ndim < 2:
            raise DataError(f"Padded: array has the shape {list(self.array.shape)}; expected (rows, time, ...)")
        if self.lengths.shape != self.array.shape[:1] or self.lengths.dtype.kind not in "iu":
            raise DataError(
                f"Padded: lengths are {self.lengths.dtype}{list(self.lengths.shape)}; expected whole numbers [{len(self.array)}], one per row"
            )
        time = self.array.shape[1]
        wrong = (self.lengths < 1) | (self.lengths > time)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(f"Padded: row {row} has length {self.lengths[row]}; expected 1 to {time}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype


class Ragged:
    """Sequences of different lengths, kept as they are; BucketedBatches makes batches of them.

    Args:
        sequences: arrays or lists of numbers, each (time, ...) with at least one step; the sizes behind time are those of the first.
        name: what to call them in an error.

    Raises:
        DataError: there is none, one is empty, or has other sizes than the first.
        DtypeError: one is not made of numbers.

    >>> data = Ragged([[1, 2, 3], [4]])
    >>> len(data), data.lengths.tolist(), data.pad([1, 0], 3).tolist()
    (2, [3, 1], [[4, 0, 0], [1, 2, 3]])
    """

    def __init__(self, sequences: Any, name: str = "x") -> None:
        self.name = name
        given: Any = sequences.sequences if isinstance(sequences, Ragged) else sequences
        self.sequences: list[NDArray[Any]] = [_sequence(item, i, name) for i, item in enumerate(given)]
        if not self.sequences:
            raise DataError(f"{name} has no sequences; at least one is needed")
        first = self.sequences[0]
        for i, item in enumerate(self.sequences):
            if item.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"{name}: sequence {i} has steps of shape {list(item.shape[1:])}, sequence 0 of {list(first.shape[1:])}"
                )
        self.lengths = np.array([len(item) for item in self.sequences], np.int64)
        self.dtype = np.result_type(*{item.dtype for item in self.sequences})

    def __len__(self) -> int:
        return len(self.sequences)

    def part(self, first: int, last: int) -> Ragged:
        """Sequences first .. last - 1."""
        return Ragged(self.sequences[first:last], self.name)

    def pad(self, rows: Any, time: int, value: float = 0) -> NDArray[Any]:
        """These sequences in an array (rows, time, ...), with `value` behind their ends."""
        found = np.full((len(rows), time, *self.sequences[0].shape[1:]), value, self.dtype)
        for place, row in enumerate(rows):
            item = self.sequences[row]
            found[place, : len(item)] = item
        return found


def ragged(sequences: Any) -> Ragged:
    """Mark sequences of different lengths, where a list could mean something else: among several inputs, or of equal lengths.

    >>> len(ragged([[1, 2], [3]]))
    2
    """
    return Ragged(sequences)


def is_ragged(x: Any) -> bool:
    """Are these sequences of different lengths?

    >>> is_ragged([[1, 2], [3]]), is_ragged([[1, 2], [3, 4]]), is_ragged([1, 2])
    (True, False, False)
    """
    if isinstance(x, Ragged):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype == object and x.ndim == 1 and is_ragged(list(x))
    if not isinstance(x, list | tuple) or len(x) < 2:
        return False
    try:
        return all(isinstance(item, list | tuple) or is_array_like(item) for item in x) and len(set(map(len, x))) > 1
    except TypeError:  # arrays without an axis
        return False


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> NDArray[Any]:
    """One array (sequences, maxlen, ...) of sequences of different lengths. Equal to Keras' function of that name.

    Args:
        sequences: arrays or lists of numbers, each (time, ...).
        maxlen: the length of all; by default that of the longest.
        dtype: of the result.
        padding: "pre" or "post": on which side `value` is put to short ones.
        truncating: on which side long ones lose steps.
        value: of padding.

    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2, padding="post").tolist()
    [[2, 3], [4, 0]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"pad_sequences({name}={side!r}): expected 'pre' or 'post'")
    arrays = [np.asarray(item) for item in sequences]
    sizes = next((item.shape[1:] for item in arrays if len(item)), ())
    time = max(map(len, arrays), default=0) if maxlen is None else maxlen
    found = np.full((len(arrays), time, *sizes), value, dtype)
    for row, item in zip(found, arrays, strict=True):
        if not len(item) or not time:
            continue
        if item.shape[1:] != sizes:
            raise DataError(f"pad_sequences: steps of shape {list(item.shape[1:])} beside {list(sizes)}")
        kept = item[-time:] if truncating == "pre" else item[:time]
        row[slice(time - len(kept), time) if padding == "pre" else slice(len(kept))] = kept
    return found


def _sequence(item: Any, i: int, name: str) -> NDArray[Any]:
    array = np.asarray(item)
    if array.dtype.name not in DTYPES:
        raise DtypeError(f"{name}: sequence {i} becomes an array of {array.dtype}; expected numbers")
    if array.ndim == 0 or not len(array):
        raise DataError(f"{name}: sequence {i} has no steps; expected (time, ...) with at least one: leave it out")
    return array


def lengths_of(sequences: Sequence[Ragged]) -> NDArray[np.int64]:
    """The length of each row: of its longest sequence."""
    return np.max([item.lengths for item in sequences], axis=0)
