"""Lambda: a function as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nnfast import serialization
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor


@serialization.register("layer")
class Lambda(Layer):
    """function(inputs, **arguments), where function is written in nnfast.ops.

    In a model file it stands by its name: register the function with nnfast.serialization.register("layer"), or give it to
    `load_model` in custom_objects. A function without a name of its own (a lambda) cannot be saved.

    >>> import numpy as np
    >>> Lambda(lambda x: x * 2)(np.ones((1, 2), "float32")).tolist()
    [[2.0, 2.0]]
    """

    supports_masking = True

    def __init__(
        self, function: Callable[..., Tensor] | str, arguments: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        found = serialization.lookup("layer", function) if isinstance(function, str) else function
        if not callable(found):
            raise TypeError(f"Lambda(function={function!r}): expected a function over nnfast.ops")
        self.function: Callable[..., Tensor] = found
        self.arguments = dict(arguments or {})

    def call(self, inputs: Tensor) -> Tensor:
        return self.function(inputs, **self.arguments)

    def get_config(self) -> Config:
        name = serialization.name_of(self.function)
        if name == "<lambda>":
            raise ValueError(
                f"{self.name}: a lambda cannot be saved; write `def` and give it a name, or subclass Layer"
            )
        return {**super().get_config(), "function": name, "arguments": serialization.serialize(self.arguments)}
