"""Where a fit stands: what a file holds beside weights and optimizer state, so that the fit goes on with the same bits.

In: the trainer says how far it has come. Out of `Run.parts`: JSON types and arrays for nnfast.saving; `Run.restore` takes them back. A
file may be written from within a callback's hook; the callbacks after that one are then called when the fit goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nnfast import serialization
from nnfast.callbacks.base import CallbackList
from nnfast.data import BatchSource, epoch_of
from nnfast.errors import ModelFileError
from nnfast.training.phase import Totals
from nnfast.training.state import TrainingState
from nnfast.training.step import Signature, Spec

# Stages of an epoch: on_epoch_begin and on_epoch_end lie between them.
STAGES = BEFORE, BATCHES, AFTER = "before", "batches", "after"
# What `Run.parts` gives.
KINDS: dict[str, Any] = {
    **dict.fromkeys(("first_epoch", "epoch", "rows", "batches"), int),
    **dict.fromkeys(("settings", "optimizer"), dict),
    **dict.fromkeys(("callbacks", "streams"), list),
    **dict.fromkeys(("sums",), np.ndarray),
    **dict.fromkeys(("stop_training",), bool),
    **dict.fromkeys(("hook",), dict | None),
}


class Run:
    """One fit: its settings, epoch, stage, totals and callbacks."""

    def __init__(
        self, settings: dict[str, Any], epoch: int, callbacks: CallbackList, state: TrainingState, source: Any = None
    ) -> None:
        self.settings = settings  # what must be the same when the fit goes on
        self.callbacks = callbacks
        self.state = state
        self.first_epoch = epoch
        self.data_epoch = epoch_of(
            getattr(source, "data", None)
        )  # where data that count epochs stood when the fit began
        self.batch_begun = False  # whether on_train_batch_begin was called for the next batch
        self._set(epoch)

    def _set(self, epoch: int) -> None:
        """Stand before an epoch."""
        self.epoch, self.stage, self.totals = epoch, BEFORE, Totals()
        self._seen = 0  # batches of which on_batches_end knows
        self._first_iteration = self.state.iteration

    def epochs(self, last: int, model: Any) -> Iterator[int]:
        """Numbers of the epochs that are left, below `last`, until a callback stops the training."""
        if self.stage == AFTER and model.stop_training:
            return
        for epoch in range(self.epoch + (self.stage == AFTER), last):
            if self.stage == AFTER:
                self._set(epoch)
            yield epoch
            if model.stop_training:
                return

    def begin_epoch(self) -> None:
        """Call on_epoch_begin, unless that was done before the fit was stopped."""
        if self.stage == BEFORE:
            self.stage = BATCHES
            self.callbacks.on_epoch_begin(self.epoch)

    def begin_batch(self) -> None:
        """Call on_train_batch_begin, likewise."""
        if not self.batch_begun:
            self.callbacks.on_train_batch_begin(self.totals.batches)
        self.batch_begun = False

    def end_batches(self, count: int, logs: dict[str, Any]) -> None:
        """Call on_train_batch_end and on_batches_end."""
        self._seen = self.totals.batches
        self.callbacks.on_batches_end(self.totals.batches - 1, count, logs)

    def end_epoch(self, logs: dict[str, Any]) -> None:
        """Call on_epoch_end."""
        self.stage = AFTER
        self.callbacks.on_epoch_end(self.epoch, logs)

    @property
    def known(self) -> bool:
        """Whether nothing but this fit has trained the model since."""
        return self.state.iteration == self._first_iteration + self.totals.batches

    def parts(self, model: Any) -> dict[str, Any]:
        """All of it, as JSON types and arrays."""
        step, kept = self.totals.step, model.kept_states()
        return {
            "settings": self.settings,
            "first_epoch": self.first_epoch,
            "epoch": self.epoch,
            "stage": self.stage,
            "rows": self.totals.rows,
            "batches": self.totals.batches,
            "sums": self.totals.sums,
            "signature": None if step is None else _as_json(step.signature),
            "callbacks": self.callbacks.state_dict(),
            "hook": self._hook(),
            "stop_training": bool(model.stop_training),
            "optimizer": serialization.serialize(model.optimizer),
            "streams": model.all_streams(),
            **({"states": kept} if kept else {}),
            **({} if self.data_epoch is None else {"data_epoch": self.data_epoch}),
        }

    def _hook(self) -> dict[str, Any] | None:
        """The hook that is running or, after Ctrl-C at the end of some batches, the one that would have been next."""
        count = self.totals.batches - self._seen
        if self.stage == BATCHES and count:
            return {
                "name": "on_batches_end",
                "place": -1,
                "arguments": [self._seen + count - 1, count, self.totals.logs()],
            }
        return self.callbacks.hook_state()

    def restore(self, parts: Mapping[str, Any], model: Any) -> None:
        """Take over what `parts` gave, once weights and optimizer state are the file's."""
        self.first_epoch, self.epoch, self.stage = parts["first_epoch"], parts["epoch"], parts["stage"]
        self.data_epoch = parts.get("data_epoch", self.data_epoch)
        self.totals = Totals()
        if parts["batches"]:
            rows = self.settings["batch_size"] or 1  # what a step records does not depend on it
            step = model._compiled.step("train", _signature(rows, parts["signature"]))
            if parts["sums"].shape != (step.width,):
                raise ModelFileError(f"{len(parts['sums'])} sums of losses and metrics, {step.width} were expected")
            self.totals.take(parts["rows"], parts["batches"], parts["sums"], step)
        self._seen = self.totals.batches
        self._first_iteration = self.state.iteration - self.totals.batches
        rate = parts["optimizer"]["config"]["learning_rate"]
        if not isinstance(rate, Mapping):
            model.optimizer.learning_rate = rate
        model.stop_training = parts["stop_training"]
        model.restore_states(parts.get("states", ()))
        self.callbacks.load_state_dict(parts["callbacks"])

    def end_hook(self, parts: Mapping[str, Any]) -> None:
        """Call the hook from within which the file was written on the callbacks that had not seen it."""
        hook = parts["hook"]
        if hook is not None:
            self.callbacks.end_hook(hook, parts["callbacks"])
            self.batch_begun = hook["name"] == "on_train_batch_begin"

    def check(self, parts: Mapping[str, Any], model: Any) -> None:
        """Raise ModelFileError where this fit cannot go on from there with the same bits."""
        for name, kind in KINDS.items():
            value = parts.get(name)
            if not isinstance(value, kind) or (kind is int and value < 0):
                raise ModelFileError(f"the fit in it has {name}={value!r}, expected {getattr(kind, '__name__', kind)}")
        data_epoch = parts.get("data_epoch", 0)
        if type(data_epoch) is not int or data_epoch < 0:
            raise ModelFileError(f"the fit in it has data_epoch={data_epoch!r}, expected a whole number from 0 on")
        if parts["stage"] not in STAGES:
            raise ModelFileError(f"the fit in it has stage={parts['stage']!r}, expected one of {STAGES}")
        CallbackList.check_saved(parts["callbacks"], parts["hook"])
        for name, value in self.settings.items():
            before = parts["settings"].get(name)
            if value != before:
                raise ModelFileError(
                    f"was written by a fit with {name}={before!r}, this one has {value!r}: give the same, or load_model(path) and "
                    "begin another fit"
                )
        rows, size = self.settings["rows"], self.settings["batch_size"]
        if rows is not None and parts["batches"] > -(-rows // size):
            raise ModelFileError(f"the fit in it has batches={parts['batches']}, more than an epoch of {rows} rows")
        if _without_rate(serialization.serialize(model.optimizer)) != _without_rate(parts["optimizer"]):
            raise ModelFileError(
                f"was written by a fit with the optimizer {parts['optimizer']!r}, this model has {model.optimizer!r}: "
                "compile with the same"
            )
        if model.all_streams() != parts["streams"]:
            raise ModelFileError(
                "the layers have other random streams than when it was written: make the same models in the same order before, "
                "with set_random_seed in front, or fit what load_model(path) gives"
            )


class PastRun:
    """A fit of another process, as the file tells of which a model was loaded; saved again with it until the model is trained."""

    def __init__(self, parts: Mapping[str, Any], state: TrainingState) -> None:
        self._parts, self._state, self._iteration = parts, state, state.iteration

    @property
    def known(self) -> bool:
        """Whether nothing has trained the model since."""
        return self._state.iteration == self._iteration

    def parts(self, model: Any) -> dict[str, Any]:
        """What was read, with the learning rate of now."""
        return {**self._parts, "optimizer": serialization.serialize(model.optimizer)}


def settings_of(source: Any, batch_size: int, steps: int | None, shuffle: bool) -> dict[str, Any]:
    """The arguments of fit that a fit which goes on must share with the one that was stopped."""
    if isinstance(source, BatchSource):  # which has sizes and an order of its own
        return {"rows": None, "batch_size": None, "steps_per_epoch": steps, "shuffle": None, "arrays": None}
    return {
        "rows": source.rows,
        "batch_size": batch_size,
        "steps_per_epoch": steps,
        "shuffle": bool(shuffle),
        "arrays": [[str(array.dtype), *array.shape[1:]] for array in source.arrays],
    }


def _without_rate(config: Any) -> Any:
    """An optimizer's configuration; the rate is state where it is a number, which callbacks may change."""
    settings = dict(config["config"])
    if not isinstance(settings.get("learning_rate"), Mapping):
        settings.pop("learning_rate", None)
    return {**config, "config": settings}


def _as_json(signature: Signature) -> dict[str, Any]:
    specs = {"inputs": signature.inputs, "targets": signature.targets, "weights": signature.weights}
    found: dict[str, Any] = {kind: [[list(shape), dtype] for shape, dtype in given] for kind, given in specs.items()}
    return {**found, "masks": [list(mask) for mask in signature.masks]} if signature.masks else found


def _signature(rows: int, parts: Mapping[str, Any]) -> Signature:
    def specs(kind: str) -> tuple[Spec, ...]:
        return tuple((tuple(shape), dtype) for shape, dtype in parts[kind])

    masks = tuple((place, time, dtype) for place, time, dtype in parts.get("masks", ()))
    return Signature(rows, specs("inputs"), specs("targets"), specs("weights"), masks)
