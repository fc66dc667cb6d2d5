"""The options of fit and compile do what Keras' manual says: weights, splits, epochs, stopping, callbacks, regularizers, frozen layers,
single batches; each against its formula."""

import numpy as np
import pytest

import nnfast
from nnfast import callbacks, layers, regularizers

RNG = np.random.default_rng(0)
ROWS, BATCH = 60, 16
X = RNG.standard_normal((ROWS, 4)).astype("float32")
Y = RNG.integers(0, 3, ROWS)
REAL = X @ RNG.standard_normal((4, 2)).astype("float32")
sparse = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)


def make(loss=sparse, units=3, optimizer="sgd", **options):
    nnfast.set_random_seed(1)
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(units)])
    model.compile(optimizer, loss, **options)
    return model


def cross_entropy(model, x, y):
    z = model.predict(x).astype("float64")
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]


# weights
def test_sample_weight_scales_each_row():
    model, w = make(), RNG.uniform(0, 2, ROWS)
    expected = (w * cross_entropy(model, X, Y)).mean()
    for given in (w, w.reshape(-1, 1), list(w), w.astype("float32")):
        np.testing.assert_allclose(model.evaluate(X, Y, BATCH, 0, sample_weight=given), expected, rtol=1e-6)
    np.testing.assert_allclose(model.test_on_batch(X, Y, w), expected, rtol=1e-6)


def test_class_weight_is_a_sample_weight():
    weight = {0: 0.5, 2: 3.0}
    per_row = np.array([weight.get(label, 1.0) for label in Y], "float32")
    one, two, three = make(), make(), make("categorical_crossentropy", optimizer="sgd")
    one.fit(X, Y, class_weight=weight, epochs=3, verbose=0)
    two.fit(X, Y, sample_weight=per_row, epochs=3, verbose=0)
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])
    three.fit(X, np.eye(3)[Y], class_weight=weight, verbose=0)
    both = make()
    both.fit(X, Y, class_weight=weight, sample_weight=np.full(ROWS, 2.0), epochs=3, verbose=0)
    two = make()
    two.fit(X, Y, sample_weight=2 * per_row, epochs=3, verbose=0)
    np.testing.assert_array_equal(both.get_weights()[0], two.get_weights()[0])


def test_class_weight_of_batches():
    weight = {0: 0.5, 2: 3.0}
    one, two, three = make(), make(), make()
    one.fit(X, Y, BATCH, class_weight=weight, epochs=2, shuffle=False, verbose=0)
    data = nnfast.AugmentedData(X, Y, batch_size=BATCH, shuffle=False)
    two.fit(data, class_weight=weight, epochs=2, verbose=0)
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])
    batches = [(X[i : i + BATCH], Y[i : i + BATCH], np.full(len(X[i : i + BATCH]), 2.0)) for i in range(0, ROWS, BATCH)]
    one, double = make(), {label: 2 * weight.get(label, 1.0) for label in range(3)}
    one.fit(X, Y, BATCH, class_weight=double, shuffle=False, verbose=0)
    three.fit(batches, class_weight=weight, verbose=0)
    np.testing.assert_array_equal(one.get_weights()[0], three.get_weights()[0])


def test_weighted_metrics_stand_beside_plain_ones():
    model, w = make(metrics=["accuracy"], weighted_metrics=["accuracy"]), RNG.uniform(0, 2, ROWS)
    hits = model.predict(X).argmax(1) == Y
    logs = model.evaluate(X, Y, BATCH, 0, sample_weight=w, return_dict=True)
    assert logs["accuracy"] == hits.mean()
    np.testing.assert_allclose(logs["weighted_accuracy"], (hits * w).sum() / w.sum(), rtol=1e-6)


def test_two_metrics_of_one_name():
    model = make("mse", 2, metrics=["mse", nnfast.metrics.RootMeanSquaredError(name="mse")])
    logs = model.evaluate(X, REAL, BATCH, 0, return_dict=True)
    np.testing.assert_allclose(logs["mse_1"] ** 2, logs["mse"], rtol=1e-6)


