"""Metrics of whole sequences: how many are right throughout, and how far texts are from what they should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import ops, serialization
from nnfast.errors import DataError, ShapeError
from nnfast.losses.base import as_tensor, dtype_name, expand_weight
from nnfast.metrics.base import MeanMetric, Metric, ratio
from nnfast.typing import Array, Config, Tensor, Totals

NONE = -1.0  # in the place of a token that does not count


def _numbers(y_pred: Tensor, rank: int) -> Tensor:
    """Token numbers: those of the greatest of y_pred's last axis, where it has one more axis than `rank`."""
    return ops.argmax(y_pred, axis=-1) if len(y_pred.shape) == rank + 1 else y_pred


def _kept(tokens: Tensor, absent: int | None, sample_weight: Tensor | None) -> Tensor:
    """Tokens as floats, NONE where they are `absent` or where a weight for each place is 0."""
    tokens = ops.cast(tokens, "float32")
    if absent is not None:
        tokens = ops.where(ops.equal(tokens, float(absent)), NONE, tokens)
    if sample_weight is not None and tuple(sample_weight.shape) == tuple(tokens.shape):
        tokens = ops.where(ops.equal(ops.cast(sample_weight, "float32"), 0.0), NONE, tokens)
    return tokens


@serialization.register("metric")
class SequenceAccuracy(MeanMetric):
    """The share of sequences of which every token is right.

    y_true (batch, length) of token numbers; y_pred (batch, length, tokens) of logits or probabilities, or (batch, length) of numbers.
    mask_token_id: places where y_true has this number do not count. sample_weight (batch,): of sequences; (batch, length): places
    with 0 do not count.

    >>> import numpy as np
    >>> SequenceAccuracy(mask_token_id=0)(np.array([[1, 2], [3, 0]]), np.array([[1, 1], [3, 5]]))
    0.5
    """

    direction = "up"

    def __init__(self, name: str | None = None, dtype: str | None = None, mask_token_id: int | None = None) -> None:
        super().__init__(name, dtype)
        self.mask_token_id = mask_token_id

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, found = as_tensor(y_true), as_tensor(y_pred)
        found = _numbers(found, len(y_true.shape))
        if len(y_true.shape) != 2 or tuple(found.shape) != tuple(y_true.shape):
            raise ShapeError(
                f"SequenceAccuracy: y_true has shape {tuple(y_true.shape)} and y_pred {tuple(as_tensor(y_pred).shape)}; expected (batch, length), and the same or (batch, length, tokens)"
            )
        wanted = _kept(y_true, self.mask_token_id, sample_weight)
        right = ops.maximum(ops.equal(ops.cast(found, "float32"), wanted), ops.equal(wanted, NONE))
        hits = ops.min(right, axis=1)
        weight = ops.ones_like(hits)
        if sample_weight is not None and len(sample_weight.shape) == 1:
            weight = ops.multiply(weight, expand_weight(sample_weight, hits))
        return [ops.sum(ops.multiply(hits, weight)), ops.sum(weight)]

    def get_config(self) -> Config:
        return {**super().get_config(), "mask_token_id": self.mask_token_id}


