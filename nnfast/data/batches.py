"""Training data that comes batch by batch: generators, iterables, and objects with a length that are indexed.

In: anything that gives x, (x, y) or (x, y, sample_weight), one batch at a time. Out: lists of arrays as in ArraySource,
the next ones made ready by a thread while the current one is being computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.arrays import is_array_like
from nnfast.data.prefetch import Prefetch
from nnfast.data.ragged import Padded
from nnfast.data.source import ArraySource
from nnfast.errors import DataError, DtypeError


class BatchSource:
    """Batches from the user's object.

    Args:
        data: a generator or iterator (one pass; give steps_per_epoch, or it is used up in the first epoch); an iterable
            that can be started again (one pass per epoch), such as a PyTorch DataLoader; or an object with `__len__`
            and `__getitem__(i) -> batch`, such as a Keras PyDataset, whose `on_epoch_end` is called after each epoch
            where it has one.
        input_names, target_names, check_nan: as for ArraySource.
        prefetch: how many batches a thread keeps ready; 0 works without a thread. The thread may take up to this many
            batches more from a generator than are used.

    Attributes:
        length: number of batches of an epoch, or None where it is not known.

    >>> import numpy as np
    >>> source = BatchSource([(np.zeros((2, 3)), np.zeros(2))] * 4)
    >>> source.length, len(list(source.epoch()))
    (4, 4)
    """

    def __init__(
        self,
        data: Any,
        *,
        input_names: Sequence[str] = ("x",),
        target_names: Sequence[str] = ("y",),
        check_nan: bool = False,
        prefetch: int = 2,
    ) -> None:
        self.data = data
        self.input_names = input_names
        self.target_names = target_names
        self.check_nan = check_nan
        if isinstance(prefetch, bool) or not isinstance(prefetch, int | np.integer) or prefetch < 0:
            raise DataError(
                f"BatchSource(prefetch={prefetch!r}): expected a number of batches, such as 2, or 0 for none"
            )
        self.prefetch = int(prefetch)
        self.class_weight: Mapping[int, float] | None = None
        self.length = _length(data)
        self.single_pass = isinstance(data, Iterator)
        self._running: Iterator[list[NDArray[Any]]] | None = None
        self._given = 0  # batches of the running pass
        self._dropping = False

    def with_class_weight(self, weights: Mapping[int, float]) -> BatchSource:
        """The rows of each batch are weighted by their classes from now on; see ArraySource."""
        self.class_weight = weights
        return self

    def skip(self, epochs: int, batches: int, steps: int | None = None) -> None:
        """Take and drop what an earlier run has used: whole epochs, and batches of the next, which `epoch(steps, batches)` then ends.

        Batches that are indexed are not asked for, and `on_epoch_end` is called as it was. A generator must stand at its beginning.
        """
        self._dropping = True
        try:
            for _ in range(epochs):
                for _ in self.epoch(steps):
                    pass
            begun = self.epoch(steps)
            for _ in range(batches):
                next(begun)
        finally:
            self._dropping = False

    def epoch(self, steps: int | None = None, done: int = 0) -> Iterator[list[NDArray[Any]]]:
        """The batches of one epoch: `steps` of them, or all there are; `done` of them have been taken before.

        With `steps`, the next epoch goes on where this one stopped; an iterable that ends is started again.

        Raises:
            DataError: there is no batch, or a generator ends before `steps` batches.
        """
        if steps is None and not self.single_pass and not done:
            self.close()  # a pass that was left early does not go on
        while steps is None or done < steps:
            batch = self._next()
            if batch is not None:
                done += 1
                yield batch
            elif steps is None or self.single_pass or self._given == 0:
                break  # the end; an iterable that gave something is started again to fill the steps
        if done == 0 or (steps is not None and done < steps):
            needed = "" if steps is None else f", {steps} are needed"
            raise DataError(
                f"the data ended after {done} batches of this epoch{needed}; give fewer steps_per_epoch, or an "
                "iterable that can be started again"
            )
        hook = getattr(self.data, "on_epoch_end", None)
        if callable(hook):
            hook()

    def close(self) -> None:
        """Stop the thread that makes batches ready."""
        if isinstance(self._running, Prefetch):
            self._running.close()
        self._running = None

    def _next(self) -> list[NDArray[Any]] | None:
        """The next batch of the running pass, or None at its end; starts a pass where none is running."""
        if self._running is None:
            self._running = ([] if self._dropping else self._arrays(batch) for batch in self._one_pass())
            self._given = 0
        if self.prefetch > 0 and not self._dropping and not isinstance(self._running, Prefetch):
            self._running = Prefetch(self._running, self.prefetch)
        batch = next(self._running, None)
        if batch is None:
            self.close()
        else:
            self._given += 1
        return batch

    def _one_pass(self) -> Iterator[Any]:
        """One pass over the user's batches."""
        data = self.data
        if hasattr(data, "__getitem__") and self.length is not None and not isinstance(data, list | tuple):
            return (None if self._dropping else data[index] for index in range(self.length))
        return iter(data)

    def _arrays(self, batch: Any) -> list[NDArray[Any]]:
        x, y, weight = _unpack(batch, len(self.input_names), bool(self.target_names))
        source = ArraySource(
            x,
            y,
            weight,
            input_names=self.input_names,
            target_names=self.target_names,
            check_nan=self.check_nan,
        )
        return (source.with_class_weight(self.class_weight) if self.class_weight else source).arrays


