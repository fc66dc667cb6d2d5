"""Adult: who earns more than 50,000 dollars a year, from the census of 1994."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.order import permutation
from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Columns = dict[str, NDArray[Any]]
Split = tuple[Columns, NDArray[np.int32]]

FILE = files.DataFile(
    "Adult",
    ("adult.data", "adult.data.gz"),
    "adult",
    "archive.ics.uci.edu/dataset/2/adult",
    "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/adult.data",
    "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
)
NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country"),
)
ROWS = 32561


def load_adult() -> tuple[Split, Split]:
    """The 32,561 people of the file adult.data: 14 columns, 6 of numbers and 8 of categories; a fixed quarter held out.

    The rows are put in the order `permutation(32561, seed=0, epoch=0)`; the last 8,140 are the test set. Looked for as
    `adult.data` or `adult.data.gz` in the folder that NNFAST_DATA names, then in the cache, else downloaded (extra
    `data`).

    Returns:
        ((x_train, y_train), (x_test, y_test)): x is a dict from the name of a column to its values, float32 for numbers
        and str for categories ("?" where the answer is missing); y is int32, 1 for more than 50,000 dollars.

    Raises:
        DataError: the file is damaged, or is not there and cannot be downloaded.
        MissingExtraError: the file is not there and pooch is not installed.

    Source: B. Becker and R. Kohavi, UCI (1996), CC BY 4.0.

    >>> (x_train, y_train), (x_test, y_test) = load_adult()  # doctest: +SKIP
    """
    path = files.find(FILE)
    rows = files.read(path, _rows)
    order = permutation(ROWS, seed=0, epoch=0)
    columns: Columns = {}
    for name, values in zip(COLUMNS, list(zip(*rows, strict=True))[:-1], strict=True):
        columns[name] = np.array(values, np.float32 if name in NUMBERS else np.str_)[order]
    y = np.array([row[-1] == ">50K" for row in rows], np.int32)[order]
    boundary = ROWS - ROWS // 4
    parts = slice(None, boundary), slice(boundary, None)
    train, test = (({name: values[part] for name, values in columns.items()}, y[part]) for part in parts)
    return train, test


def _rows(path: Path) -> list[list[str]]:
    import gzip

    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [[cell.strip() for cell in line.split(",")] for line in data.decode("ascii").splitlines() if line.strip()]
    if len(rows) != ROWS or {len(row) for row in rows} != {len(COLUMNS) + 1}:
        raise DataError(
            f"{path}: not the {ROWS} rows of {len(COLUMNS) + 1} columns of adult.data; delete it, so that it is fetched again"
        )
    return rows
