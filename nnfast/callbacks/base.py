"""Callback, with its hooks, and CallbackList, which calls the hooks of many.

In: what happens in fit, evaluate and predict, with the figures so far in `logs`. A callback steers the training through
`self.model`: `stop_training`, `optimizer.learning_rate`, `get_weights`, `set_weights`, `save`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
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
_RESUMED_HOOKS = ("on_epoch_begin", "on_train_batch_begin", "on_batches_end", "on_epoch_end")


class Callback:
    """Base class: override the hooks you want. epoch and batch count from 0; logs holds the figures so far.

    With a hook for training batches overridden, the trainer runs batch by batch; otherwise a whole epoch is one call into compiled
    code; `on_batches_end` does not ask for that. What a callback counts or remembers goes into every checkpoint by `state_dict`, as JSON
    types and arrays, and comes back by `load_state_dict`, which `fit(resume_from=...)` calls after `on_train_begin` (and `on_epoch_begin`).

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
        """Take over what `state_dict` returned."""

    def most_batches(self) -> int:
        """How many of the next training batches may run before `on_batches_end` is due; the trainer asks before each call."""
        return sys.maxsize

    def resume_paths(self) -> list[str]:
        """Files from which `fit` goes on by itself: the first that is whole. None of them: it begins anew."""
        return []

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

    def on_batches_end(self, batch: int, count: int, logs: Logs | None = None) -> None:
        """After `count` training batches that ran in one call into compiled code, about a tenth of a second; the last was number `batch`."""

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
        self._hook: tuple[str, int, tuple[Any, ...]] | None = (
            None  # the hook that now runs: name, place of the callback, arguments
        )
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

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Give each callback its state; each state goes to the next callback of the same class."""
        for place, callback in self._matches(states):
            callback.load_state_dict(states[place]["state"])

    def _matches(self, states: Sequence[Mapping[str, Any]]) -> list[tuple[int, Callback]]:
        """Places of states, and the callbacks that they are for."""
        waiting, found = list(self.callbacks), []
        for place, entry in enumerate(states):
            match = next((callback for callback in waiting if type(callback).__name__ == entry["class_name"]), None)
            if match is not None:
                found.append((place, match))
                waiting.remove(match)
        return found

    def hook_state(self) -> dict[str, Any] | None:
        """Which hook of the training is running now, on which callback: the later ones have not seen it yet."""
        if self._hook is None or self._hook[0] not in _RESUMED_HOOKS:
            return None
        name, place, arguments = self._hook
        return {"name": name, "place": place, "arguments": list(arguments)}

    @staticmethod
    def check_saved(states: Sequence[Any], hook: Mapping[str, Any] | None) -> None:
        """Raise KeyError, TypeError or ValueError where these are not what `state_dict` and `hook_state` give."""
        for entry in states:
            if not (isinstance(entry["class_name"], str) and isinstance(entry["state"], dict)):
                raise TypeError(f"{entry!r} is no state of a callback")
        if hook is not None:
            whole = isinstance(hook["place"], int) and isinstance(hook["arguments"], list)
            if hook["name"] not in _RESUMED_HOOKS or not whole:
                raise ValueError(f"{hook!r} is no hook of a training")

    def end_hook(self, hook: Mapping[str, Any], states: Sequence[Mapping[str, Any]]) -> None:
        """Call a hook that was running when `states` were saved, on the callbacks that had not seen it."""
        done = [callback for place, callback in self._matches(states) if place <= hook["place"]]
        self._call(hook["name"], *hook["arguments"], without=done)

    def _call(self, hook: str, *arguments: Any, without: Sequence[Callback] = ()) -> None:
        for place, callback in enumerate(self.callbacks):
            if callback not in without:
                self._hook = (hook, place, arguments)
                if hook == "on_batches_end":
                    callback.on_train_batch_end(arguments[0], arguments[2])
                getattr(callback, hook)(*arguments)
        self._hook = None

    def most_batches(self) -> int:
        """How many of the next training batches may run before a callback wants to see the last of them."""
        return min((callback.most_batches() for callback in self.callbacks), default=sys.maxsize)

    @property
    def needs_runs(self) -> bool:
        """Whether any callback looks at the end of each run of training batches."""
        return any(callback._overrides(("on_batches_end",)) for callback in self.callbacks)

    def resume_paths(self) -> list[str]:
        """The files of the first callback that has some."""
        return next((paths for paths in (callback.resume_paths() for callback in self.callbacks) if paths), [])

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

    def on_batches_end(self, batch: int, count: int, logs: Logs | None = None) -> None:
        """`on_train_batch_end` and `on_batches_end` of each callback."""
        self._call("on_batches_end", batch, count, logs)

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