# epochs and validation
def test_validation_split_takes_the_last_rows():
    model = make("mse", 2, metrics=["mae"])
    history = model.fit(X, REAL, BATCH, epochs=2, verbose=0, validation_split=0.25)
    assert model.state.iteration == 2 * 3  # 45 rows
    assert history.history["val_loss"][-1] == model.evaluate(X[45:], REAL[45:], BATCH, 0)[0]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    other = make("mse", 2)
    other.fit(X[:45], REAL[:45], BATCH, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_validation_data_with_weights_and_frequency():
    w = RNG.uniform(0, 2, 20)
    model = make()
    data = (X[:20], Y[:20], w)
    history = model.fit(
        X, Y, epochs=5, verbose=0, validation_data=data, validation_freq=2, validation_batch_size=7
    ).history
    assert len(history["loss"]) == 5 and len(history["val_loss"]) == 2
    model = make()
    history = model.fit(X, Y, epochs=1, verbose=0, validation_data=data).history
    np.testing.assert_allclose(history["val_loss"][0], (w * cross_entropy(model, X[:20], Y[:20])).mean(), rtol=1e-5)


def test_shuffle_visits_every_row_once_and_in_another_order():
    """With batches of one row and a rate of 0, the logs of the batches tell the order."""
    model = make("mse", 2, nnfast.optimizers.SGD(0.0))
    error = ((model.predict(X) - REAL) ** 2).mean(1)
    orders = []

    class Watch(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.total, order = 0.0, []
            orders.append(order)

        def on_train_batch_end(self, batch, logs=None):
            total = logs["loss"] * (batch + 1)
            orders[-1].append(int(np.abs(error - (total - self.total)).argmin()))
            self.total = total

    model.fit(X, REAL, 1, epochs=2, verbose=0, callbacks=[Watch()])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(ROWS))
    assert orders[0] != orders[1] and orders[0] != list(range(ROWS))
    model.fit(X, REAL, 1, epochs=1, verbose=0, callbacks=[Watch()], shuffle=False)
    assert orders[-1] == list(range(ROWS))


def test_initial_epoch_goes_on_with_the_right_order():
    whole, parts = make(optimizer="adam"), make(optimizer="adam")
    whole.fit(X, Y, BATCH, epochs=4, verbose=0)
    parts.fit(X, Y, BATCH, epochs=2, verbose=0)
    history = parts.fit(X, Y, BATCH, epochs=4, initial_epoch=2, verbose=0)
    assert history.epoch == [2, 3]
    np.testing.assert_array_equal(whole.get_weights()[0], parts.get_weights()[0])


def test_no_epochs():
    model = make()
    before = model.get_weights()[0]
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    np.testing.assert_array_equal(model.get_weights()[0], before)


# callbacks
class Record(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []


def _recording(hook):
    def call(self, *arguments):
        numbers = [a for a in arguments if isinstance(a, int)]
        self.calls.append((hook, *numbers, self.model.state.iteration))

    return call


for _hook in ["train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin", "train_batch_end", "test_begin", "test_end", "test_batch_begin", "test_batch_end"]:  # fmt: skip
    setattr(Record, f"on_{_hook}", _recording(_hook))


def test_hooks_are_called_in_order():
    model, record = make(), Record()
    model.fit(X, Y, 32, epochs=1, verbose=0, validation_data=(X[:20], Y[:20]), callbacks=[record])
    assert record.calls == [
        ("train_begin", 0), ("epoch_begin", 0, 0),
        ("train_batch_begin", 0, 0), ("train_batch_end", 0, 1),
        ("train_batch_begin", 1, 1), ("train_batch_end", 1, 2),
        ("test_begin", 2), ("test_batch_begin", 0, 2), ("test_batch_end", 0, 2), ("test_end", 2),
        ("epoch_end", 0, 2), ("train_end", 2),
    ]  # fmt: skip


class StopAfter(callbacks.Callback):
    def __init__(self, batch=None, epoch=None):
        super().__init__()
        self.at = batch, epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at[0]:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at[1]:
            self.model.stop_training = True


def test_stop_training():
    model = make()
    assert model.fit(X, Y, BATCH, epochs=9, verbose=0, callbacks=[StopAfter(epoch=2)]).epoch == [0, 1, 2]
    assert model.state.iteration == 12
    history = model.fit(X, Y, BATCH, epochs=9, verbose=0, callbacks=[StopAfter(batch=1)])
    assert history.epoch == [0] and model.state.iteration == 14
    assert len(model.fit(X, Y, BATCH, epochs=2, verbose=0).epoch) == 2  # the next fit is not stopped


def test_learning_rate_of_a_batch_hook_holds_for_that_batch():
    class Freeze(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.0

    model = make()
    before = model.get_weights()[0]
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[Freeze()])
    np.testing.assert_array_equal(model.get_weights()[0], before)


# regularizers
REGULARIZERS = {
    "l1": (regularizers.L1(0.03), lambda w: 0.03 * np.abs(w).sum(), lambda w: 0.03 * np.sign(w)),
    "l2": (regularizers.L2(0.02), lambda w: 0.02 * (w**2).sum(), lambda w: 0.04 * w),
    "l1_l2": (
        regularizers.L1L2(0.03, 0.02),
        lambda w: 0.03 * np.abs(w).sum() + 0.02 * (w**2).sum(),
        lambda w: 0.03 * np.sign(w) + 0.04 * w,
    ),
}


@pytest.mark.parametrize("place", ["kernel", "bias", "activity"])
@pytest.mark.parametrize("kind", REGULARIZERS)
def test_regularizers(kind, place, float64):
    regularizer, value, gradient = REGULARIZERS[kind]
    dense = layers.Dense(2, bias_initializer="normal", **{f"{place}_regularizer": regularizer})
    model = nnfast.Sequential([nnfast.Input((4,)), dense])
    model.compile(nnfast.optimizers.SGD(1.0), "mse")
    x, y = X.astype("float64"), REAL.astype("float64")
    k, b = model.get_weights()
    z = x @ k + b
    penalty = {"kernel": lambda: value(k), "bias": lambda: value(b), "activity": lambda: value(z) / ROWS}[place]()
    np.testing.assert_allclose(model.evaluate(x, y, ROWS, 0), ((z - y) ** 2).mean() + penalty, rtol=1e-12)
    dz = (z - y) / ROWS + (gradient(z) / ROWS if place == "activity" else 0)
    dk = x.T @ dz + (gradient(k) if place == "kernel" else 0)
    db = dz.sum(0) + (gradient(b) if place == "bias" else 0)
    model.train_on_batch(x, y)
    new_k, new_b = model.get_weights()
    np.testing.assert_allclose(k - new_k, dk, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b - new_b, db, rtol=1e-9, atol=1e-12)


# frozen layers
def test_trainable_false_keeps_weights_also_of_inner_models():
    inner = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(5, kernel_regularizer="l2")], name="inner")
    model = nnfast.Sequential([nnfast.Input((4,)), inner, layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, REAL, verbose=0)
    inner.trainable = False
    assert len(model.trainable_weights) == 2 and len(model.non_trainable_weights) == 2
    before = model.get_weights()
    model.fit(X, REAL, verbose=0)
    moved = [(a != b).any() for a, b in zip(model.get_weights(), before, strict=True)]
    assert moved == [False, False, True, True]
    inner.trainable = True
    before = model.get_weights()
    model.fit(X, REAL, verbose=0)
    assert all((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))


# single batches
def test_single_batches_are_steps_of_fit():
    by_hand, fitted = make(optimizer="adam", metrics=["accuracy"]), make(optimizer="adam", metrics=["accuracy"])
    fitted.fit(X, Y, 20, epochs=1, shuffle=False, verbose=0)
    for i in range(0, ROWS, 20):
        by_hand.train_on_batch(X[i : i + 20], Y[i : i + 20])
    np.testing.assert_array_equal(by_hand.get_weights()[0], fitted.get_weights()[0])
    assert by_hand.state.iteration == 3
    loss, accuracy = by_hand.test_on_batch(X, Y)
    assert by_hand.test_on_batch(X, Y, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    np.testing.assert_allclose(loss, cross_entropy(by_hand, X, Y).mean(), rtol=1e-6)
    assert by_hand.state.iteration == 3  # a test is no step
    np.testing.assert_array_equal(by_hand.predict_on_batch(X), by_hand.predict(X))
    weighted = by_hand.train_on_batch(X, Y, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, return_dict=True)
    assert weighted["loss"] == 0


@pytest.mark.parametrize("deferred", [make, lambda: nnfast.Sequential([layers.Dense(3)])])
def test_single_batches_on_a_new_model(deferred):
    model = deferred()
    model.compile("sgd", sparse)
    assert model.test_on_batch(X, Y) > 0
    model.train_on_batch(X, Y)
    assert model.predict_on_batch(X).shape == (ROWS, 3)


def test_compile_again_starts_anew():
    model = make(optimizer="adam")
    model.fit(X, Y, verbose=0)
    assert model.state.iteration and model.state.slots
    model.compile("sgd", "mse", metrics=["mae"])
    assert model.state.iteration == 0
    assert list(model.fit(X, np.eye(3)[Y], verbose=0).history) == ["loss", "mae"]


def test_threads_do_not_change_bits():
    weights = []
    for threads in (1, 2, 3):
        model = make(optimizer="adam")
        with nnfast.num_threads(threads):
            model.fit(X, Y, 7, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
