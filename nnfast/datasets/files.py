"""Where the files of the data sets lie: the folder that NNFAST_DATA names, the cache, or the network.

In: what a data set's file is called and where it comes from. Out: the path of a file that is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nnfast import environment
from nnfast.errors import DataError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Content = TypeVar("Content")


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    title: the data set's name, for messages; names: what the file may be called, the name of a download first; folder:
    where it lies under NNFAST_DATA and in the cache, besides in those themselves; address: what is downloaded, or "" where
    no address serves a single file; known_hash: of the download, "sha256:..." or "md5:..."; origin: where people get it.
    """

    title: str
    names: tuple[str, ...]
    folder: str
    origin: str
    address: str = ""
    known_hash: str = ""


def find(file: DataFile) -> Path:
    """The path of a file, downloaded if it must be (extra `data`).

    Raises:
        DataError: the file is not there and cannot be downloaded.
        MissingExtraError: the file is not there, and pooch, which downloads it, is not installed.
    """
    given, cache = environment.data_folder(), environment.cache_folder()
    for folder in (given, cache) if given is not None else (cache,):
        for place in (folder / file.folder, folder):
            for name in file.names:
                if (place / name).is_file():
                    return place / name
    return _download(file, cache / file.folder)


def read(path: Path, take: Callable[[Path], Content]) -> Content:
    """take(path), its errors told as what they are for the user: a damaged file.

    Raises:
        DataError: the file cannot be read, or is not what it should be.
    """
    import tarfile
    import zipfile
    import zlib

    damaged = (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile, tarfile.TarError)
    try:
        return take(path)
    except DataError:
        raise
    except damaged as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, so that it is fetched again") from error


def _download(file: DataFile, folder: Path) -> Path:
    elsewhere = f"put {' or '.join(map(repr, file.names))} into a folder and let NNFAST_DATA name it"
    if not file.address:
        raise DataError(
            f"{file.title} is not here and cannot be downloaded alone: get it from {file.origin}, and {elsewhere}"
        )
    try:
        import pooch
    except ImportError as error:
        missing = missing_extra("pooch", "data")
        missing.add_note(f"{file.title} is neither under NNFAST_DATA nor in {folder}; or {elsewhere}")
        raise missing from error
    try:
        pooch.retrieve(file.address, file.known_hash, fname=file.names[0], path=folder)
    except (OSError, ValueError) as error:  # what requests and pooch raise
        raise DataError(
            f"{file.title}: {file.names[0]} could not be downloaded ({error}); try again later, or {elsewhere}"
        ) from error
    return folder / file.names[0]
