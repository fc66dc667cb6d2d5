"""Which losses and metrics stand on which output of a model, as `compile` was told.

In: the arguments of compile, the model's output names, later the shapes of outputs and targets. Out: Target, one per output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnfast import losses, metrics
from nnfast.errors import DataError, unknown_name


@dataclass
class Target:
    """One output: its loss, the loss's weight, and its metrics."""

    name: str
    loss: Any
    weight: float
    metrics: list[Any] = field(default_factory=list)
    weighted_metrics: list[Any] = field(default_factory=list)


def make_targets(
    names: Sequence[str],
    loss: Any,
    loss_weights: Any,
    metric_list: Any,
    weighted_list: Any,
    shapes: Sequence[tuple[int | None, ...]],
    target_shapes: Sequence[tuple[int | None, ...] | None],
) -> list[Target]:
    """Resolve names and distribute what was given over the outputs, in a list or by name."""
    loss_of = _per_output("loss", loss, names, nested=False)
    weight_of = _per_output("loss_weights", loss_weights, names, nested=False)
    metrics_of = _per_output("metrics", metric_list, names, nested=True)
    weighted_of = _per_output("weighted_metrics", weighted_list, names, nested=True)
    targets = []
    for i, name in enumerate(names):
        found = None if loss_of[i] is None else losses.get(loss_of[i])
        weight = 1.0 if weight_of[i] is None else _number("loss_weights", weight_of[i])

        def resolve(items: Any, found: Any = found, i: int = i) -> list[Any]:
            listed = [] if items is None else list(items) if isinstance(items, list | tuple) else [items]
            made = [
                metrics.get(item, loss=found, y_pred_shape=shapes[i], y_true_shape=target_shapes[i]) for item in listed
            ]
            return [metric for metric in made if metric is not None]

        targets.append(Target(name, found, weight, resolve(metrics_of[i]), resolve(weighted_of[i])))
    if all(target.loss is None for target in targets):
        raise DataError("compile(loss=None): training needs a loss for at least one output")
    return targets


def check_names(loss: Any, metric_list: Any, weighted_list: Any) -> None:
    """UnknownNameError for a name that is none, before any data is there."""
    for name in _names(loss):
        losses.get(name)
    for name in (*_names(metric_list), *_names(weighted_list)):
        metrics.get(name, y_pred_shape=(None, 1))


def _names(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, list | tuple | Mapping) and "class_name" not in given:
        for item in given.values() if isinstance(given, Mapping) else given:
            yield from _names(item)


def _number(argument: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DataError(f"compile({argument}={value!r}): expected numbers, one per output")
    return float(value)


def _per_output(argument: str, given: Any, names: Sequence[str], nested: bool) -> list[Any]:
    """What belongs to each output: by name, by place, or one for all."""
    if isinstance(given, Mapping) and not {"class_name", "config"} <= set(given):
        for name in given:
            if name not in names:
                raise unknown_name(f"output in compile({argument}=...)", name, names)
        return [given.get(name) for name in names]
    if isinstance(given, list | tuple):
        per_output = not nested or (len(names) > 1 and len(given) == len(names))
        if per_output and len(given) != len(names):
            raise DataError(
                f"compile({argument}=...): {len(given)} entries for {len(names)} outputs: {', '.join(names)}"
            )
        return list(given) if per_output else [given] * len(names)
    return [given] * len(names)
