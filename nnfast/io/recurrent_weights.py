"""Weights of PyTorch's recurrent layers, brought into the order of nnfast's."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.errors import ShapeError

Array = np.ndarray
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def recurrent_weights(
    kind: str, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> list[Array]:
    """What `set_weights` of LSTM, GRU (reset_after=True) and SimpleRNN takes, from one layer and direction of PyTorch's.

    kind: "lstm", "gru" or "rnn". weight_ih (gates * units, features), weight_hh (gates * units, units), biases (gates * units,) or None
    for both. Gates: PyTorch's i, f, g, o stay, its r, z, n become z, r, n; its two biases become one, in a GRU rows of one. Returns
    [kernel (features, gates * units), recurrent kernel (units, gates * units)] and the bias, if there is one.

    Raises ValueError for another kind, ShapeError for arrays that do not fit.

    A GRU of the package g2p-en, which turns words into phonemes, and the layers that give its pronunciations:

    >>> import nnfast
    >>> from nnfast import layers
    >>> file = np.load("g2p_en/checkpoint20.npz")  # doctest: +SKIP
    >>> letters = nnfast.Input((8,), dtype="int32")
    >>> encoder = nnfast.Model(letters, layers.GRU(256)(layers.Embedding(29, 256)(letters)))
    >>> names = ("enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh")
    >>> weights = recurrent_weights("gru", *(file[name] for name in names))  # doctest: +SKIP
    >>> encoder.set_weights([file["enc_emb"], *weights])  # doctest: +SKIP

    >>> [w.shape for w in recurrent_weights("gru", np.zeros((6, 5)), np.zeros((6, 2)), np.zeros(6), np.zeros(6))]
    [(5, 6), (2, 6), (2, 6)]
    """
    if kind not in GATES:
        raise ValueError(f"recurrent_weights(kind={kind!r}): expected 'lstm', 'gru' or 'rnn'")
    if (bias_ih is None) != (bias_hh is None):
        raise ValueError("recurrent_weights: give both biases or neither; PyTorch has two")
    given = [np.asarray(w) for w in (weight_ih, weight_hh, bias_ih, bias_hh) if w is not None]
    rows = given[1].shape[0] if given[1].ndim == 2 else 0
    units = rows // GATES[kind]
    wanted = [(rows, given[0].shape[-1]), (GATES[kind] * units, units), (rows,), (rows,)][: len(given)]
    for name, array, shape in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), given, wanted, strict=False):
        if array.shape != shape or not units:
            raise ShapeError(
                f"recurrent_weights({kind!r}): {name} has shape {list(array.shape)}; expected {GATES[kind]} gates of the same units in all, "
                "(gates * units, features), (gates * units, units) and (gates * units,)"
            )
    if kind == "gru":
        given = [np.concatenate([np.split(w, 3)[gate] for gate in (1, 0, 2)]) for w in given]
    found = [np.ascontiguousarray(w.T) for w in given[:2]]
    if len(given) == 4:
        found.append(np.stack(given[2:]) if kind == "gru" else given[2] + given[3])
    return found
