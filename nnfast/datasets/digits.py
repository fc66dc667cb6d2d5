"""The UCI handwritten digits, carried in the package (`digits.md` names their authors).

In: nothing. Out: training and test arrays, the same split always.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.data.order import permutation

Split = tuple[NDArray[Any], NDArray[Any]]


def load_digits(flat: bool = True) -> tuple[Split, Split]:
    """1,797 handwritten digits of 8 x 8 pixels, a fixed quarter of them held out.

    The rows are put in the order `permutation(1797, seed=0, epoch=0)`; the last 449 are the test set.

    Args:
        flat: rows of 64 pixels, else images of shape (8, 8).

    Returns:
        ((x_train, y_train), (x_test, y_test)): x float32 in 0..1 of shape (1348, 64) and (449, 64), y int32 in 0..9.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0.

    >>> (x_train, y_train), (x_test, y_test) = load_digits()
    >>> x_train.shape, x_train.dtype.name, y_test.shape
    ((1348, 64), 'float32', (449,))
    """
    with np.load(os.path.join(os.path.dirname(__file__), "digits.npz")) as arrays:
        images = arrays["images"]
        labels = arrays["labels"]
    order = permutation(len(labels), seed=0, epoch=0)
    x = images[order].astype(np.float32) / np.float32(16)
    y = labels[order].astype(np.int32)
    if flat:
        x = x.reshape(len(x), -1)
    boundary = len(y) - len(y) // 4
    return (x[:boundary], y[:boundary]), (x[boundary:], y[boundary:])
