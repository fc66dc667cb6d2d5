"""Which layers of a model are recomputed in the backward pass, and which of them together: `compile(recompute=...)`.

In: True, or layers and their names, alone or in lists. Out: the number of a group for each layer. nnfast.passes.recompute does the rest.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Any

from nnfast.errors import unknown_name
from nnfast.layers.base import Layer
from nnfast.structure import inner_layers


def recompute_setting(given: Any) -> Any:
    """What compile was given, as JSON types: None, True, or a list of names and of lists of names."""
    if given is None or given is False:
        return None
    if given is True:
        return True
    if not isinstance(given, list | tuple):
        given = [given]
    return [[_name(item) for item in entry] if isinstance(entry, list | tuple) else _name(entry) for entry in given]


def _name(item: Any) -> str:
    if not isinstance(item, str | Layer):
        raise TypeError(
            f"compile(recompute=...): {item!r}: expected True, or layers and names of layers, alone or in lists"
        )
    return item if isinstance(item, str) else item.name


def recompute_groups(model: Any, setting: Any) -> dict[Any, int]:
    """Numbers from 1 on for the groups of layers that are recomputed together.

    True: with n layers, about sqrt(n) groups of neighbours but for the last, whose values are read soon anyway.
    """
    if setting is None:
        return {}
    known = {layer.name: layer for layer in inner_layers(model)}
    if setting is True:
        ordered = list(dict.fromkeys(call.layer for call in model._calls)) if hasattr(model, "_calls") else model.layers
        size = ceil(sqrt(len(ordered)))
        setting = [[layer.name for layer in ordered[i : i + size]] for i in range(0, len(ordered) - size, size)]
    groups: dict[Any, int] = {}
    for number, entry in enumerate(setting, 1):
        for name in entry if isinstance(entry, list) else [entry]:
            if name not in known:
                raise unknown_name("layer in compile(recompute=...)", name, list(known))
            groups[known[name]] = number
    return groups


def recompute(layer: Any) -> Any:
    """The layer (or model, as a block of another one), marked: of what it computes inside, nothing is kept for the backward pass, which
    computes it again. Takes less memory and more time; results have the same bits (Chen et al. 2016).

    Raises TypeError where it is no layer.

    >>> import nnfast
    >>> block = recompute(nnfast.layers.TransformerEncoder(64, 2))
    >>> block.recompute
    True
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"recompute({layer!r}): expected a layer or a model")
    layer.recompute = True
    return layer
