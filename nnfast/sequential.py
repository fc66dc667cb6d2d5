"""Sequential: a model that is a list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnfast import serialization
from nnfast.errors import GraphError
from nnfast.layers.base import Layer
from nnfast.layers.input import Input
from nnfast.layers.symbol import Symbol
from nnfast.model import Model


class Sequential(Model):
    """Layers one after the other. Without an Input in front, the model is built when it first sees data.

    >>> import nnfast
    >>> model = nnfast.Sequential([nnfast.Input((4,)), nnfast.layers.Dense(3, activation="relu"), nnfast.layers.Dense(2)])
    >>> model.output_shape
    (None, 2)
    """

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        if not isinstance(trainable, bool):
            raise TypeError(
                f"Sequential(trainable={trainable!r}): expected True or False; layers go into one list, as in Sequential([Dense(8), Dense(1)])"
            )
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Layer] = []
        self._first: Symbol | None = None
        if layers is not None and not isinstance(layers, list | tuple):
            raise TypeError(
                f"Sequential(layers={layers!r}): expected a list of layers, as in Sequential([Dense(8), Dense(1)])"
            )
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer behind the others."""
        if isinstance(layer, Symbol):
            if self._stack or self._first is not None:
                raise GraphError("Sequential.add: an Input must come first, and only once")
            self._first = layer
            return
        if not isinstance(layer, Layer):
            hint = "; write it with brackets, to make an object" if isinstance(layer, type) else ""
            raise TypeError(f"Sequential.add: expected a layer, got {layer!r}{hint}")
        if self.inputs or self._first is not None:
            self.inputs = self.inputs or [s for s in [self._first] if s is not None]
            self.outputs = [layer(self.outputs[0] if self.outputs else self.inputs[0])]
            self.input_shape = self.inputs[0].shape
            self.built = True
        self._stack = [*self._stack, layer]
        self._forget_plans()

    def pop(self) -> Layer:
        """Take the last layer off, and return it."""
        if not self._stack:
            raise GraphError("Sequential.pop: the model has no layers")
        *self._stack, last = self._stack
        if self.inputs:
            self.outputs = []
            for layer in self._stack:
                self.outputs = [layer(self.outputs[0] if self.outputs else self.inputs[0])]
        self._forget_plans()
        return last

    def build(self, input_shape: Any) -> None:
        for_layer: Any = Symbol(tuple(input_shape), self.dtype, "x")
        for layer in self._stack:
            for_layer = layer(for_layer)

    def call(self, inputs: Any) -> Any:
        if not self._stack:
            raise GraphError("this Sequential model has no layers: add some first")
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    @property
    def layers(self) -> list[Layer]:
        return list(self._stack)

    @property
    def output_names(self) -> list[str]:
        return [symbol.name for symbol in self.outputs] or [self._stack[-1].name if self._stack else "y"]

    def _is_several(self, x: Any) -> bool:
        return False  # a list is one array for the one input, a dictionary has one entry

    def get_config(self) -> dict[str, Any]:
        known = self._first if self._first is not None else self.inputs[0] if self.inputs else None
        first = None if known is None else {"shape": list(known.shape[1:]), "dtype": known.dtype, "name": known.name}
        layers = [serialization.serialize(layer) for layer in self._stack]
        return {"name": self.name, "trainable": self.trainable, **self.own_config(), "input": first, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        layers = [serialization.deserialize("layer", item) for item in config["layers"]]
        first = [Input(**config["input"])] if config.get("input") else []
        return cls([*first, *layers], name=config.get("name")).take_config(config)


serialization.register("layer")(Sequential)
