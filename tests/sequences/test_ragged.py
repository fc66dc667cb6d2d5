"""Sequences of different lengths: lists of arrays in fit, evaluate and predict, masks without being asked for, batches of similar lengths."""

import numpy as np
import pytest

import nnfast
from nnfast import callbacks, errors, layers, losses, optimizers
from nnfast.data import BucketedBatches, Mask, Padded, Ragged, pad_sequences, ragged

RNG = np.random.default_rng(0)
TOKENS = [RNG.integers(1, 20, n) for n in RNG.integers(2, 15, 50)]
ODD = np.array([int(x.sum()) % 2 for x in TOKENS])
TAGS = [x % 3 for x in TOKENS]
SERIES = [RNG.standard_normal((n, 4)).astype("float32") for n in RNG.integers(1, 9, 30)]


def tagger(sequences=True, mask_zero=False, time=None):
    nnfast.set_random_seed(1)
    model = nnfast.Sequential(
        [
            nnfast.Input((time,), dtype="int32"),
            layers.Embedding(20, 8, mask_zero=mask_zero),
            layers.Bidirectional(layers.GRU(6, return_sequences=sequences, dropout=0.2)),
            layers.Dense(3),
        ]
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(0.01), loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model


def equal(a, b):
    return len(a) == len(b) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(a, b, strict=True)
    )


def test_lists_learn_and_give_rows_of_their_lengths():
    model = tagger()
    history = model.fit(TOKENS, TAGS, batch_size=8, epochs=20, verbose=0, validation_split=0.1).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert len(history["val_loss"]) == 20
    found = model.predict(TOKENS)
    assert [a.shape for a in found] == [(len(x), 3) for x in TOKENS]
    for x, row in zip(TOKENS, found, strict=True):  # padding changes nothing
        assert model.predict(x[None])[0].tobytes() == row.tobytes()
    right = np.concatenate([row.argmax(-1) == y for row, y in zip(found, TAGS, strict=True)])
    assert model.evaluate(TOKENS, TAGS, batch_size=7, verbose=0, return_dict=True)["accuracy"] == pytest.approx(
        right.mean()
    )
    assert len(model._compiled.steps) <= 2 * 8 + 4  # one for a length, of train and test, and the rests


def test_a_list_is_the_same_as_a_mask_by_hand():
    """One batch: the list, Padded, and tokens whose 0 is padding."""
    longest = max(map(len, TOKENS))
    x = pad_sequences(TOKENS, padding="post")
    y = pad_sequences(TAGS, padding="post")
    by_list, by_lengths, by_zeros = tagger(), tagger(), tagger(mask_zero=True)
    order = BucketedBatches(TOKENS, batch_size=50, buckets=1, shuffle=False).rows_of(0)
    lengths = np.array([len(x) for x in TOKENS])
    by_list.fit(BucketedBatches(TOKENS, TAGS, batch_size=50, buckets=1, shuffle=False), epochs=3, verbose=0)
    for _ in range(3):
        by_lengths.train_on_batch(Padded(x[order], lengths[order]), y[order])
        by_zeros.train_on_batch(x[order], y[order])
    assert equal(by_list.get_weights(), by_lengths.get_weights())
    assert equal(by_list.get_weights(), by_zeros.get_weights())
    whole = tagger()
    whole.fit(Padded(x, lengths), y, batch_size=50, shuffle=False, epochs=3, verbose=0)
    np.testing.assert_allclose(whole.get_weights()[0], by_list.get_weights()[0], rtol=1e-5, atol=1e-6)
    assert equal([whole.predict(Padded(x, lengths))], [whole.predict_on_batch(Padded(x, lengths))])
    assert longest == x.shape[1]


