"""NASA's turbofan engines (C-MAPSS, FD001), run until they fail: how many cycles are left?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Train = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]
Test = tuple[list[NDArray[np.float32]], NDArray[np.float32]]

COLUMNS = 26  # engine, cycle, 3 settings, 21 sensors
MISSING = (b"'N/A'", b"None")  # in some copies, besides NAN
ROWS = {"train": 20631, "test": 13096, "RUL": 100}


def load_turbofan(cap: float | None = 125) -> tuple[Train, Test]:
    """The 100 + 100 engines of FD001, each a series of cycles until it fails (training) or until some cycles before (test).

    A value that is missing, as some copies have a few, becomes that of the cycle before.

    Looked for as `cmapss/train_FD001.txt` (also `.txt.gz`), `test_FD001` and `RUL_FD001` in the folder that NNFAST_DATA
    names, then in the cache.

    Args:
        cap: remaining lives are at most this, since an engine early in its life shows no wear; None for no cap.

    Returns:
        ((x_train, y_train), (x_test, y_test)): x is a list with one float32 array of shape (cycles, 24) per engine, 3
        settings and 21 sensors; y_train a list of float32 arrays of shape (cycles,), the cycles that are left after each
        one; y_test float32 of shape (100,), the cycles left after the last one of each test engine.

    Raises:
        DataError: a file is damaged or is not there.

    Source: A. Saxena, K. Goebel, D. Simon and N. Eklund, Damage Propagation Modeling for Aircraft Engine Run-to-Failure
        Simulation, PHM 2008; public domain.

    >>> (x_train, y_train), (x_test, y_test) = load_turbofan()  # doctest: +SKIP
    """
    limit = np.float32(np.inf if cap is None else cap)
    train, test = _engines(_table("train", COLUMNS)), _engines(_table("test", COLUMNS))
    left = [np.arange(len(engine) - 1, -1, -1, dtype=np.float32) for engine in train]
    last = _table("RUL", 1)[:, 0].astype(np.float32)
    return (train, [np.minimum(cycles, limit) for cycles in left]), (test, np.minimum(last, limit))


def _engines(table: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Rows of one engine follow each other."""
    starts = np.flatnonzero(np.diff(table[:, 0])) + 1
    return [_filled(np.ascontiguousarray(rows[:, 2:], np.float32)) for rows in np.split(table, starts)]


def _filled(engine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Missing values become those of the cycle before, at the beginning those of the first cycle that has one."""
    cycles = np.where(np.isnan(engine), -1, np.arange(len(engine))[:, None])
    last = np.maximum.accumulate(cycles, axis=0)
    first = np.argmax(cycles >= 0, axis=0)
    return engine[np.where(last < 0, first, last), np.arange(engine.shape[1])]


def _table(part: str, columns: int) -> NDArray[Any]:
    name = f"{part}_FD001.txt"
    origin = "NASA's Prognostics Data Repository (CMAPSSData.zip)"
    path = files.find(files.DataFile("Turbofan", (name, name + ".gz"), "cmapss", origin))

    def take(path: Path) -> NDArray[Any]:
        import gzip

        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        values = np.array([b"nan" if word in MISSING else word for word in data.split()], np.float64)
        if values.size != ROWS[part] * columns:
            raise DataError(
                f"{path}: {values.size} numbers, where {ROWS[part]} rows of {columns} belong; replace the file"
            )
        return values.reshape(-1, columns)

    return files.read(path, take)
