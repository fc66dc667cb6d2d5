"""What lives between training steps: counters, learning rates, optimizer state.

In: a model's trainable weights and an optimizer. Out: Variables that plans update in place. All weights lie behind each other in one
piece of memory, and so does each kind of optimizer state in the same order, so that one sweep updates all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast._core.runtime import Memory
from nnfast.errors import ModelFileError
from nnfast.ops.random import COUNTERS, ITERATION, ROW, SEED, SLOT
from nnfast.random import global_seed
from nnfast.variable import Variable

MOST_BATCHES = 1024  # batches of one run of a plan; so many learning rates are held ready
ALIGNMENT = 64


def _move(variables: Sequence[Variable], places: Sequence[tuple[Memory, int]]) -> None:
    """Move variables to these places."""
    for variable, place in zip(variables, places, strict=True):
        variable.move_to(*place)


def _places(variables: Sequence[Variable]) -> list[tuple[Memory, int]]:
    """New memory for tensors like these, one behind the other."""
    offsets = [0]
    for variable in variables:
        offsets.append(offsets[-1] + _aligned(variable.stored_bytes))
    memory = Memory(max(offsets.pop(), ALIGNMENT))
    return [(memory, offset) for offset in offsets]


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class TrainingState:
    """Counters, learning rates and optimizer slots of one model."""

    def __init__(self, batches_of_update: int = 1) -> None:
        self.batches_of_update = batches_of_update
        self.counters = Variable((COUNTERS,), "int64", 0, "counters", trainable=False)
        self.counters.storage[SEED] = global_seed()
        # Counters that count updates in place of batches; made anew from the others before each run.
        self.updates = Variable((COUNTERS,), "int64", 0, "updates", trainable=False)
        self.learning_rates = Variable((MOST_BATCHES,), "float64", 0.0, "learning_rate", trainable=False)
        self.slots: dict[Variable, dict[str, Variable]] = {}
        self.run: Any = None  # the fit under way, or the last one (nnfast.training.run)

    @property
    def iteration(self) -> int:
        """Batches trained on."""
        return int(self.counters.storage[ITERATION])

    @property
    def seed(self) -> int:
        return int(self.counters.storage[SEED])

    @property
    def kind(self) -> str:
        """What the next batch of a training is for: "train" updates the weights, "accumulate" adds to the sum of gradients."""
        return "train" if (self.iteration + 1) % self.batches_of_update == 0 else "accumulate"

    @property
    def alike(self) -> int:
        """How many batches from now on are of this kind, at most."""
        if self.batches_of_update == 1:
            return MOST_BATCHES
        return max(1, self.batches_of_update - 1 - self.iteration % self.batches_of_update)

    def begin_run(self, row: int) -> None:
        """The next batch begins at this place of the row order, and records go to the start of the log."""
        self.counters.storage[ROW] = row
        self.counters.storage[SLOT] = 0
        self.count_updates()

    def count_updates(self) -> None:
        """Let `updates` say how many there were."""
        self.updates.storage[ITERATION] = self.iteration // self.batches_of_update

    def prepare(self, weights: Sequence[Variable], optimizer: Any) -> None:
        """Make the slots that the optimizer needs for these weights and are not there yet."""
        if set(self.slots) == set(weights):
            return
        ordered = sorted(weights, key=lambda v: v.dtype)  # one sweep per type; sorted keeps the order of equals
        fills = {variable: optimizer.all_slots(variable) for variable in ordered}
        names = list(dict.fromkeys(name for of_one in fills.values() for name in of_one))
        owners = {name: [variable for variable in ordered if name in fills[variable]] for name in names}
        try:  # all the memory first: nothing has changed where it cannot be had
            home = _places(ordered)
            homes = {name: _places(owners[name]) for name in names}
        except MemoryError:
            need = sum(
                variable.stored_bytes for of_one in ([ordered], owners.values()) for o in of_one for variable in o
            )
            largest = sorted(ordered, key=lambda v: -v.stored_bytes)[:3]
            raise MemoryError(
                f"training needs {need:,} bytes for the weights and the optimizer's state; largest weights: "
                + ", ".join(f"{v.name} {list(v.shape)} {v.stored_bytes:,}" for v in largest)
            ) from None
        _move(ordered, home)
        kept = self.slots
        slots: dict[Variable, dict[str, Variable]] = {variable: {} for variable in ordered}
        for name in names:
            for variable, place in zip(owners[name], homes[name], strict=True):
                known = kept.get(variable, {}).get(name)
                if known is not None:
                    known.move_to(*place)
                slots[variable][name] = known or _slot(variable, name, fills[variable][name], place)
        self.slots = slots

    def tensors(self, weights: Sequence[Variable]) -> dict[str, np.ndarray]:
        """Everything as arrays, for a file: counters, and slots by the weight's place."""
        found = {"counters": self.counters.numpy()}
        places = {variable: i for i, variable in enumerate(weights)}
        for variable, slots in self.slots.items():
            for name, slot in slots.items():
                found[f"optimizer/{places[variable]}/{name}"] = slot.numpy()
        return found

    def load(self, tensors: dict[str, np.ndarray], weights: Sequence[Variable], optimizer: Any) -> None:
        """Take over what `tensors` gave."""
        given = {key: array for key, array in tensors.items() if key.startswith("optimizer/")}
        self.check(tensors, given, weights, optimizer)
        self.counters.assign(tensors["counters"])
        if given:
            self.prepare(_owners(given, weights), optimizer)
        for key, array in given.items():
            _, place, name = key.split("/", 2)
            self.slots[weights[int(place)]][name].assign(array)

    def check(
        self, tensors: dict[str, np.ndarray], given: dict[str, np.ndarray], weights: Sequence[Variable], optimizer: Any
    ) -> None:
        """Raise ModelFileError where these are not the counters and slots of such weights and such an optimizer."""
        counters = tensors.get("counters")
        if counters is None or counters.shape != (COUNTERS,) or counters.dtype != np.int64:
            raise ModelFileError("the counters of the training are missing, or have another shape or dtype")
        expected = {
            f"optimizer/{i}/{name}": variable
            for i, variable in enumerate(weights)
            if variable in set(_owners(given, weights))
            for name in optimizer.all_slots(variable)
        }
        for key in sorted({*given, *expected}):
            array, variable = given.get(key), expected.get(key)
            if array is None or variable is None or (array.shape, array.dtype) != (variable.shape, variable.dtype):
                what = "none" if array is None else f"{array.dtype}{list(array.shape)}"
                need = "none" if variable is None else f"{variable.dtype}{list(variable.shape)}"
                raise ModelFileError(f"optimizer state {key!r}: the file has {what}, this model and optimizer {need}")


def _owners(given: dict[str, np.ndarray], weights: Sequence[Variable]) -> list[Variable]:
    """The weights that have optimizer state."""
    return [v for i, v in enumerate(weights) if any(key.startswith(f"optimizer/{i}/") for key in given)]


def _slot(variable: Variable, name: str, fill: float, home: tuple[Memory, int]) -> Variable:
    start = np.full(variable.shape, fill) if fill else 0.0
    return Variable(
        variable.shape,
        variable.dtype,
        start,
        f"{variable.name}/{name}",
        trainable=False,
        layout=variable.layout,
        home=home,
    )