def test_labels_of_sequences_weights_of_classes_and_rows_and_a_model_without_an_input():
    model = tagger(sequences=False)
    model.fit(TOKENS, ODD, sample_weight=np.ones(50), class_weight=None, epochs=2, verbose=0)
    model.fit(TOKENS, ODD, class_weight={0: 2.0}, epochs=2, verbose=0, validation_data=(TOKENS, ODD))
    assert model.predict(TOKENS).shape == (50, 3)
    weighted = model.evaluate(TOKENS, ODD, sample_weight=np.where(ODD == 0, 1.0, 0.0), verbose=0, return_dict=True)
    zeros = [x for x, y in zip(TOKENS, ODD, strict=True) if y == 0]
    alone = model.evaluate(zeros, np.zeros(len(zeros), int), verbose=0, return_dict=True)
    assert weighted["weighted_accuracy"] == pytest.approx(alone["accuracy"])
    late = nnfast.Sequential([layers.LSTM(5, return_sequences=True), layers.Dense(2)])
    late.compile("adam", "mse")
    late.fit(SERIES, [x[:, :2] for x in SERIES], verbose=0)
    assert late.inputs[0].shape == (None, None, 4)
    assert [row.shape for row in late.predict(SERIES)] == [(len(x), 2) for x in SERIES]


def test_a_model_of_one_length_gets_that():
    model = tagger(time=20)
    model.evaluate(TOKENS, TAGS, verbose=0)
    assert model.predict(TOKENS).shape == (50, 20, 3)
    with pytest.raises(
        errors.DataError, match=r"a sequence has 14 steps.*takes 5: cut it, or build the model with Input\(\(None"
    ):
        tagger(time=5).predict(TOKENS)


def test_several_inputs_by_place_and_name():
    tokens, facts = nnfast.Input((None,), dtype="int32", name="tokens"), nnfast.Input((3,), name="facts")
    series = nnfast.Input((None, 4), name="series")
    read = layers.GRU(5)(layers.Embedding(20, 4)(tokens))
    seen = layers.GlobalAveragePooling1D()(series)
    model = nnfast.Model([tokens, facts, series], layers.Dense(1)(layers.Concatenate()([read, facts, seen])))
    model.compile("adam", "mse")
    x = [TOKENS[:30], RNG.standard_normal((30, 3)), SERIES]
    y = RNG.standard_normal((30, 1))
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    model.fit({"facts": x[1], "series": SERIES, "tokens": ragged(TOKENS[:30])}, y, batch_size=8, verbose=0)
    found = model.predict(x)
    one = np.concatenate([model.predict([x[0][i][None], x[1][i : i + 1], x[2][i][None]]) for i in range(30)])
    np.testing.assert_allclose(found, one, rtol=1e-6, atol=1e-6)


def test_buckets_hold_every_row_once_in_few_shapes():
    data = BucketedBatches(TOKENS, ODD, batch_size=8, buckets=4, seed=3)
    orders = []
    for _ in range(3):
        rows, shapes = [], []
        for i in range(len(data)):
            x, y = data[i]
            rows += data.rows_of(i).tolist()
            shapes.append(x.shape)
            assert x.shape[1] in data.buckets
            assert (y == ODD[data.rows_of(i)]).all()
            for row, array, length in zip(data.rows_of(i), x.array, x.lengths, strict=True):
                assert array[:length].tolist() == TOKENS[row].tolist()
                assert not array[length:].any()
        assert sorted(rows) == list(range(50))
        assert [shape[0] for shape in shapes].count(8) == 50 // 8  # all but one are full
        assert len(set(shapes)) <= 5
        orders.append(rows)
        data.on_epoch_end()
    assert orders[0] != orders[1] != orders[2]
    again = BucketedBatches(TOKENS, ODD, batch_size=8, buckets=4, seed=3)
    again.epoch = 2
    assert [row for i in range(len(again)) for row in again.rows_of(i)] == orders[2]
    padding = sum(int((data[i][0].shape[1] - data[i][0].lengths).sum()) for i in range(len(data)))
    all_of_one = sum(max(map(len, TOKENS)) - len(x) for x in TOKENS)
    assert padding < 0.5 * all_of_one
    plain = BucketedBatches(TOKENS, batch_size=8, shuffle=False)
    widths = [plain[i].shape[1] for i in range(len(plain))]
    assert widths == sorted(widths)
    assert BucketedBatches(TOKENS, batch_size=8, buckets=[7, 30]).buckets.tolist() == [7, 30]


