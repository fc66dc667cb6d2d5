"""Models as files: one safetensors file with the weights, optimizer state and counters, and the configuration as JSON in its metadata.

In: a model. Out: a file, written atomically by nnfast.io; and back. Classes come from the registry by name; nothing in a file is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nnfast import serialization
from nnfast._version import __version__
from nnfast.errors import ModelFileError, NnfastError, UnknownNameError
from nnfast.graph.ir import FLOATS
from nnfast.io import read_tensors, write_tensors
from nnfast.layers.input import Input
from nnfast.layers.symbol import Symbol, flat
from nnfast.training.resume import join_arrays, split_arrays
from nnfast.training.run import PastRun
from nnfast.variable import weights_of_at_most

PathLike = str | os.PathLike[str]
SLACK = 1 << 20  # bytes that layers may take for themselves while a model is rebuilt, beside twice its weights


def save_model(model: Any, path: PathLike) -> None:
    """Write configuration, weights, optimizer state and counters."""
    if not model.built:
        raise NnfastError(f"model {model.name} is not built yet: give it an Input, or call it on data, before saving")
    tensors, metadata = _training_parts(model)
    metadata |= {"kind": "model", **_structure(model)}
    if model.compiled:
        metadata["compile"] = _compile_config(model)
    write_tensors(path, tensors, metadata)


def save_frozen(model: Any, arrays: Sequence[np.ndarray], path: PathLike) -> None:
    """Write configuration and weights of a frozen model: the weights that it has had since it was frozen, as they were before folding."""
    metadata = {
        "nnfast": __version__,
        "kind": "frozen",
        "weights": [v.name for v in model.weights],
        **_structure(model),
    }
    write_tensors(path, {f"weight/{i}": array for i, array in enumerate(arrays)}, metadata)


def _structure(model: Any) -> dict[str, Any]:
    """What a model is made again from, without its weights."""
    return {
        "model": serialization.serialize(model),
        "inputs": [{"shape": list(s.shape[1:]), "dtype": s.dtype, "name": s.name} for s in model.inputs or []],
        "takes_dict": model.takes_dict,
    }


def save_training(model: Any, path: PathLike) -> None:
    """Write what `save_model` writes without the configuration, for a model that is made again by its script."""
    tensors, metadata = _training_parts(model)
    write_tensors(path, tensors, {**metadata, "kind": "training"})


def read_training(path: PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors of a file from which a fit can go on, and the parts of the Run that wrote it."""
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") not in ("model", "training") or not isinstance(metadata.get("training"), dict):
        raise ModelFileError(
            f"{os.fspath(path)}: was not written during or after a fit, so none can go on from it; read it with load_model or load_weights"
        )
    with named(path):
        return tensors, join_arrays(metadata["training"], tensors)


def load_training(model: Any, tensors: Mapping[str, np.ndarray], path: PathLike) -> None:
    """Give a model the weights, counters and optimizer state of such a file; nothing changes where one does not fit."""
    with named(path):
        _check_weights(model, tensors, path, exact=True)
        model.state.load(tensors, model.weights, model.optimizer)
        _assign(model, tensors)


def save_weights(model: Any, path: PathLike) -> None:
    """Write the weights alone."""
    write_tensors(path, _weight_tensors(model), {"kind": "weights", "weights": [v.name for v in model.weights]})


def load_weights(model: Any, path: PathLike) -> None:
    """Read weights for a model of the same structure."""
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") not in ("weights", "model", "training", "frozen"):
        raise ModelFileError(f"{path}: holds {metadata.get('kind')!r}, expected weights or a model")
    with named(path):
        _check_weights(model, tensors, path, exact=False)
    _assign(model, tensors)


