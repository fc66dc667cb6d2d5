"""What the convolution ops share: where the taps of an output pixel lie, for the kernels (sizes) and for the reference (slices).

In: the attributes of a convolution, strides, padding ((before, after) per axis), dilation, groups. A convolution over one or two axes
is one over three of which the first have a single pixel and a single tap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from nnfast.windows import window_count

Attributes = dict[str, Any]
Pairs = Sequence[tuple[int, int]]
MAX_AXES = 3


def output_sizes(sizes: Sequence[int], taps: Sequence[int], attributes: Attributes) -> tuple[int, ...]:
    axes = zip(sizes, taps, attributes["strides"], attributes["padding"], attributes["dilation"], strict=True)
    return tuple(window_count(*axis) for axis in axes)


def _three(numbers: Sequence[int], fill: int = 1) -> list[int]:
    return [*[fill] * (MAX_AXES - len(numbers)), *numbers]


def forward_sizes(
    batch: int, sizes: Sequence[int], channels: int, out: Sequence[int], kernel: Sequence[int], attributes: Attributes
) -> list[int]:
    """The sizes of csrc/kernels/conv_gather.h for a weight of shape `kernel`."""
    groups = attributes["groups"]
    return [
        *(batch, kernel[-1], groups, channels // groups), *_three(out), *_three(sizes), *_three(kernel[:-2]), *_three(attributes["strides"]),
        *_three(attributes["dilation"]), *_three([-before for before, _ in attributes["padding"]], 0), *_three(out), *(1, 1, 1), *(0, 0, 0),
    ]  # fmt: skip


# The gradient of the input by phases. Input pixel i = stride j + phase sees output pixel j + (phase + before - tap dilation) / stride
# through those taps for which that is whole: a convolution of stride 1 with the taps in descending order.
class Phase:
    """One phase along one axis: its taps, and how they lie in the output."""

    def __init__(self, phase: int, size: int, taps: int, stride: int, before: int, dilation: int) -> None:
        self.phase = phase
        self.taps = [tap for tap in reversed(range(taps)) if (phase + before - tap * dilation) % stride == 0]
        places = [(phase + before - tap * dilation) // stride for tap in self.taps]
        self.origin = places[0] if places else 0
        self.step = places[1] - places[0] if len(places) > 1 else 1
        self.count = max(-(-(size - phase) // stride), 0)


def phases(sizes: Sequence[int], kernel: Sequence[int], attributes: Attributes) -> list[tuple[Phase, ...]]:
    """All phases, each with one entry per axis."""
    axes = zip(sizes, kernel, attributes["strides"], attributes["padding"], attributes["dilation"], strict=False)
    along = [
        [Phase(phase, size, taps, stride, before, dilation) for phase in range(stride)]
        for size, taps, stride, (before, _), dilation in axes
    ]
    return list(product(*along))


def phase_taps(phase: Sequence[Phase], kernel: Sequence[int]) -> list[int]:
    """Which taps of the weight the phase has, as row numbers."""
    places = product(*(axis.taps for axis in phase))
    return [int(np.ravel_multi_index(place, tuple(kernel[: len(phase)]))) for place in places]


def phase_sizes(
    batch: int, phase: Sequence[Phase], inputs: Sequence[int], channels: int, sizes: Sequence[int], outputs: int, attributes: Attributes
) -> list[int]:  # fmt: skip
    """The sizes of the convolution that gives a phase of the input's gradient (of `sizes` pixels) from one of `inputs` pixels."""
    groups = attributes["groups"]
    return [
        *(batch, outputs, groups, channels // groups), *_three([axis.count for axis in phase]), *_three(inputs),
        *_three([len(axis.taps) for axis in phase]), *(1, 1, 1), *_three([axis.step for axis in phase]), *_three([axis.origin for axis in phase], 0),
        *_three(sizes), *_three(attributes["strides"]), *_three([axis.phase for axis in phase], 0),
    ]  # fmt: skip


def turned_size(kernel: Sequence[int], groups: int) -> int:
    """Elements of the turned weight: the panels of all phases."""
    inputs, outputs = kernel[-2] * groups, kernel[-1]
    return -(-inputs // 16) * 16 * prod(kernel[:-2]) * (outputs // groups)


def turned(w: np.ndarray, attributes: Attributes) -> np.ndarray:
    """The weight as the gradient of the input multiplies it: for each phase panels of [taps x outputs of a group, inputs]."""
    groups = attributes["groups"]
    kernel = w.shape
    inputs, outputs = kernel[-2], kernel[-1] // groups
    taps = w.reshape(-1, inputs, groups, outputs)
    parts = []
    for phase in phases((1,) * (w.ndim - 2), kernel, attributes):
        own = taps[phase_taps(phase, kernel)]
        matrix = own.transpose(0, 3, 2, 1).reshape(len(own) * outputs, groups * inputs)
        panels = -(-matrix.shape[1] // 16)
        wide = np.zeros((len(matrix), panels * 16), w.dtype)
        wide[:, : matrix.shape[1]] = matrix
        parts.append(wide.reshape(len(matrix), panels, 16).transpose(1, 0, 2).ravel())
    return np.concatenate(parts)


def turned_back(flat: np.ndarray, kernel: Sequence[int], attributes: Attributes) -> np.ndarray:
    """The weight of which `flat` is the turned one."""
    places = turned(np.arange(1, prod(kernel) + 1).reshape(tuple(kernel)), attributes)
    w = np.zeros(prod(kernel), flat.dtype)
    w[places[places > 0] - 1] = flat[places > 0]
    return w.reshape(tuple(kernel))


# The reference: a product of matrices per tap.
def _tap_slices(
    kernel: Sequence[int], out: Sequence[int], attributes: Attributes
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap with the part of the padded input that all outputs find under it."""
    strides, dilation = attributes["strides"], attributes["dilation"]
    for tap in np.ndindex(*kernel):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        yield (
            tap,
            tuple(slice(b, b + (n - 1) * s + 1 if n else b, s) for b, n, s in zip(starts, out, strides, strict=True)),
        )


def _padded_shape(shape: Sequence[int], kernel: Sequence[int], out: Sequence[int], attributes: Attributes) -> list[int]:
    """Room for the padding, and for the taps of the last output where the padding after is negative."""
    axes = zip(
        shape[1:-1], kernel, out, attributes["strides"], attributes["padding"], attributes["dilation"], strict=True
    )
    return [max(n + sum(p), (o - 1) * s + (k - 1) * d + 1, n + p[0]) for n, k, o, s, p, d in axes]


def _inside(shape: Sequence[int], attributes: Attributes) -> tuple[slice, ...]:
    places = (slice(p[0], p[0] + n) for n, p in zip(shape[1:-1], attributes["padding"], strict=True))
    return (slice(None), *places, slice(None))


def _by_groups(x: np.ndarray, groups: int) -> np.ndarray:
    """[..., groups * n] -> [groups, pixels, n]"""
    return x.reshape(-1, groups, x.shape[-1] // groups).transpose(1, 0, 2)


def _pixels(x: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    return x.transpose(1, 0, 2).reshape(shape)


def reference(x: np.ndarray, w: np.ndarray, attributes: Attributes) -> np.ndarray:
    groups, kernel = attributes["groups"], w.shape[:-2]
    out = output_sizes(x.shape[1:-1], kernel, attributes)
    padded = np.zeros((len(x), *_padded_shape(x.shape, kernel, out, attributes), x.shape[-1]), x.dtype)
    padded[_inside(x.shape, attributes)] = x
    y = np.zeros((len(x), *out, w.shape[-1]), x.dtype)
    weights = w.reshape(*kernel, w.shape[-2], groups, -1)
    for tap, part in _tap_slices(kernel, out, attributes):
        found = padded[(slice(None), *part)]
        y += _pixels(_by_groups(found, groups) @ weights[tap].transpose(1, 0, 2), y.shape)
    return y


def input_gradient(dy: np.ndarray, w: np.ndarray, sizes: Sequence[int], attributes: Attributes) -> np.ndarray:
    groups, kernel, out = attributes["groups"], w.shape[:-2], dy.shape[1:-1]
    shape = (len(dy), *sizes, w.shape[-2] * groups)
    padded = np.zeros((len(dy), *_padded_shape(shape, kernel, out, attributes), shape[-1]), dy.dtype)
    weights = w.reshape(*kernel, w.shape[-2], groups, -1)
    for tap, part in _tap_slices(kernel, out, attributes):
        found = _by_groups(dy, groups) @ weights[tap].transpose(1, 2, 0)
        padded[(slice(None), *part)] += _pixels(found, (*dy.shape[:-1], shape[-1]))
    return np.ascontiguousarray(padded[_inside(shape, attributes)])


def weight_gradient(x: np.ndarray, dy: np.ndarray, kernel: Sequence[int], attributes: Attributes) -> np.ndarray:
    groups, out = attributes["groups"], dy.shape[1:-1]
    padded = np.zeros((len(x), *_padded_shape(x.shape, kernel[:-2], out, attributes), x.shape[-1]), x.dtype)
    padded[_inside(x.shape, attributes)] = x
    dw = np.zeros(tuple(kernel), x.dtype)
    for tap, part in _tap_slices(kernel[:-2], out, attributes):
        found = _by_groups(padded[(slice(None), *part)], groups).transpose(0, 2, 1) @ _by_groups(dy, groups)
        dw[tap] = found.transpose(1, 0, 2).reshape(kernel[-2], kernel[-1])
    return dw
