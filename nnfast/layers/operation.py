"""What arithmetic on symbols makes: `a + b`, `a[:, :2]`, `ops.mean(a, axis=1)` become small layers.

In: an op or a function of nnfast.ops, and operands of which some are symbols. Out: an OpLayer called on those symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import NnfastError
from nnfast.graph import trace
from nnfast.layers.base import Layer, unique_name
from nnfast.layers.symbol import Symbol, flat
from nnfast.ops.registry import OPS
from nnfast.variable import Variable


class OpLayer(Layer):
    """An op, or a function of nnfast.ops, applied to symbols: made by `a + b`, `a[:, :2]`, `ops.mean(a, axis=1)` and the like."""

    def __init__(self, op: str, operands: list[Any], attributes: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.op = op  # "add" for an op, "ops.mean" for a function
        self.operands = operands  # as `_encode` makes them
        self.attributes = attributes or {}

    def call(self, inputs: Any) -> Any:
        given = flat(inputs)
        operands = [_decode(x, given) for x in self.operands]
        attributes = {name: _decode(x, given) for name, x in self.attributes.items()}
        if self.op.startswith("ops."):
            return getattr(ops, self.op.removeprefix("ops."))(*operands, **attributes)
        return ops.call(self.op, *operands, **attributes)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Arithmetic hands masks on: a position counts where it does in every operand that has a mask."""
        known = [mask for mask in flat(previous_mask) if mask is not None]
        if not known or self.op not in OPS or OPS[self.op].kind != "elementwise":
            return None
        shape = np.broadcast_shapes(*(tuple(x.shape) for x in flat(inputs)))
        return reduce(ops.multiply, known) if all(mask.shape == shape[: mask.ndim] for mask in known) else None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "op": self.op, "operands": self.operands, "attributes": self.attributes}


serialization.register("layer")(OpLayer)


def _apply_to_symbols(op: Any, operands: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    """A layer for an op, or for a function of nnfast.ops given by its name."""
    symbols: list[Symbol] = []
    encoded = [_encode(x, symbols) for x in operands]
    encoded_attributes = {name: _encode(x, symbols) for name, x in attributes.items()}
    name = op if isinstance(op, str) else op.name
    layer = OpLayer(f"ops.{name}" if isinstance(op, str) else name, encoded, encoded_attributes, name=unique_name(name))
    return layer(symbols if len(symbols) > 1 else symbols[0])


def _encode(x: Any, symbols: list[Symbol]) -> Any:
    """An operand as JSON types; symbols are collected, and stand by their place."""
    if isinstance(x, Symbol):
        symbols.append(x)
        return {"symbol": len(symbols) - 1}
    if isinstance(x, Variable):
        raise NnfastError(
            f"{x!r} in arithmetic with symbols would not belong to the model: write a layer with add_weight"
        )
    if isinstance(x, slice):
        return {"slice": [x.start, x.stop, x.step]}
    if x is Ellipsis:
        return {"ellipsis": True}
    if isinstance(x, tuple):
        return {"tuple": [_encode(item, symbols) for item in x]}
    return serialization.serialize(x)


def _decode(x: Any, given: Sequence[Any]) -> Any:
    """What `_encode` encoded."""
    if not isinstance(x, dict):
        return x
    ((kind, content),) = x.items()
    if kind == "symbol":
        return given[content]
    if kind == "slice":
        return slice(*content)
    return Ellipsis if kind == "ellipsis" else tuple(_decode(item, given) for item in content)


trace.symbolic = (Symbol, _apply_to_symbols)
ops.install_operators(Symbol)
