"""What stands for a tensor while a model is put together: a shape with None for the batch, and the layer call it comes from.

In: `Input(...)` and layers called on symbols. Out: the history from which nnfast.Model reads its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Graph, Value
from nnfast.graph.trace import tracing

if TYPE_CHECKING:
    from nnfast.layers.base import Layer

Shape = tuple[int | None, ...]


class LayerCall:
    """One call of a layer on symbols; a shared layer has several."""

    def __init__(self, layer: Layer, inputs: Any, outputs: list[Symbol]) -> None:
        self.layer = layer
        self.inputs = inputs  # a symbol, or a list of symbols
        self.outputs = outputs


class Symbol:
    """A tensor of a model that is being put together. Arithmetic on it makes small layers."""

    def __init__(self, shape: Shape, dtype: str, name: str, call: LayerCall | None = None, index: int = 0) -> None:
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.call = call  # None for an Input
        self.index = index

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<Symbol {self.name} {self.dtype}{list(self.shape)}>"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise GraphError(f"{self!r} has no numbers yet: use layers or nnfast.ops in place of NumPy's functions")

    def __bool__(self) -> bool:
        raise GraphError(f"{self!r} has no truth value: it has no numbers yet")

    def __iter__(self) -> Iterator[Any]:
        raise GraphError(f"{self!r} cannot be unpacked or iterated over: take parts of it, as in x[:, 0:1]")

    __array_ufunc__ = None
    __hash__ = object.__hash__


def is_symbolic(x: Any) -> bool:
    """Is x a symbol, or does a list hold one?"""
    return any(isinstance(item, Symbol) for item in flat(x))


def infer_outputs(function: Callable[[Any], Any], inputs: Any) -> list[tuple[Shape, str]]:
    """Shapes and dtypes of function's results on symbols: traced with two batch sizes; sizes that differ are the batch."""
    found = [_trace(function, inputs, batch) for batch in (2, 3)]
    specs = []
    for a, b in zip(*found, strict=True):
        if len(a.shape) != len(b.shape):
            raise ShapeError("the number of axes of a layer's output depends on the batch size")
        shape = tuple(m if m == n else None for m, n in zip(a.shape, b.shape, strict=True))
        specs.append((shape, a.dtype))
    return specs


def _trace(function: Callable[[Any], Any], inputs: Any, batch: int) -> list[Value]:
    graph = Graph()

    def value(symbol: Any) -> Any:
        if not isinstance(symbol, Symbol):
            return symbol
        return graph.input([batch if extent is None else extent for extent in symbol.shape], symbol.dtype, symbol.name)

    with tracing(graph):
        results = function(like(inputs, [value(x) for x in flat(inputs)]))
    if isinstance(results, dict):
        raise GraphError(
            "a layer returned a dictionary: return a list or a tuple of outputs; they are named by their place"
        )
    values = list(results) if isinstance(results, list | tuple) else [results]
    for result in values:
        if not isinstance(result, Value):
            raise GraphError(
                f"a layer must return symbolic values, got {type(result).__name__}: compute with nnfast.ops, not with NumPy"
            )
    return values


def flat(x: Any) -> Sequence[Any]:
    """The items of a list or dictionary, or the one item."""
    if isinstance(x, dict):
        return list(x.values())
    return list(x) if isinstance(x, list | tuple) else [x]


def like(x: Any, items: Sequence[Any]) -> Any:
    """`flat` back: these items in the form of x."""
    if isinstance(x, dict):
        return dict(zip(x, items, strict=True))
    return list(items) if isinstance(x, list | tuple) else items[0]
