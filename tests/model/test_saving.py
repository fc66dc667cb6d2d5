"""A saved model is the model: the same predictions, and a training that goes on to the same bits as one that ran through, with dropout,
Adam, shuffling and a schedule; files of other kinds are refused by name."""

import os

import numpy as np
import pytest

import nnfast
from nnfast import errors, layers, ops, serialization
from nnfast.io import read_tensors

RNG = np.random.default_rng(0)
X = RNG.standard_normal((48, 4)).astype("float32")
Z = RNG.standard_normal((48, 2)).astype("float32")
Y = RNG.integers(0, 3, 48)
schedules = nnfast.optimizers.schedules
sparse = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)


def sequential():
    stack = [layers.Dense(8, "relu"), layers.Dropout(0.4), layers.GaussianNoise(0.1), layers.Dense(3)]
    return nnfast.Sequential([nnfast.Input((4,)), *stack])


def functional():
    x = nnfast.Input((4,))
    shared = layers.Dense(6, "tanh")
    joined = layers.Concatenate()(
        [shared(x), shared(x * 2.0 + 1.0), ops.mean(shared(x)[:, 1:4], axis=-1, keepdims=True)]
    )
    return nnfast.Model(x, layers.Dense(3)(layers.Dropout(0.3)(joined)))


def nested():
    inner = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(6, "relu"), layers.Dropout(0.3)])
    x = nnfast.Input((4,))
    return nnfast.Model(x, layers.Dense(3)(layers.Concatenate()([inner(x), layers.Dropout(0.1)(x)])))


