"""Donkeycar: what the camera of a model car saw, and how its driver steered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError, missing_extra

if TYPE_CHECKING:
    from pathlib import Path

Split = tuple[NDArray[np.uint8], NDArray[np.float32]]

FILE = files.DataFile(
    "The Donkeycar tub", ("donkeycar_tub.tar.gz",), "donkeycar", "the Donkeycar project (docs.donkeycar.com)"
)
BLOCK, HELD_OUT = 100, 20  # of each block of consecutive frames, the last ones are for testing
SHAPE = (120, 160, 3)


def load_donkeycar() -> tuple[Split, Split]:
    """1,000 consecutive camera frames of a model car with the angle that its driver steered.

    Neighbouring frames are nearly equal, so blocks are held out: the last 20 of each 100. Looked for as
    `donkeycar_tub.tar.gz` in the folder that NNFAST_DATA names, then in the cache; JPEG needs Pillow (extra `image`).

    Returns:
        ((x_train, y_train), (x_test, y_test)): x uint8 of shape (800, 120, 160, 3) and (200, 120, 160, 3), y float32, the
        angle in -1 (left) to 1 (right).

    Raises:
        DataError: the file is damaged or is not there.
        MissingExtraError: Pillow is not installed.

    Source: the Donkeycar project, MIT licence.

    >>> (x_train, y_train), (x_test, y_test) = load_donkeycar()  # doctest: +SKIP
    """
    x, y = files.read(files.find(FILE), _frames)
    test = np.arange(len(y)) % BLOCK >= BLOCK - HELD_OUT
    return (x[~test], y[~test]), (x[test], y[test])


def _frames(path: Path) -> Split:
    import tarfile

    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("Pillow", "image") from error
    records: list[dict[str, Any]] = []
    images: dict[str, NDArray[np.uint8]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            content = archive.extractfile(member)
            if content is None or name.startswith("."):
                continue
            if name.endswith(".catalog"):
                records += map(json.loads, content.read().decode("utf-8").splitlines())
            elif name.endswith(".jpg"):
                with Image.open(content) as image:
                    images[name] = np.asarray(image.convert("RGB"))
    records.sort(key=lambda record: record["_index"])
    x = np.stack([images[record["cam/image_array"]] for record in records])
    if x.shape[1:] != SHAPE:
        raise DataError(f"{path}: frames of shape {x.shape[1:]}, where {SHAPE} belong; replace the file")
    return x, np.array([record["user/angle"] for record in records], np.float32)
