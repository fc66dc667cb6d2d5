"""The Free Spoken Digit Dataset: the digits 0 to 9, said by six people, as raw samples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Recordings = list[NDArray[np.float32]]
Split = tuple[NDArray[np.float32] | Recordings, NDArray[np.int32]]

FILE = files.DataFile(
    "The Free Spoken Digit Dataset",
    ("fsdd_recordings.zip", "free-spoken-digit-dataset-master.zip", "free-spoken-digit-dataset-1.0.10.zip"),
    "fsdd",
    "github.com/Jakobovski/free-spoken-digit-dataset (download as ZIP)",
)
SAMPLE_RATE = 8000  # of every recording, in Hz
TEST_TAKES = 5  # the official test set: takes 0 to 4 of each digit and speaker
_NAME = re.compile(r"(?:.*/)?(\d)_([a-z]+)_(\d+)\.wav")


def load_fsdd(length: int | None = 8000) -> tuple[Split, Split]:
    """3,000 recordings of spoken digits at 8 kHz; the official test set, takes 0 to 4 of each speaker and digit, held out.

    Looked for as `fsdd_recordings.zip` (or the archive of the project on GitHub) in the folder that NNFAST_DATA names, then in
    the cache.

    Args:
        length: samples of each recording, cut off or filled with zeros at the end (the median recording has 3,360 samples,
            one in a hundred more than 7,389); None for a list of recordings as they are.

    Returns:
        ((x_train, y_train), (x_test, y_test)): x float32 in -1..1 of shape (2700, length) and (300, length), or lists of
        arrays of shape (samples,); y int32 in 0..9. Ordered by digit, speaker and take.

    Raises:
        DataError: the file is damaged or is not there.
        ValueError: length is not a positive integer.

    Source: Z. Jackson et al., Free Spoken Digit Dataset; CC BY-SA 4.0.

    >>> (x_train, y_train), (x_test, y_test) = load_fsdd()  # doctest: +SKIP
    """
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise ValueError(
            f"load_fsdd(length={length!r}): length must be a positive integer, or None for whole recordings"
        )
    found = files.read(files.find(FILE), _recordings)
    splits: list[Split] = []
    for test in (False, True):
        part = [(samples, digit) for (digit, _, take), samples in found if (take < TEST_TAKES) == test]
        recordings = [samples for samples, _ in part]
        labels = np.array([digit for _, digit in part], np.int32)
        splits.append((recordings if length is None else _of_length(recordings, length), labels))
    return splits[0], splits[1]


def _of_length(recordings: Recordings, length: int) -> NDArray[np.float32]:
    x = np.zeros((len(recordings), length), np.float32)
    for row, samples in zip(x, recordings, strict=True):
        row[: len(samples)] = samples[:length]
    return x


def _recordings(path: Path) -> list[tuple[tuple[int, str, int], NDArray[np.float32]]]:
    import io
    import wave
    import zipfile

    found = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            with wave.open(io.BytesIO(archive.read(name))) as recording:
                form = recording.getframerate(), recording.getsampwidth(), recording.getnchannels()
                samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
            if form != (SAMPLE_RATE, 2, 1):
                raise DataError(f"{path}: {name} has {form} (Hz, bytes, channels), where ({SAMPLE_RATE}, 2, 1) belong")
            digit, speaker, take = match.groups()
            found.append(((int(digit), speaker, int(take)), samples.astype(np.float32) / np.float32(32768)))
    if not found:
        raise DataError(f"{path}: no recordings named digit_speaker_take.wav in it; replace the file")
    return sorted(found, key=lambda item: item[0])