class _ErrorRate(Metric):
    """Edit distance over length: in a training on token numbers, or on texts."""

    direction = "down"

    def __init__(
        self,
        name: str | None = None,
        dtype: str | None = None,
        mask_token_id: int | None = None,
        ctc: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.ctc = bool(ctc)
        self.mask_token_id = 0 if ctc and mask_token_id is None else mask_token_id

    def parts(self, text: str) -> list[str]:
        """What is compared of a text."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Tensor | None = None) -> None:
        """Add texts (a list of str, or an array, each), or arrays as `statistics` takes them."""
        if not _is_text(y_true) and not _is_text(y_pred):
            super().update_state(y_true, y_pred, sample_weight)
            return
        pairs = [np.asarray(one, np.str_).ravel().tolist() for one in (y_true, y_pred)]
        if len(pairs[0]) != len(pairs[1]):
            raise DataError(
                f"{type(self).__name__}: {len(pairs[0])} texts in y_true and {len(pairs[1])} in y_pred; expected one for each"
            )
        wanted, found = _numbered([[self.parts(text) for text in texts] for texts in pairs])
        self._add(self._sums(wanted, found, sample_weight))

    def statistics(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Sequence[Tensor]:
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        found = _numbers(y_pred, 2)
        if len(y_true.shape) != 2 or len(found.shape) != 2:
            raise ShapeError(
                f"{type(self).__name__}: y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}; expected token numbers (batch, length), and those or logits (batch, length, tokens)"
            )
        if self.ctc:
            blank = int(self.mask_token_id or 0)
            path = ops.cast(_kept(found, None, sample_weight), "int32")
            return self._sums(
                _kept(y_true, blank, None), ops.call("ctc_collapse", path, blank=blank, merge=True), sample_weight
            )
        wanted = _kept(y_true, self.mask_token_id, sample_weight)
        found = _kept(found, self.mask_token_id, sample_weight)
        return self._sums(wanted, found, sample_weight)

    def _sums(self, wanted: Tensor, found: Tensor, sample_weight: Tensor | None) -> Sequence[Tensor]:
        distance = ops.cast(ops.edit_distance(wanted, found), "float32")
        length = ops.sum(ops.greater_equal(ops.cast(wanted, "float32"), 0.0), axis=1)
        if sample_weight is not None and len(sample_weight.shape) == 1:
            weight = ops.cast(expand_weight(sample_weight, distance), dtype_name(distance))
            distance, length = ops.multiply(distance, weight), ops.multiply(length, weight)
        return [ops.sum(distance), ops.sum(length)]

    def compute(self, totals: Totals) -> Any:
        return float(ratio(totals[0], totals[1]))

    def get_config(self) -> Config:
        return {**super().get_config(), "mask_token_id": self.mask_token_id, "ctc": self.ctc}


@serialization.register("metric", "wer", "WER")
class WordErrorRate(_ErrorRate):
    """Words to insert, delete and replace so that the predictions become the targets, over the number of words of the targets.

    Of texts, whose words lie between white space: `metric(["the cat"], ["a cat"])`. In `compile(metrics=...)` of token numbers, each one
    word: y_true (batch, length), y_pred (batch, length, tokens) of logits, or numbers (batch, any length).

    Args:
        mask_token_id: numbers that are padding. Negative numbers are, too.
        ctc: y_pred are the outputs of a model trained with `losses.CTC`: their best path is read. The padding, and the blank, is 0 then.

    sample_weight (batch,): of sequences; (batch, length): places with 0 do not count.

    >>> WordErrorRate()(["the cat sat", "on mats"], ["a cat sat", "on mats"])
    0.2
    """

    def parts(self, text: str) -> list[str]:
        return text.split()


@serialization.register("metric", "cer", "CER")
class CharacterErrorRate(_ErrorRate):
    """Characters to insert, delete and replace so that the predictions become the targets, over the number of characters of the targets.

    As WordErrorRate, with characters in the place of words; white space counts.

    >>> CharacterErrorRate()(["cat"], ["cut"])
    0.3333333333333333
    """

    def parts(self, text: str) -> list[str]:
        return list(text)


def _is_text(values: Any) -> bool:
    return np.asarray(values).dtype.kind in "US" if isinstance(values, list | tuple | np.ndarray) else False


def _numbered(sides: list[list[list[str]]]) -> list[Array]:
    """A number for each different part, in rows filled with -1."""
    known: dict[str, int] = {}
    for side in sides:
        for parts in side:
            for part in parts:
                known.setdefault(part, len(known))
    found = []
    for side in sides:
        rows = np.full((len(side), max([len(parts) for parts in side], default=0)), -1, np.int32)
        for row, parts in zip(rows, side, strict=True):
            row[: len(parts)] = [known[part] for part in parts]
        found.append(rows)
    return found
