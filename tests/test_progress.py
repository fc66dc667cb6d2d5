"""What a training shows, on streams that are a terminal and on others."""

import io
import math

import numpy as np
import pytest

from nnfast import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(verbose, stream, steps=4, epochs=2):
    shown = progress.Progress(verbose, epochs, steps, stream)
    for epoch in range(epochs):
        shown.begin_epoch(epoch)
        for _ in range(4):
            shown.advance(1, {"loss": 1 / 3})
        shown.end_epoch({"loss": 1 / 3, "val_loss": 1e-7}, 2.0)
    shown.close()
    return stream.getvalue()


def test_progress_in_lines() -> None:
    expected = "".join(f"Epoch {i}/2 - 2.0s - 500ms/step - loss: 0.3333 - val_loss: 1.0000e-07\n" for i in (1, 2))
    assert show(0, io.StringIO()) == ""
    assert (
        show(1, io.StringIO())
        == show("auto", io.StringIO())
        == show(2, io.StringIO())
        == show(2, Terminal())
        == expected
    )


def test_progress_in_a_long_epoch(monkeypatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    lines = show(1, io.StringIO(), epochs=1).splitlines()
    assert lines[:2] == ["Epoch 1/1 - step 2/4 - loss: 0.3333", "Epoch 1/1 - step 4/4 - loss: 0.3333"]
    lines = show(1, io.StringIO(), steps=None, epochs=1).splitlines()
    assert lines[0] == "Epoch 1/1 - step 2 - loss: 0.3333"


def test_progress_bar_on_a_terminal() -> None:
    text = show(1, Terminal())
    assert "Epoch 1/2" in text
    assert "\r" in text
    assert "Epoch 2/2 - 2.0s - 500ms/step - loss: 0.3333" in text


@pytest.mark.parametrize("verbose", [3, -1, "bar", None])
def test_progress_refuses_other_levels(verbose) -> None:
    with pytest.raises(ValueError, match="verbose="):
        progress.Progress(verbose)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0000"),
        (0.5, "0.5000"),
        (1e-4, "1.0000e-04"),
        (123456.0, "1.2346e+05"),
        (math.nan, "nan"),
        (np.float32(2), "2.0000"),
    ],
)
def test_figures(value, text: str) -> None:
    assert progress.format_logs({"x": value}) == f"x: {text}"
