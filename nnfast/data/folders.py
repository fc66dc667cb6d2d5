"""Images and recordings that lie in folders, one folder per class, as batches.

In: a directory. Out: objects with a length that are indexed, which `fit`, `evaluate` and `predict` take as x and read ahead
in a thread. A picture or recording is decoded when its batch is asked for; nothing but the names is held.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.epochs import CountsEpochs
from nnfast.data.order import permutation
from nnfast.data.source import check_batch_size
from nnfast.errors import DataError, missing_extra, unknown_name

LABEL_MODES = ("int", "binary", "categorical", None)
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
COLOR_MODES = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "lanczos3")
SUBSETS = ("training", "validation")


class Folder(CountsEpochs):
    """Files of a directory in batches, shuffled anew for each epoch; the base of ImageFolder and WavFolder.

    Attributes:
        class_names: names of the classes, in the order of their labels.
        paths: the files, before any shuffling, sorted by class and name.
        labels: int32 array, the class of each file.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        suffixes: tuple[str, ...],
        label_mode: str | None,
        class_names: Sequence[str] | None,
        batch_size: int,
        shuffle: bool,
        seed: int,
        validation_split: float | None,
        subset: str | None,
    ) -> None:
        if label_mode not in LABEL_MODES:
            raise unknown_name("label_mode", label_mode, [str(mode) for mode in LABEL_MODES])
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise DataError(f"directory={self.directory!r}: there is no such folder")
        self.label_mode = label_mode
        self.batch_size = check_batch_size(batch_size)
        self.shuffle = shuffle
        self.seed = seed
        self.class_names = _class_names(self.directory, class_names) if label_mode is not None else []
        if label_mode == "binary" and len(self.class_names) != 2:
            raise DataError(f"label_mode='binary' needs two classes, {self.directory} has {len(self.class_names)}")
        self.paths, labels = _files(self.directory, self.class_names, suffixes)
        if not self.paths:
            raise DataError(f"{self.directory}: no file that ends with {', '.join(suffixes)}")
        self.labels = np.array(labels, np.int32)
        self._take_subset(validation_split, subset)

    def __len__(self) -> int:
        return -(-len(self.paths) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of this epoch: x, or (x, y) unless label_mode is None."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        rows = np.arange(len(self.paths))
        if self.shuffle:
            rows = permutation(len(self.paths), self.seed, self.epoch)
        rows = rows[index * self.batch_size : (index + 1) * self.batch_size]
        x = np.stack([self.read(self.paths[row]) for row in rows])
        return x if self.label_mode is None else (x, self._targets(self.labels[rows]))

    def read(self, path: str) -> NDArray[Any]:
        """One sample."""
        raise NotImplementedError

    def _targets(self, labels: NDArray[np.int32]) -> NDArray[Any]:
        if self.label_mode == "categorical":
            return np.eye(len(self.class_names), dtype=np.float32)[labels]
        return labels.astype(np.float32)[:, None] if self.label_mode == "binary" else labels

    def _take_subset(self, split: float | None, subset: str | None) -> None:
        if (split is None) != (subset is None):
            raise DataError("validation_split and subset belong together: give both, or neither")
        if split is None or subset is None:
            return
        if not 0 < split < 1:
            raise DataError(f"validation_split={split!r}: expected a number between 0 and 1, such as 0.2")
        if subset not in SUBSETS:
            raise unknown_name("subset", subset, SUBSETS)
        # Sorted files would put whole classes on one side; the order does not depend on the epoch.
        order = permutation(len(self.paths), self.seed, 0)
        boundary = math.floor(len(order) * (1 - split))
        chosen = np.sort(order[:boundary] if subset == "training" else order[boundary:])
        if len(chosen) == 0:
            raise DataError(f"validation_split={split!r} leaves no file of {len(order)} for {subset}")
        self.paths = [self.paths[row] for row in chosen]
        self.labels = self.labels[chosen]


class ImageFolder(Folder):
    """Pictures in a directory with one folder per class (extra `image`).

    Args:
        directory: holds a folder per class; with label_mode None, pictures anywhere in it.
        label_mode: "int" (int32 labels), "categorical" (one-hot float32), "binary" (0.0 or 1.0, two classes), or None.
        class_names: the folders to read, in the order of the labels; all of them, sorted, unless given.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: pictures in a batch.
        image_size: (height, width) that pictures are resized to.
        shuffle: another order in each epoch.
        seed: of the order and of the split.
        validation_split, subset: the part that is held out, and which side this is: "training" or "validation".
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos3".
        crop_to_aspect_ratio: cut the longer side off rather than change the proportions.

    Batches: x uint8 of shape (batch, height, width, channels), y as label_mode says.

    Raises:
        DataError: there is no such folder, no picture in it, or one that cannot be read.
        MissingExtraError: Pillow is not installed.

    >>> ImageFolder("photos", image_size=(64, 64))  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        label_mode: str | None = "int",
        class_names: Sequence[str] | None = None,
        color_mode: str = "rgb",
        batch_size: int = 32,
        image_size: tuple[int, int] = (256, 256),
        shuffle: bool = True,
        seed: int = 0,
        validation_split: float | None = None,
        subset: str | None = None,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
    ) -> None:
        if color_mode not in COLOR_MODES:
            raise unknown_name("color_mode", color_mode, COLOR_MODES)
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        if len(image_size) != 2 or min(image_size) < 1:
            raise DataError(f"image_size={image_size!r}: expected (height, width), both positive")
        _pillow()
        self.color_mode = color_mode
        self.image_size = int(image_size[0]), int(image_size[1])
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        super().__init__(
            directory, IMAGE_SUFFIXES, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset
        )

    def read(self, path: str) -> NDArray[np.uint8]:
        """A picture as uint8 of shape (height, width, channels)."""
        image_module = _pillow()
        filters = dict(zip(INTERPOLATIONS, ("NEAREST", "BILINEAR", "BICUBIC", "BOX", "LANCZOS"), strict=True))
        mode, channels = COLOR_MODES[self.color_mode]
        height, width = self.image_size
        try:
            with image_module.open(path) as image:
                picture = image.convert(mode)
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for damaged files
            raise DataError(f"{path}: cannot be read as a picture ({error}); remove it from the folder") from error
        box = _centre(picture.width, picture.height, width / height) if self.crop_to_aspect_ratio else None
        method = getattr(image_module.Resampling, filters[self.interpolation])
        if picture.size != (width, height):
            picture = picture.resize((width, height), method, box)
        return np.asarray(picture, np.uint8).reshape(height, width, channels)


class WavFolder(Folder):
    """Recordings (PCM WAV of 8, 16, 24 or 32 bits) in a directory with one folder per class.

    Args:
        directory, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset: as for ImageFolder.
        output_sequence_length: samples of each recording, cut off or filled with zeros at the end.
        sampling_rate: in Hz; a recording with another one is an error. None takes any.

    Batches: x float32 in -1..1 of shape (batch, output_sequence_length, channels), y as label_mode says.

    Raises:
        DataError: there is no such folder, no recording in it, or one that cannot be read or is of another kind.

    >>> WavFolder("words", output_sequence_length=16000)  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        label_mode: str | None = "int",
        class_names: Sequence[str] | None = None,
        batch_size: int = 32,
        output_sequence_length: int = 16000,
        sampling_rate: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        validation_split: float | None = None,
        subset: str | None = None,
    ) -> None:
        if isinstance(output_sequence_length, bool) or output_sequence_length < 1:
            raise DataError(f"output_sequence_length={output_sequence_length!r}: expected a positive number of samples")
        self.output_sequence_length = output_sequence_length
        self.sampling_rate = sampling_rate
        super().__init__(
            directory, (".wav",), label_mode, class_names, batch_size, shuffle, seed, validation_split, subset
        )

    def read(self, path: str) -> NDArray[np.float32]:
        """A recording as float32 of shape (output_sequence_length, channels)."""
        samples, rate = read_wav(path)
        if self.sampling_rate not in (None, rate):
            raise DataError(
                f"{path}: {rate} samples a second, where sampling_rate={self.sampling_rate}; convert it first"
            )
        x = np.zeros((self.output_sequence_length, samples.shape[1]), np.float32)
        x[: len(samples)] = samples[: len(x)]
        return x


