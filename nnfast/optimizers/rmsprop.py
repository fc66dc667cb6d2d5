"""RMSprop: the gradient over the root of its mean square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnfast import ops, serialization
from nnfast.optimizers.base import Optimizer, below_one, not_negative
from nnfast.schedules import LearningRateSchedule
from nnfast.typing import Config, Tensor


@serialization.register("optimizer")
class RMSprop(Optimizer):
    """s = rho * s + (1 - rho) * g^2; w -= learning_rate * g / (sqrt(s) + epsilon) (Tieleman and Hinton 2012).

    centered: sqrt(s - mean(g)^2) in place of sqrt(s), with a running mean of g by rho. momentum: u = momentum * u + the step above;
    w -= u. As in PyTorch, epsilon stands outside the root; Keras puts it inside, sqrt(s + epsilon).

    >>> RMSprop(momentum=0.9).slots(None)
    {'mean_square': 0.0, 'momentum': 0.0, 'mean_gradient': 0.0}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, gradient_accumulation_steps
        )
        self.rho = below_one("RMSprop", "rho", rho)
        self.momentum = below_one("RMSprop", "momentum", momentum)
        self.epsilon = not_negative("RMSprop", "epsilon", epsilon)
        self.centered = centered

    def slots(self, variable: Any) -> dict[str, float]:
        plain = not self.momentum and not self.centered
        return dict.fromkeys(["mean_square"] if plain else ["mean_square", "momentum", "mean_gradient"], 0.0)

    def update(
        self, weight: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], learning_rate: Tensor, counters: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        new_weight, *state = ops.update_rmsprop(
            weight, gradient, slots["mean_square"], slots.get("momentum"), slots.get("mean_gradient"), learning_rate, counters,
            weight_decay=self.weight_decay or 0.0, rho=self.rho, momentum=self.momentum, epsilon=self.epsilon,
            centered=self.centered,
        )  # fmt: skip
        return new_weight, dict(zip(self.slots(None), state, strict=True))

    def get_config(self) -> Config:
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}
