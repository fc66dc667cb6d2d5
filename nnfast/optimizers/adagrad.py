"""Adagrad: each element's rate falls with the sum of its squared gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnfast import ops, serialization
from nnfast.optimizers.base import Optimizer, not_negative
from nnfast.schedules import LearningRateSchedule
from nnfast.typing import Config, Tensor


@serialization.register("optimizer")
class Adagrad(Optimizer):
    """a += g^2; w -= learning_rate * g / (sqrt(a) + epsilon) (Duchi et al. 2011).

    a starts at initial_accumulator_value (0.1 as in Keras; PyTorch 0). As in PyTorch, epsilon stands outside the root; Keras puts it
    inside, sqrt(a + epsilon).

    >>> Adagrad().slots(None)
    {'accumulator': 0.1}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adagrad",
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, gradient_accumulation_steps
        )
        self.initial_accumulator_value = not_negative("Adagrad", "initial_accumulator_value", initial_accumulator_value)
        self.epsilon = not_negative("Adagrad", "epsilon", epsilon)

    def slots(self, variable: Any) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update(
        self, weight: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], learning_rate: Tensor, counters: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        new_weight, accumulator = ops.update_adagrad(
            weight, gradient, slots["accumulator"], learning_rate, counters,
            weight_decay=self.weight_decay or 0.0, epsilon=self.epsilon,
        )  # fmt: skip
        return new_weight, {"accumulator": accumulator}

    def get_config(self) -> Config:
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
