"""STFTSpectrogram, MelSpectrogram and MFCC beside NumPy's FFT and SciPy."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, ops
from nnfast.errors import ShapeError
from nnfast.layers import _frequency

RNG = np.random.default_rng(0)
SOUND = RNG.standard_normal((3, 500, 2))


def by_fft(sound, frame, fft_length, step):
    """(batch, frames, k, channels), complex."""
    starts = range(0, sound.shape[1] - len(frame) + 1, step)
    parts = [np.fft.rfft(sound[:, s : s + len(frame)] * frame[:, None], fft_length, axis=1) for s in starts]
    return np.stack(parts, axis=1)


def mel_by_fft(sound, fft_length, stride, window, bands):
    half = fft_length // 2
    padded = np.pad(sound, ((0, 0), (half, half), (0, 0)), "reflect")
    power = np.abs(by_fft(padded, window, fft_length, stride)) ** 2
    return np.einsum("btkc,km->bmtc", power, bands)


@pytest.mark.parametrize("length, fft_length, step", [(32, None, None), (30, 45, 7), (1, 1, 1), (33, 64, 33)])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
def test_stft_equals_the_fft(length, fft_length, step, dtype, tolerance):
    frame = _frequency.window("hamming", length, False)
    wanted = by_fft(SOUND, frame, fft_length or 1 << (length - 1).bit_length(), step or length // 2)
    given = {"frame_length": length, "fft_length": fft_length, "frame_step": step, "window": "hamming", "scaling": None}
    for mode, value in (
        ("real", wanted.real),
        ("imag", wanted.imag),
        ("magnitude", np.sqrt(np.maximum(abs(wanted) ** 2, 1e-7))),
    ):
        layer = layers.STFTSpectrogram(mode, **given, expand_dims=True, dtype=dtype)
        np.testing.assert_allclose(layer(SOUND), value, atol=tolerance * max(1, abs(value).max()))
    both = layers.STFTSpectrogram("stft", **given, dtype=dtype)(SOUND)
    flat = np.concatenate([wanted.real, wanted.imag], axis=2).transpose(0, 1, 3, 2).reshape(both.shape)
    np.testing.assert_allclose(both, flat, atol=tolerance * max(1, abs(flat).max()))
    first = layers.STFTSpectrogram("stft", **given, dtype=dtype, data_format="channels_first")(SOUND.transpose(0, 2, 1))
    np.testing.assert_array_equal(first.transpose(0, 2, 1), both)


def test_psd_and_windows_equal_scipy():
    signal = pytest.importorskip("scipy.signal")
    for name in _frequency.COSINES:
        for length in (1, 2, 9, 64):
            for periodic in (False, True):
                wanted = signal.get_window(name, length, periodic)
                np.testing.assert_allclose(_frequency.window(name, length, periodic), wanted, atol=1e-15)
    # SciPy's density is per Hz: with a sampling rate of 1 the same; of an even length both ends are not doubled
    frame = signal.get_window("hann", 64, False)
    _, _, wanted = signal.spectrogram(SOUND[..., 0], 1.0, frame, noverlap=48, detrend=False, scaling="density")
    psd = layers.STFTSpectrogram("psd", 64, 16, dtype="float64")(SOUND[..., 0])
    np.testing.assert_allclose(psd.transpose(0, 2, 1), wanted, rtol=1e-9, atol=1e-14)


def test_cosine_transforms_equal_scipy():
    fft = pytest.importorskip("scipy.fft")
    x = RNG.standard_normal((4, 12))
    for kind in (1, 2, 3):
        for norm in ("ortho", None):
            ours = x @ _frequency.cosine_transform(12, 7, kind, norm)
            np.testing.assert_allclose(ours, fft.dct(x, kind, norm=norm)[:, :7], atol=1e-13)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_orthonormal_cosine_transforms(kind):
    matrix = _frequency.cosine_transform(9, 9, kind, "ortho")
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(9), atol=1e-14)


def test_mel_bands_are_triangles_in_mel():
    bands = _frequency.mel_bands(10, 513, 8000, 100.0, 3000.0)
    hertz = np.linspace(0, 4000, 513)
    assert not bands[hertz <= 100].any() and not bands[hertz >= 3000].any()
    inside = (np.argmax(bands[:, 0]) <= np.arange(513)) & (np.arange(513) <= np.argmax(bands[:, -1]))
    # between the middles of the first and the last band two neighbours share each frequency
    np.testing.assert_allclose(bands[inside][1:-1].sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-4), ("float64", 1e-9)])
def test_mel_and_mfcc_equal_the_fft(dtype, tolerance):
    window = np.pad(_frequency.window("hann", 50, True), 7)
    bands = _frequency.mel_bands(12, 33, 8000, 20.0, 4000.0)
    power = mel_by_fft(SOUND, 64, 20, window, bands)
    given = {
        "fft_length": 64,
        "sequence_stride": 20,
        "sequence_length": 50,
        "sampling_rate": 8000,
        "num_mel_bins": 12,
        "dtype": dtype,
    }
    plain = layers.MelSpectrogram(**given, power_to_db=False)(SOUND)
    assert plain.dtype == dtype and plain.shape == (3, 12, 26, 2)
    np.testing.assert_allclose(plain, power, rtol=tolerance, atol=tolerance * 1e-2)
    decibels = 10 * np.log10(np.maximum(power, 1e-10) / 2)
    decibels = np.maximum(decibels, decibels.max(axis=(1, 2, 3), keepdims=True) - 12)
    layer = layers.MelSpectrogram(**given, ref_power=2.0, top_db=12)
    np.testing.assert_allclose(layer(SOUND), decibels, atol=5 * tolerance)
    cosines = _frequency.cosine_transform(12, 5, 2, "ortho") * (1 + 3 * np.sin(np.pi * np.arange(1, 6) / 6))
    mfcc = layers.MFCC(5, lifter=6, ref_power=2.0, top_db=12, **given)
    np.testing.assert_allclose(mfcc(SOUND), np.einsum("bmtc,mn->bntc", decibels, cosines), atol=50 * tolerance)
    np.testing.assert_array_equal(mfcc(SOUND[..., 0]).shape, (3, 5, 26))


def test_a_recording_does_not_depend_on_the_others():
    layer = layers.MelSpectrogram(64, 20, num_mel_bins=8)
    sound = SOUND[..., 0].astype("float32") * np.float32([[1], [1e-4], [1e4]])
    np.testing.assert_array_equal(layer(sound)[1:2], layer(sound[1:2]))


@pytest.mark.parametrize(
    "layer",
    [
        layers.STFTSpectrogram("log", 16, dtype="float64"),
        layers.MelSpectrogram(16, 8, num_mel_bins=4, mag_exp=1.5, dtype="float64"),
        layers.MFCC(3, fft_length=16, sequence_stride=8, num_mel_bins=4, dtype="float64"),
    ],
    ids=["stft", "mel", "mfcc"],
)
def test_gradients_reach_the_samples(layer):
    """A net of one weight per sample in front of the layer: its training step moves them down the slope that differences give."""
    sound = SOUND[:1, :40, 0]

    class Scaled(layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", (input_shape[-1],), "ones")

        def call(self, inputs):
            return ops.reshape(ops.mean(ops.square(layer(inputs * self.factor))), (1, 1))

    scaled = Scaled(dtype="float64")
    model = nnfast.Sequential([nnfast.Input((40,), dtype="float64"), scaled])
    model.compile(optimizer=nnfast.optimizers.SGD(1e-3), loss=lambda y, p: ops.mean(p))
    model.fit(sound, np.zeros((1, 1)), epochs=1, batch_size=1, verbose=0)
    slopes = (1 - scaled.factor.numpy()) / 1e-3
    for i in (0, 7, 39):
        step = np.zeros(40)
        step[i] = 1e-6
        values = [float(np.mean(layer(sound * (1 + sign * step)) ** 2)) for sign in (1, -1)]
        assert slopes[i] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-6)


def test_errors_say_what_is_expected():
    for make, words in (
        (lambda: layers.STFTSpectrogram(frame_length=0), "frame_length=0"),
        (lambda: layers.STFTSpectrogram("angles"), "mode"),
        (lambda: layers.STFTSpectrogram(frame_step=300), "1 to frame_length=256"),
        (lambda: layers.STFTSpectrogram(fft_length=100), "at least frame_length=256"),
        (lambda: layers.STFTSpectrogram(window="round"), "window"),
        (lambda: layers.STFTSpectrogram(window=[1.0]), "256 numbers"),
        (lambda: layers.STFTSpectrogram(scaling="x"), "density"),
        (lambda: layers.MelSpectrogram(max_freq=9000), "half the sampling rate"),
        (lambda: layers.MelSpectrogram(sequence_length=4096), "at most fft_length=2048"),
        (lambda: layers.MelSpectrogram(min_power=0), "min_power=0"),
        (lambda: layers.MFCC(200), "at most num_mel_bins=128"),
        (lambda: layers.MFCC(dct_type=4), "dct_type=4"),
        (lambda: layers.MFCC(norm="x"), "ortho"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    with pytest.raises(ShapeError, match="fewer than a frame"):
        layers.STFTSpectrogram()(np.zeros((1, 100, 1)))
    with pytest.raises(ShapeError, match="at least 1025"):
        layers.MelSpectrogram()(np.zeros((1, 100)))
    with pytest.raises(ShapeError, match="batch, time"):
        layers.MelSpectrogram()(np.zeros(5000))
