"""Structure: how layers hang together between symbols; the part of a model that knows nothing of training.

In: symbols (functional), or data for a model that is built when it first sees some. Out: the layer calls in order, names, shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnfast import config
from nnfast.errors import GraphError, ModelFileError, NnfastError, ShapeError, unknown_name
from nnfast.graph.ir import Value
from nnfast.layers.base import Layer
from nnfast.layers.input import Input
from nnfast.layers.symbol import LayerCall, Shape, Symbol, fits, flat, infer_outputs, is_open

MOST_SPECS = 1024  # kept by output_specs_of


class Structure(Layer):
    """Layers between inputs and outputs; nnfast.Model adds training to it."""

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.inputs: list[Symbol] | None = None
        self._specs_met: dict[Any, list[tuple[Shape, str]]]
        object.__setattr__(self, "_specs_met", {})
        self.outputs: list[Symbol] = []
        self.takes_list = isinstance(inputs, list | tuple)
        self.takes_dict = False  # a subclass whose `call` gets a dictionary
        self.gives_list = isinstance(outputs, list | tuple)
        for argument, given in (("inputs", inputs), ("outputs", outputs)):
            if isinstance(given, dict):
                raise GraphError(
                    f"Model({argument}={{...}}): give a list of symbols; data may be dictionaries by the names of Input(name=...) and layers"
                )
        if inputs is not None:
            self._set_graph(flat(inputs), flat(outputs))

    def _set_graph(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        for name, symbols in (("inputs", inputs), ("outputs", outputs)):
            for symbol in symbols:
                if not isinstance(symbol, Symbol):
                    raise GraphError(
                        f"Model({name}=...): expected a symbol or a list of symbols, from nnfast.Input and layers called on them, "
                        f"got {symbol!r}"
                    )
        self.inputs, self.outputs = list(inputs), list(outputs)
        self._calls = _ordered_calls(self.inputs, self.outputs)
        self._layers_of_graph = list(dict.fromkeys(call.layer for call in self._calls))
        self.built = True
        shapes: list[Shape] = [symbol.shape for symbol in self.inputs]
        self.input_shape = shapes if self.takes_list else shapes[0]

    def own_config(self) -> dict[str, Any]:
        """What a configuration holds besides the structure."""
        own = {"name": self.name} if self.trainable else {"name": self.name, "trainable": False}
        return {**own, "recompute": True} if self.recompute else own

    def take_config(self, config: Mapping[str, Any]) -> Any:
        """The model, with the trainable and recompute of a configuration."""
        self.trainable, self.recompute = config.get("trainable", True), config.get("recompute", False)
        return self

    def call(self, inputs: Any) -> Any:
        """Run the layers on values or arrays."""
        if self.inputs is None or not hasattr(self, "_calls"):
            raise NotImplementedError(
                f"{type(self).__name__}: define call(self, inputs), or give Model inputs and outputs"
            )
        found: dict[Symbol, Any] = dict(zip(self.inputs, flat(inputs), strict=True))
        for made in self._calls:
            given = [found[s] if isinstance(s, Symbol) else s for s in flat(made.inputs)]
            results = made.layer(given if isinstance(made.inputs, list | tuple) else given[0])
            found.update(zip(made.outputs, flat(results), strict=True))
        results = [found[symbol] for symbol in self.outputs]
        return results if self.gives_list else results[0]

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if isinstance(inputs, dict) and self.inputs is not None and not self.takes_dict:
            inputs = [inputs[name] for name in self.input_names]
        if training and not any(isinstance(x, Symbol | Value) for x in flat(inputs)):
            raise NnfastError(
                f"{self.name}(x, training=True): on arrays a model computes predictions only; use train_on_batch, or nnfast.value_and_grad"
            )
        return super().__call__(inputs, training, mask)

    @property
    def input_names(self) -> list[str]:
        return [symbol.name for symbol in self.inputs or []]

    @property
    def output_names(self) -> list[str]:
        names: list[str] = []
        for symbol in self.outputs:
            name, n = symbol.name, 1
            while name in names:
                name, n = f"{symbol.name}_{n}", n + 1
            names.append(name)
        return names or [self.name]  # before the outputs are known

    @property
    def input_specs(self) -> list[tuple[Shape, str]]:
        return [(symbol.shape, symbol.dtype) for symbol in self.inputs or []]

    @property
    def output_specs(self) -> list[tuple[Shape, str]]:
        return [(symbol.shape, symbol.dtype) for symbol in self.outputs]

    def row_specs(self, input_shape: Any = None) -> tuple[tuple[tuple[int, ...], str], ...]:
        """Shapes of a row and dtypes of the inputs; where sizes are not fixed, input_shape (a list for several inputs) has them."""
        specs = self.input_specs
        given: list[Any] = [shape[1:] for shape, _ in specs]
        if input_shape is not None:
            given = list(input_shape) if isinstance(input_shape, list) else [input_shape]
        right = len(given) == len(specs) and all(
            fits(shape, wanted[1:]) for shape, (wanted, _) in zip(given, specs, strict=True)
        )
        if not right:
            raise ShapeError(
                f"model {self.name}: input_shape={input_shape!r}: expected the shape of a row such as {[list(shape[1:]) for shape, _ in specs]}, "
                "with a size in place of each None"
            )
        return tuple((tuple(shape), dtype) for shape, (_, dtype) in zip(given, specs, strict=True))

    def output_specs_of(self, shapes: Sequence[Shape]) -> list[tuple[Shape, str]]:
        """Shapes and dtypes of the outputs for inputs whose rows have these shapes; other than `output_specs` where sizes are not fixed."""
        if not any(is_open(symbol.shape) for symbol in self.outputs):
            return self.output_specs
        key = tuple(map(tuple, shapes))
        found = self._specs_met.get(key)
        if found is None:
            symbols = [
                Symbol((None, *shape), symbol.dtype, symbol.name)
                for shape, symbol in zip(shapes, self.inputs or [], strict=True)
            ]
            found = infer_outputs(self._call_traced, self.pack_inputs(symbols))
            if len(self._specs_met) >= MOST_SPECS:
                self._specs_met.clear()
            self._specs_met[key] = found
        return found

    @property
    def output_shapes(self) -> list[Shape]:
        return [symbol.shape for symbol in self.outputs]

    @property
    def output_shape(self) -> Any:
        return self.output_shapes if self.gives_list else self.output_shapes[0]

    def input_names_for(self, x: Any) -> list[str]:
        """Names of the inputs; for a subclassed or deferred model that is not built yet, made from the data."""
        if self.inputs is not None:
            return self.input_names
        if isinstance(x, dict):
            return list(x)
        return [f"x_{i}" for i in range(len(x))] if self._is_several(x) else ["x"]

    def _is_several(self, x: Any) -> bool:
        """Does a list or dictionary of data hold one array per input, and not the rows of one?"""
        return isinstance(x, dict) or (
            isinstance(x, list | tuple) and len(x) > 1 and all(hasattr(item, "shape") for item in x)
        )

    def pack_inputs(self, items: Sequence[Any]) -> Any:
        """One item per input, in the form in which `call` takes them."""
        if self.takes_dict:
            return dict(zip(self.input_names, items, strict=True))
        return list(items) if len(items) > 1 or self.takes_list else items[0]

    def _connect(self, arrays: Sequence[np.ndarray], names: Sequence[str], as_dict: bool) -> None:
        """Build a model whose inputs are not known before it sees data."""
        inputs, masks = arrays[: len(names)], arrays[len(names) :]
        dtypes = [
            self._dtype or config.floatx() if a.dtype.kind == "f" or a.dtype.itemsize < 4 else "int32" for a in inputs
        ]
        shapes: list[list[int | None]] = [[None, *(a.shape[1:] or (1,))] for a in inputs]
        for mask in masks:  # sequences of other lengths will come
            shapes[mask.place][1] = None  # type: ignore[attr-defined]
        symbols = [Symbol(tuple(shape), dtype, name) for shape, dtype, name in zip(shapes, dtypes, names, strict=True)]
        self._build_from(symbols, as_dict)

    def build_for(self, inputs: Sequence[dict[str, Any]], as_dict: bool) -> None:
        """Build a model that waits for its first data for these inputs: arguments of Input."""
        self._build_from([Input(**arguments) for arguments in inputs], as_dict)

    def _build_from(self, symbols: list[Symbol], as_dict: bool) -> None:
        self.inputs, self.takes_dict = symbols, as_dict
        try:
            self._find_outputs(symbols)
        except BaseException:
            self.inputs, self.takes_dict = None, False
            raise

    def _cast(self, x: Any) -> Any:
        """A model that was given no dtype leaves its inputs to its layers, which may be float64."""
        return x if self._dtype is None else super()._cast(x)

    def _find_outputs(self, symbols: list[Symbol]) -> None:
        given = self.pack_inputs(symbols)
        self._ensure_built(given)
        specs = infer_outputs(self._call_traced, given)
        self.outputs = [
            Symbol(shape, dtype, self.name if len(specs) == 1 else f"{self.name}_{i}")
            for i, (shape, dtype) in enumerate(specs)
        ]
        self.gives_list = len(specs) > 1

    # Recurrent layers that keep their states between batches
    def stateful_layers(self) -> list[Any]:
        """The stateful layers at any depth, in their order."""
        return [
            layer
            for layer in dict.fromkeys(inner_layers(self))
            if getattr(layer, "stateful", False) and hasattr(layer, "kept")
        ]

    @property
    def stateful(self) -> bool:
        """Whether a batch depends on the one before."""
        return bool(self.stateful_layers())

    def reset_state(self) -> None:
        """Let all stateful layers begin with zeros again."""
        for layer in self.stateful_layers():
            layer.reset_state()

    reset_states = reset_state

    def kept_states(self) -> list[Any]:
        """What stateful layers keep, as JSON types and arrays: [place of the layer, rows, dtype, arrays]."""
        return [
            [place, rows, dtype, [variable.numpy() for variable in variables]]
            for place, layer in enumerate(self.stateful_layers())
            for (rows, dtype), variables in layer.kept.items()
            if any(variable.storage.any() for variable in variables)
        ]

    def restore_states(self, kept: Sequence[Any]) -> None:
        """Take over what `kept_states` gave."""
        self.reset_state()
        found = self.stateful_layers()
        for place, rows, dtype, arrays in kept:
            if not 0 <= place < len(found):
                raise ModelFileError(f"states of stateful layer {place}; the model has {len(found)} stateful layers")
            for variable, array in zip(found[place].kept_for(rows, dtype), arrays, strict=True):
                variable.assign(array)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or place."""
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise NnfastError(f"get_layer(index={index}): model {self.name} has {len(self.layers)} layers")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown_name(f"layer of model {self.name}", name, [layer.name for layer in self.layers])


def inner_layers(layer: Layer) -> Iterator[Any]:
    """The layers inside, at any depth."""
    for inner in layer.layers:
        yield inner
        yield from inner_layers(inner)


def _ordered_calls(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> list[LayerCall]:
    """The layer calls between inputs and outputs, in an order in which they can run."""
    ordered: list[LayerCall] = []
    state: dict[LayerCall, bool] = {}
    stack: list[tuple[Symbol, bool]] = [(symbol, False) for symbol in reversed(outputs)]
    while stack:
        symbol, done = stack.pop()
        call = symbol.call
        if symbol in inputs:
            continue
        if call is None:
            raise GraphError(f"the outputs depend on {symbol!r}, which is not among the inputs of the model")
        if done:
            if call not in ordered:
                ordered.append(call)
            continue
        if call in state:
            continue
        state[call] = True
        stack.append((symbol, True))
        stack += [(s, False) for s in reversed(flat(call.inputs)) if isinstance(s, Symbol)]
    return ordered
