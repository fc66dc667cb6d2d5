"""Features made by hand, which the demos' classical methods see: what people used before nets learned their own.

In: images or sound. Out: a row of numbers for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast import layers

CELL, DIRECTIONS = 4, 9  # pixels of a cell's side; directions of gradients that are told apart
PART = 1000  # images at once
COEFFICIENTS, PARTS = 13, 5
FRAME, HOP = 256, 80  # samples of a frame, and from one to the next


def gradient_histograms(images: NDArray[Any]) -> NDArray[np.float32]:
    """How strong edges of each direction are in each cell, of images (n, height, width): float32 (n, cells * 9).

    Gradients are central differences, a pixel counts for the two directions next to its own, blocks of 2 x 2 cells are
    divided by their length, which is cut off at 0.2 and done again. Source: Dalal and Triggs, Histograms of Oriented
    Gradients (2005).

    >>> gradient_histograms(np.zeros((2, 28, 28), "uint8")).shape
    (2, 1296)
    """
    parts = [_of_part(images[first : first + PART]) for first in range(0, len(images), PART)]
    return np.concatenate(parts)


def _of_part(images: NDArray[Any]) -> NDArray[np.float32]:
    light = images.astype(np.float32) / np.float32(255)
    across, down = np.zeros_like(light), np.zeros_like(light)
    across[:, :, 1:-1] = light[:, :, 2:] - light[:, :, :-2]
    down[:, 1:-1] = light[:, 2:] - light[:, :-2]
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) / np.pi % 1 * DIRECTIONS
    first = np.floor(direction).astype(np.int64)
    above = direction - first
    n, high, wide = light.shape[0], light.shape[1] // CELL, light.shape[2] // CELL
    cells = np.empty((n, high, wide, DIRECTIONS), np.float32)
    for k in range(DIRECTIONS):
        part = strength * ((first % DIRECTIONS == k) * (1 - above) + ((first + 1) % DIRECTIONS == k) * above)
        part = part[:, : high * CELL, : wide * CELL].reshape(n, high, CELL, wide, CELL)
        cells[..., k] = part.sum((2, 4))
    rows, columns = slice(high - 1), slice(wide - 1)
    blocks = np.concatenate(
        [cells[:, rows, columns], cells[:, 1:, columns], cells[:, rows, 1:], cells[:, 1:, 1:]], axis=-1
    )
    for _ in range(2):
        blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-2
        np.minimum(blocks, 0.2, out=blocks)
    return blocks.reshape(n, -1)


def cepstra(sound: list[NDArray[np.float32]] | NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Mean and deviation of 13 cepstral coefficients, and of their change, in 5 parts of each recording: float32 (n, 260).

    >>> cepstra([np.zeros(3000, "float32"), np.ones(800, "float32")], 8000).shape
    (2, 260)
    """
    layer = layers.MFCC(COEFFICIENTS, fft_length=FRAME, sequence_stride=HOP, sampling_rate=rate, num_mel_bins=26)
    padded = np.zeros((len(sound), max(PARTS * HOP, *map(len, sound)) + FRAME), np.float32)  # no end is mirrored
    for row, samples in zip(padded, sound, strict=True):
        row[: len(samples)] = samples
    found = np.empty((len(sound), PARTS, 4 * COEFFICIENTS), np.float32)
    for first in range(0, len(sound), 100):
        rows = slice(first, first + 100)
        for row, frames, samples in zip(found[rows], np.asarray(layer(padded[rows])), sound[rows], strict=True):
            frames = frames[:, : max(len(samples) // HOP, PARTS)]
            both = np.concatenate([frames, np.gradient(frames, axis=1)])
            for part, of_part in zip(row, np.array_split(both, PARTS, axis=1), strict=True):
                part[:] = np.concatenate([of_part.mean(1), of_part.std(1)])
    return found.reshape(len(sound), -1)
