"""PneumoniaMNIST: small chest X-rays of children, healthy or with pneumonia."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Split = tuple[NDArray[np.uint8], NDArray[np.int32]]

FILE = files.DataFile(
    "PneumoniaMNIST",
    ("pneumoniamnist.npz",),
    "pneumoniamnist",
    "medmnist.com",
    "https://zenodo.org/records/10519652/files/pneumoniamnist.npz",
    "md5:28209eda62fecd6e6a2d98b1501bb15f",
)
PARTS = ("train", "val", "test")


def load_pneumonia_mnist() -> tuple[Split, Split, Split]:
    """Chest X-rays of 28 x 28 pixels: 4,708 for training in the published file, 524 for validation, 624 for testing.

    About three of four show pneumonia: report more than the accuracy, and weigh the classes. Looked for as
    `pneumoniamnist.npz` in the folder that NNFAST_DATA names, then in the cache, else downloaded (extra `data`).

    Returns:
        ((x_train, y_train), (x_val, y_val), (x_test, y_test)): x uint8 of shape (n, 28, 28), y int32 of shape (n,), 1 for
        pneumonia.

    Raises:
        DataError: the file is damaged, or is not there and cannot be downloaded.
        MissingExtraError: the file is not there and pooch is not installed.

    Source: D. Kermany et al., Cell 172 (2018); J. Yang et al., MedMNIST v2 (2023), CC BY 4.0.

    >>> train, validation, test = load_pneumonia_mnist()  # doctest: +SKIP
    """
    splits = files.read(files.find(FILE), _splits)
    train, validation, test = splits
    return train, validation, test


def _splits(path: Path) -> list[Split]:
    splits = []
    with np.load(path, allow_pickle=False) as arrays:
        for part in PARTS:
            x, y = arrays[f"{part}_images"], arrays[f"{part}_labels"]
            if x.dtype != np.uint8 or x.shape[1:] != (28, 28) or y.shape != (len(x), 1):
                raise DataError(
                    f"{path}: {part} images are {x.dtype} {x.shape} with labels {y.shape}, where uint8 (n, 28, 28) and (n, 1) "
                    "belong; delete it, so that it is fetched again"
                )
            splits.append((x, y[:, 0].astype(np.int32)))
    return splits
