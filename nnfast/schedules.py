"""Learning rates as functions of the step: `schedule(step) -> float`, for the `learning_rate` of an optimizer.

In: the number of the training step, from 0. Out: a Python float, the same bits on every machine (see nnfast.exact). The trainer
asks for all steps of an epoch at once through Optimizer.learning_rates.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from nnfast import exact, serialization
from nnfast.serialization import Configurable
from nnfast.typing import Config


class LearningRateSchedule(Configurable):
    """Base class: override `__call__(step) -> float`, and `get_config` with the constructor's arguments.

    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 / (1 + step)
    >>> Halving()(1)
    0.05
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")


def _positive_steps(schedule: str, decay_steps: float) -> float:
    if not decay_steps > 0:
        raise ValueError(f"{schedule}(decay_steps={decay_steps!r}): decay_steps must be positive")
    return decay_steps


@serialization.register("schedule")
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps); with staircase, the exponent's whole part.

    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        if not decay_rate >= 0:
            raise ValueError(f"ExponentialDecay(decay_rate={decay_rate!r}): decay_rate must not be negative")
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps("ExponentialDecay", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate * exact.power(self.decay_rate, exponent)

    def get_config(self) -> Config:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@serialization.register("schedule", "PiecewiseConstant")
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], and so on; the last value after them.

    >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> [schedule(step) for step in (0, 100, 101, 201)]
    [0.1, 0.1, 0.01, 0.001]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need {len(boundaries) + 1} values, got {len(values)}"
            )
        if any(high <= low for low, high in itertools.pairwise(boundaries)):
            raise ValueError(f"PiecewiseConstantDecay(boundaries={list(boundaries)}): boundaries must rise")
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: int) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if step <= boundary:
                return value
        return self.values[-1]

    def get_config(self) -> Config:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@serialization.register("schedule")
class PolynomialDecay(LearningRateSchedule):
    """From initial_learning_rate to end_learning_rate in decay_steps steps: (initial - end) * (1 - step / decay_steps) ** power + end.

    With cycle, decay_steps grows to the next multiple when step passes it, so the rate jumps up and decays again.

    >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps("PolynomialDecay", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        span = self.decay_steps
        if self.cycle:
            span *= max(1, -(-step // self.decay_steps))
        left = 1 - min(step, span) / span
        if self.power != 1:
            left = exact.power(left, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate

    def get_config(self) -> Config:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


@serialization.register("schedule")
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); with staircase, the whole part of step / decay_steps.

    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps("InverseTimeDecay", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:
        time = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * time)

    def get_config(self) -> Config:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@serialization.register("schedule")
class CosineDecay(LearningRateSchedule):
    """Half a cosine wave down to alpha times the start, after an optional linear warm-up (Loshchilov and Hutter 2016).

    Without warmup_target: initial_learning_rate * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha), constant after
    decay_steps. With it: warmup_steps steps from initial_learning_rate to warmup_target on a line, then the cosine from there.

    >>> CosineDecay(0.2, decay_steps=100)(50)
    0.1
    >>> CosineDecay(0.0, decay_steps=100, warmup_target=0.2, warmup_steps=10)(5)
    0.1
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        if warmup_steps < 0:
            raise ValueError(f"CosineDecay(warmup_steps={warmup_steps!r}): warmup_steps must not be negative")
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps("CosineDecay", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return start + (self.warmup_target - start) * (step / self.warmup_steps)
            start = self.warmup_target
            step -= self.warmup_steps
        wave = exact.cosine_of_half_turns(min(step, self.decay_steps) / self.decay_steps)
        return start * ((1 - self.alpha) * (0.5 * (1 + wave)) + self.alpha)

    def get_config(self) -> Config:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


def serialize(schedule: LearningRateSchedule) -> Any:
    """The schedule's name and configuration, in JSON types."""
    return serialization.serialize(schedule)


def deserialize(config: Any) -> LearningRateSchedule:
    """The schedule for what `serialize` returned."""
    schedule: LearningRateSchedule = serialization.get("schedule", config)
    return schedule
