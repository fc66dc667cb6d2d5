"""Callbacks that end a training: EarlyStopping, TerminateOnNaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast.callbacks.base import Callback, Logs
from nnfast.callbacks.monitor import MonitorCallback
from nnfast.typing import Array

STATE = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")  # of EarlyStopping


class EarlyStopping(MonitorCallback):
    """Stop when logs[monitor] has not become better for `patience` epochs, and restore the weights of the best epoch.

    min_delta: smaller improvements do not count. baseline: until it is beaten, epochs count as no progress. start_from_epoch: epochs
    before it are only watched. restore_best_weights is True by default (Keras: False), also when the training ends by itself.

    >>> EarlyStopping(monitor="val_accuracy", patience=3).upwards()
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 0:
            raise ValueError(f"EarlyStopping(patience={patience!r}): patience must be >= 0")
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.better(value, self.best):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0:
            self.say(self.verbose, f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            self.say(
                self.verbose, f"Restoring the weights of epoch {self.best_epoch + 1}, {self.monitor} {self.best:.6g}"
            )
            self.model.set_weights(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in STATE:
            setattr(self, name, state[name])


class TerminateOnNaN(Callback):
    """Stop as soon as the loss of a batch is NaN or infinite. raises: end with a RuntimeError in place of a line and a quiet stop.

    The trainer runs batch by batch for it.

    >>> TerminateOnNaN().needs_batches
    True
    """

    def __init__(self, raises: bool = False) -> None:
        super().__init__()
        self.raises = raises

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(np.asarray(loss).reshape(()))):
            return
        message = f"Batch {batch}: the loss is {loss}, training stops"
        if self.raises:
            raise RuntimeError(message + "; try a smaller learning rate, or look for NaN in the data")
        print(message)
        self.model.stop_training = True
