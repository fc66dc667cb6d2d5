"""Weights from safetensors files of other libraries: which tensor becomes which weight, and which matrices are turned over.

In: a file, a model, rules for names. Out: the model's weights hold the file's numbers; errors say what is missing or left over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast.errors import ModelFileError

Array = np.ndarray
MOST_NAMED = 5  # names in an error


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All tensors of a safetensors file by name, as they lie there. bfloat16 is not supported.

    Raises ModelFileError where the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(os.fspath(path)))
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ModelFileError(f"{os.fspath(path)}: cannot be read as safetensors ({error})") from error


def load_safetensors(
    path: str | os.PathLike[str],
    model: Any,
    mapping: Mapping[str, str | None] | None = None,
    transpose: bool = True,
    strict: bool = True,
) -> list[str]:
    """Take a model's weights from a safetensors file of another library, such as PyTorch.

    mapping: regular expressions and what they become, tried in order on each name of the file; the first that fits the whole name
    gives the name of a weight (`weight.name` of `model.weights`), None leaves the tensor out. Names that no rule fits stay.
    transpose: kernels (weights whose names end in "kernel") lie in the file as (out, in), as PyTorch keeps them. strict: every weight
    must be in the file, and every tensor of the file must be used or left out by a rule. Returns the names of the weights that were set.

    Raises ModelFileError that names what is missing, left over, or of another shape; nothing changes then.

    >>> import nnfast
    >>> model = nnfast.Sequential([nnfast.Input((2,)), nnfast.layers.Dense(1, name="d")])
    >>> load_safetensors("net.safetensors", model, {r"fc\\.weight": "d/kernel", r"fc\\.bias": "d/bias"})  # doctest: +SKIP
    ['d/kernel', 'd/bias']
    """
    where = os.fspath(path)
    tensors = read_safetensors(path)
    weights = {weight.name: weight for weight in model.weights}
    rules = [(re.compile(pattern), name) for pattern, name in (mapping or {}).items()]
    chosen: dict[str, Array] = {}
    unused = []
    for name, array in tensors.items():
        target = _renamed(name, rules)
        if target is None:
            continue
        if target not in weights:
            unused.append(name if target == name else f"{name} ({target})")
        elif target in chosen:
            raise ModelFileError(f"{where}: two tensors become the weight {target}; the second is {name}")
        else:
            turned = transpose and target.endswith("kernel") and array.ndim == 2
            chosen[target] = array.T if turned else array
            _check_shape(where, name, array, weights[target], turned)
    missing = [name for name in weights if name not in chosen]
    if strict and missing:
        raise ModelFileError(f"{where}: no tensor for the weights {_some(missing)}; give a mapping, or strict=False")
    if strict and unused:
        raise ModelFileError(
            f"{where}: the model has no weight for {_some(unused)}; map them to None to leave them out, or give strict=False"
        )
    for name, array in chosen.items():
        weights[name].assign(array)
    return list(chosen)


def _renamed(name: str, rules: list[tuple[re.Pattern[str], str | None]]) -> str | None:
    for pattern, replacement in rules:
        found = pattern.fullmatch(name)
        if found is not None:
            return None if replacement is None else found.expand(replacement)
    return name


def _check_shape(where: str, name: str, array: Array, weight: Any, turned: bool) -> None:
    shape = array.shape[::-1] if turned else array.shape
    if shape != weight.shape:
        also = ", transposed" if turned else ""
        raise ModelFileError(
            f"{where}: {name} has shape {list(array.shape)}{also}; the weight {weight.name} has {list(weight.shape)}"
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
