"""Every way to put a model together computes what its formula says, trains all its weights, and says in its summary what it is:
Sequential, functional, subclassed, nested, shared layers, arithmetic on symbols, layers and functions of the user's own."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, ops, passes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((48, 4)).astype("float32")
Z = RNG.standard_normal((48, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 48)
REAL = X @ RNG.standard_normal((4, 3)).astype("float32")
sparse = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)


def relu(x):
    return np.maximum(x, 0)


def same(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def learns(model, x, y, loss="mse", epochs=5):
    """All trainable weights move, and the loss falls."""
    model.compile(nnfast.optimizers.Adam(0.01), loss)
    model.predict(x, verbose=0)  # builds a model that waits for its first data
    before = [v.numpy() for v in model.trainable_weights]
    curve = model.fit(x, y, epochs=epochs, batch_size=16, verbose=0).history["loss"]
    assert curve[-1] < curve[0]
    assert all((v.numpy() != array).any() for v, array in zip(model.trainable_weights, before, strict=True))


# Sequential
def test_sequential_with_and_without_input():
    known = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3)])
    assert known.built and known.output_shape == (None, 3) and known.input_shape == (None, 4)
    assert len(known.weights) == 4
    waiting = nnfast.Sequential([layers.Dense(5, "relu"), layers.Dense(3)])
    assert not waiting.built and waiting.weights == []
    waiting.predict(X)
    waiting.set_weights(known.get_weights())
    np.testing.assert_array_equal(waiting.predict(X), known.predict(X))
    k1, b1, k2, b2 = known.get_weights()
    same(known.predict(X), relu(X @ k1 + b1) @ k2 + b2)
    learns(nnfast.Sequential([layers.Dense(5, "relu"), layers.Dense(3)]), X, REAL)


def test_sequential_add_and_pop():
    model = nnfast.Sequential()
    model.add(nnfast.Input((4,)))
    model.add(layers.Dense(5))
    model.add(layers.Dense(3))
    model.compile("sgd", "mse")
    model.fit(X, REAL, verbose=0)
    first = model.predict(X)
    steps = model.state.iteration
    model.add(layers.Dense(2))
    assert model.predict(X).shape == (48, 2)  # a plan from before is not used again
    model.fit(X, REAL[:, :2], verbose=0)
    assert model.state.iteration == 2 * steps
    assert model.pop().units == 2
    assert model.predict(X).shape == first.shape


@pytest.mark.parametrize("with_input", [True, False])
def test_add_to_a_model_that_has_seen_data(with_input):
    model = nnfast.Sequential([nnfast.Input((4,))] * with_input + [layers.Dense(3)])
    assert model.predict(X).shape == (48, 3)
    model.add(layers.Dense(2))
    assert model.predict(X).shape == (48, 2)


def test_numbers_in_a_row_count_as_one_feature():
    model = nnfast.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit([1, 2, 3], [2, 4, 6], verbose=0)
    assert model.predict([1, 2]).shape == (2, 1)


# functional
def two_heads():
    left, right = nnfast.Input((4,), name="left"), nnfast.Input((2,), name="right")
    shared = layers.Dense(6, "tanh", name="shared")
    joined = layers.Concatenate()([shared(left), shared(left * 2.0 + 1.0), right])
    heads = [layers.Dense(3, name="kind")(joined), layers.Dense(1, name="size")(joined)]
    return nnfast.Model([left, right], heads, name="two_heads")


def test_functional_with_shared_layers_and_two_heads():
    model = two_heads()
    assert len(model.weights) == 6  # the shared layer counts once
    k, b, k1, b1, k2, b2 = model.get_weights()
    joined = np.concatenate([np.tanh(X @ k + b), np.tanh((X * 2 + 1) @ k + b), Z], 1)
    kind, size = model.predict([X, Z])
    same(kind, joined @ k1 + b1)
    same(size, joined @ k2 + b2)
    learns(model, [X, Z], [LABELS, X[:, 0]], [sparse, "mse"])


@pytest.mark.parametrize("name", passes.names())
@pytest.mark.parametrize("branches", ["heads", "sum of products"])
def test_two_products_that_meet_in_a_sum(name, branches):
    """The gradient of a value with two readers is a sum of two products; only one of them may take the sum over."""

    def make():
        nnfast.set_random_seed(3)
        x = nnfast.Input((4,))
        h = layers.Dense(8, "relu")(x)
        if branches == "heads":
            return nnfast.Model(x, [layers.Dense(3)(h), layers.Dense(1)(h)])
        return nnfast.Model(x, [layers.Activation("relu")(layers.Dense(3)(h) + layers.Dense(3)(x))])

    weights = []
    for without in [(), (name,)]:
        model = make()
        model.compile("sgd", "mse", without=without)
        model.fit(X, [REAL, REAL[:, :1]] if branches == "heads" else [REAL], epochs=2, batch_size=16, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_arithmetic_on_symbols():
    x, z = nnfast.Input((4,)), nnfast.Input((2,))
    first, last = x[:, :2], x[:, 2:]
    outputs = {
        "operators": ((first + z) * 2.0 - z / (ops.abs(last) + 1.0), (X[:, :2] + Z) * 2 - Z / (np.abs(X[:, 2:]) + 1)),
        "reflected": (1.0 - 2.0 * z + 1.0 / (z**2 + 1.0), 1 - 2 * Z + 1 / (Z**2 + 1)),
        "where": (ops.where(z > 0.0, z, 0.1 * z), np.where(Z > 0, Z, 0.1 * Z)),
        "mean": (x - ops.mean(x, axis=-1, keepdims=True), X - X.mean(-1, keepdims=True)),
        "rows": (ops.sum(ops.reshape(x, (-1, 2, 2)), axis=1), X.reshape(-1, 2, 2).sum(1)),
        "stack": (ops.max(ops.stack([first, last], axis=1), axis=1), np.maximum(X[:, :2], X[:, 2:])),
        "last": (x[..., -1:], X[:, -1:]),
        "constant": (x - np.arange(4.0), X - np.arange(4)),
        "negative": (-x, -X),
        "softmax": (ops.softmax(x), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        "squeeze": (ops.squeeze(ops.expand_dims(z, 1), 1), Z),
    }
    for name, (symbol, expected) in outputs.items():
        inputs = [x, z] if name not in ("mean", "rows", "stack", "last", "constant", "negative", "softmax") else x
        inputs = z if name in ("reflected", "where", "squeeze") else inputs
        model = nnfast.Model(inputs, symbol)
        data = [X, Z] if isinstance(inputs, list) else X if inputs is x else Z
        same(model.predict(data), expected)


# subclasses
class Net(nnfast.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = []
        for _ in range(2):
            self.blocks.append(layers.Dense(6, "relu"))
        self.dropout = layers.Dropout(0.5)
        self.heads = {"out": layers.Dense(3)}

    def call(self, inputs, training=False):
        for block in self.blocks:
            inputs = block(inputs)
        return self.heads["out"](self.dropout(inputs, training=training))


def test_subclassed_model_finds_layers_in_lists_and_dictionaries():
    model = Net()
    learns(model, X, LABELS, sparse, epochs=20)
    assert [layer.name.split("_")[0] for layer in model.layers] == ["dense", "dense", "dropout", "dense"]
    k1, b1, k2, b2, k3, b3 = model.get_weights()
    same(model.predict(X), relu(relu(X @ k1 + b1) @ k2 + b2) @ k3 + b3)
    np.testing.assert_array_equal(model(X), model.predict(X))


def test_training_flag_reaches_inner_layers():
    """An explicit training=False holds for all layers inside, also in a training step."""
    noisy = nnfast.Sequential([nnfast.Input((4,)), layers.Dropout(0.5)])

    class Fixed(nnfast.Model):
        def call(self, inputs):
            return noisy(inputs, training=False)

    value = nnfast.value_and_grad(lambda x: ops.sum(ops.abs(Fixed()(x) - x)), training=True)
    assert value(X)[0] == 0
    value = nnfast.value_and_grad(lambda x: ops.sum(ops.abs(noisy(x) - x)), training=True)
    assert value(X)[0] > 1


class Sum(nnfast.Model):
    """Two inputs, as a list or by name."""

    def __init__(self, keys=None):
        super().__init__()
        self.keys = keys
        self.a, self.b = layers.Dense(3), layers.Dense(3)

    def call(self, inputs):
        left, right = inputs if self.keys is None else [inputs[key] for key in self.keys]
        return self.a(left) + self.b(right)


def test_subclassed_model_with_several_inputs():
    model = Sum()
    learns(model, [X, Z], REAL)
    k1, b1, k2, b2 = model.get_weights()
    same(model.predict([X, Z]), X @ k1 + b1 + Z @ k2 + b2)
    model = Sum(["left", "right"])
    learns(model, {"right": Z, "left": X}, REAL)
    same(model.predict({"left": X, "right": Z}), model.predict({"right": Z, "left": X}), 0)


class Pair(Sum):
    def call(self, inputs):
        return self.a(inputs), self.b(inputs)


def test_subclassed_model_with_two_outputs():
    model = Pair()
    model.compile("adam", [sparse, "mse"], metrics=[["accuracy"], ["mae"]])
    logs = model.fit(X, [LABELS, REAL], epochs=1, verbose=0).history
    assert {"loss", "pair_0_loss", "pair_1_loss", "pair_0_accuracy", "pair_1_mae"} == set(logs)
    assert [array.shape for array in model.predict(X)] == [(48, 3), (48, 3)]


class Scale(layers.Layer):
    """A layer with a weight, a loss of its own, and a list of variables."""

    def build(self, input_shape):
        self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")
        self.offsets = [self.add_weight(f"offset_{i}", (input_shape[-1],), initializer="zeros") for i in range(2)]

    def call(self, inputs):
        self.add_loss(0.5 * ops.sum(ops.square(self.factor)))
        return inputs * self.factor + self.offsets[0] + self.offsets[1]


def test_own_layer_trains_and_adds_to_the_loss():
    model = nnfast.Sequential([nnfast.Input((4,)), Scale()])
    model.compile("sgd", "mse")
    assert len(model.weights) == 3
    same(model.evaluate(X, X, batch_size=48, verbose=0), 2.0)  # 0.5 * 4 ones
    rate = 0.01
    model.train_on_batch(X, X)
    same(model.get_weights()[0], 1 - rate * np.ones(4))  # the mse is 0 here: only the layer's own loss pulls


def test_nested_models():
    inner = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(4, "tanh")], name="inner")
    x = nnfast.Input((4,))
    model = nnfast.Model(x, layers.Dense(3)(inner(inner(x))))
    assert len(model.weights) == 4
    k, b, k1, b1 = model.get_weights()
    same(model.predict(X), np.tanh(np.tanh(X @ k + b) @ k + b) @ k1 + b1)
    learns(model, X, REAL)
    assert model.get_layer("inner") is inner


def test_own_functions_everywhere():
    """Activation, loss, metric, regularizer, initializer as Python functions over nnfast.ops."""

    def swish(x):
        return x * ops.sigmoid(x)

    def cubic(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** 3.0, axis=-1)

    def worst(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), axis=-1)

    def small(kernel):
        return 0.01 * ops.sum(ops.abs(kernel))

    def halves(shape, dtype="float32"):
        return np.full(shape, 0.5, dtype)

    dense = layers.Dense(3, swish, kernel_regularizer=small, kernel_initializer=halves)
    model = nnfast.Sequential([nnfast.Input((4,)), dense, layers.Lambda(lambda x, k: x * k, arguments={"k": 3.0})])
    model.compile("sgd", cubic, metrics=[worst])
    z = X @ np.full((4, 3), 0.5)
    error = np.abs(REAL - 3 * z / (1 + np.exp(-z)))
    logs = model.evaluate(X, REAL, batch_size=48, verbose=0, return_dict=True)
    same(logs["loss"], (error**3).mean() + 0.01 * 12 * 0.5, 1e-4)
    same(logs["worst"], error.max(1).mean(), 1e-4)


# types
def test_float64_from_data_to_weights():
    model = nnfast.Sequential([nnfast.Input((4,), dtype="float64"), layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, REAL, verbose=0)
    k, b = model.get_weights()
    assert k.dtype == np.float64 and model.predict(X).dtype == np.float64
    np.testing.assert_allclose(model.predict(X), X.astype("float64") @ k + b, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64", "bool", "float16", "float64"])
def test_other_dtypes_become_float32(dtype):
    data = (np.abs(X) * 20).astype(dtype)
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    k, b = model.get_weights()
    same(model.predict(data), data.astype("float32") @ k + b, 1e-4)
    same(
        model.evaluate(data, REAL, batch_size=48, verbose=0),
        ((data.astype("float32") @ k + b - REAL) ** 2).mean(),
        1e-4,
    )


@pytest.mark.parametrize("deferred", [True, False])
def test_images_in_bytes(deferred):
    images = RNG.integers(0, 256, (20, 3, 3), "uint8")
    first = [] if deferred else [nnfast.Input((3, 3), dtype="uint8")]
    model = nnfast.Sequential([*first, layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(images, np.zeros((20, 2)), verbose=0)
    k, b = model.get_weights()
    same(model.predict(images), (images / 255).reshape(20, -1) @ k + b)


# looking
def test_summary(capsys):
    two_heads().summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Model: two_heads"
    rows = [line.split() for line in lines if line.startswith("shared (Dense)")]
    assert len(rows) == 2
    assert rows[0][:5] == rows[1][:5] == ["shared", "(Dense)", "(None,", "6)", "30"]
    assert int(rows[0][5]) >= 2 * 4 * 6 + 6 + 6  # product, bias, tanh
    assert lines[-1].startswith("parameters: 90 (90 trainable, 0 not)")
    model = Net()
    model.predict(X)
    model.layers[0].trainable = False
    model.summary()
    assert "parameters: 93 (63 trainable, 30 not)" in capsys.readouterr().out
    nnfast.Sequential([layers.Dense(2)]).summary()
    assert "not built yet" in capsys.readouterr().out


def test_plan_says_what_will_run():
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])
    small, large = model.plan(8), model.plan(64)
    assert "linear + add relu" in str(large) and f"peak bytes {large.peak_bytes:,}" in str(large)
    assert large.flops >= 64 * 2 * (4 * 8 + 8 * 3)
    assert large.peak_bytes > small.peak_bytes and large.bytes_moved > small.bytes_moved
    model.compile("adam", sparse)
    assert model.plan(64).flops > 2 * large.flops  # forward, and two products back for each forward
    assert model.plan(64, "predict").flops == large.flops


def test_weights_in_and_out():
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(20), layers.Dense(3)])
    weights = model.get_weights()
    assert [array.shape for array in weights] == [(4, 20), (20,), (20, 3), (3,)]
    weights[0][:] = 0  # a copy
    assert (model.get_weights()[0] != 0).any()
    new = [RNG.standard_normal(array.shape).astype("float32") for array in weights]
    model.set_weights(new)
    for a, b in zip(model.get_weights(), new, strict=True):
        np.testing.assert_array_equal(a, b)
    bad = [*new[:3], np.zeros(4)]
    with pytest.raises(nnfast.errors.NnfastError, match=r"bias has shape \[3\], got \[4\]"):
        model.set_weights(bad)
    np.testing.assert_array_equal(model.get_weights()[0], new[0])
