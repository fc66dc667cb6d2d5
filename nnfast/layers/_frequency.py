"""Constant arrays of the audio layers: windows, kernels of the windowed DFT, mel bands, cosine transforms.

All float64, from NumPy; a layer casts them to its dtype once. Letters: n samples of a frame, k frequencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.errors import unknown_name
from nnfast.typing import Array

COSINES = {  # coefficients of sums of cosines
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "boxcar": (1.0,),
}
MEL_HERTZ, MEL_SCALE = 700.0, 1127.0  # mel = 1127 ln(1 + f / 700), O'Shaughnessy 1987


def window(kind: Any, length: int, periodic: bool) -> Array:
    """A window by name, or the array of `length` numbers that was given; None: ones. As scipy.signal.get_window(fftbins=periodic)."""
    if kind is None:
        return np.ones(length)
    if not isinstance(kind, str):
        given = np.asarray(kind, np.float64)
        if given.shape != (length,):
            raise ValueError(
                f"window: an array of shape {list(given.shape)}; expected {length} numbers, one per sample"
            )
        return given
    if kind not in COSINES:
        raise unknown_name("window", kind, list(COSINES))
    if length == 1:
        return np.ones(1)
    angle = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    terms = [(-1) ** i * factor * np.cos(i * angle) for i, factor in enumerate(COSINES[kind])]
    return np.asarray(sum(terms))


def fourier(frame: Array, fft_length: int) -> tuple[Array, Array]:
    """Kernels (n, k) of the real and the imaginary part of the DFT of frames that a window multiplies; frames end with zeros."""
    # the angle is taken modulo a turn in integers, so that it is exact for long frames
    turns = np.outer(np.arange(len(frame)), np.arange(fft_length // 2 + 1)) % fft_length
    angle = 2 * np.pi * turns / fft_length
    return np.cos(angle) * frame[:, None], -np.sin(angle) * frame[:, None]


def mel_bands(bands: int, frequencies: int, rate: float, low: float, high: float) -> Array:
    """Triangles (k, bands) with corners evenly spaced in mel, height 1 in the middle; the constant part belongs to no band.

    Equal to tf.signal.linear_to_mel_weight_matrix, which Keras uses (HTK's mel, no normalization of areas).
    """

    def mel(f: Any) -> Any:
        return MEL_SCALE * np.log1p(f / MEL_HERTZ)

    at = mel(np.linspace(0.0, rate / 2, frequencies))[1:, None]
    corners = np.linspace(mel(low), mel(high), bands + 2)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (at - left) / (middle - left), (right - at) / (right - middle)
    return np.pad(np.maximum(0.0, np.minimum(rising, falling)), ((1, 0), (0, 0)))


def cosine_transform(size: int, count: int, kind: int, norm: str | None) -> Array:
    """The first `count` rows of the DCT of type 1, 2 or 3, as a matrix (size, count). As scipy.fft.dct."""
    n, k = np.arange(size)[:, None], np.arange(size)[None]
    if kind == 2:
        matrix = 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * size))
        scale = np.where(k == 0, np.sqrt(1 / (4 * size)), np.sqrt(1 / (2 * size)))
    elif kind == 3:
        matrix = np.where(n == 0, 1.0, 2.0) * np.cos(np.pi * (2 * k + 1) * n / (2 * size))
        scale = np.where(n == 0, np.sqrt(1 / size), np.sqrt(1 / (2 * size)))
    else:
        edge_n, edge_k = (n == 0) | (n == size - 1), (k == 0) | (k == size - 1)
        matrix = np.where(edge_n, 1.0, 2.0) * np.cos(np.pi * k * n / (size - 1))
        scale = np.sqrt(1 / (2 * (size - 1))) * np.where(edge_n, np.sqrt(2), 1.0) * np.where(edge_k, np.sqrt(0.5), 1.0)
    return (matrix * scale if norm == "ortho" else matrix)[:, :count]