@pytest.mark.parametrize("stop", [1, 5, 7, 9])
def test_a_fit_of_lists_goes_on_from_a_file(stop, tmp_path):
    """Data and order are made anew from seed and epoch."""

    class Save(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.state.iteration == stop:
                self.model.save(tmp_path / "part.nnf")

    whole, again = tagger(), tagger()
    a = whole.fit(TOKENS, TAGS, batch_size=8, epochs=3, verbose=0, callbacks=[Save()])
    b = again.fit(TOKENS, TAGS, batch_size=8, epochs=3, verbose=0, resume_from=tmp_path / "part.nnf")
    assert equal(whole.get_weights(), again.get_weights())
    assert a.history["loss"][-1] == b.history["loss"][-1]


def test_masks_keep_their_place_in_parts_of_arrays():
    mask = Mask.of(np.array([1, 3]), 3, place=2)
    assert mask[1:].place == 2
    assert isinstance(mask[np.array([1, 0])], Mask)
    source = nnfast.data.ArraySource(
        [np.zeros((4, 2)), Padded(np.zeros((4, 3)), [1, 2, 3, 1])], np.zeros(4), input_names=["a", "b"]
    )
    assert (source.inputs, source.targets, source.weights, source.masks) == (2, 1, 0, 1)
    part = source.part(1, 3).with_weights([np.ones(2)])
    assert [array.shape for array in part.arrays] == [(2, 2), (2, 3), (2,), (2,), (2, 3)]
    assert part.arrays[-1].place == 1
    assert part.arrays[-1].tolist() == [[True, True, False], [True, True, True]]


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("cut", ["pre", "post"])
def test_pad_sequences(side, cut):
    found = pad_sequences([[1, 2, 3], [], [4]], 2, "float32", side, cut, -1.0)
    wanted = [[2, 3] if cut == "pre" else [1, 2], [-1, -1], [-1, 4] if side == "pre" else [4, -1]]
    assert found.dtype == np.float32
    assert found.tolist() == wanted
    assert pad_sequences([np.ones((2, 3)), np.ones((1, 3))]).shape == (2, 2, 3)


WRONG = {
    "empty": (lambda: Ragged([[1], []]), errors.DataError, "sequence 1 has no steps"),
    "none": (lambda: Ragged([]), errors.DataError, "no sequences"),
    "features": (lambda: Ragged([np.ones((2, 3)), np.ones((2, 4))]), errors.DataError, r"sequence 1 has steps of shape \[4\]"),
    "text": (lambda: Ragged([["a"], ["b", "c"]]), errors.DtypeError, "sequence 0"),
    "rows": (lambda: BucketedBatches(TOKENS, ODD[:4]), errors.DataError, r"\[4, 50\] rows"),
    "bucket": (lambda: BucketedBatches(TOKENS, buckets=[4, 6]), errors.DataError, "14 steps, the last of the buckets 6"),
    "order": (lambda: BucketedBatches(TOKENS, buckets=[6, 4]), errors.DataError, "buckets="),
    "number": (lambda: BucketedBatches(TOKENS, buckets=0), errors.DataError, "buckets=0"),
    "dense": (lambda: BucketedBatches(np.ones((3, 4))), errors.DataError, "mark them by nnfast.data.ragged"),
    "batch": (lambda: BucketedBatches(TOKENS)[99], IndexError, "batch 99"),
    "lengths": (lambda: Padded(np.ones((2, 3)), [1, 4]), errors.DataError, "row 1 has length 4; expected 1 to 3"),
    "count": (lambda: Padded(np.ones((2, 3)), [1]), errors.DataError, r"int64\[1\]; expected whole numbers \[2\]"),
    "axis": (lambda: Padded(np.ones(3), [1]), errors.DataError, r"\[3\]; expected \(rows, time"),
    "side": (lambda: pad_sequences([[1]], padding="left"), ValueError, "padding='left'"),
    "targets": (
        lambda: tagger().fit(TOKENS, [y[:-1] for y in TAGS], verbose=0), errors.ShapeError, "sparse_categorical_crossentropy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_uses(name):
    use, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        use()
