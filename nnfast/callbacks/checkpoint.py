"""Saving the model while it trains: ModelCheckpoint, and when a save is due."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast.callbacks.base import Logs
from nnfast.callbacks.monitor import MonitorCallback


class Due:
    """When to save: at the end of each epoch, every so many batches, or every so many seconds. owner: whose arguments these are.

    >>> due = Due("ModelCheckpoint", save_freq=100)
    >>> due.most_batches(), due.after_batches(40), due.most_batches(), due.after_batches(60)
    (100, False, 60, True)
    """

    def __init__(self, owner: str, save_freq: str | int = "epoch", save_seconds: float | None = None) -> None:
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f'{owner}(save_freq={save_freq!r}): expected "epoch" or a positive number of batches')
        if save_seconds is not None and (save_freq != "epoch" or not save_seconds > 0):
            raise ValueError(
                f"{owner}(save_freq={save_freq!r}, save_seconds={save_seconds!r}): expected a positive number of seconds, and no save_freq"
            )
        self.save_freq = save_freq
        self.save_seconds = save_seconds
        self.batches = 0
        self.begin()

    def begin(self) -> None:
        """A training begins now."""
        self.batches = 0
        self._saved = time.monotonic()

    def most_batches(self) -> int:
        """Batches until a save is due, as far as that is known."""
        return sys.maxsize if self.save_freq == "epoch" else int(self.save_freq) - self.batches % int(self.save_freq)

    def after_batches(self, count: int) -> bool:
        """Whether to save after `count` more batches."""
        self.batches += count
        if self.save_seconds is not None:
            now = time.monotonic()
            if now - self._saved < self.save_seconds:
                return False
            self._saved = now
            return True
        return self.save_freq != "epoch" and self.batches % int(self.save_freq) == 0

    def after_epoch(self) -> bool:
        """Whether to save at the end of an epoch."""
        return self.save_freq == "epoch" and self.save_seconds is None


class ModelCheckpoint(MonitorCallback):
    """Save the model (or its weights) every epoch, every save_freq training batches, or every save_seconds seconds.

    filepath may name figures, as in "model-{epoch:02d}-{val_loss:.2f}.nnf" ({epoch} from 1, {batch} from 1 within the epoch).
    save_best_only: only when logs[monitor] is better than ever. save_freq: "epoch", or a number of batches, counted over epochs.
    initial_value_threshold: what must be beaten first. keep: how many files to keep; older ones that this object wrote are deleted.
    `fit(resume_from=filepath)` goes on from the newest file, at the step at which it was written. A file that cannot be written (a full
    disk) ends `fit` with that OSError: those before are whole, and the training goes on from them with the same bits.

    >>> import nnfast, numpy as np, tempfile
    >>> x, y = np.ones((100, 4), "float32"), np.arange(100.0)
    >>> model = nnfast.Sequential([nnfast.Input((4,)), nnfast.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> path = tempfile.mkdtemp() + "/run-{epoch}-{batch}.nnf"
    >>> checkpoint = ModelCheckpoint(path, save_freq=3, keep=2)
    >>> _ = model.fit(x, y, batch_size=20, epochs=2, callbacks=[checkpoint], verbose=0)
    >>> [file.rsplit("/", 1)[-1] for file in checkpoint.written]
    ['run-2-1.nnf', 'run-2-4.nnf']
    >>> model.fit(x, y, batch_size=20, epochs=3, resume_from=path, verbose=0).epoch
    [0, 1, 2]
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        keep: int | None = None,
        save_seconds: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.due = Due("ModelCheckpoint", save_freq, save_seconds)
        if keep is not None and keep < 1:
            raise ValueError(f"ModelCheckpoint(keep={keep!r}): expected a positive number of files, or None for all")
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.keep = keep
        self.written: list[str] = []
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.due.begin()

    def most_batches(self) -> int:
        return self.due.most_batches()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_batches_end(self, batch: int, count: int, logs: Logs | None = None) -> None:
        if self.due.after_batches(count):
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.due.after_epoch():
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if value is None or not self.better(value, self.best):
                return
            self.best = value
        path = self._path(epoch, batch, logs or {})
        from pathlib import Path  # takes milliseconds to import

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.written = [*(other for other in self.written if other != path), path]  # as the file is to say
        old = [] if self.keep is None else self.written[: -self.keep]
        self.written = self.written[len(old) :]
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self.say(self.verbose, f"Epoch {epoch + 1}: saved {path}")
        for other in old:
            Path(other).unlink(missing_ok=True)

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        figures = {key: value.item() if isinstance(value, np.generic) else value for key, value in logs.items()}
        figures["epoch"] = epoch + 1
        if batch is not None:
            figures["batch"] = batch + 1
        try:
            return self.filepath.format(**figures)
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint(filepath={self.filepath!r}): cannot fill in {error}; known: {', '.join(sorted(figures))}"
            ) from error

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "written": list(self.written), "batches": self.due.batches, "epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.written = state["best"], list(state["written"])
        self.due.batches, self._epoch = state["batches"], state["epoch"]
