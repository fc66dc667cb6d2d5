"""Batches of images or sound changed at random, made ready in a thread while the model trains.

In: arrays and layers of nnfast.layers. Out: AugmentedData, an object with a length that is indexed, for `fit`. The layers run as one plan in
compiled code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import config, ops, passes
from nnfast.data import CountsEpochs, as_rows, check_batch_size, permutation
from nnfast.errors import DataError
from nnfast.graph.ir import FLOATS, Graph
from nnfast.graph.trace import tracing
from nnfast.layers.base import Layer
from nnfast.layers.mixing import Mixing
from nnfast.ops.random import COUNTERS, ITERATION, SEED
from nnfast.plan.plan import Plan, build
from nnfast.variable import Variable


class AugmentedData(CountsEpochs):
    """Rows of arrays in batches, each passed through layers as in training.

    Where layers such as RandomFlip stand in the model itself, they are part of its step; here a thread prepares the next batches meanwhile,
    and MixUp and CutMix can change labels too. Batch i of epoch e is a function of the data, the seed and the layers alone; a layer
    without a seed of its own gets its stream of random numbers when it is made, so call set_random_seed before.

    Args:
        x: array of shape (rows, ...), floats or integers (uint8 images).
        y: targets, one per row, or None. With MixUp or CutMix: class labels, or rows of probabilities.
        layers: in their order; those that act in training only do so.
        batch_size: rows of a batch; the last one may be smaller.
        shuffle: another order in each epoch.
        seed: of the order and of the layers' draws.
        classes: number of classes, for labels that MixUp or CutMix mix; the greatest label + 1 unless given.

    Raises:
        DataError: no rows, different lengths, or no labels to mix.
        DtypeError: something that does not become numbers.

    >>> from nnfast import layers
    >>> data = AugmentedData(np.zeros((5, 8, 8, 3), "uint8"), np.arange(5), [layers.RandomFlip()], batch_size=2)
    >>> len(data), data[0][0].shape, data[0][0].dtype.name
    (3, (2, 8, 8, 3), 'float32')
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        layers: Sequence[Layer] = (),
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        classes: int | None = None,
    ) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise DataError(f"layers: expected layers such as layers.RandomFlip(), got {layer!r}")
        self.x = as_rows(x, "x")
        self.y = None if y is None else as_rows(y, "y")
        if len(self.x) == 0:
            raise DataError("the data are empty: x has 0 rows; at least one is needed")
        if self.y is not None and len(self.y) != len(self.x):
            raise DataError(f"arrays of different lengths (x: {len(self.x)}, y: {len(self.y)})")
        self.layers = list(layers)
        self.batch_size = check_batch_size(batch_size)
        self.shuffle, self.seed = shuffle, seed
        self.dtype = str(self.x.dtype) if str(self.x.dtype) in FLOATS else config.floatx()
        self._mixes = any(isinstance(layer, Mixing) for layer in self.layers)
        if self._mixes:
            self.y = self._probabilities(classes)
        self._counters = Variable((COUNTERS,), "int64", 0, "counters", trainable=False)
        self._plans: dict[int, Plan] = {}

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of this epoch: x, or (x, y)."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first, last = index * self.batch_size, min((index + 1) * self.batch_size, len(self.x))
        rows: Any = slice(first, last)
        if self.shuffle:
            rows = permutation(len(self.x), self.seed, self.epoch)[first:last]
        feeds = [np.ascontiguousarray(self.x[rows], self.dtype)]
        if self._mixes:
            assert self.y is not None
            feeds.append(self.y[rows])
        plan = self._plans.get(last - first)
        if plan is None:
            plan = self._plans[last - first] = self._plan(feeds)
        self._counters.storage[SEED] = self.seed
        self._counters.storage[ITERATION] = self.epoch * len(self) + index
        found = plan.call(feeds)
        if self.y is None:
            return found[0]
        return found[0], found[1] if self._mixes else self.y[rows]

    def _plan(self, feeds: list[Any]) -> Plan:
        graph = Graph()
        with tracing(graph, True, self._counters):
            values = [graph.input(array.shape, str(array.dtype)) for array in feeds]
            x, y = values[0], values[1] if self._mixes else None
            for layer in self.layers:
                if isinstance(layer, Mixing):
                    mixed = layer({"images": x, "labels": y}, training=True)
                    x, y = mixed["images"], mixed["labels"]
                else:
                    x = layer(x, training=True)
            # An output may not be an input itself.
            graph.outputs = [
                ops.multiply(value, 1.0) if value in values else value for value in (x, y) if value is not None
            ]
        graph = passes.run(passes.run(graph, forward=True), forward=False)
        return build(graph, threads=config.get_num_threads())

    def _probabilities(self, classes: int | None) -> Any:
        if self.y is None:
            raise DataError("MixUp and CutMix mix labels: give y")
        labels = self.y[:, 0] if self.y.ndim == 2 and self.y.shape[1] == 1 else self.y
        if labels.ndim == 2:
            return labels.astype(self.dtype)
        if labels.dtype.kind not in "iu" or labels.min() < 0 or (classes is not None and labels.max() >= classes):
            raise DataError(
                f"y: to mix labels, expected whole numbers from 0 to classes - 1 (classes={classes}), or rows of probabilities"
            )
        return np.eye(int(labels.max()) + 1 if classes is None else classes, dtype=self.dtype)[labels]