def read_wav(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], int]:
    """A PCM WAV file of 8, 16, 24 or 32 bits.

    Returns:
        (samples, rate): float32 in -1..1 of shape (samples, channels), and samples per second.

    Raises:
        DataError: the file is not there, damaged or compressed.

    >>> read_wav("hello.wav")  # doctest: +SKIP
    """
    import wave

    try:
        with wave.open(os.fspath(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{os.fspath(path)}: cannot be read as WAV ({error})") from error
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 1:
        values = (np.frombuffer(data, np.uint8) - 128.0) / 128
    elif width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = padded.view("<i4")[:, 0] / 2.0**31
    else:
        values = np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)
    return values.reshape(-1, channels).astype(np.float32), rate


def _class_names(directory: str, given: Sequence[str] | None) -> list[str]:
    found = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise DataError(f"{directory}: no folders, one per class, in it; label_mode=None reads files without classes")
    for name in given or ():
        if name not in found:
            raise unknown_name("class_names: folder", name, found)
    return found if given is None else list(given)


def _files(directory: str, class_names: list[str], suffixes: tuple[str, ...]) -> tuple[list[str], list[int]]:
    paths, labels = [], []
    for label, top in enumerate([os.path.join(directory, name) for name in class_names] or [directory]):
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                if name.lower().endswith(suffixes) and not name.startswith("."):
                    paths.append(os.path.join(folder, name))
                    labels.append(label)
    return paths, labels


def _centre(width: int, height: int, ratio: float) -> tuple[float, float, float, float]:
    """The largest box of that ratio of width to height in the middle."""
    w, h = min(width, height * ratio), min(height, width / ratio)
    return (width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("Pillow", "image") from error
    return Image
