"""The compiled half of a model: what `compile` was told, and the plans made for it.

In: a model, its targets' arguments, the user's arrays. Out: Steps for the shapes of a batch, from a cache; errors for data that does not
fit the model, found before the first step.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import optimizers, passes
from nnfast._core.calls import Calls, Unchanged
from nnfast.config import get_num_threads
from nnfast.data import Mask
from nnfast.errors import NotCompiledError, ShapeError, unknown_name
from nnfast.graph.ir import FLOATS
from nnfast.layers.symbol import fits, is_open
from nnfast.locks import free_in_child
from nnfast.structure import inner_layers
from nnfast.training.groups import recompute_groups
from nnfast.training.quick import QuickSteps
from nnfast.training.state import TrainingState
from nnfast.training.step import Signature, Spec, Step, make_step, predict_step
from nnfast.training.targets import Target, check_names, make_targets

INT32 = np.iinfo(np.int32)
MOST_PLANS = 32  # kept of predictions, and of training and test steps


class Compiled:
    """Settings of one `compile` call, and the plans of a model."""

    def __init__(self, model: Any, settings: dict[str, Any], without: Sequence[str]) -> None:
        for name in without:
            if name not in passes.names():
                raise unknown_name("pass in compile(without=...)", name, passes.names())
        self.model = model
        self.settings = settings
        self.without = tuple(without)
        self.optimizer = optimizers.get(settings["optimizer"])
        check_names(settings["loss"], settings["metrics"], settings["weighted_metrics"])
        self.targets: list[Target] | None = None
        self.target_specs: tuple[Spec, ...] = ()  # those of the targets seen first
        self.steps: OrderedDict[Any, Step] = OrderedDict()  # those used last
        self._trained: list[Any] = []
        self._marked: tuple[int, ...] = ()
        self._unchanged: Unchanged | None = None
        self.quick = QuickSteps(self)

    def unchanged(self) -> bool:
        """Whether layers and weights are as they were when they were last asked for what is trained."""
        return self._unchanged is not None and self._unchanged.holds()

    def trained(self) -> list[Any]:
        """The weights to be trained; looked up anew only where something has changed, which takes long in a model of many layers."""
        if not self.unchanged():
            self._unchanged = Unchanged(self.model.containers())
            self._trained = self.model.trainable_weights
            self._marked = tuple(id(layer) for layer in inner_layers(self.model) if layer.recompute)
        return self._trained

    def knows(self, step: Step) -> bool:
        """Whether this step is one of those that `step` would give now."""
        weights = tuple(map(id, self.trained()))
        return any(found is step and key[3] == weights and step.plan.valid for key, found in self.steps.items())

    def resolve(self, target_specs: Sequence[Spec]) -> list[Target]:
        """Losses and metrics, once the shapes of the targets are known."""
        if self.targets is None:
            self.target_specs = tuple(target_specs)
            s = self.settings
            shapes = [(None, *shape) for shape, _ in target_specs]
            self.targets = make_targets(
                self.model.output_names,
                s["loss"],
                s["loss_weights"],
                s["metrics"],
                s["weighted_metrics"],
                self.model.output_shapes,
                shapes,
            )
        return self.targets

    def step(self, kind: str, signature: Signature) -> Step:
        """The plan for a batch of these shapes; made at its first use."""
        model, state = self.model, self.model.state
        weights = self.trained()
        key = (kind, signature, get_num_threads(), tuple(map(id, weights)), self._marked)
        found = self.steps.get(key)
        if found is None or not found.plan.valid:
            targets = self.resolve(signature.targets)
            optimizer = None if kind == "test" else self.optimizer
            if optimizer is not None:
                state.prepare(weights, optimizer)
            # Batches of both kinds come in turn: the larger plan, which updates, is made first and lends its arena.
            beside = self.step("train", signature).plan if kind == "accumulate" else None
            groups = recompute_groups(model, self.settings.get("recompute"))
            found = self.steps[key] = make_step(
                model, targets, state, signature, optimizer, self.without, kind != "accumulate", groups, beside
            )
            if len(self.steps) > MOST_PLANS:
                self.steps.popitem(last=False)
        self.steps.move_to_end(key)
        return found


def input_specs(model: Any, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[Spec, ...]]:
    """Arrays in the shapes of the model's inputs, and their specs: floats become the input's dtype."""
    shaped, specs = [], []
    for array, (shape, dtype), name in zip(arrays, model.input_specs, model.input_names, strict=True):
        wanted = shape[1:]
        if None in wanted:
            if not fits(array.shape[1:], wanted) and fits((*array.shape[1:], 1), wanted):
                array = array.reshape(*array.shape, 1)  # (rows, time) for (rows, time, 1)
            wanted = array.shape[1:] if fits(array.shape[1:], wanted) else wanted
        elif (
            array.shape[1:] != wanted
            and int(np.prod(array.shape[1:])) == int(np.prod([n or 0 for n in wanted]))
            and 1 in (*wanted, *array.shape[1:])
        ):
            array = array.reshape(len(array), *wanted)  # (rows,) for (rows, 1) and the like
        if array.shape[1:] != wanted:
            hint = "reshape the data, or build the model for this shape"
            if fits(array.shape, wanted):
                hint = "a single sample needs a batch axis in front: x[None]"
            raise ShapeError(
                f"model {model.name}: input {name!r} has rows of shape {list(array.shape[1:])}, the model was built for {list(wanted)}; {hint}"
            )
        shaped.append(array)
        specs.append((tuple(wanted), dtype))
    return shaped, tuple(specs)


_fits: dict[int, tuple[weakref.ref[np.ndarray], bool]] = {}  # by id: arrays whose values were looked at


def target_spec(array: np.ndarray, floating: str) -> Spec:
    """Integers become int32 (labels), everything else the model's floating type."""
    integer = array.dtype.kind in "iub" and array.size > 0
    if integer and array.dtype.itemsize >= 4 and array.dtype != np.int32:
        integer = _fits_int32(array)
    return tuple(array.shape[1:]), "int32" if integer else floating


