"""Data sets in the IDX format of MNIST: four gzip files of unsigned bytes.

In: the description of a data set. Out: its arrays, read from the folder that NNFAST_DATA names, else from the cache,
else downloaded into the cache. What is checked is the content, since copies are compressed differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_UNSIGNED_BYTE = 8  # the type code of IDX


@dataclass(frozen=True)
class IdxFile:
    """One file: its name, the shape inside, SHA-256 of the archive that is downloaded, and of the content if known."""

    name: str
    shape: tuple[int, ...]
    archive: str
    content: str | None = None


@dataclass(frozen=True)
class IdxDataset:
    """A data set: title, folder name under NNFAST_DATA and in the cache, address, and the four files."""

    title: str
    folder: str
    address: str
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]


def load(dataset: IdxDataset) -> list[NDArray[np.uint8]]:
    """The arrays of a data set, in the order of its files.

    Raises:
        DataError: a file is damaged, or is not there and cannot be downloaded.
        MissingExtraError: a file is not there, and pooch, which downloads it, is not installed.
    """
    return [read(_find(dataset, file), file) for file in dataset.files]


def read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """The array in one IDX file, checked against its description.

    Raises:
        DataError: the file is damaged, cut off or another one.
    """
    import gzip  # these three take milliseconds to import, which nobody should wait for who needs no files
    import hashlib
    import zlib

    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, so that it is fetched again") from error
    header = bytes([0, 0, _UNSIGNED_BYTE, len(file.shape)]) + np.array(file.shape, dtype=">i4").tobytes()
    if data[: len(header)] != header:
        raise DataError(f"{path}: not an IDX file of unsigned bytes with shape {list(file.shape)}")
    if len(data) - len(header) != int(np.prod(file.shape)):
        raise DataError(
            f"{path}: {len(data)} bytes are not what the shape {list(file.shape)} needs; the file is cut off"
        )
    if file.content is not None and hashlib.sha256(data).hexdigest() != file.content:
        raise DataError(f"{path}: the content differs from the published data; delete it, so that it is fetched again")
    return np.frombuffer(data, dtype=np.uint8, offset=len(header)).reshape(file.shape).copy()


def _find(dataset: IdxDataset, file: IdxFile) -> Path:
    return files.find(
        files.DataFile(
            dataset.title,
            (file.name,),
            dataset.folder,
            dataset.address,
            dataset.address + file.name,
            f"sha256:{file.archive}",
        )
    )
