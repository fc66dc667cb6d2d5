"""What stands for a tensor while a model is put together: a shape with None for the batch, and the layer call it comes from.

In: `Input(...)` and layers called on symbols. Out: the history from which nnfast.Model reads its layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnfast.errors import GraphError, NnfastError, ShapeError
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


# What is tried in place of an axis whose size is not fixed: small sizes for layers with a limit, large ones for wide windows. Two that
# work show which axes of the outputs follow it.
SIZES = (2, 4, 9, 64)
LARGE_SIZES = (512, 4096, 32768)


def is_open(shape: Shape) -> bool:
    """Is the size of an axis beside the batch not fixed?"""
    return None in shape[1:]


def fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether a shape is the wanted one, in which None stands for any size but 0."""
    return len(shape) == len(wanted) and all(
        (m == n and m is not None) or (n is None and bool(m)) for m, n in zip(shape, wanted, strict=True)
    )


def infer_outputs(function: Callable[[Any], Any], inputs: Any) -> list[tuple[Shape, str]]:
    """Shapes and dtypes of function's results on symbols: traced with two batch sizes, and several sizes of axes that are not fixed; None
    where results differ."""
    size: int | None = None
    found = []
    if any(is_open(x.shape) for x in flat(inputs) if isinstance(x, Symbol)):
        tried = try_sizes(function, inputs)
        size, found = tried[0][0], [values for _, values in tried]
        if len(found) == 1:
            raise ShapeError(
                f"it works with {size} in place of None, but with no other size: fix it, as in Input(({size}, ...))"
            )
    try:
        found += [_trace(function, inputs, batch, size) for batch in ((3,) if found else (2, 3))]
    except NnfastError as error:
        _hide_batch(error, function, inputs)
        raise
    if len({len(values) for values in found}) > 1:
        raise ShapeError("the number of a layer's outputs depends on the size of an axis that is not fixed")
    specs = []
    for results in zip(*found, strict=True):
        if len({len(value.shape) for value in results}) > 1:
            raise ShapeError(
                "the number of axes of a layer's output depends on the batch size, or on an axis that is not fixed"
            )
        sizes = [set(extents) for extents in zip(*(value.shape for value in results), strict=True)]
        specs.append((tuple(one.pop() if len(one) == 1 else None for one in sizes), results[0].dtype))
    return specs


def try_sizes(function: Callable[[Any], Any], inputs: Any, most: int = len(SIZES) + 1) -> list[tuple[int, list[Value]]]:
    """Results with a batch of 2 and the sizes that work, up to so many; the error of the largest where none does."""
    found: list[tuple[int, list[Value]]] = []
    failed: Exception | None = None
    for size in (*SIZES, *LARGE_SIZES):
        if len(found) >= most or (
            size > SIZES[-1] and len(found) >= 2 and (size > LARGE_SIZES[0] or not _has_ones(found))
        ):
            break
        try:
            found.append((size, _trace(function, inputs, 2, size)))
        except (NnfastError, ValueError, IndexError, TypeError) as error:
            failed = error
    if not found and failed is not None:
        raise failed
    return found


def _has_ones(found: Sequence[tuple[int, list[Value]]]) -> bool:
    """Has a result an axis of size 1, as after pooling? A larger size tells whether it stays so."""
    return any(1 in value.shape[1:] for value in found[-1][1])


def _hide_batch(error: NnfastError, function: Callable[[Any], Any], inputs: Any) -> None:
    """Put None, and None*n, where an error for 2 rows has other numbers than the same one for 3 rows."""
    try:
        _trace(function, inputs, 3)
    except NnfastError as other:
        parts, others = (re.split(r"(\d+)", str(x)) for x in (error, other))
        if parts[::2] != others[::2]:
            return
        for i in range(1, len(parts), 2):
            each = int(others[i]) - int(parts[i])
            if each and int(parts[i]) == 2 * each:
                parts[i] = "None" if each == 1 else f"None*{each}"
        error.args = ("".join(parts), *error.args[1:])


def _trace(function: Callable[[Any], Any], inputs: Any, batch: int, size: int | None = None) -> list[Value]:
    graph = Graph()

    def value(symbol: Any) -> Any:
        if not isinstance(symbol, Symbol):
            return symbol
        rest = [size or batch if extent is None else extent for extent in symbol.shape[1:]]
        return graph.input([batch if symbol.shape[0] is None else symbol.shape[0], *rest], symbol.dtype, symbol.name)

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


def is_numbers(x: Any) -> bool:
    """Is x a list of numbers, or of lists of them?"""
    return all(isinstance(item, int | float) or (isinstance(item, list | tuple) and is_numbers(item)) for item in x)
