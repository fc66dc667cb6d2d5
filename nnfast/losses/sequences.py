"""Losses of label sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import DataError, ShapeError
from nnfast.losses.base import NamedLoss, as_floating, as_tensor, as_type
from nnfast.typing import Array, Shape, Tensor

BLANK = 0  # class of the blank, and what fills targets


def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """-log of the probability that y_pred reads as y_true, per sequence; see `ops.ctc_loss`.

    y_true (batch, letters): classes from 1 on, 0 behind the last; y_pred (batch, frames, classes): logits, class 0 is the blank. All
    frames count, or those that the mask of y_pred leaves (it must leave them out at the end).

    >>> import numpy as np
    >>> np.exp(-ctc(np.array([[1, 0]]), np.zeros((1, 2, 2), "float32"))).round(6).tolist()
    [0.75]
    """
    mask = getattr(y_pred, "mask", None)
    y_true, y_pred = as_tensor(y_true), as_floating(y_pred)
    if len(y_pred.shape) != 3 or len(y_true.shape) != 2:
        raise ShapeError(
            f"ctc: expected y_true (batch, letters) and y_pred (batch, frames, classes), got {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
        )
    batch, frames, _ = y_pred.shape
    labels = as_type(y_true, "int32")
    letters = ops.sum(ops.not_equal(ops.cast(labels, "float32"), float(BLANK)), axis=1)
    used = np.full((batch,), frames, np.int32) if mask is None else ops.sum(ops.cast(mask, "float32"), axis=1)
    return ops.ctc_loss(labels, y_pred, letters, used, BLANK)


@serialization.register("loss")
class CTC(NamedLoss):
    """Connectionist temporal classification: label sequences shorter than the predictions, without their places. See `ctc`.

    As keras.losses.CTC. A sequence that does not fit into its frames (each letter takes one, and two equal neighbours one in between) has
    loss inf and no gradient. Read the predictions with `ops.ctc_decode` (Graves, Fernandez, Gomez and Schmidhuber 2006).

    >>> import numpy as np
    >>> float(CTC()(np.array([[1, 2]]), np.zeros((1, 2, 3), "float32"))) == float(CTC()(np.array([[2, 1]]), np.zeros((1, 2, 3), "float32")))
    True
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ctc(y_true, y_pred)

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        if len(output_shape) != 3 or y_true.ndim != 2:
            raise ShapeError(
                f"CTC: targets of shape {y_true.shape} for outputs {tuple(output_shape)}; expected (batch, letters) and (batch, frames, classes)"
            )
        classes: Any = output_shape[2]
        wrong = (y_true < 0) | (y_true >= classes) | (y_true != np.floor(y_true))
        if wrong.any():
            raise DataError(
                f"CTC: target {y_true[wrong][0]!r} is no class; expected whole numbers from 1 to {classes - 1}, and 0 behind the last"
            )
        if ((y_true[:, :-1] == BLANK) & (y_true[:, 1:] != BLANK)).any():
            raise DataError("CTC: a target has letters behind a 0; 0 is the blank and fills the end of shorter targets")
