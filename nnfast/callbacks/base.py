"""Callback, with its hooks, and CallbackList, which calls the hooks of many.

In: what happens in fit, evaluate and predict, with the figures so far in `logs`. A callback steers the training through
`self.model`: `stop_training`, `optimizer.learning_rate`, `get_weights`, `set_weights`, `save`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Logs = dict[str, Any]
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)
_OTHER_BATCH_HOOKS = {
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class Callback:
    """Base class: override the hooks you want. epoch and batch count from 0; logs holds the figures so far.

    With a hook for training batches overridden, the trainer runs batch by batch; otherwise a whole epoch is one call into compiled
    code. `state_dict` and `load_state_dict` carry what must survive when a training is stopped and resumed: JSON types and arrays.

    >>> class Hello(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch} is done")
    >>> Hello().needs_batches
    False
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self.validation_data: Any = None

    def set_model(self, model: Any) -> None:
        """Called with the model before anything else."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called with "verbose", "epochs" and "steps" (None where it is not known)."""
        self.params = dict(params)

    @property
    def needs_batches(self) -> bool:
        """Whether this callback wants to see every training batch."""
        return self._overrides(_BATCH_HOOKS)

    def needs_batches_of(self, phase: str) -> bool:
        """The same for "train", "test" and "predict"."""
        return self.needs_batches if phase == "train" else self._overrides(_OTHER_BATCH_HOOKS[phase])

    def _overrides(self, hooks: Iterable[str]) -> bool:
        return any(
            getattr(type(self), hook, None) is not getattr(Callback, hook) or hook in vars(self) for hook in hooks
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs from this callback."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the next on_train_begin must keep it."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; logs holds the figures of both."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; logs holds the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation or validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""


def set_learning_rate(model: Any, rate: float) -> None:
    """Give the model's optimizer another rate; the error for a schedule is the optimizer's."""
    model.optimizer.learning_rate = float(rate)


class CallbackList:
    """Calls each hook on every callback, in order. `fit` makes one.

    >>> calls = CallbackList([Callback()])
    >>> calls.on_epoch_begin(0)
    >>> calls.needs_batches
    False
    """

    def __init__(self, callbacks: Iterable[Any] | Callback | None = None, model: Any = None, **params: Any) -> None:
        given: list[Any] = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        for callback in given:
            if not isinstance(callback, Callback):
                hint = "; write it with brackets, to make an object" if isinstance(callback, type) else ""
                raise TypeError(f"callbacks: {callback!r} is not a Callback{hint}")
        self.callbacks: list[Callback] = given
        if params:
            self.set_params(params)
        if model is not None:
            self.set_model(model)

    def append(self, callback: Callback) -> None:
        """Add a callback after the others."""
        self.callbacks.append(callback)

    def set_model(self, model: Any) -> None:
        """Tell every callback its model."""
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell every callback the parameters of fit."""
        for callback in self.callbacks:
            callback.set_params(params)

    @property
    def needs_batches(self) -> bool:
        """Whether any callback wants to see every training batch."""
        return any(callback.needs_batches for callback in self.callbacks)

    def needs_batches_of(self, phase: str) -> bool:
        """The same for "train", "test" and "predict"."""
        return any(callback.needs_batches_of(phase) for callback in self.callbacks)

    def state_dict(self) -> list[dict[str, Any]]:
        """The states of the callbacks, in order."""
        return [{"class_name": type(callback).__name__, "state": callback.state_dict()} for callback in self.callbacks]

    def load_state_dict(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Give each callback its state; each state goes to the next callback of the same class."""
        waiting = list(self.callbacks)
        for entry in states:
            match = next((callback for callback in waiting if type(callback).__name__ == entry["class_name"]), None)
            if match is not None:
                match.load_state_dict(entry["state"])
                waiting.remove(match)

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, logs)
