"""What every optimizer does: learning rate, clipping, and the slots that a weight's update needs.

In: gradients (symbolic, one per trainable weight). Out: for each weight one update op, which the plan runs right after the gradient. An
optimizer holds settings only; slots and the step counter live in the model's buffers, and are saved with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.schedules import LearningRateSchedule
from nnfast.serialization import Configurable
from nnfast.typing import Array, Config, Tensor

GRADIENT_SUM = "gradient_sum"  # the slot for the gradients of earlier batches


class Optimizer(Configurable, ABC):
    """Base class: `slots` names the state kept for a weight, `update` adds the update op.

    learning_rate: a number >= 0 or a LearningRateSchedule. weight_decay: w -= learning_rate * weight_decay * w before each update
    (decoupled: Loshchilov and Hutter 2017). At most one of clipnorm (limit for the norm of each gradient), clipvalue (for each element)
    and global_clipnorm (for the norm of all gradients together). gradient_accumulation_steps: weights are updated after so many batches, with
    the mean of their gradients (which is what is clipped); schedules and bias corrections count updates. Tables are then updated as a whole.
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule | Mapping[str, Any],
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        owner = type(self).__name__
        self.name = name or owner.lower()
        self._learning_rate = _rate(owner, learning_rate)
        self.weight_decay = None if weight_decay is None else not_negative(owner, "weight_decay", weight_decay)
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: value for key, value in limits.items() if value is not None}
        if len(given) > 1:
            raise ValueError(
                f"{owner}: {' and '.join(given)} were given; expected at most one of clipnorm, clipvalue, global_clipnorm"
            )
        for key, value in given.items():
            if not value > 0:
                raise ValueError(f"{owner}({key}={value!r}): {key} must be positive")
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.gradient_accumulation_steps = _accumulation(owner, gradient_accumulation_steps)

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a float that can be set, also during training, or the schedule given to the constructor."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        owner = type(self).__name__
        if isinstance(self._learning_rate, LearningRateSchedule) and not isinstance(value, LearningRateSchedule):
            raise TypeError(
                f"{owner}.learning_rate = {value!r}: the rate follows {self._learning_rate!r}; "
                "give the optimizer a number in place of the schedule to set the rate yourself (or with a callback)"
            )
        self._learning_rate = _rate(owner, value)

    def learning_rates(self, first_iteration: int, count: int) -> Array:
        """The rates of steps first_iteration to first_iteration + count - 1 as float64, shape (count,)."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            steps = range(first_iteration, first_iteration + count)
            return np.asarray([float(rate(step)) for step in steps], np.float64)
        return np.full(count, rate, np.float64)

    def rates_of_batches(self, first_iteration: int, count: int) -> Array:
        """The rates of batches, of which several may make one update."""
        every = self.gradient_accumulation_steps or 1
        if every == 1:
            return self.learning_rates(first_iteration, count)
        return np.repeat(self.learning_rates(first_iteration // every, 1), count)

    def clip(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients within the limits that were asked for."""
        if self.clipvalue is not None:
            return [ops.clip(gradient, -self.clipvalue, self.clipvalue) for gradient in gradients]
        if self.clipnorm is not None:
            return [ops.multiply(gradient, _shrink(_square_sum(gradient), self.clipnorm)) for gradient in gradients]
        if self.global_clipnorm is not None and gradients:
            total = _square_sum(gradients[0])
            for gradient in gradients[1:]:
                total = ops.add(total, _square_sum(gradient))
            factor = _shrink(total, self.global_clipnorm)
            return [ops.multiply(gradient, factor) for gradient in gradients]
        return list(gradients)

    @abstractmethod
    def slots(self, variable: Any) -> dict[str, float]:
        """Names of the state tensors kept for a weight, each of the weight's shape, and their first values."""

    def all_slots(self, variable: Any) -> dict[str, float]:
        """`slots`, and the sum of gradients where they are accumulated."""
        own = self.slots(variable)
        return own if self.gradient_accumulation_steps is None else {**own, GRADIENT_SUM: 0.0}

    @abstractmethod
    def update(
        self, weight: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], learning_rate: Tensor, counters: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(new weight, new slots), by one update op. learning_rate is the vector of rates, counters the model's step counters."""

    def get_config(self) -> Config:
        every = self.gradient_accumulation_steps  # not named where it is not used, as in files of older versions
        return {
            "learning_rate": serialization.serialize(self._learning_rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "name": self.name,
            **({} if every is None else {"gradient_accumulation_steps": every}),
        }


def _rate(owner: str, value: Any) -> float | LearningRateSchedule:
    if isinstance(value, Mapping):
        value = serialization.get("schedule", value)
    if isinstance(value, LearningRateSchedule):
        return value
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = float("nan")
    if not 0 <= rate < float("inf"):
        raise ValueError(f"{owner}(learning_rate={value!r}): expected a finite number >= 0 or a LearningRateSchedule")
    return rate


def _accumulation(owner: str, steps: Any) -> int | None:
    if steps is None or (not isinstance(steps, bool) and isinstance(steps, int | np.integer) and steps >= 2):
        return None if steps is None else int(steps)
    raise ValueError(
        f"{owner}(gradient_accumulation_steps={steps!r}): expected an integer of at least 2, or None to update after each batch"
    )


def not_negative(owner: str, name: str, value: float) -> float:
    """value, checked to be finite and >= 0."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{owner}({name}={value!r}): {name} must be a finite number >= 0")
    return value


def below_one(owner: str, name: str, value: float) -> float:
    """value, checked to be in 0 <= value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{owner}({name}={value!r}): {name} must be in 0 <= {name} < 1")
    return value


def _square_sum(gradient: Tensor) -> Tensor:
    return ops.sum(ops.square(gradient))


def _shrink(square_sum: Tensor, limit: float) -> Tensor:
    """limit / max(norm, limit): 1 for a norm within the limit."""
    return ops.divide(limit, ops.maximum(ops.sqrt(square_sum), limit))
