"""Layers that turn samples of sound into spectra over time: STFTSpectrogram, MelSpectrogram, MFCC.

In: samples (batch, time) or (batch, time, channels). Out: spectra. The windowed DFT is a convolution with constant kernels, whose
stride is the hop; mel bands and cosine transforms are products with constant matrices, so gradients reach the samples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import ShapeError, unknown_name
from nnfast.layers import _frequency
from nnfast.layers.base import Layer
from nnfast.losses.base import as_type
from nnfast.typing import Config, Tensor
from nnfast.windows import check_data_format, per_axis

MODES = ("log", "magnitude", "psd", "real", "imag", "stft")
EPSILON = 1e-7  # least power of "log" and "magnitude", as Keras' epsilon()
DECIBEL = 10 / math.log(10)


def _positive(owner: str, **values: Any) -> None:
    for name, value in values.items():
        per_axis(value, 1, owner, name)


def _plain(window: Any) -> Any:
    """A window as JSON knows it."""
    return window if window is None or isinstance(window, str) else np.asarray(window).tolist()


def _spectra(layer: Layer, sound: Tensor, kernel: Any, stride: int, padding: str) -> Tensor:
    """(batch, time, channels) through a kernel (n, 1, k): (batch, channels, frames, k)."""
    batch, time, channels = sound.shape
    if padding == "valid" and time < len(kernel):
        raise ShapeError(f"{layer.name}: {time} samples are fewer than a frame of {len(kernel)}; pad the recordings")
    rows = ops.reshape(ops.transpose(sound, (0, 2, 1)), (batch * channels, time, 1))
    frames = ops.conv(rows, kernel, stride, padding)
    return ops.reshape(frames, (batch, channels, *frames.shape[1:]))


def _power(spectra: Tensor) -> Tensor:
    """|S|^2 from real parts followed by imaginary parts on the last axis."""
    half = spectra.shape[-1] // 2
    return ops.square(spectra[..., :half]) + ops.square(spectra[..., half:])


@serialization.register("layer")
class STFTSpectrogram(Layer):
    """The short-time Fourier transform S of samples, or what is made of it.

    In (batch, time, channels) or (batch, time), which is one channel; out (batch, frames, channels * k), k = fft_length // 2 + 1
    (2 k with mode "stft"). Equal to Keras' STFTSpectrogram but for its mode "angle", with kernels that are constants, not weights.
    Errors: ValueError for arguments, ShapeError for inputs that do not fit.

    Args:
        mode: "log" (ln of the magnitude, at least 1e-7), "magnitude" (sqrt(max(|S|^2, 1e-7))), "psd" (|S|^2, twice that between the first
            and the last frequency), "real", "imag", "stft" (real, then imaginary parts).
        frame_length: samples of a frame.
        frame_step: samples from one frame to the next; by default half a frame.
        fft_length: frames are filled up with zeros to this length; by default the next power of two.
        window: "hann", "hamming", "blackman", "boxcar", frame_length numbers, or None.
        periodic: the window's period is frame_length, not frame_length - 1.
        scaling: "density" divides the window by the root of its sum of squares, "spectrum" by its sum; None.
        padding: "valid", or "same" for as many frames as time / frame_step, rounded up.
        expand_dims: give (batch, frames, k, channels).
        data_format: "channels_last", or "channels_first" for (batch, channels, time), out (batch, channels * k, frames), expanded
            (batch, channels, frames, k).

    >>> import numpy as np
    >>> STFTSpectrogram("psd", 256, 128)(np.zeros((1, 1024, 1), "float32")).shape
    (1, 7, 129)
    """

    def __init__(
        self, mode: str = "log", frame_length: int = 256, frame_step: int | None = None, fft_length: int | None = None,
        window: Any = "hann", periodic: bool = False, scaling: str | None = "density", padding: str = "valid",
        expand_dims: bool = False, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        owner = type(self).__name__
        for name, word, words in (("mode", mode, MODES), ("padding", padding, ("valid", "same"))):
            if word not in words:
                raise unknown_name(name, word, list(words))
        if scaling not in ("density", "spectrum", None):
            raise ValueError(f"{owner}(scaling={scaling!r}): expected 'density', 'spectrum' or None")
        _positive(owner, frame_length=frame_length, frame_step=frame_step or 1, fft_length=fft_length or 1)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise ValueError(f"{owner}(frame_step={frame_step}): expected 1 to frame_length={frame_length}")
        if fft_length is not None and fft_length < frame_length:
            raise ValueError(f"{owner}(fft_length={fft_length}): expected at least frame_length={frame_length}")
        self.mode, self.frame_length, self.frame_step, self.fft_length = mode, frame_length, frame_step, fft_length
        self.window, self.periodic, self.scaling, self.padding = _plain(window), periodic, scaling, padding
        self.expand_dims = expand_dims
        self.data_format = check_data_format(data_format, owner)
        frame = _frequency.window(window, frame_length, periodic)
        if window is not None and scaling is not None:
            frame = frame / (np.sqrt(np.sum(frame**2)) if scaling == "density" else np.sum(np.abs(frame)))
        real, imag = _frequency.fourier(frame, fft_length or 1 << (frame_length - 1).bit_length())
        parts = {"real": [real], "imag": [imag]}.get(mode, [real, imag])
        self._kernel = np.concatenate(parts, axis=1)[:, None, :]

    def call(self, inputs: Tensor) -> Tensor:
        sound = as_type(inputs, self.dtype)
        shape = tuple(sound.shape)
        if len(shape) not in (2, 3):
            raise ShapeError(f"{self.name}: expected (batch, time) or (batch, time, channels), got {list(shape)}")
        first = self.data_format == "channels_first"
        if len(shape) == 2:
            sound = ops.reshape(sound, (*shape, 1))
        elif first:
            sound = ops.transpose(sound, (0, 2, 1))
        step = self.frame_step or max(self.frame_length // 2, 1)
        spectra = self._of_mode(_spectra(self, sound, self._kernel.astype(self.dtype), step, self.padding))
        batch, channels, frames, k = spectra.shape
        if self.expand_dims:
            return spectra if first else ops.transpose(spectra, (0, 2, 3, 1))
        if first:
            return ops.reshape(ops.transpose(spectra, (0, 1, 3, 2)), (batch, channels * k, frames))
        return ops.reshape(ops.transpose(spectra, (0, 2, 1, 3)), (batch, frames, channels * k))

    def _of_mode(self, spectra: Tensor) -> Tensor:
        if self.mode in ("real", "imag", "stft"):
            return spectra
        power = _power(spectra)
        if self.mode == "psd":
            twice = np.full(power.shape[-1], 2.0, self.dtype)
            twice[[0, -1]] = 1.0
            return power * twice
        magnitude = ops.sqrt(ops.maximum(power, EPSILON))
        return magnitude if self.mode == "magnitude" else ops.log(magnitude)

    def get_config(self) -> Config:
        names = (
            "mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling", "padding", "expand_dims", "data_format",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@serialization.register("layer")
class MelSpectrogram(Layer):
    """Power in bands that are evenly spaced in mel = 1127 ln(1 + f / 700), in decibels.

    In (batch, time), out (batch, num_mel_bins, frames), frames = 1 + time // sequence_stride: frames are centred, the ends mirrored. In
    (batch, time, channels), out (batch, num_mel_bins, frames, channels). Equal to Keras' MelSpectrogram, but that top_db looks at each
    recording by itself, so that no result depends on the rest of the batch. Errors: ValueError for arguments, ShapeError for recordings
    that are too short.

    Args:
        fft_length: samples of a Fourier transform.
        sequence_stride: samples from one frame to the next.
        sequence_length: samples of a frame, in the middle of the transform; by default fft_length.
        window: "hann", "hamming", "blackman", "boxcar" (periodic), sequence_length numbers, or None.
        sampling_rate: of the samples, in Hz.
        num_mel_bins: bands.
        min_freq, max_freq: the lowest and the highest frequency, in Hz; by default up to half the sampling rate.
        power_to_db: whether to give 10 log10(max(p, min_power) / ref_power), and not p itself.
        top_db: so many decibels below a recording's greatest value is the least; None for no limit.
        mag_exp: exponent of the magnitude; 2 is power.
        min_power, ref_power: see power_to_db.

    >>> import numpy as np
    >>> MelSpectrogram(256, 128, num_mel_bins=20)(np.zeros((1, 1024), "float32")).shape
    (1, 20, 9)
    """

    def __init__(
        self, fft_length: int = 2048, sequence_stride: int = 512, sequence_length: int | None = None, window: Any = "hann",
        sampling_rate: float = 16000, num_mel_bins: int = 128, min_freq: float = 20.0, max_freq: float | None = None,
        power_to_db: bool = True, top_db: float | None = 80.0, mag_exp: float = 2.0, min_power: float = 1e-10,
        ref_power: float = 1.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        owner = type(self).__name__
        length = sequence_length or fft_length
        _positive(owner, fft_length=fft_length, sequence_stride=sequence_stride, num_mel_bins=num_mel_bins)
        _positive(owner, sequence_length=length)
        if length > fft_length:
            raise ValueError(f"{owner}(sequence_length={length}): expected at most fft_length={fft_length}")
        high = sampling_rate / 2 if max_freq is None else max_freq
        if not 0 <= min_freq < high <= sampling_rate / 2:
            raise ValueError(
                f"{owner}(min_freq={min_freq}, max_freq={max_freq}): expected 0 <= min_freq < max_freq <= {sampling_rate / 2:g}, half the "
                "sampling rate"
            )
        for name, value in (("mag_exp", mag_exp), ("min_power", min_power), ("ref_power", ref_power)):
            if not value > 0:
                raise ValueError(f"{owner}({name}={value!r}): expected a positive number")
        self.fft_length, self.sequence_stride, self.sequence_length = fft_length, sequence_stride, sequence_length
        self.window, self.sampling_rate, self.num_mel_bins = _plain(window), sampling_rate, num_mel_bins
        self.min_freq, self.max_freq = min_freq, max_freq
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        before = (fft_length - length) // 2
        frame = np.pad(_frequency.window(window, length, True), (before, fft_length - length - before))
        self._kernel = np.concatenate(_frequency.fourier(frame, fft_length), axis=1)[:, None, :]
        self._bands = _frequency.mel_bands(num_mel_bins, fft_length // 2 + 1, sampling_rate, min_freq, high)

    def call(self, inputs: Tensor) -> Tensor:
        sound = as_type(inputs, self.dtype)
        shape = tuple(sound.shape)
        if len(shape) not in (2, 3):
            raise ShapeError(f"{self.name}: expected (batch, time) or (batch, time, channels), got {list(shape)}")
        half = self.fft_length // 2
        if shape[1] <= half:
            raise ShapeError(f"{self.name}: {shape[1]} samples; fft_length={self.fft_length} needs at least {half + 1}")
        sound = ops.pad(
            ops.reshape(sound, (*shape[:2], math.prod(shape[2:]))), ((0, 0), (half, half), (0, 0)), "reflect"
        )
        power = _power(_spectra(self, sound, self._kernel.astype(self.dtype), self.sequence_stride, "valid"))
        magnitude = power if self.mag_exp == 2 else ops.power(power, self.mag_exp / 2)
        bands = self.of_bands(ops.matmul(magnitude, self._bands.astype(self.dtype)))
        swapped = ops.transpose(bands, (0, 3, 2, 1))
        return ops.reshape(swapped, swapped.shape[:3]) if len(shape) == 2 else swapped

    def of_bands(self, bands: Tensor) -> Tensor:
        """What is given of bands (batch, channels, frames, num_mel_bins)."""
        if not self.power_to_db:
            return bands
        decibels = ops.log(ops.maximum(bands, self.min_power)) * DECIBEL
        decibels = decibels - DECIBEL * math.log(max(self.ref_power, self.min_power))
        if self.top_db is None:
            return decibels
        return ops.maximum(decibels, ops.max(decibels, axis=(1, 2, 3), keepdims=True) - float(self.top_db))

    def get_config(self) -> Config:
        names = (
            "fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate", "num_mel_bins", "min_freq", "max_freq",
            "power_to_db", "top_db", "mag_exp", "min_power", "ref_power",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@serialization.register("layer")
class MFCC(MelSpectrogram):
    """Mel-frequency cepstral coefficients: the cosine transform of a mel spectrogram in decibels, over its bands.

    In (batch, time), out (batch, n_mfcc, frames); with channels (batch, n_mfcc, frames, channels). Arguments as librosa's mfcc, then as
    MelSpectrogram, whose bands these are (librosa's have another mel scale and unit areas). Source: Davis and Mermelstein 1980.

    Args:
        n_mfcc: coefficients, at most num_mel_bins.
        dct_type: 1, 2 or 3.
        norm: "ortho" for an orthonormal transform, or None.
        lifter: above 0, coefficient n (from 1) is multiplied by 1 + lifter / 2 sin(pi n / lifter).

    >>> import numpy as np
    >>> MFCC(13, fft_length=256, sequence_stride=128, num_mel_bins=20)(np.zeros((1, 1024), "float32")).shape
    (1, 13, 9)
    """

    def __init__(
        self, n_mfcc: int = 20, dct_type: int = 2, norm: str | None = "ortho", lifter: float = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _positive("MFCC", n_mfcc=n_mfcc)
        if n_mfcc > self.num_mel_bins:
            raise ValueError(f"MFCC(n_mfcc={n_mfcc}): expected at most num_mel_bins={self.num_mel_bins}")
        if dct_type not in (1, 2, 3) or (dct_type == 1 and self.num_mel_bins < 2):
            raise ValueError(f"MFCC(dct_type={dct_type!r}): expected 1 (of two or more bands), 2 or 3")
        if norm not in ("ortho", None):
            raise ValueError(f"MFCC(norm={norm!r}): expected 'ortho' or None")
        if lifter < 0:
            raise ValueError(f"MFCC(lifter={lifter!r}): expected 0 or a positive number")
        self.n_mfcc, self.dct_type, self.norm, self.lifter = n_mfcc, dct_type, norm, lifter
        self._cosines = _frequency.cosine_transform(self.num_mel_bins, n_mfcc, dct_type, norm)
        if lifter:
            self._cosines = self._cosines * (1 + lifter / 2 * np.sin(np.pi * np.arange(1, n_mfcc + 1) / lifter))

    def of_bands(self, bands: Tensor) -> Tensor:
        return ops.matmul(super().of_bands(bands), self._cosines.astype(self.dtype))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in ("n_mfcc", "dct_type", "norm", "lifter")},
        }
