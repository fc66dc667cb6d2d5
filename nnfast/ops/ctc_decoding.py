"""What the outputs of a CTC model read as: the best path, or the best sequences over all their paths (beam search).

In: logits (batch, frames, classes). Out: numbers without blanks, -1 behind the last, and a score for each sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.ops.elementwise import call
from nnfast.ops.functions import argmax, max, softmax, sum
from nnfast.ops.shaping import cast, dtype_of, reshape, shape_of

Beam = tuple[list[list[int]], list[float]]  # sequences and their scores, the best first


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Any, Any]:
    """The sequences that logits (batch, frames, classes) read as, of which the first sequence_lengths (batch,) frames count.

    As keras.ops.ctc_decode. Returns (numbers, scores): int32 (top_paths, batch, frames), -1 behind the last number, and (batch, top_paths).
    strategy "greedy": the best class of each frame, runs of equal ones once (unless merge_repeated=False), without the blank,
    mask_index; the score is minus the sum of the best logits. "beam_search", on arrays only: the top_paths sequences with the greatest
    probability over all their paths, of which beam_width are kept from frame to frame (Graves 2012); the score is its logarithm, -inf
    for a sequence that is not there.

    Raises ValueError for settings out of range, ShapeError for inputs that do not fit.

    >>> logits = np.log(np.array([[[0.6, 0.4], [0.6, 0.4]]]))  # blank, blank is the best path; "1" has two others and 0.64 in all
    >>> ctc_decode(logits, [2])[0].tolist(), ctc_decode(logits, [2], "beam_search")[0].tolist()
    ([[[-1, -1]]], [[[1, -1]]])
    """
    shape = shape_of(inputs)
    if len(shape) != 3 or shape_of(sequence_lengths) != shape[:1]:
        raise ShapeError(
            f"ctc_decode: expected inputs (batch, frames, classes) and one length for each, got {tuple(shape)} and {tuple(shape_of(sequence_lengths))}"
        )
    if not 0 <= mask_index < shape[2]:
        raise ValueError(f"ctc_decode(mask_index={mask_index!r}): is none of the {shape[2]} classes")
    if strategy == "greedy":
        if top_paths != 1:
            raise ValueError(f"ctc_decode(top_paths={top_paths!r}): 'greedy' finds one; use strategy='beam_search'")
        return _greedy(inputs, sequence_lengths, bool(merge_repeated), int(mask_index))
    if strategy != "beam_search":
        raise ValueError(f"ctc_decode(strategy={strategy!r}): expected 'greedy' or 'beam_search'")
    if not merge_repeated:
        raise ValueError(
            "ctc_decode(merge_repeated=False): beam search adds up paths by the rules of CTC; use 'greedy'"
        )
    if not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"ctc_decode(top_paths={top_paths!r}, beam_width={beam_width!r}): expected 1 <= top_paths <= beam_width"
        )
    return _beam_search(inputs, sequence_lengths, int(beam_width), int(top_paths), int(mask_index))


def _greedy(inputs: Any, lengths: Any, merge: bool, blank: int) -> tuple[Any, Any]:
    batch, frames, _ = shape_of(inputs)
    counted = call("less", np.arange(frames, dtype=np.float32)[None], reshape(cast(lengths, "float32"), (batch, 1)))
    path = call("where", counted, cast(argmax(inputs), "float32"), np.float32(-1))
    numbers = call("ctc_collapse", cast(path, "int32"), blank=blank, merge=merge)
    best = call("multiply", max(inputs, axis=-1), cast(counted, dtype_of(inputs)))
    return reshape(numbers, (1, batch, frames)), call("negative", sum(best, axis=1, keepdims=True))


def _beam_search(inputs: Any, lengths: Any, width: int, count: int, blank: int) -> tuple[Any, Any]:
    logits = np.asarray(inputs, np.float64)
    numbers = np.full((count, *logits.shape[:2]), -1, np.int32)
    scores = np.full((len(logits), count), -np.inf)
    for b, length in enumerate(np.asarray(lengths).tolist()):
        if not 0 <= length <= logits.shape[1]:
            raise ShapeError(f"ctc_decode: sequence_lengths has {length}; expected 0 to {logits.shape[1]} frames")
        found = _search(softmax(logits[b, :length]), width, blank)
        for i, (sequence, score) in enumerate(list(zip(*found, strict=True))[:count]):
            numbers[i, b, : len(sequence)] = sequence
            scores[b, i] = score
    kind = np.asarray(inputs).dtype
    return numbers, scores.astype(kind if kind.kind == "f" else np.float32)


def _search(probabilities: np.ndarray, width: int, blank: int) -> Beam:
    """Sequences are nodes of a tree: a node is its parent's sequence and one letter more. Probabilities are scaled by powers of two."""
    parents, letters, nodes = [-1], [-1], {}  # of each node; node 0 is the empty sequence
    kept = np.zeros(1, np.int64)
    ends_blank, ends_letter = np.ones(1), np.zeros(1)  # of the paths of each kept sequence
    exponent = 0
    for row in probabilities:
        total = ends_blank + ends_letter
        last = np.array([letters[node] for node in kept])
        own = np.where(last < 0, 0.0, row[last])
        stay_blank, stay_letter = total * row[blank], ends_letter * own
        longer = total[:, None] * row
        again = np.flatnonzero(last >= 0)  # the same letter needs a blank before
        longer[again, last[again]] = (ends_blank * own)[again]
        longer[:, blank] = 0.0
        place = {node: i for i, node in enumerate(kept.tolist())}
        for i, node in enumerate(kept.tolist()):
            before = place.get(parents[node])
            if before is not None:  # the sequence also comes from its parent
                stay_letter[i] += longer[before, letters[node]]
                longer[before, letters[node]] = 0.0
        every = np.concatenate([stay_blank + stay_letter, longer.ravel()])
        best = np.argsort(-every, kind="stable")[:width]
        best = best[every[best] > 0]
        stays = best < len(kept)
        source, letter = np.divmod(np.maximum(best - len(kept), 0), len(row))
        found = []
        for stay, i, before, c in zip(
            stays.tolist(), best.tolist(), kept[source].tolist(), letter.tolist(), strict=True
        ):
            if stay:
                found.append(int(kept[i]))
                continue
            if (before, c) not in nodes:
                nodes[before, c] = len(parents)
                parents.append(before)
                letters.append(c)
            found.append(nodes[before, c])
        at = np.where(stays, best, 0)
        ends_blank = np.where(stays, stay_blank[at], 0.0)
        ends_letter = np.where(stays, stay_letter[at], every[best])
        kept = np.array(found, np.int64)
        shift = int(np.frexp((ends_blank + ends_letter).max(initial=0.0))[1])
        ends_blank, ends_letter, exponent = (
            np.ldexp(ends_blank, -shift),
            np.ldexp(ends_letter, -shift),
            exponent + shift,
        )
    scores = np.asarray(call("log", ends_blank + ends_letter)) + exponent * 0.6931471805599453  # log 2
    return [_sequence(node, parents, letters) for node in kept.tolist()], scores.tolist()


def _sequence(node: int, parents: list[int], letters: list[int]) -> list[int]:
    found = []
    while node > 0:
        found.append(letters[node])
        node = parents[node]
    return found[::-1]