def _fits_int32(array: np.ndarray) -> bool:
    """Whether all values are in the range of int32; looked up once per array, which may have billions."""
    known = _fits.get(id(array))
    if known is not None and known[0]() is array:
        return known[1]
    fits = bool(array.min() >= INT32.min and array.max() <= INT32.max)
    key = id(array)
    _fits[key] = weakref.ref(array, lambda _: _fits.pop(key, None)), fits
    return fits


def signature_of(model: Any, arrays: Sequence[np.ndarray], rows: int) -> tuple[list[np.ndarray], Signature]:
    """The arrays of a source in plan order, and the signature of a batch of them."""
    inputs, targets = len(model.input_names), len(model.output_names)
    shaped, xs = input_specs(model, arrays[:inputs])
    floating = next((dtype for _, dtype in model.output_specs if dtype in FLOATS), "float32")
    ys = tuple(target_spec(a, floating) for a in arrays[inputs : inputs + targets])
    last = [a for a in arrays[inputs + targets :] if not isinstance(a, Mask)]
    ws = tuple((tuple(a.shape[1:]), floating) for a in last)
    masks = masks_of(arrays[inputs + targets + len(last) :], floating)
    return [*shaped, *arrays[inputs:]], Signature(rows, xs, ys, ws, masks)


def masks_of(arrays: Sequence[np.ndarray], floating: str) -> tuple[tuple[int, int, str], ...]:
    """Input, length and dtype of each mask."""
    return tuple((mask.place, mask.shape[1], floating) for mask in arrays if isinstance(mask, Mask))


def check_targets(compiled: Compiled, arrays: Sequence[np.ndarray]) -> None:
    """Let each loss look at the targets among these arrays: labels out of range, shapes that do not fit."""
    model = compiled.model
    first = len(model.input_names)
    ys = arrays[first : first + len(model.output_names)]
    targets = compiled.resolve([target_spec(y, "float32") for y in ys])
    outputs = model.output_specs_of([shape for shape, _ in input_specs(model, arrays[:first])[1]])
    for target, y, (shape, _) in zip(targets, ys, outputs, strict=True):
        if target.loss is not None and hasattr(target.loss, "check_targets"):
            target.loss.check_targets(y, (len(y), *shape[1:]))


def likely_targets(model: Any, compiled: Compiled, specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Specs of the targets for inputs of these: as those seen first; before any data labels for a sparse loss, else like the outputs."""
    loss, found = compiled.settings["loss"], []
    for i, (shape, dtype) in enumerate(model.output_specs_of([shape for shape, _ in specs])):
        own = loss.get(model.output_names[i]) if isinstance(loss, dict) else loss
        own = own[i] if isinstance(own, list | tuple) else own
        likely = (shape[1:-1], "int32") if "sparse" in str(getattr(own, "name", own)) else (shape[1:], dtype)
        if compiled.target_specs:
            met = compiled.target_specs[i]
            sizes_differ = is_open(model.output_shapes[i]) and len(met[0]) == len(likely[0])
            likely = (likely[0] if sizes_differ else met[0], met[1])
        found.append(likely)
    return tuple(found)


def need_compiled(compiled: Compiled | None, call: str) -> Compiled:
    """The compiled half, or the error that says what to do."""
    if compiled is None:
        raise NotCompiledError(
            f'{call} needs a loss and an optimizer: call model.compile(optimizer="adam", loss=...) first'
        )
    return compiled


class PredictPlans:
    """Plans of predictions, by batch shape and number of threads; those used last are kept."""

    MOST = MOST_PLANS

    def __init__(self, model: Any) -> None:
        self.model = model
        self.plans: OrderedDict[Any, Any] = OrderedDict()
        self.lock = free_in_child(threading.Lock())
        self.calls = Calls()  # of plans that are valid as long as nothing has changed
        self.unchanged = Unchanged([])

    def plan(self, signature: Signature) -> Any:
        """The plan for a batch of these shapes."""
        key = (signature, get_num_threads())
        with self.lock:
            found = self.plans.get(key)
            if found is None or not found.valid:
                found = self.plans[key] = self.make(signature)
                if len(self.plans) > self.MOST:
                    self.plans.popitem(last=False)
            self.plans.move_to_end(key)
            return found

    def make(self, signature: Signature) -> Any:
        """A new plan for a batch of these shapes."""
        return predict_step(self.model, signature)

    def quick(self, x: Any) -> list[np.ndarray] | None:
        """Outputs for an array like an earlier one; None where it takes the long way, or several batches."""
        return self.calls.call((x,), get_num_threads()) if self.unchanged.holds() else None

    def run(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """Outputs for one batch, as new arrays or in `out`."""
        inputs = len(self.model.input_names)
        shaped, specs = input_specs(self.model, arrays[:inputs])
        masks = masks_of(arrays[inputs:], next((dtype for _, dtype in specs if dtype in FLOATS), "float32"))
        shaped += [np.asarray(a).view(np.ndarray) for a in arrays[inputs:]]
        if not self.unchanged.holds():
            self.unchanged, self.calls = Unchanged([]), Calls()
        plan = self.plan(Signature(len(arrays[0]), specs, masks=masks))
        results: list[np.ndarray] = plan.call(shaped, out)
        if plan.gives_all:
            self.calls.add(plan.direct)
        return results


__all__ = ["Compiled", "PredictPlans", "TrainingState", "check_targets", "need_compiled", "signature_of"]
