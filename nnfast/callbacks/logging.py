"""Callbacks that report: CSVLogger, LambdaCallback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from nnfast.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Write one line per epoch: the epoch, from 0, and every figure of the logs, by name. append: go on after an earlier training.

    The columns are those of the first epoch; a figure missing in a later epoch is written as NA. Each line is written at once; a training
    that goes on from a checkpoint drops the lines of the epochs that it repeats.

    >>> CSVLogger("training.csv").needs_batches
    False
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: IO[str] | None = None
        self._columns: list[str] = []
        self._size = 0  # bytes of the file that stand; what follows is dropped by the next line

    def state_dict(self) -> dict[str, Any]:
        return {"size": self._size, "columns": list(self._columns)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._size, self._columns = state["size"], list(state["columns"]) if self._file_size() else []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from pathlib import Path  # takes milliseconds to import

        path = Path(self.filename)
        self._columns = []
        if self.append and path.exists():
            import csv  # here and below: not in every process that imports nnfast

            with path.open(newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), [])
            self._columns = header[1:]
        self._file = path.open("a", newline="", encoding="utf-8")
        self._size = self._file_size() if self.append else 0

    def _file_size(self) -> int:
        return os.path.getsize(self.filename)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._file is None:
            raise RuntimeError("CSVLogger: on_epoch_end without on_train_begin; pass it to fit(callbacks=[...])")
        if not self._columns:
            self._columns = list(logs)
            self._write(["epoch", *self._columns])
        self._write([epoch, *(_text(logs.get(column, "NA")) for column in self._columns)])

    def _write(self, row: list[Any]) -> None:
        import csv

        assert self._file is not None
        if self._size < self._file_size():
            self._file.truncate(self._size)
        csv.writer(self._file, delimiter=self.separator, lineterminator="\n").writerow(row)
        self._file.flush()
        self._size = self._file_size()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            if self._size < self._file_size():
                self._file.truncate(self._size)
            self._file.close()
            self._file = None


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return str(np.asarray(value).tolist())
    return value.item() if isinstance(value, np.generic) else value


class LambdaCallback(Callback):
    """Hooks given as functions: on_epoch_begin(epoch, logs), on_epoch_end(epoch, logs), on_train_begin(logs), on_train_end(logs),
    on_train_batch_begin(batch, logs), on_train_batch_end(batch, logs), and by keyword any other hook of Callback.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> callback.on_epoch_end(0, {"loss": 0.5})
    0 {'loss': 0.5}
    >>> callback.needs_batches
    False
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any],
    ) -> None:
        super().__init__()
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        known = [name for name in dir(Callback) if name.startswith("on_")]
        for name, function in {**named, **hooks}.items():
            if name not in known:
                raise TypeError(f"LambdaCallback({name}=...): no such hook; known: {', '.join(known)}")
            if function is not None:
                setattr(self, name, function)
