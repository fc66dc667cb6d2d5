"""Connectionist temporal classification: the loss of label sequences that are shorter than the predictions, with its gradient.

    log_probabilities [B, T, C]   labels [B, L] int32   frames [B], letters [B] int32: how much of T and L counts
    loss [B], its gradient [B, T, C], and paths [B, T, 2 L + 1], which the gradient is made from

A path names a class for each frame; without repetitions and then without blanks it reads as the labels. The loss is -log of the sum
of the probabilities of all such paths: inf where there is none, and then its gradient is 0. Labels outside the classes, or equal to
the blank, and counts outside the arrays make loss and gradient NaN (Graves, Fernandez, Gomez and Schmidhuber 2006).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.letters import whole_numbers
from nnfast.ops.registry import Sample, Specs, define

MOST_LETTERS = 40_000  # the kernel's rows must fit its scratch: CTC_PLACES in csrc/kernels/ctc.h


def _infer(node: Node) -> Specs:
    p, labels, frames, letters = node.inputs
    if p.ndim != 3 or p.shape[2] < 1 or labels.ndim != 2 or labels.shape[0] != p.shape[0]:
        raise ShapeError(
            f"ctc: expected log_probabilities [batch, frames, classes] and labels [batch, letters], got {list(p.shape)} and {list(labels.shape)}"
        )
    batch, length, classes = p.shape
    for name, value in (("frames", frames), ("letters", letters)):
        if value.shape != (batch,):
            raise ShapeError(f"ctc: {name} has shape {list(value.shape)}; expected [{batch}], one number per sequence")
    for name, value in (("labels", labels), ("frames", frames), ("letters", letters)):
        if value.dtype != "int32":
            raise ShapeError(f"ctc: {name} must be int32, got {value.dtype}; use nnfast.ops.cast(..., 'int32')")
    if not 0 <= node.attributes["blank"] < classes:
        raise ShapeError(f"ctc: blank={node.attributes['blank']} is none of the {classes} classes")
    if labels.shape[1] > MOST_LETTERS:
        raise ShapeError(f"ctc: {labels.shape[1]} letters per sequence; at most {MOST_LETTERS} are supported")
    return [((batch,), p.dtype), (p.shape, p.dtype), ((batch, length, 2 * labels.shape[1] + 1), p.dtype)]


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    return [*node.inputs[0].shape, node.inputs[1].shape[1], node.attributes["blank"]], []


def _gradient(node: Node, dloss: Value | None, *others: Value | None) -> list[Value | None]:
    if dloss is None or any(other is not None for other in others):
        raise GraphError("ctc: no second derivative is defined; differentiate the loss once")
    factor = call("reshape", dloss, shape=(*dloss.shape, 1, 1))
    return [call("multiply", node.outputs[1], factor), None, None, None]


def reference(
    p: np.ndarray, labels: np.ndarray, frames: np.ndarray, letters: np.ndarray, blank: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All sequences one after the other, in float64."""
    batch, length, classes = p.shape
    loss, dp, paths = np.zeros(batch), np.zeros(p.shape), np.zeros((batch, length, 2 * labels.shape[1] + 1))
    for b in range(batch):
        t, n = int(frames[b]), int(letters[b])
        own = labels[b, : max(n, 0)]
        if (
            not (0 <= t <= length and 0 <= n <= labels.shape[1])
            or ((own < 0) | (own >= classes) | (own == blank)).any()
        ):
            loss[b], dp[b] = np.nan, np.nan
            continue
        with np.errstate(all="ignore"):
            loss[b], dp[b, :t], paths[b, :t, : 2 * n + 1] = _sequence(p[b, :t].astype(np.float64), own, blank)
        if np.isnan(loss[b]):
            dp[b] = np.nan
    return loss.astype(p.dtype), dp.astype(p.dtype), paths.astype(p.dtype)


