"""The same rows in any form a user has them give the same bits: arrays, lists, memory maps, generators, iterables of batches, objects
with a length, dictionaries; with and without weights."""

import itertools

import numpy as np
import pytest

import nnfast
from nnfast import layers

RNG = np.random.default_rng(0)
ROWS, BATCH = 48, 16
X = RNG.standard_normal((ROWS, 4)).astype("float32")
Y = RNG.integers(0, 3, ROWS)
W = RNG.uniform(0.5, 2.0, ROWS).astype("float32")
STEPS = ROWS // BATCH


def make(deferred=False):
    nnfast.set_random_seed(7)
    first = [] if deferred else [nnfast.Input((4,))]
    model = nnfast.Sequential([*first, layers.Dense(5, "relu"), layers.Dense(3)])
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, weighted_metrics=["accuracy"])
    return model


def batches(weights=False):
    for i in range(0, ROWS, BATCH):
        rows = slice(i, i + BATCH)
        yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Indexed:
    """Batches by number, as a Keras PyDataset gives them."""

    def __init__(self, weights=False):
        self.batches = list(batches(weights))
        self.epochs_ended = 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]

    def on_epoch_end(self):
        self.epochs_ended += 1


class BufferOnly:
    """An array that is not NumPy's: it has __array_interface__ alone."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


def memory_map(folder, array):
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


FORMS = {
    "arrays": lambda folder, weights: (X, Y),
    "lists": lambda folder, weights: (X.tolist(), Y.tolist()),
    "wider rows, strided": lambda folder, weights: (np.hstack([X, X])[:, :4], np.repeat(Y, 2)[::2]),
    "columns first": lambda folder, weights: (np.asfortranarray(X), Y),
    "float64": lambda folder, weights: (X.astype("float64"), Y.astype("uint8")),
    "other byte order": lambda folder, weights: (X.astype(">f4"), Y.astype(">i8")),
    "memory map": lambda folder, weights: (memory_map(folder, X), Y),
    "array interface": lambda folder, weights: (BufferOnly(X), memoryview(Y)),
    "column of labels": lambda folder, weights: (X, Y.reshape(-1, 1)),
    "dictionary": lambda folder, weights: ({"x": X}, Y),
    "list of batches": lambda folder, weights: (list(batches(weights)), None),
    "generator": lambda folder, weights: (itertools.chain(batches(weights), batches(weights)), None),
    "indexed": lambda folder, weights: (Indexed(weights), None),
}


@pytest.mark.parametrize("deferred", [False, True], ids=["built", "not built"])
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("form", FORMS)
def test_fit_and_evaluate_have_the_same_bits(form, weights, deferred, tmp_path):
    expected = make()
    expected.fit(X, Y, BATCH, epochs=2, shuffle=False, verbose=0, sample_weight=W if weights else None)
    model = make(deferred)
    if form == "dictionary" and not deferred:
        model = make()
        model.inputs[0].name = "x"
    x, y = FORMS[form](tmp_path, weights)
    options = {"sample_weight": W} if weights and y is not None else {}
    steps = {"steps_per_epoch": STEPS} if form == "generator" else {}
    history = model.fit(x, y, BATCH, epochs=2, shuffle=False, verbose=0, **options, **steps)
    assert model.history is history and history.epoch == [0, 1]
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if form == "generator":
        x = batches(weights)
    found = model.evaluate(x, y, BATCH, verbose=0, **options)
    assert found == expected.evaluate(X, Y, BATCH, verbose=0, sample_weight=W if weights else None)


def test_inputs_are_never_changed():
    x, y, w = X.copy(), Y.copy(), W.copy()
    for array in (x, y, w):
        array.flags.writeable = False
    model = make()
    model.fit(x, y, sample_weight=w, epochs=2, verbose=0, validation_split=0.25)
    model.predict(x)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 47, 48, 1000])
def test_predict_gives_each_row_the_same_bits_in_any_batch(batch_size):
    model = make()
    alone = np.concatenate([model.predict_on_batch(X[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_array_equal(model.predict(X, batch_size), alone)
    np.testing.assert_array_equal(model.predict(X[i : i + 7] for i in range(0, ROWS, 7)), alone)
    np.testing.assert_array_equal(model.predict(X, 5, steps=2), alone[:10])


@pytest.mark.parametrize("batch_size", [1, 7, 47, 48, 64])
def test_evaluate_does_not_depend_on_the_batch(batch_size):
    model = make()
    loss, accuracy = model.evaluate(X, Y, batch_size, verbose=0)
    z = model.predict(X).astype("float64")
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(p[np.arange(ROWS), Y]).mean(), rtol=1e-6)
    assert accuracy == (z.argmax(1) == Y).mean()


def test_steps_per_epoch_and_validation_steps():
    model = make()

    def endless():
        while True:
            yield from batches()

    history = model.fit(
        endless(), steps_per_epoch=5, epochs=2, verbose=0, validation_data=endless(), validation_steps=2
    )
    assert model.state.iteration == 10
    assert len(history.history["val_loss"]) == 2
    model.fit(X, Y, BATCH, steps_per_epoch=2, epochs=3, verbose=0)
    assert model.state.iteration == 16
    indexed = Indexed()
    model.fit(indexed, epochs=3, verbose=0)
    assert indexed.epochs_ended == 3 and model.state.iteration == 25


def test_several_inputs_by_name_and_place():
    left, right = nnfast.Input((4,), name="left"), nnfast.Input((1,), name="right")
    joined = layers.Concatenate()([left, right])
    model = nnfast.Model([left, right], [layers.Dense(3, name="kind")(joined), layers.Dense(1, name="size")(joined)])
    model.compile(
        "sgd",
        {"kind": nnfast.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.25},
        metrics={"kind": ["accuracy"], "size": ["mae", "mse"]},
    )
    z, size = X[:, 0].copy(), X[:, 1].copy()
    by_name = model.evaluate({"right": z, "left": X}, {"size": size, "kind": Y}, verbose=0, return_dict=True)
    assert by_name == model.evaluate([X, z], [Y, size], verbose=0, return_dict=True)
    assert list(by_name) == ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae", "size_mse"]
    np.testing.assert_allclose(by_name["loss"], by_name["kind_loss"] + 0.25 * by_name["size_loss"], rtol=1e-6)
    np.testing.assert_allclose(by_name["size_loss"], by_name["size_mse"], rtol=1e-6)
    weighted = model.evaluate([X, z], [Y, size], verbose=0, return_dict=True, sample_weight={"size": np.zeros(ROWS)})
    assert weighted["size_loss"] == 0 and weighted["kind_loss"] == by_name["kind_loss"]
    given = [({"left": X[i : i + 8], "right": z[i : i + 8]}, [Y[i : i + 8], size[i : i + 8]]) for i in range(0, 48, 8)]
    np.testing.assert_allclose(model.evaluate(given, verbose=0, return_dict=True)["loss"], by_name["loss"], rtol=1e-6)
    assert model.fit(given, epochs=2, verbose=0).epoch == [0, 1]
    assert [p.shape for p in model.predict({"left": X, "right": z})] == [(48, 3), (48, 1)]