def is_batch_source(x: Any) -> bool:
    """Whether x gives batches rather than being the data itself.

    >>> is_batch_source(iter([])), is_batch_source([1, 2]), is_batch_source({"a": [1]})
    (True, False, False)
    """
    if isinstance(x, dict | str) or is_array_like(x):
        return False
    if isinstance(x, list | tuple):
        return len(x) > 0 and all(isinstance(item, tuple) and len(item) > 0 and _is_data(item[0]) for item in x)
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _is_data(x: Any) -> bool:
    """One array, or a dictionary or list of arrays."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else [x]
    return len(parts) > 0 and all(is_array_like(part) or isinstance(part, Padded) for part in parts)


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    input_names: Sequence[str] = ("x",),
    target_names: Sequence[str] = ("y",),
    check_nan: bool = False,
    need_targets: bool = True,
) -> ArraySource | BatchSource:
    """The source for what was passed to fit, evaluate or predict.

    Raises:
        DataError: targets are missing, or are given beside a source of batches, which has its own.
        DtypeError: x is no data at all.

    >>> type(make_source(iter([]))).__name__
    'BatchSource'
    """
    names = target_names if need_targets else ()
    if y is None and is_batch_source(x):
        return BatchSource(x, input_names=input_names, target_names=names, check_nan=check_nan)
    if y is not None and not isinstance(x, list | tuple) and is_batch_source(x):
        raise DataError(
            f"y was given beside x of type {type(x).__name__}, whose batches have their own targets; leave y out"
        )
    if x is None or isinstance(x, str):
        raise DtypeError(f"x={x!r}: expected arrays, or something that gives batches")
    if need_targets and y is None:
        raise DataError("y is missing: x is an array, so the targets must be given as y")
    return ArraySource(x, y, sample_weight, input_names=input_names, target_names=names, check_nan=check_nan)


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _unpack(batch: Any, inputs: int, need_targets: bool) -> tuple[Any, Any, Any]:
    """x, y and weights of a batch; a list counts as a tuple unless it is the list of inputs of a prediction."""
    is_list_of_inputs = isinstance(batch, list) and not need_targets and len(batch) == inputs > 1
    if not isinstance(batch, tuple | list) or is_list_of_inputs:
        parts: tuple[Any, ...] = (batch,)
    else:
        parts = tuple(batch)
    if not 1 <= len(parts) <= 3:
        raise DataError(f"a batch has {len(parts)} parts; expected x, (x, y) or (x, y, sample_weight)")
    x, y, weight = (*parts, None, None)[:3]
    if need_targets and y is None:
        raise DataError("a batch has no targets; expected (x, y) or (x, y, sample_weight)")
    return x, y, weight