class Net(nnfast.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.dropout, self.out = layers.Dense(6, "relu"), layers.Dropout(0.3), layers.Dense(3)

    def call(self, inputs, training=False):
        return self.out(self.dropout(self.hidden(inputs), training=training))


class Block(layers.Layer):
    """A layer of layers: the inner ones stand in no configuration of their own. One stream is drawn in build, late."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.parts = [layers.Dense(width, "relu"), layers.Dropout(0.4)]

    def build(self, input_shape):
        self.stream = self.seed_stream()

    def call(self, inputs, training=False):
        for part in self.parts:
            inputs = part(inputs)
        return ops.dropout(inputs, 0.2, self.stream) if training else inputs

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def composite():
    stack = [Block(8), layers.Dropout(0.1), nnfast.Sequential([Block(6)]), layers.Dense(3)]
    return nnfast.Sequential([nnfast.Input((4,)), *stack])


MODELS = {"composite": composite, "sequential": sequential, "functional": functional, "nested": nested, "subclass": Net}
OPTIMIZERS = {
    "adam": lambda: "adam",
    "momentum": lambda: nnfast.optimizers.SGD(0.1, momentum=0.9),
    "rmsprop": lambda: nnfast.optimizers.RMSprop(0.01, centered=True),
    "schedule": lambda: nnfast.optimizers.AdamW(schedules.CosineDecay(0.1, 40)),
}


def fit(model, first, last):
    return model.fit(X, Y, 7, epochs=last, initial_epoch=first, verbose=0).history


def same_weights(a, b):
    return len(a.weights) == len(b.weights) and all(
        p.tobytes() == q.tobytes() for p, q in zip(a.get_weights(), b.get_weights(), strict=True)
    )


# resuming
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", MODELS)
def test_training_goes_on_with_the_same_bits(kind, optimizer, tmp_path):
    custom = {"Net": Net, "Block": Block}
    nnfast.set_random_seed(5)
    whole = MODELS[kind]()
    whole.compile(OPTIMIZERS[optimizer](), sparse, metrics=["accuracy"])
    fit(whole, 0, 2)
    whole.save(tmp_path / "model.nnf")
    expected = fit(whole, 2, 4)
    nnfast.set_random_seed(99)  # another process, other layers made before
    layers.Dropout(0.5)
    loaded = nnfast.load_model(tmp_path / "model.nnf", custom_objects=custom)
    assert loaded.state.iteration == 14
    loaded.save(tmp_path / "again.nnf")
    with nnfast.num_threads(1):
        assert fit(loaded, 2, 4) == expected
    assert same_weights(loaded, whole)
    assert not same_weights(nnfast.load_model(tmp_path / "again.nnf", custom_objects=custom), whole)


def test_a_file_saved_again_is_the_same(tmp_path):
    model = functional()
    model.compile("adam", sparse)
    fit(model, 0, 1)
    model.save(tmp_path / "one.nnf")
    nnfast.load_model(tmp_path / "one.nnf").save(tmp_path / "two.nnf")
    (one, about_one), (two, about_two) = (read_tensors(tmp_path / f"{name}.nnf") for name in ("one", "two"))
    assert about_one == about_two
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in two.items()
    }


def test_a_learning_rate_set_by_hand_is_kept(tmp_path):
    model = sequential()
    model.compile("adam", sparse)
    model.optimizer.learning_rate = 0.25
    model.save(tmp_path / "model.nnf")
    assert nnfast.load_model(tmp_path / "model.nnf").optimizer.learning_rate == 0.25


def test_frozen_layers_stay_frozen(tmp_path):
    model = nested()
    model.layers[0].trainable = False
    model.compile("adam", sparse)
    fit(model, 0, 1)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf")
    assert [v.name for v in loaded.trainable_weights] == [v.name for v in model.trainable_weights]
    assert fit(loaded, 1, 2) == fit(model, 1, 2)


# what a file holds
def two_in_two_out():
    a, b = nnfast.Input((4,), name="a"), nnfast.Input((2,), name="b", dtype="float64")
    h = layers.Concatenate()([layers.Dense(3)(a), ops.cast(b, "float32")])
    return nnfast.Model([a, b], [layers.Dense(3, name="p")(h), layers.Dense(1, name="q")(h)], name="double")


def test_several_inputs_and_outputs(tmp_path):
    model = two_in_two_out()
    losses = {"p": sparse, "q": nnfast.losses.Huber(0.5)}
    model.compile(
        "adam", losses, loss_weights={"q": 0.25}, metrics={"p": ["accuracy"], "q": [nnfast.metrics.R2Score()]}
    )
    data = {"a": X, "b": Z}, {"p": Y, "q": Z[:, 0]}
    model.fit(*data, verbose=0)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf")
    assert loaded.input_names == ["a", "b"] and loaded.output_names == ["p", "q"] and loaded.name == "double"
    assert loaded.evaluate(*data, verbose=0, return_dict=True) == model.evaluate(*data, verbose=0, return_dict=True)
    for one, two in zip(loaded.predict(data[0]), model.predict(data[0]), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("deferred", [False, True])
def test_predictions_are_exact(dtype, deferred, tmp_path):
    first = [] if deferred else [nnfast.Input((4,), dtype=dtype)]
    model = nnfast.Sequential([*first, layers.Dense(20, "gelu", dtype=dtype), layers.Dense(3, dtype=dtype)])
    expected = model.predict(X)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf")
    assert not loaded.compiled and loaded.predict(X).dtype == dtype
    np.testing.assert_array_equal(loaded.predict(X), expected)


def test_weights_alone(tmp_path):
    one, two = functional(), functional()
    one.save_weights(tmp_path / "weights.nnf")
    two.load_weights(tmp_path / "weights.nnf")
    assert same_weights(one, two)
    one.save(tmp_path / "model.nnf")
    three = functional()
    three.load_weights(tmp_path / "model.nnf")
    assert same_weights(one, three)


def test_adapted_normalization(tmp_path):
    normalization = layers.Normalization()
    normalization.adapt(X * 3 + 1)
    model = nnfast.Sequential([nnfast.Input((4,)), normalization, layers.Dense(2)])
    model.save(tmp_path / "model.nnf")
    np.testing.assert_array_equal(nnfast.load_model(tmp_path / "model.nnf").predict(X), model.predict(X))


# custom objects
def cube(x):
    return x * x * x


def quartic(y_true, y_pred):
    return ops.mean(ops.square(ops.square(y_true - y_pred)), axis=-1)


def furthest(y_true, y_pred):
    return ops.max(ops.abs(y_true - y_pred), axis=-1)


class Shift(layers.Layer):
    def __init__(self, by, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def build(self, input_shape):
        self.offset = self.add_weight("offset", (input_shape[-1],), initializer="zeros")

    def call(self, inputs):
        return inputs + self.offset + self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


CUSTOM = {"cube": cube, "quartic": quartic, "furthest": furthest, "Shift": Shift}


def test_custom_objects(tmp_path):
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3, cube), Shift(0.5), layers.Lambda(cube)])
    model.compile("adam", quartic, metrics=[furthest])
    y = np.eye(3)[Y]
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf", custom_objects=CUSTOM)
    assert loaded.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
    assert model.fit(X, y, verbose=0).history == loaded.fit(X, y, verbose=0).history
    for missing in CUSTOM:
        rest = {name: thing for name, thing in CUSTOM.items() if name != missing}
        with pytest.raises(errors.UnknownNameError, match=rf"'{missing}'.*custom_objects"):
            nnfast.load_model(tmp_path / "model.nnf", custom_objects=rest)
    assert not nnfast.load_model(tmp_path / "model.nnf", CUSTOM, compile=False).compiled


def test_a_lambda_cannot_be_saved(tmp_path):
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Lambda(lambda x: x + 1), layers.Dense(1)])
    with pytest.raises(ValueError, match="a lambda cannot be saved; write `def`"):
        model.save(tmp_path / "model.nnf")
    assert os.listdir(tmp_path) == []


class NeedsWidth(nnfast.Model):
    def __init__(self, width):
        super().__init__()
        self.dense = layers.Dense(width)

    def call(self, inputs):
        return self.dense(inputs)


class KnowsWidth(NeedsWidth):
    def get_config(self):
        return {**super().get_config(), "width": self.dense.units}


def test_subclasses_with_arguments(tmp_path):
    model = NeedsWidth(3)
    model.predict(X)
    model.save(tmp_path / "model.nnf")
    with pytest.raises(errors.NnfastError, match=r"NeedsWidth needs width.*get_config"):
        nnfast.load_model(tmp_path / "model.nnf", custom_objects={"NeedsWidth": NeedsWidth})
    model = KnowsWidth(3)
    expected = model.predict(X)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf", custom_objects={"KnowsWidth": KnowsWidth})
    np.testing.assert_array_equal(loaded.predict(X), expected)


def instances(kind, base):
    """Every class of a kind that can be made without arguments."""
    found = {serialization.lookup(kind, name) for name in serialization.known_names(kind)}
    return sorted({c for c in found if isinstance(c, type) and issubclass(c, base) and not c.__name__.startswith("Function")}, key=lambda c: c.__name__)  # fmt: skip


@pytest.mark.parametrize("loss", instances("loss", nnfast.losses.Loss), ids=lambda c: c.__name__)
def test_losses_in_a_file(loss, tmp_path):
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3, "sigmoid")])
    y = Y if "Sparse" in loss.__name__ else np.eye(3)[Y]
    if loss is nnfast.losses.CTC:  # of sequences: four frames, one letter
        model, y = nnfast.Sequential([nnfast.Input((4,)), layers.Reshape((4, 1)), layers.Dense(3)]), Y[:, None] % 2 + 1
    model.compile("sgd", loss())
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf")
    assert loaded.fit(X, y, verbose=0).history == model.fit(X, y, verbose=0).history


@pytest.mark.parametrize("optimizer", instances("optimizer", nnfast.optimizers.Optimizer), ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "rate",
    [
        0.01,
        schedules.ExponentialDecay(0.1, 3, 0.5),
        schedules.CosineDecay(0.1, 20, warmup_target=0.2, warmup_steps=4),
        schedules.PiecewiseConstantDecay([4, 8], [0.1, 0.01, 0.001]),
        schedules.PolynomialDecay(0.1, 20, 0.001, power=2.0),
        schedules.InverseTimeDecay(0.1, 3, 0.5),
    ],
    ids=lambda r: type(r).__name__,
)
def test_optimizers_and_schedules_in_a_file(optimizer, rate, tmp_path):
    model = sequential()
    model.compile(optimizer(rate, clipnorm=1.0), sparse)
    fit(model, 0, 1)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    one, two = loaded.state.tensors(loaded.weights), model.state.tensors(model.weights)
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in two.items()}
    assert fit(loaded, 1, 2) == fit(model, 1, 2)
