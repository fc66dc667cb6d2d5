"""Model: layers put together, with compile, fit, evaluate, predict, save.

In: symbols (functional), a list of layers (nnfast.sequential), or a subclass with `call`. Out: trained weights, History, predictions.
Structure stands in nnfast.structure, the work of training in nnfast.training, of files in nnfast.saving.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import serialization
from nnfast.data import ArraySource, BatchSource, as_input_list, check_batch_size
from nnfast.errors import DataError, NnfastError
from nnfast.locks import free_in_child
from nnfast.structure import Structure
from nnfast.summary import PlanReport, report, summary
from nnfast.training import loop
from nnfast.training.alone import Alone
from nnfast.training.compiled import (
    Compiled,
    PredictPlans,
    check_targets,
    input_specs,
    likely_targets,
    need_compiled,
    signature_of,
)
from nnfast.training.groups import recompute_setting
from nnfast.training.state import TrainingState
from nnfast.training.step import Signature, Step


class Model(Structure):
    """Layers between inputs and outputs.

    inputs, outputs: symbols, or lists of them, that layers connect; shared layers and several inputs and outputs are fine. Or subclass
    Model, make layers in `__init__` and write `call(inputs)`.

    >>> import nnfast
    >>> x = nnfast.Input((4,))
    >>> model = nnfast.Model(x, nnfast.layers.Dense(3)(x))
    >>> model.count_params()
    15
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs, outputs, name, **kwargs)
        self._compiled: Compiled | None = None
        self._predict = PredictPlans(self)
        self._busy = free_in_child(threading.Lock())
        self.state = TrainingState()
        self.history: Any = None
        self.stop_training = False

    # Training
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        without: Sequence[str] = (),
        recompute: Any = None,
    ) -> None:
        """Say how to train: an optimizer, a loss (per output: a list or dictionary), metrics.

        without: names of passes to leave out of the plans (nnfast.passes.PIPELINE); results stay the same. Slots of an earlier optimizer
        are dropped, as are counters of steps. recompute: what lies inside layers is computed again in the backward pass, which takes less
        memory and more time, with the same bits: True for groups of neighbouring layers, or layers and names of layers, in lists for those
        that are one group (nnfast.recompute marks a layer by itself).
        """
        settings = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        if recompute:
            settings["recompute"] = recompute_setting(recompute)
        self._compiled = Compiled(self, settings, without)
        self.state = TrainingState(self._compiled.optimizer.gradient_accumulation_steps or 1)

    def _forget_plans(self) -> None:
        """The structure has changed: plans are made anew, optimizer and counters stay."""
        self._predict = PredictPlans(self)
        if self._compiled is not None:
            settings = {**self._compiled.settings, "optimizer": self._compiled.optimizer}
            self._compiled = Compiled(self, settings, self._compiled.without)

    @property
    def optimizer(self) -> Any:
        return need_compiled(self._compiled, "model.optimizer").optimizer

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs, once the shapes of the targets are known."""
        targets = self._compiled.targets if self._compiled is not None else None
        return [metric for target in targets or [] for metric in (*target.metrics, *target.weighted_metrics)]

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        validate: str | None = None,
        receipt: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Train. x, y: arrays (also memory-mapped), lists or dictionaries of them, or x alone as batches (x, y[, sample_weight]).

        Returns the History. validate: "raise" or "warn" looks for NaN and infinities in the arrays first and names the row. Ctrl-C stops
        within a second and leaves the weights of the last finished step. receipt: a file for `nnfast verify`, which trains again and compares
        the weights after each epoch; it holds hashes of the data, and the model as it is now. resume_from: go on, with the same data and
        arguments, where a fit stood when it wrote this file, or the newest of a ModelCheckpoint's filepath; the model is made and compiled
        as before, or loaded.
        """
        options = {k: v for k, v in locals().items() if k not in ("self", "x", "y", "sample_weight")}
        need_compiled(self._compiled, "fit")
        with self._alone("fit"):
            return loop.fit(self, x, y, sample_weight, options)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto", sample_weight: Any = None,
        steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Loss and metrics on data: the loss alone, a list [loss, metrics ...], or with return_dict a dictionary."""
        options = {"batch_size": batch_size, "verbose": verbose, "steps": steps, "callbacks": callbacks}
        need_compiled(self._compiled, "evaluate")
        with self._alone("evaluate"):
            return _as_results(loop.evaluate(self, x, y, sample_weight, options), return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for all rows of x. Row i has the same bits in any batch, so without batch_size the size is chosen for speed.

        verbose: "auto" is silent for the first second.
        """
        if loop.at_once(x, batch_size, verbose, steps, callbacks):
            found = self._predict.quick(x)
            if found is not None:
                return self.pack_outputs(found)
        options = {"batch_size": batch_size, "verbose": verbose, "steps": steps, "callbacks": callbacks}
        return loop.predict(self, x, options)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One training step on one batch."""
        found = self._quick("train", x, y) if sample_weight is None and class_weight is None else None
        if found is not None:
            return _as_results(found, return_dict)
        need_compiled(self._compiled, "train_on_batch")
        with self._alone("train_on_batch"):
            return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch."""
        found = self._quick("test", x, y) if sample_weight is None else None
        if found is not None:
            return _as_results(found, return_dict)
        need_compiled(self._compiled, "test_on_batch")
        with self._alone("test_on_batch"):
            return self._on_batch("test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch."""
        found = self._predict.quick(x)
        if found is not None:
            return self.pack_outputs(found)
        self.connect_to(x)
        return self.pack_outputs(self.predict_arrays(as_input_list(x, self.input_names)))

    def _quick(self, kind: str, x: Any, y: Any) -> dict[str, Any] | None:
        """Logs of a step on a batch like an earlier one; None where it takes the long way."""
        if self._compiled is None or not self._busy.acquire(False):
            return None
        try:
            return self._compiled.quick.run(kind, x, y)
        finally:
            self._busy.release()

    def _on_batch(self, kind: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
        from nnfast.training.phase import Phase, Totals

        if y is None:
            raise DataError(f"{kind}_on_batch: y is missing; give the targets of the batch")
        self.connect_to(x)
        source = ArraySource(x, y, sample_weight, input_names=self.input_names, target_names=self.output_names)
        if class_weight:
            source = source.with_class_weight(class_weight)
        training = kind == "train"
        (self.prepare_training if training else self.prepare_test)(source)
        rates = (lambda count: self.optimizer.rates_of_batches(self.state.iteration, count)) if training else None
        totals, step_kind = Totals(), self.state.kind if training else "test"
        phase = Phase(self.state, self.train_step_for if training else self.test_step_for, rates, totals)
        list(phase.run(source, source.plain_order(), source.rows, None))
        if sample_weight is None and not class_weight and totals.step is not None:
            need_compiled(self._compiled, kind).quick.add(step_kind, x, y, totals.step)
        return _as_results(totals.logs(), return_dict)

    def _alone(self, call: str) -> Alone:
        return Alone(self._busy, self.name, call)

    # What nnfast.training asks of a model
    def connect_to(self, x: Any) -> None:
        """Build a model whose inputs are not known before it sees data: an array, or a list or dictionary of arrays."""
        if self.inputs is None:
            names = self.input_names_for(x)
            self._connect(as_input_list(x, names), names, isinstance(x, dict) and self._is_several(x))

    def prepare_training(self, source: ArraySource | BatchSource) -> None:
        """Build what is not built yet, and let the losses look at the targets."""
        self.prepare_test(source)
        if not need_compiled(self._compiled, "training").trained():
            raise NnfastError(f"model {self.name} has no trainable weights: nothing to fit")

    def prepare_test(self, source: ArraySource | BatchSource) -> None:
        """The same for an evaluation, which needs no trainable weights."""
        compiled = need_compiled(self._compiled, "training")
        if isinstance(source, ArraySource):
            self.connect_to(source.arrays[: source.inputs] if source.inputs > 1 else source.arrays[0])
            input_specs(self, source.arrays[: source.inputs])
            check_targets(compiled, source.arrays)

    def train_step_for(self, rows: int, arrays: list[np.ndarray]) -> Step:
        return self._step_for(self.state.kind, rows, arrays)

    def test_step_for(self, rows: int, arrays: list[np.ndarray]) -> Step:
        return self._step_for("test", rows, arrays)

    def _step_for(self, kind: str, rows: int, arrays: list[np.ndarray]) -> Step:
        if rows == len(arrays[0]):  # a batch by itself: nobody has looked at it yet
            check_targets(need_compiled(self._compiled, kind), arrays)
        shaped, signature = signature_of(self, arrays, rows)
        arrays[:] = shaped
        return need_compiled(self._compiled, kind).step(kind, signature)

    def predict_arrays(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """Outputs for one batch of arrays, in `out` where it is given."""
        return self._predict.run(arrays, out)

    def empty_outputs(self, arrays: Sequence[np.ndarray], rows: int) -> list[np.ndarray]:
        """Arrays for the outputs of so many rows."""
        shapes = [shape for shape, _ in input_specs(self, arrays[: len(self.input_names)])[1]]
        return [np.empty((rows, *[n or 0 for n in shape[1:]]), dtype) for shape, dtype in self.output_specs_of(shapes)]

    def pack_outputs(self, outputs: list[np.ndarray]) -> Any:
        """One array, or a list where the model has several outputs."""
        return outputs if self.gives_list else outputs[0]

    # Looking
    def summary(self, print_fn: Any = print) -> None:
        """Print layers, output shapes, parameters and flops per row."""
        print_fn(summary(self))

    def plan(self, batch_size: int = 32, kind: str | None = None, input_shape: Any = None) -> PlanReport:
        """The plan of a "train", "test" or "predict" step: printed form, peak bytes, flops, bytes moved. Where gradients are accumulated,
        "accumulate" is the step of a batch that does not update the weights.

        kind is "train" by default for a compiled model, else "predict". input_shape: of a row (a list for several inputs), where sizes are
        not fixed.
        """
        if self.inputs is None:
            raise NnfastError(
                f"model {self.name}: give it an Input, or call it on data once, before asking for its plan"
            )
        kind = kind or ("train" if self.compiled else "predict")
        accumulates = self.state.batches_of_update > 1
        if kind not in ("train", "test", "predict") and not (kind == "accumulate" and accumulates):
            raise NnfastError(f"plan(kind={kind!r}): expected 'train', 'test' or 'predict'")
        check_batch_size(batch_size)
        specs = self.row_specs(input_shape)
        if kind == "predict":
            return report(self._predict.plan(Signature(batch_size, specs)))
        compiled = need_compiled(self._compiled, "plan")
        known = compiled.targets
        ys = likely_targets(self, compiled, specs)
        try:
            step = compiled.step(kind, Signature(batch_size, specs, ys))
        finally:
            if known is None:  # the shapes of the targets were a guess
                compiled.targets, compiled.target_specs = None, ()
        return report(step.plan)

    def freeze(self) -> Any:
        """The model as it is now, for inference: batch normalisation folded into the weights of the layers before it (nnfast.freezing).

        Predictions agree with the model's to a few units of rounding; training the model further does not change them.

        >>> import numpy as np, nnfast
        >>> model = nnfast.Sequential([nnfast.Input((3,)), nnfast.layers.Dense(2), nnfast.layers.BatchNormalization()])
        >>> x = np.ones((4, 3), "float32")
        >>> bool(np.allclose(model.freeze().predict(x), model.predict(x), rtol=1e-5, atol=1e-6))
        True
        """
        from nnfast.freezing import FrozenModel

        return FrozenModel(self)

    # Files
    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write everything that a training needs: configuration, weights, optimizer state, counters. Atomic."""
        from nnfast.saving import save_model

        save_model(self, filepath)

    def save_training(self, filepath: str | os.PathLike[str]) -> None:
        """Write what `fit(resume_from=filepath)` needs, without the configuration: for models that the script makes again. Atomic."""
        from nnfast.saving import save_training

        save_training(self, filepath)

    def save_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights alone."""
        from nnfast.saving import save_weights

        save_weights(self, filepath)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read weights that save_weights or save wrote, for a model of the same structure."""
        from nnfast.saving import load_weights

        load_weights(self, filepath)

    def get_config(self) -> dict[str, Any]:
        """Name and structure; a subclass whose constructor takes arguments adds them."""
        own = self.own_config()
        if self.inputs is None or not hasattr(self, "_calls"):
            return own
        from nnfast.saving import graph_config

        return {**own, **graph_config(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new model from what `get_config` gave."""
        if "calls" in config:
            from nnfast.saving import model_from_graph

            return model_from_graph(cls, config)
        taken = inspect.signature(cls).parameters
        every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
        given = {key: value for key, value in config.items() if every or key in taken}
        missing = [
            name for name, p in taken.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and name not in given
        ]  # fmt: skip
        if missing:
            raise NnfastError(
                f"{cls.__name__} needs {', '.join(missing)}: add them to what {cls.__name__}.get_config() returns, and save again"
            )
        model = cls(**given)
        model.name = config.get("name", model.name)
        return model.take_config(config)


serialization.register("layer")(Model)


def _as_results(logs: dict[str, Any], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
