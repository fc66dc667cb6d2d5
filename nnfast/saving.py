"""Models as files: one safetensors file with the weights, optimizer state and counters, and the configuration as JSON in its metadata.

In: a model. Out: a file, written atomically by nnfast.io; and back. Classes come from the registry by name; nothing in a file is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast import serialization
from nnfast.errors import ModelFileError, NnfastError, UnknownNameError
from nnfast.io import read_tensors, write_tensors
from nnfast.layers.input import Input
from nnfast.layers.symbol import Symbol, flat

PathLike = str | os.PathLike[str]


def save_model(model: Any, path: PathLike) -> None:
    """Write configuration, weights, optimizer state and counters."""
    if not model.built:
        raise NnfastError(f"model {model.name} is not built yet: give it an Input, or call it on data, before saving")
    tensors = _weight_tensors(model) | model.state.tensors(model.weights)
    metadata: dict[str, Any] = {
        "kind": "model",
        "model": serialization.serialize(model),
        "weights": [v.name for v in model.weights],
        "inputs": [{"shape": list(s.shape[1:]), "dtype": s.dtype, "name": s.name} for s in model.inputs or []],
        "takes_dict": model.takes_dict,
    }
    if model.compiled:
        metadata["compile"] = _compile_config(model)
    write_tensors(path, tensors, metadata)


def save_weights(model: Any, path: PathLike) -> None:
    """Write the weights alone."""
    write_tensors(path, _weight_tensors(model), {"kind": "weights", "weights": [v.name for v in model.weights]})


def load_weights(model: Any, path: PathLike) -> None:
    """Read weights for a model of the same structure."""
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") not in ("weights", "model"):
        raise ModelFileError(f"{path}: holds {metadata.get('kind')!r}, expected weights or a model")
    _assign(model, tensors, path)


def load_model(filepath: PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Any:
    """Read a model that Model.save wrote; training goes on with the same bits as if it had not stopped.

    custom_objects: the user's own layers, losses, metrics and functions by name. compile=False leaves out optimizer and loss.
    Raises ModelFileError for a file that is damaged, foreign, or of a newer version.
    """
    tensors, metadata = read_tensors(filepath)
    if metadata.get("kind") != "model":
        raise ModelFileError(
            f"{filepath}: holds {metadata.get('kind')!r}, expected a model; read weights with model.load_weights(path)"
        )
    custom = dict(custom_objects or {})
    with serialization.custom_objects(custom):
        try:
            model = serialization.deserialize("layer", metadata["model"])
            if model.inputs is None and metadata["inputs"]:
                model.build_for(metadata["inputs"], metadata["takes_dict"])
            _assign(model, tensors, filepath)
            if compile and "compile" in metadata:
                model.compile(**_compile_arguments(metadata["compile"], custom))
                model.state.load(tensors, model.weights, model.optimizer)
        except UnknownNameError as error:
            raise UnknownNameError(
                f"{filepath}: {error}. Give what is your own to load_model(path, custom_objects={{'name': object}})"
            ) from None
    return model


def _weight_tensors(model: Any) -> dict[str, np.ndarray]:
    return {f"weight/{i}": variable.numpy() for i, variable in enumerate(model.weights)}


def _assign(model: Any, tensors: Mapping[str, np.ndarray], path: PathLike) -> None:
    """Give the weights their content; nothing changes where one does not fit."""
    variables = model.weights
    count = sum(name.startswith("weight/") for name in tensors)
    if count != len(variables):
        raise ModelFileError(
            f"{path}: has {count} weights, model {model.name} has {len(variables)}: the file is for another model"
        )
    for i, variable in enumerate(variables):
        array = tensors[f"weight/{i}"]
        if array.shape != variable.shape:
            raise ModelFileError(
                f"{path}: weight {i} has shape {list(array.shape)}, {variable.name} has {list(variable.shape)}: the file is for another model"
            )
    for i, variable in enumerate(variables):
        variable.assign(tensors[f"weight/{i}"])


def _compile_config(model: Any) -> dict[str, Any]:
    settings = dict(model._compiled.settings)
    settings["optimizer"] = model.optimizer
    return {name: serialization.serialize(value) for name, value in settings.items()}


def _compile_arguments(config: dict[str, Any], custom: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"optimizer": "optimizer", "loss": "loss", "metrics": "metric", "weighted_metrics": "metric"}

    def revive(kind: str | None, value: Any) -> Any:
        if isinstance(value, str) and kind is not None:  # names of the user's own mean nothing after this call
            return custom[value] if value in custom else serialization.lookup(kind, value) and value
        if kind is None or value is None or isinstance(value, int | float):
            return value
        if isinstance(value, list):
            return [revive(kind, item) for item in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {key: revive(kind, item) for key, item in value.items()}
        return serialization.deserialize(kind, value)

    return {name: revive(kinds.get(name), value) for name, value in config.items()}


# Functional models: layers once, then the calls between symbols by number.
def graph_config(model: Any) -> dict[str, Any]:
    """The structure of a functional model as JSON types."""
    layers = list(dict.fromkeys(call.layer for call in model._calls))
    numbers: dict[Symbol, int] = {symbol: i for i, symbol in enumerate(model.inputs)}
    calls = []
    for call in model._calls:
        several = isinstance(call.inputs, list | tuple)
        for output in call.outputs:
            numbers[output] = len(numbers)
        calls.append(
            {"layer": layers.index(call.layer), "several": several, "inputs": [numbers[s] for s in flat(call.inputs)]}
        )
    return {
        "inputs": [{"shape": list(s.shape[1:]), "dtype": s.dtype, "name": s.name} for s in model.inputs],
        "layers": [serialization.serialize(layer) for layer in layers],
        "calls": calls,
        "outputs": [numbers[s] for s in model.outputs],
        "takes_list": model.takes_list,
        "gives_list": model.gives_list,
    }


def model_from_graph(cls: Any, config: dict[str, Any]) -> Any:
    """A functional model from what `graph_config` gave."""
    layers = [serialization.deserialize("layer", item) for item in config["layers"]]
    symbols: list[Any] = [Input(**item) for item in config["inputs"]]
    inputs = list(symbols)
    for call in config["calls"]:
        given = [symbols[i] for i in call["inputs"]]
        symbols += flat(layers[call["layer"]](given if call["several"] else given[0]))
    outputs = [symbols[i] for i in config["outputs"]]
    return cls(
        inputs if config["takes_list"] else inputs[0],
        outputs if config["gives_list"] else outputs[0],
        name=config.get("name"),
        trainable=config.get("trainable", True),
    )
