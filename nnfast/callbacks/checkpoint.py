"""Saving the model while it trains."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast.callbacks.base import Logs
from nnfast.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model (or its weights) every epoch, or every save_freq training batches.

    filepath may name figures, as in "model-{epoch:02d}-{val_loss:.2f}.nnf" ({epoch} from 1, {batch} from 1 within the epoch).
    save_best_only: only when logs[monitor] is better than ever. save_freq: "epoch", or a number of batches, counted over epochs.
    initial_value_threshold: what must be beaten first. keep: how many files to keep; older ones that this object wrote are deleted.

    >>> ModelCheckpoint("model.nnf", save_freq=100).needs_batches, ModelCheckpoint("model.nnf").needs_batches
    (True, False)
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
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f'ModelCheckpoint(save_freq={save_freq!r}): expected "epoch" or a positive number of batches'
            )
        if keep is not None and keep < 1:
            raise ValueError(f"ModelCheckpoint(keep={keep!r}): expected a positive number of files, or None for all")
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.keep = keep
        self.written: list[str] = []
        self._batches = 0
        self._epoch = 0

    @property
    def needs_batches(self) -> bool:
        return self.save_freq != "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.starts_anew()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
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
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self.say(self.verbose, f"Epoch {epoch + 1}: saved {path}")
        self._forget_old(path)

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

    def _forget_old(self, path: str) -> None:
        if path in self.written:
            self.written.remove(path)
        self.written.append(path)
        while self.keep is not None and len(self.written) > self.keep:
            from pathlib import Path  # takes milliseconds to import

            Path(self.written.pop(0)).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "written": list(self.written), "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.take(state, "best", "written")
        self.written = list(self.written)
        self._batches = state["batches"]
