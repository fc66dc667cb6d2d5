"""The one registry of named things: from a name or a configuration to an object, and back.

In: strings ("relu"), configurations ({"class_name": "Dense", "config": {...}}) and objects. Out: objects, and JSON types for model
files. Layers, activations, initializers, regularizers, losses, metrics, optimizers and schedules enter it with `register`;
nothing is ever found by an import path, so a model file cannot make nnfast import or run foreign code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from nnfast.boundary import named
from nnfast.errors import unknown_name

T = TypeVar("T")

_registry: dict[str, dict[str, Any]] = {}
_names: dict[Any, str] = {}
_streams: ContextVar[Iterator[int] | None] = ContextVar("nnfast_recorded_streams", default=None)
_custom: ContextVar[Mapping[str, Any] | None] = ContextVar("nnfast_custom_objects", default=None)


def snake_case(name: str) -> str:
    """Lower case words joined by underscores, as Keras makes them.

    >>> snake_case("MeanSquaredError")
    'mean_squared_error'
    """
    partly = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", partly).lower()


def register(kind: str, *aliases: str) -> Callable[[T], T]:
    """Decorator: make a class or function known under its name, a short form of it as in Keras, and the aliases.

    kind is "layer", "activation", "initializer", "regularizer", "loss", "metric", "optimizer" or "schedule".
    A class defined again in the same place (a notebook cell run twice) replaces the old one; any other clash is a ValueError.

    >>> from nnfast import serialization
    >>> @serialization.register("activation")
    ... def cube(x):
    ...     return x * x * x
    >>> serialization.lookup("activation", "cube") is cube
    True
    """

    def enter(target: T) -> T:
        name: str = target.__name__  # type: ignore[attr-defined]
        if isinstance(target, FunctionType) and target.__module__.startswith("nnfast."):
            target = named(target, name)  # type: ignore[assignment]
        known = _registry.setdefault(kind, {})
        for key in dict.fromkeys((name, *_short_names(kind, name), *aliases)):
            if key in known and not _same_place(known[key], target):
                raise ValueError(f"register: the {kind} name {key!r} is taken by {known[key]!r}; choose another name")
            known[key] = target
        _names[target] = name
        return target

    return enter


def _short_names(kind: str, name: str) -> list[str]:
    """The name "adamw" for an optimizer, none for a layer, "mean_squared_error" and the like for all others."""
    if kind == "layer":
        return []
    return [name.lower() if kind == "optimizer" else snake_case(name)]


def _same_place(old: Any, new: Any) -> bool:
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


@contextmanager
def custom_objects(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Inside this block, `lookup` knows these names too; used by `load_model(path, custom_objects={...})`."""
    token = _custom.set({**(_custom.get() or {}), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def known_names(kind: str) -> list[str]:
    """Every name of this kind, sorted."""
    return sorted(_registry.get(kind, {}))


def lookup(kind: str, name: str) -> Any:
    """The class or function of this name. UnknownNameError says the nearest known name."""
    custom = _custom.get() or {}
    if name in custom:
        return custom[name]
    known = _registry.get(kind, {})
    if name not in known:
        short = known if kind == "layer" else [key for key in known if key == key.lower()]
        raise unknown_name(kind, name, [*short, *custom])
    return known[name]


def name_of(target: Any) -> str:
    """The name under which a class or function is found again: that of its registration, else its own."""
    try:
        return _names.get(target) or str(target.__name__)
    except (TypeError, AttributeError):
        return type(target).__name__


def serialize(target: Any) -> Any:
    """JSON types for a value of a configuration: numbers, arrays, containers, named functions, objects with get_config.

    >>> from nnfast import initializers, serialization
    >>> serialization.serialize(initializers.Constant(2.0))
    {'class_name': 'Constant', 'config': {'value': 2.0}}
    """
    if target is None or isinstance(target, bool | int | float | str):
        return target
    if isinstance(target, np.generic | np.ndarray):
        return target.tolist()
    if isinstance(target, np.dtype):
        return target.name
    if isinstance(target, list | tuple):
        return [serialize(item) for item in target]
    if isinstance(target, Mapping):
        return {str(key): serialize(item) for key, item in target.items()}
    if hasattr(target, "get_config") and not inspect.isclass(target):
        entry = {"class_name": name_of(type(target)), "config": serialize(target.get_config())}
        used = target.all_streams() if hasattr(target, "all_streams") else []
        own = sorted(set(used) - _noted(entry["config"])) if used else []  # layers in the config have theirs there
        return {**entry, "streams": own} if own else entry
    if callable(target):
        return name_of(target)
    raise TypeError(
        f"serialize: {target!r} of type {type(target).__name__} has no JSON form; give it a get_config() method"
    )


def deserialize(kind: str, data: Any) -> Any:
    """The object for what `serialize` returned: a name, or a dictionary with "class_name" and "config"."""
    if isinstance(data, str):
        return lookup(kind, data)
    if not isinstance(data, Mapping) or "class_name" not in data:
        raise TypeError(f'{kind}: expected a name or {{"class_name": ..., "config": {{...}}}}, got {data!r}')
    target = lookup(kind, str(data["class_name"]))
    config = dict(data.get("config") or {})
    build = getattr(target, "from_config", None)
    with streams(iter(data.get("streams", ()))):
        return build(config) if build is not None else target(**config)


def _noted(config: Any) -> set[int]:
    """The random streams that stand in a serialized configuration."""
    if isinstance(config, list):
        return {stream for item in config for stream in _noted(item)}
    if not isinstance(config, dict):
        return set()
    found = {stream for item in config.values() for stream in _noted(item)}
    return found.union(config.get("streams", ())) if "class_name" in config else found


@contextmanager
def streams(recorded: Iterator[int]) -> Iterator[None]:
    """While it is entered, new layers take these random streams."""
    token = _streams.set(recorded)
    try:
        yield
    finally:
        _streams.reset(token)


def recorded_streams() -> Iterator[int]:
    """The random streams that the layer now being rebuilt, and those inside it, had when it was serialized."""
    return _streams.get() or iter(())


def get(kind: str, identifier: Any) -> Any:
    """What a user may pass for a `kind`: None, a name, a configuration, a class, an object or a function.

    Names and classes give an object with its default arguments; functions (and objects) come back as they are.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str | Mapping):
        identifier = deserialize(kind, identifier)
    return identifier() if inspect.isclass(identifier) else identifier


class Configurable:
    """An object rebuilt from its constructor's arguments; `get_config` must return them all."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, in JSON types."""
        return {}

    @classmethod
    def from_config(cls: type[T], config: Mapping[str, Any]) -> T:
        """A new object from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
