"""Following one figure of the logs: is it better than the best so far? EarlyStopping, ModelCheckpoint and ReduceLROnPlateau build on it."""

from __future__ import annotations

import math
import warnings

import numpy as np

from nnfast import metrics
from nnfast.callbacks.base import Callback, Logs

MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """Follows logs[monitor]. mode "min" or "max" says which way is better; "auto" asks the metric of that name.

    An improvement smaller than min_delta does not count.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0.0, best: float | None = None
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"{type(self).__name__}(mode={mode!r}): expected one of {MODES}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best = best
        self._warned = False

    def value(self, logs: Logs | None) -> float | None:
        """The followed figure, or None with a warning (once) where the logs do not have it."""
        found = (logs or {}).get(self.monitor)
        if found is not None:
            return float(np.asarray(found).reshape(()))
        if not self._warned:
            self._warned = True
            known = ", ".join(logs or {}) or "none"
            hint = "; give fit validation_data or validation_split" if self.monitor.startswith("val_") else ""
            warnings.warn(
                f"{type(self).__name__}(monitor={self.monitor!r}): no such figure in this epoch, known: {known}{hint}",
                stacklevel=3,
            )
        return None

    def better(self, value: float, reference: float | None) -> bool:
        """Whether value beats reference by more than min_delta. NaN beats nothing, and anything else beats None and NaN."""
        if math.isnan(value):
            return False
        if reference is None or math.isnan(reference):
            return True
        if self.upwards():
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def upwards(self) -> bool:
        """Whether greater values are better."""
        if self.mode != "auto":
            return self.mode == "max"
        direction = self._model_direction() or metrics.direction(self.monitor)
        if direction is None:
            raise ValueError(
                f"{type(self).__name__}(monitor={self.monitor!r}): cannot tell whether more or less of it is better; "
                "pass mode='min' or mode='max'"
            )
        return direction == "up"

    def _model_direction(self) -> str | None:
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", None) or []:
            if getattr(metric, "name", None) == name:
                found: str | None = getattr(metric, "direction", None)
                return found
        return None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._warned = False

    def say(self, verbose: int, message: str) -> None:
        """Print a line if verbose."""
        if verbose:
            print(message)
