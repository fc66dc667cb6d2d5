"""Callbacks that change the learning rate between epochs: LearningRateScheduler, ReduceLROnPlateau."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nnfast.callbacks.base import Callback, Logs, set_learning_rate
from nnfast.callbacks.monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """At the start of each epoch the rate becomes schedule(epoch, rate), or schedule(epoch) for a function of one argument.

    For a rate that changes with every step, give the optimizer one of nnfast.schedules.

    >>> LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate * 0.9).needs_batches
    False
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler(schedule={schedule!r}): expected a function of (epoch, rate)")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate = self.schedule(epoch, self.model.optimizer.learning_rate) if self._takes_rate() else self.schedule(epoch)
        try:
            rate = float(rate)
        except (TypeError, ValueError):
            raise TypeError(
                f"LearningRateScheduler: schedule returned {rate!r} for epoch {epoch}; expected a number"
            ) from None
        set_learning_rate(self.model, rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {rate:.6g}")

    def _takes_rate(self) -> bool:
        try:
            inspect.signature(self.schedule).bind(0, 0.0)
        except TypeError:
            return False
        except ValueError:  # a built-in without a signature
            return True
        return True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by factor when logs[monitor] has not become better for `patience` epochs, down to min_lr.

    cooldown: epochs to wait after a reduction before counting again. min_delta: smaller improvements do not count.

    >>> ReduceLROnPlateau(factor=0.5, patience=2).monitor
    'val_loss'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau(factor={factor!r}): factor must be in 0 <= factor < 1")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self._rate()
        value = self.value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _rate(self) -> float:
        rate = self.model.optimizer.learning_rate
        if callable(rate):
            raise TypeError(
                f"ReduceLROnPlateau: the optimizer's rate follows {rate!r}; give it a number in place of the schedule"
            )
        return float(rate)

    def _reduce(self, epoch: int) -> None:
        rate = self._rate()
        if rate <= self.min_lr:
            return
        reduced = max(rate * self.factor, self.min_lr)
        set_learning_rate(self.model, reduced)
        self.say(self.verbose, f"Epoch {epoch + 1}: the learning rate goes down to {reduced:.6g}")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait, self.cooldown_counter = state["best"], state["wait"], state["cooldown_counter"]
