"""Tiny Shakespeare: 40,000 lines of the plays, character by character."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

FILE = files.DataFile(
    "Tiny Shakespeare",
    ("tinyshakespeare.txt", "input.txt"),
    "shakespeare",
    "github.com/karpathy/char-rnn",
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
CHARACTERS, KINDS = 1_115_394, 65


def load_shakespeare() -> tuple[NDArray[np.int32], NDArray[np.int32], str]:
    """1,115,394 characters of 65 kinds from Shakespeare's plays; the last tenth validates, as is usual.

    Looked for as `tinyshakespeare.txt` in the folder that NNFAST_DATA names, then in the cache, else downloaded (extra `data`).

    Returns:
        (train, validation, characters): int32 of shape (1003854,) and (111540,), each a place in `characters`, a string of the 65
        kinds in ascending order. `"".join(characters[i] for i in train)` is the text.

    Raises:
        DataError: the file is damaged, or is not there and cannot be downloaded.
        MissingExtraError: the file is not there and pooch is not installed.

    Source: A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015); the text is in the public domain.

    >>> train, validation, characters = load_shakespeare()  # doctest: +SKIP
    """
    text = files.read(files.find(FILE), _text)
    kinds, found = np.unique(np.frombuffer(text, np.uint8), return_inverse=True)
    boundary = len(text) * 9 // 10
    numbers: NDArray[np.int32] = np.asarray(found, np.int32)
    return numbers[:boundary], numbers[boundary:], bytes(kinds).decode("ascii")


def _text(path: Path) -> bytes:
    text = path.read_bytes()
    if len(text) != CHARACTERS or len(set(text)) != KINDS:
        raise DataError(
            f"{path}: not the {CHARACTERS:,} characters of tiny Shakespeare; delete it, so that it is fetched again"
        )
    return text
