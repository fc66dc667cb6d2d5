"""Adam, and AdamW, which is Adam with weight decay by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnfast import ops, serialization
from nnfast.optimizers.base import Optimizer, below_one, not_negative
from nnfast.schedules import LearningRateSchedule
from nnfast.typing import Config, Tensor


@serialization.register("optimizer")
class Adam(Optimizer):
    """m += (1 - beta_1) (g - m); v += (1 - beta_2) (g^2 - v); w -= learning_rate * m' / (sqrt(v') + epsilon), t counted from 1,
    with m' = m / (1 - beta_1^t) and v' = v / (1 - beta_2^t) (Kingma and Ba 2014, algorithm 1).

    As in the paper and PyTorch, epsilon is added to the corrected root; Keras adds it before the correction, so its epsilon acts
    1 / sqrt(1 - beta_2^t) times stronger in the first steps. The default 1e-7 is Keras' (PyTorch: 1e-8). amsgrad is not supported.

    >>> Adam().slots(None)
    {'m': 0.0, 'v': 0.0}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, gradient_accumulation_steps
        )
        owner = type(self).__name__
        if amsgrad:
            raise ValueError(f"{owner}(amsgrad=True): amsgrad is not supported; leave it out")
        self.beta_1 = below_one(owner, "beta_1", beta_1)
        self.beta_2 = below_one(owner, "beta_2", beta_2)
        self.epsilon = not_negative(owner, "epsilon", epsilon)

    def slots(self, variable: Any) -> dict[str, float]:
        return {"m": 0.0, "v": 0.0}

    def update(
        self, weight: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], learning_rate: Tensor, counters: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        new_weight, m, v = ops.update_adam(
            weight, gradient, slots["m"], slots["v"], learning_rate, counters,
            weight_decay=self.weight_decay or 0.0, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon,
        )  # fmt: skip
        return new_weight, {"m": m, "v": v}

    def get_config(self) -> Config:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@serialization.register("optimizer")
class AdamW(Adam):
    """Adam with weight decay 0.004 by default: w -= learning_rate * weight_decay * w before each step (Loshchilov and Hutter 2017).

    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
            gradient_accumulation_steps,
        )
        if weight_decay is None:
            raise ValueError("AdamW(weight_decay=None): AdamW needs a weight_decay; without one, use Adam")