def load_model(filepath: PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Any:
    """Read a model that Model.save wrote; training goes on with the same bits as if it had not stopped. What a frozen model's save
    wrote is a frozen model again.

    custom_objects: the user's own layers, losses, metrics and functions by name. compile=False leaves out optimizer and loss.
    Raises ModelFileError for a file that is damaged, foreign, or of a newer version.
    """
    tensors, metadata = read_tensors(filepath)
    if metadata.get("kind") not in ("model", "frozen"):
        raise ModelFileError(
            f"{filepath}: holds {metadata.get('kind')!r}, expected a model; read weights with model.load_weights(path)"
        )
    custom = dict(custom_objects or {})
    with serialization.custom_objects(custom):
        try:
            with named(filepath):
                size = sum(array.nbytes for name, array in tensors.items() if name.startswith("weight/"))
                with weights_of_at_most(2 * size + SLACK):
                    model = serialization.deserialize("layer", metadata["model"])
                    if model.inputs is None and metadata["inputs"]:
                        model.build_for(metadata["inputs"], metadata["takes_dict"])
                _check_weights(model, tensors, filepath, exact=True)
                _assign(model, tensors)
                if compile and "compile" in metadata:
                    model.compile(**_compile_arguments(metadata["compile"], custom))
                    model.state.load(tensors, model.weights, model.optimizer)
                    if isinstance(metadata.get("training"), dict):
                        model.state.run = PastRun(join_arrays(metadata["training"], tensors), model.state)
        except UnknownNameError as error:
            raise UnknownNameError(
                f"{filepath}: {error}. Give what is your own to load_model(path, custom_objects={{'name': object}})"
            ) from None
    return model.freeze() if metadata["kind"] == "frozen" else model


def _weight_tensors(model: Any) -> dict[str, np.ndarray]:
    return {f"weight/{i}": variable.numpy() for i, variable in enumerate(model.weights)}


def _training_parts(model: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What every file with a training holds: weights, optimizer state, counters, and where the fit stands."""
    tensors = _weight_tensors(model) | model.state.tensors(model.weights)
    metadata: dict[str, Any] = {"nnfast": __version__, "weights": [v.name for v in model.weights]}
    run = model.state.run
    if run is not None and run.known:
        metadata["training"] = split_arrays(run.parts(model), tensors, "fit")
    return tensors, metadata


@contextmanager
def named(path: PathLike) -> Iterator[None]:
    """What goes wrong inside, with the contents of a file, is an error that names it."""
    try:
        yield
    except ModelFileError as error:
        if str(error).startswith(os.fspath(path)):
            raise
        raise ModelFileError(f"{os.fspath(path)}: {error}") from error
    except (NnfastError, MemoryError):
        raise
    except Exception as error:
        raise ModelFileError(
            f"{os.fspath(path)}: its contents make no model: {type(error).__name__}: {error}"
        ) from error


def _check_weights(model: Any, tensors: Mapping[str, np.ndarray], path: PathLike, exact: bool) -> None:
    """Raise ModelFileError where the weights in a file are not those of this model; another floating type is fine unless exact."""
    variables = model.weights
    count = sum(name.startswith("weight/") for name in tensors)
    if count != len(variables):
        raise ModelFileError(
            f"{path}: has {count} weights, model {model.name} has {len(variables)}: the file is for another model"
        )
    for i, variable in enumerate(variables):
        array = tensors.get(f"weight/{i}", np.empty((0, 0)))
        if array.shape != variable.shape:
            raise ModelFileError(
                f"{path}: weight {i} has shape {list(array.shape)}, {variable.name} has {list(variable.shape)}: the file is for another model"
            )
        floats = not exact and array.dtype.kind == "f" and variable.dtype in FLOATS
        if array.dtype != variable.dtype and not floats:
            raise ModelFileError(
                f"{path}: weight {i} has dtype {array.dtype}, {variable.name} has {variable.dtype}: the file is for another model"
            )


def _assign(model: Any, tensors: Mapping[str, np.ndarray]) -> None:
    for i, variable in enumerate(model.weights):
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
    model = cls(
        inputs if config["takes_list"] else inputs[0],
        outputs if config["gives_list"] else outputs[0],
        name=config.get("name"),
    )
    return model.take_config(config)
