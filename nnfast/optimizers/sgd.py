"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnfast import ops, serialization
from nnfast.optimizers.base import Optimizer
from nnfast.schedules import LearningRateSchedule
from nnfast.typing import Config, Tensor


@serialization.register("optimizer")
class SGD(Optimizer):
    """w -= learning_rate * g; with momentum, v = momentum * v - learning_rate * g and w += v.

    nesterov: w += momentum * v - learning_rate * g (Sutskever et al. 2013). This is Keras' form; PyTorch multiplies by the learning
    rate after the momentum, which is the same while the rate stays constant.

    >>> SGD(0.1, momentum=0.9).learning_rates(0, 2).tolist()
    [0.1, 0.1]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "SGD",
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, gradient_accumulation_steps
        )
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD(momentum={momentum!r}): momentum must be in 0 to 1")
        self.momentum = momentum
        self.nesterov = nesterov

    def slots(self, variable: Any) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(
        self, weight: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], learning_rate: Tensor, counters: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        decay = self.weight_decay or 0.0
        if not self.momentum:
            return ops.update_sgd(weight, gradient, learning_rate, counters, weight_decay=decay), {}
        new_weight, velocity = ops.update_sgd_momentum(
            weight, gradient, slots["momentum"], learning_rate, counters,
            weight_decay=decay, momentum=self.momentum, nesterov=self.nesterov,
        )  # fmt: skip
        return new_weight, {"momentum": velocity}

    def get_config(self) -> Config:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
