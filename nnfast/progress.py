"""Progress of a training on the screen: a tqdm bar on a terminal and in notebooks, plain lines elsewhere.

In: how many batches are done, and the figures so far. Out: lines on standard output. `fit` owns one Progress; `evaluate` and `predict`
use it with one epoch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

SECONDS_BETWEEN_LINES = 10.0


def resolve_verbose(verbose: Any) -> int:
    """0, 1 or 2 for what a user may pass; "auto" is 1.

    >>> resolve_verbose("auto"), resolve_verbose(False)
    (1, 0)
    """
    if verbose == "auto":
        return 1
    if isinstance(verbose, int | np.integer) and int(verbose) in (0, 1, 2):
        return int(verbose)
    raise ValueError(f'verbose={verbose!r}: expected 0 (silent), 1 (bar), 2 (one line per epoch) or "auto"')


def format_logs(logs: Mapping[str, Any] | None) -> str:
    """The figures in one line, four significant digits.

    >>> format_logs({"loss": 0.123456, "accuracy": 0.5})
    'loss: 0.1235 - accuracy: 0.5000'
    """
    return " - ".join(f"{name}: {_figure(value)}" for name, value in (logs or {}).items())


def _figure(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim:
        return "[" + ", ".join(_figure(item) for item in array.ravel()) + "]"
    number = float(array)
    return f"{number:.4f}" if number == 0 or 1e-3 <= abs(number) < 1e5 else f"{number:.4e}"


def format_seconds(seconds: float) -> str:
    """A time with a unit that fits.

    >>> format_seconds(75.2), format_seconds(2.34), format_seconds(0.0123), format_seconds(45e-6)
    ('75s', '2.3s', '12ms', '45us')
    """
    if seconds >= 10:
        return f"{seconds:.0f}s"
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _bar_class(stream: IO[str]) -> Any:
    """tqdm's class for a notebook or a terminal; None where plain lines are better."""
    if _in_notebook():
        import importlib.util  # takes milliseconds to import

        if importlib.util.find_spec("ipywidgets") is None:
            return None
        from tqdm.notebook import tqdm as notebook_bar

        return notebook_bar
    if not stream.isatty():
        return None
    from tqdm import tqdm as terminal_bar

    return terminal_bar


class Progress:
    """begin_epoch, advance and end_epoch for each epoch, close at the end (also after an error or Ctrl-C).

    verbose: 0 silent; 1 a bar, or plain lines where there is no terminal: one per epoch, and one about every 10 s in a long epoch;
    2 one line per epoch; "auto" is 1. steps_per_epoch is None where nobody knows it. title stands in place of "Epoch 1/1".
    patience: nothing is shown of an epoch's first so many seconds, nor of an epoch that is over by then.

    >>> import sys
    >>> progress = Progress(2, epochs=1, steps_per_epoch=3, stream=sys.stdout)
    >>> progress.begin_epoch(0)
    >>> progress.advance(3, {"loss": 0.5})
    >>> progress.end_epoch({"loss": 0.5}, seconds=1.5)
    Epoch 1/1 - 1.5s - 500ms/step - loss: 0.5000
    >>> progress.close()
    """

    def __init__(
        self,
        verbose: Any = "auto",
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        stream: IO[str] | None = None,
        title: str | None = None,
        patience: float = 0.0,
    ) -> None:
        self.verbose = resolve_verbose(verbose)
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.stream = stream if stream is not None else sys.stdout
        self.title = title
        self.epoch = 0
        self.steps = 0
        self._bar: Any = None
        self._last_line = 0.0
        self._patience = patience
        self._begin = 0.0

    @property
    def shows_logs(self) -> bool:
        """Whether the next `advance` would show figures."""
        due = time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES
        return self._bar is not None or (self.verbose == 1 and due)

    def begin_epoch(self, epoch: int) -> None:
        """Start epoch number `epoch`, from 0."""
        self._drop_bar()
        self.epoch = epoch
        self.steps = 0
        self._last_line = self._begin = time.monotonic()
        if not self._patience:
            self._make_bar()

    def _make_bar(self) -> None:
        if self.verbose != 1 or self._bar is not None:
            return
        bar = _bar_class(self.stream)
        if bar is not None:
            self._bar = bar(
                total=self.steps_per_epoch, initial=self.steps, desc=self._title(), unit="step", file=self.stream, leave=False,
                dynamic_ncols=True,
            )  # fmt: skip

    @property
    def _waits(self) -> bool:
        return self._patience > 0 and time.monotonic() - self._begin < self._patience

    def advance(self, batches: int, logs: Mapping[str, Any] | None = None) -> None:
        """`batches` more batches are done; logs are the figures so far."""
        self.steps += batches
        if self._bar is not None:
            if logs:
                self._bar.set_postfix_str(format_logs(logs), refresh=False)
            self._bar.update(batches)
            return
        now = time.monotonic()
        if self._patience and self._bar is None and not self._waits:
            self._make_bar()
        if self.verbose != 1 or now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        of_all = f"/{self.steps_per_epoch}" if self.steps_per_epoch is not None else ""
        self._line(f"{self._title()} - step {self.steps}{of_all}", format_logs(logs))

    def end_epoch(self, logs: Mapping[str, Any] | None = None, seconds: float = 0.0) -> None:
        """The epoch is done; seconds is its duration."""
        self._drop_bar()
        if self.verbose == 0 or self._waits:
            return
        parts = [self._title(), format_seconds(seconds)]
        if self.steps:
            parts.append(format_seconds(seconds / self.steps) + "/step")
        self._line(*parts, format_logs(logs))

    def close(self) -> None:
        """Remove what is left of a bar."""
        self._drop_bar()

    def _title(self) -> str:
        return self.title or f"Epoch {self.epoch + 1}/{self.epochs}"

    def _line(self, *parts: str) -> None:
        print(" - ".join(part for part in parts if part), file=self.stream, flush=True)

    def _drop_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