def _sequence(p: np.ndarray, own: np.ndarray, blank: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss, gradient and paths of one sequence."""
    length = len(p)
    classes = np.full(2 * len(own) + 1, blank)
    classes[1::2] = own
    skip = np.full(len(classes), -np.inf)
    skip[3::2] = np.where(own[1:] != own[:-1], 0.0, -np.inf)
    forward, backward = np.full((length, len(classes)), -np.inf), np.full((length, len(classes)), -np.inf)
    emitted = p[:, classes]
    dp, paths = np.zeros(p.shape), np.zeros(forward.shape)
    if not length:
        return (0.0 if len(classes) == 1 else np.inf), dp, paths
    forward[0, :2] = emitted[0, :2]
    backward[-1, -2:] = 0.0
    for t in range(1, length):
        forward[t] = emitted[t] + _steps(forward[t - 1], skip)
        after = backward[-t] + emitted[-t]
        backward[-t - 1] = _steps(after[::-1], np.append([-np.inf, -np.inf], skip[2:][::-1])[: len(skip)])[::-1]
    total = np.logaddexp.reduce(forward[-1, -2:])
    greatest = forward.max(axis=1, keepdims=True)
    reached = np.cumprod(np.isfinite(greatest), axis=0, dtype=bool)
    paths = np.where(reached, forward - greatest, 0.0)
    if np.isnan(total) or total == -np.inf:
        return -total, dp, paths
    shares = np.exp(forward + backward - total)
    for s, c in enumerate(classes):
        dp[:, c] -= shares[:, s]
    return -total, dp, paths


def _steps(x: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """log(e^x[s] + e^x[s - 1] + e^(x[s - 2] + skip[s]))."""
    padded = np.concatenate([[-np.inf, -np.inf], x])
    return np.logaddexp(np.logaddexp(x, padded[1:-1]), padded[:-2] + skip)


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for batch, length, classes, most, blank in (
        (1, 1, 2, 1, 0),
        (3, 7, 4, 2, 3),
        (5, 12, 3, 5, 0),
        (2, 40, 11, 18, 5),
        (2, 3, 5, 4, 0),
        (0, 4, 3, 2, 0),
        (2, 0, 3, 1, 0),
        (2, 5, 3, 0, 1),
    ):
        logits = rng.standard_normal((batch, length, classes)) * 3
        greatest = logits.max(-1, keepdims=True)
        p = logits - greatest - np.log(np.exp(logits - greatest).sum(-1, keepdims=True))
        labels = rng.integers(0, classes - 1, (batch, most)).astype(np.int32)
        labels += labels >= blank
        frames = rng.integers((length + 1) // 2, length + 1, batch).astype(np.int32)
        letters = rng.integers(0, most + 1, batch).astype(np.int32)
        yield [p.astype(dtype), labels, frames, letters], {"blank": blank}
    p = np.log(np.full((3, 4, 3), 1 / 3)).astype(dtype)
    labels = np.array([[1, 1], [1, 3], [0, 1]], np.int32)  # no path, a class beyond the last, a blank
    yield [p, labels, np.array([2, 4, 4], np.int32), np.array([2, 2, 2], np.int32)], {"blank": 0}
    labels = np.array([[1, 2], [1, 2], [2, 1]], np.int32)
    yield [p, labels, np.array([5, 4, 4], np.int32), np.array([2, -1, 3], np.int32)], {"blank": 0}


define(
    name="ctc", inputs=("log_probabilities", "labels", "frames", "letters"), kind="loss",
    formula="loss = -log sum of the paths that read as the labels; second output its gradient, third the paths", infer=_infer,
    reference=reference, gradient=_gradient, kernel="ctc", arguments=_arguments, tolerance="sum", samples=_samples, promotes=False,
    flops=lambda n: 60.0 * n.outputs[2].size,
)  # fmt: skip


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """The loss of each sequence, (batch,): -log of the probability that the outputs read as the target.

    As keras.ops.ctc_loss: target (batch, letters) of whole numbers, output (batch, frames, classes) of logits, target_length and
    output_length (batch,), how much of them counts; mask_index is the class of the blank. inf where no path fits, for instance because
    there are fewer frames than letters and repetitions; its gradient is 0 then.

    >>> logits = np.zeros((1, 2, 2), "float32")  # three of the four paths over two frames read as 1
    >>> round(float(np.exp(-ctc_loss(np.array([[1]]), logits, np.array([1]), np.array([2]))[0])), 6)
    0.75
    """
    from nnfast.ops.functions import log_softmax

    whole = [whole_numbers(value) for value in (target, output_length, target_length)]
    return call("ctc", log_softmax(output), *whole, blank=int(mask_index))[0]
