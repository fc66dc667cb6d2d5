"""Arguments of recurrent layers in combination: both directions, masks, states that are kept or given, how each comes back."""

from itertools import product

import numpy as np
import pytest

import nnfast
from nnfast import layers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 5, 2)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 0, 0, 0]], "float32")
KINDS = {
    "SimpleRNN": lambda **o: layers.SimpleRNN(4, **o),
    "LSTM": lambda **o: layers.LSTM(4, **o),
    "GRU": lambda **o: layers.GRU(4, **o),
    "cells": lambda **o: layers.RNN([layers.LSTMCell(4), layers.GRUCell(4, reset_after=False)], **o),
}
STATES = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1, "cells": 3}
FLAGS = list(product([False, True], repeat=4))


def weights_of(layer, source):
    layer(X)
    layer.set_weights(source.get_weights())
    if layer.stateful:
        layer.reset_state()
    return layer


def listed(results):
    return list(results) if isinstance(results, list | tuple) else [results]


def equal(found, wanted):
    found, wanted = listed(found), listed(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_are_two_layers(kind, masked):
    """return_sequences, return_state, stateful and given states; merged by hand, with arrays and in a model."""
    mask = MASK if masked else None
    for sequences, state, stateful, given in FLAGS:
        options = {"return_sequences": sequences, "stateful": stateful, "unroll": sequences}
        nnfast.set_random_seed(1)
        both = layers.Bidirectional(KINDS[kind](return_state=state, **options))
        both(X)
        both.reset_state()
        forward = weights_of(KINDS[kind](return_state=True, **options), both.forward_layer)
        backward = weights_of(KINDS[kind](return_state=True, go_backwards=True, **options), both.backward_layer)
        count = STATES[kind]
        starts = [RNG.standard_normal((3, 4)).astype("float32") for _ in range(2 * count)] if given else None
        inputs = [nnfast.Input((5, 2)), *([nnfast.Input((5,))] if masked else [])]
        symbols = [nnfast.Input((4,)) for _ in starts or []]
        call = {"mask": inputs[1] if masked else None, "initial_state": symbols or None}
        model = nnfast.Model([*inputs, *symbols], both(inputs[0], **call))
        data = [X, *([MASK] if masked else []), *(starts or [])]
        for _ in range(2):  # the second time a stateful layer goes on
            y, *ends = forward(X, initial_state=starts and starts[:count], mask=mask)
            z, *others = backward(X, initial_state=starts and starts[count:], mask=mask)
            z = z[:, ::-1] if sequences else z
            wanted = [np.concatenate([y, z], axis=-1), *([*ends, *others] if state else [])]
            equal(model.predict(data if len(data) > 1 else data[0]), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_one_direction_in_a_model_is_the_layer_on_arrays(kind):
    for sequences, backwards, stateful, zero in FLAGS:
        options = {
            "return_sequences": sequences,
            "go_backwards": backwards,
            "stateful": stateful,
            "zero_output_for_mask": zero,
        }
        nnfast.set_random_seed(1)
        layer = KINDS[kind](return_state=True, **options)
        x, m = nnfast.Input((5, 2)), nnfast.Input((5,))
        model = nnfast.Model([x, m], layer(x, mask=m))
        again = weights_of(KINDS[kind](return_state=True, **options), layer)
        for _ in range(2):
            equal(model.predict([X, MASK]), again(X, mask=MASK))
        made = type(layer).from_config(layer.get_config())
        assert all(getattr(made, name) == value for name, value in options.items())


@pytest.mark.parametrize("kind", KINDS)
def test_unroll_and_lengths_change_nothing(kind):
    """unroll is accepted; a mask of the end is the same as a shorter sequence, also through a model of open length."""
    nnfast.set_random_seed(1)
    layer = layers.Bidirectional(KINDS[kind](return_sequences=True, unroll=True))
    x = nnfast.Input((None, 2))
    model = nnfast.Model(x, layer(x))
    found = model.predict(nnfast.data.Padded(np.concatenate([X, X + 9.0], axis=1), [5, 5, 5]))
    equal(found[:, :5], model.predict(X))
    assert nnfast.layers.LSTM(4, unroll=True).get_config()["unroll"]


BLOCKS = {
    "TransformerEncoder": lambda x: layers.TransformerEncoder(16, 2)(x),
    "rotary": lambda x: layers.TransformerEncoder(16, 2, rotary=True, normalize_first=True)(x),
    "alibi": lambda x: layers.TransformerEncoder(16, 2, alibi=True)(x),
    "sines": lambda x: layers.TransformerEncoder(16, 2)(x + layers.SinePositionEncoding()(x)),
    "learned": lambda x: layers.TransformerEncoder(16, 2)(x + layers.PositionEmbedding(12)(x)),
    "RotaryEmbedding": lambda x: layers.Attention()([layers.RotaryEmbedding()(x), x]),
    "MultiHeadAttention": lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
    "GroupedQueryAttention": lambda x: layers.GroupedQueryAttention(4, 4, 2)(x, x),
    "AdditiveAttention": lambda x: layers.AdditiveAttention()([x, x]),
    "two layers": lambda x: layers.LSTM(8, return_sequences=True)(layers.LayerNormalization()(layers.GRU(8, return_sequences=True)(x))),
    "TimeDistributed": lambda x: layers.LSTM(3)(layers.TimeDistributed(layers.Dense(4))(x)),
    "mean": lambda x: layers.GlobalAveragePooling1D()(layers.Dropout(0.5)(x * 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_padding_of_ragged_lists_reaches_no_result(name):
    """Each sequence by itself gives what it gives in a padded batch."""
    nnfast.set_random_seed(1)
    tokens = nnfast.Input((None,), dtype="int32")
    model = nnfast.Model(tokens, BLOCKS[name](layers.Embedding(20, 8)(tokens)))
    lists = [RNG.integers(0, 20, n) for n in (3, 11, 1, 6, 6, 2)]
    found = model.predict(nnfast.data.BucketedBatches(lists, batch_size=6, buckets=1, shuffle=False))
    for row, sequence in zip(found, lists, strict=True):
        np.testing.assert_allclose(row, model.predict(sequence[None])[0], rtol=2e-5, atol=2e-6)
