"""Going on from a file: which one, what must fit, and in which order everything is put back.

In: `fit(resume_from=...)` or a callback that has a file, such as BackupAndRestore. Out: model and Run as they were when it was written.
"""

from __future__ import annotations

import glob
import os
import string
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from nnfast.callbacks.base import CallbackList
from nnfast.data import BatchSource, epoch_of
from nnfast.errors import ModelFileError
from nnfast.training.run import AFTER, BATCHES, Run

ARRAY = "__array__"  # the key of the name of an array


class Checkpoint:
    """A file that a fit wrote."""

    def __init__(self, path: str) -> None:
        from nnfast.saving import read_training  # here and below: saving knows all kinds of layers, a fit need not

        self.path = path
        self.tensors, self.parts = read_training(path)

    @classmethod
    def wanted(cls, given: Any, callbacks: CallbackList) -> Checkpoint | None:
        """The file of a callback, else that of `resume_from`, else None. A callback's file may be damaged where it has a second."""
        own = callbacks.resume_paths()
        for path, other in pairwise(own):
            try:
                return cls(path)
            except ModelFileError as error:
                warnings.warn(f"{error}; the training goes on from {other}", stacklevel=4)
        if own:
            return cls(own[-1])
        return None if given is None else cls(newest(given))

    def check(self, run: Run, model: Any) -> None:
        """Raise ModelFileError where this fit cannot go on from the file."""
        from nnfast.saving import named

        with named(self.path):
            run.check(self.parts, model)

    def resume(self, run: Run, model: Any, source: Any, steps: int | None) -> None:
        """Put everything back. Callbacks have been called as at a beginning; what they did to the model is replaced, too."""
        from nnfast.saving import load_training, named

        parts = self.parts
        if parts["stage"] == BATCHES or parts["hook"] is not None:
            run.callbacks.on_epoch_begin(parts["epoch"])
        load_training(model, self.tensors, self.path)
        with named(self.path):
            run.restore(parts, model)
        if isinstance(source, BatchSource):
            if run.data_epoch is not None and epoch_of(source.data) is not None:
                source.data.set_epoch(run.data_epoch)
            whole = run.epoch - run.first_epoch
            source.skip(whole + 1, 0, steps) if run.stage == AFTER else source.skip(whole, run.totals.batches, steps)
        run.end_hook(parts)


def newest(given: str | os.PathLike[str]) -> str:
    """The file of this name, or the one written last of those that fit a name with figures in braces, as ModelCheckpoint takes it."""
    name = os.fspath(given)
    try:
        parsed = list(string.Formatter().parse(name))
    except ValueError:
        parsed = []
    if not any(field is not None for _, field, _, _ in parsed):
        return name
    pattern = "".join(glob.escape(text) + ("" if field is None else "*") for text, field, _, _ in parsed)
    found = sorted(glob.glob(pattern), key=lambda path: os.stat(path).st_mtime_ns)
    if not found:
        raise FileNotFoundError(f"resume_from={name!r}: there is no such file; leave it out to begin anew")
    return found[-1]


def split_arrays(value: Any, arrays: dict[str, np.ndarray], about: str) -> Any:
    """JSON types for a value of JSON types and arrays; the arrays go into `arrays` under names that stand in their places."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return split_arrays(value.item(), arrays, about)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        name = f"training/{len(arrays)}"
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, list | tuple):
        return [split_arrays(item, arrays, about) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        own = value.get("class_name", about) if "state" in value else about
        return {key: split_arrays(item, arrays, own) for key, item in value.items()}
    raise TypeError(
        f"{about}: {value!r} of type {type(value).__name__} cannot be saved; expected JSON types and arrays"
    )


def join_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that `split_arrays` was given; tuples have become lists."""
    if isinstance(value, list):
        return [join_arrays(item, arrays) for item in value]
    if isinstance(value, dict):
        return arrays[value[ARRAY]] if ARRAY in value else {k: join_arrays(v, arrays) for k, v in value.items()}
    return value
