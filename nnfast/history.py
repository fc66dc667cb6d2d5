"""History: the figures of all epochs, and their plot. `fit` returns one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nnfast.callbacks.base import Callback, Logs
from nnfast.errors import missing_extra


class History(Callback):
    """`epoch`: the numbers of the epochs, from 0. `history`: for each figure ("loss", "val_accuracy" ...) the list of its values.

    >>> history = History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.history = {}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def plot(self, path: str | os.PathLike[str] | None = None, metrics: Sequence[str] | None = None) -> Any:
        """Draw one panel per figure, training and validation together; save to path if given. Returns the matplotlib figure.

        metrics: which figures, without "val_"; all by default. Needs matplotlib: pip install "nnfast[viz]".
        """
        names = self._names(metrics)
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            raise missing_extra("matplotlib", "viz") from None
        figure = Figure(figsize=(5.0 * len(names), 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            self._draw(axes, name)
        if path is not None:
            figure.savefig(os.fspath(path))
        return figure

    def _names(self, metrics: Sequence[str] | None) -> list[str]:
        if not self.history:
            raise ValueError("History.plot: there are no epochs yet; call fit first")
        known = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        if metrics is None:
            return known
        wanted = [metrics] if isinstance(metrics, str) else list(metrics)
        for name in wanted:
            if name not in known:
                raise ValueError(f"History.plot(metrics={wanted!r}): no figure {name!r}; known: {', '.join(known)}")
        return wanted

    def _draw(self, axes: Any, name: str) -> None:
        for key, label in ((name, "training"), ("val_" + name, "validation")):
            values = self.history.get(key)
            if values:
                epochs = self.epoch[-len(values) :]  # a figure may have started late
                axes.plot([epoch + 1 for epoch in epochs], values, marker="o", label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
