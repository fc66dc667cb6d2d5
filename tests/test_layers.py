"""Layers on arrays, on symbols and in a traced graph: values, shapes, weights, configurations, errors."""

import numpy as np
import pytest

import nnfast.random
from nnfast import layers, ops, reference, regularizers, serialization
from nnfast.errors import NnfastError, ShapeError, UnknownNameError
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.layers.symbol import Symbol
from nnfast.variable import Variable

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 6)).astype("float32")
IMAGES = RNG.normal(size=(2, 3, 4, 5)).astype("float32")


def traced(layer, shapes, training=False, dtype="float32"):
    """The graph and output of a layer on inputs of these shapes (batch included)."""
    graph = Graph()
    with tracing(graph, training, Variable((8,), "int64", name="counters")) as trace:
        inputs = [graph.input(shape, dtype) for shape in shapes]
        output = layer(inputs if len(inputs) > 1 else inputs[0])
    return graph, output, trace


def ops_of(graph):
    return [node.op.name for node in graph.nodes]


# Dense


@pytest.mark.parametrize("shape", [(4, 6), (1, 6), (0, 6), (2, 3, 6), (2, 1, 3, 6)])
def test_dense(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape).astype("float32")
    layer = layers.Dense(3, activation="tanh", bias_initializer="normal")
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert (kernel.shape, bias.shape) == ((6, 3), (3,))
    np.testing.assert_allclose(y, np.tanh(x.astype(float) @ kernel + bias), rtol=2e-5, atol=2e-6)
    assert y.shape == (*shape[:-1], 3)


def test_dense_without_bias_and_in_float64() -> None:
    layer = layers.Dense(2, use_bias=False, dtype="float64")
    y = layer(X.astype("float64"))
    assert y.dtype == "float64"
    (kernel,) = layer.get_weights()
    np.testing.assert_allclose(y, X.astype("float64") @ kernel, rtol=1e-13)


def test_dense_kernel_is_stored_in_panels() -> None:
    layer = layers.Dense(2)
    layer(X)
    assert [(weight.name.split("/")[-1], weight.layout) for weight in layer.weights] == [
        ("kernel", "panel"),
        ("bias", "row"),
    ]


def test_dense_regularizers_stand_on_the_weights() -> None:
    layer = layers.Dense(2, kernel_regularizer="l2", bias_regularizer=regularizers.L1(0.5), activity_regularizer="l1")
    layer(X)
    assert [weight.regularizer.get_config() for weight in layer.weights] == [{"l2": 0.01}, {"l1": 0.5}]
    _, _, trace = traced(layer, [(4, 6)])
    assert len(trace.losses) == 1


@pytest.mark.parametrize("units", [0, -3, 2.5, "8", None, True])
def test_dense_refuses_units(units) -> None:
    with pytest.raises(ValueError, match=r"Dense\(units=.*\): units must be a positive integer"):
        layers.Dense(units)


def test_dense_refuses_other_inputs() -> None:
    layer = layers.Dense(2)
    layer(X)
    with pytest.raises(ShapeError, match="expected 6 features"):
        layer(X[:, :5])
    with pytest.raises(ShapeError, match="features"):
        layers.Dense(2)(np.zeros(3, "float32"))
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        layers.Dense(2, activation="rleu")
    with pytest.raises(UnknownNameError, match="initializer 'glorot'"):
        layers.Dense(2, kernel_initializer="glorot")


# Activations with settings


def test_layers_with_settings() -> None:
    np.testing.assert_allclose(layers.LeakyReLU()(X), np.where(X > 0, X, 0.3 * X), rtol=1e-6)
    np.testing.assert_allclose(layers.ELU(2.0)(X), np.where(X > 0, X, 2 * np.expm1(X)), rtol=1e-5)
    np.testing.assert_allclose(layers.Softmax(axis=0)(X), np.exp(X) / np.exp(X).sum(0), rtol=1e-5)


def test_prelu_and_its_shared_axes() -> None:
    layer = layers.PReLU(alpha_initializer="normal")
    y = layer(X)
    (alpha,) = layer.get_weights()
    assert alpha.shape == (6,)
    np.testing.assert_allclose(y, np.where(X > 0, X, alpha * X), rtol=1e-6)
    shared = layers.PReLU(shared_axes=[1, 2])
    shared(IMAGES)
    assert shared.get_weights()[0].shape == (1, 1, 5)
    with pytest.raises(ShapeError, match="shared axis 4"):
        layers.PReLU(shared_axes=4)(IMAGES)


# Dropout and noise


def test_random_layers_do_nothing_outside_training() -> None:
    for layer in (layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.ActivityRegularization(0.1)):
        np.testing.assert_array_equal(layer(X), X)
        graph, output, _ = traced(layer, [(4, 6)])
        assert output is graph.inputs[0]


def test_random_layers_in_training() -> None:
    for layer, op in ((layers.Dropout(0.5), "dropout"), (layers.GaussianNoise(1.0), "random_normal")):
        graph, output, _ = traced(layer, [(4, 6)], training=True)
        assert op in ops_of(graph)
        assert output.shape == (4, 6)
    for layer in (layers.Dropout(0.0), layers.GaussianNoise(0.0)):
        assert ops_of(traced(layer, [(4, 6)], training=True)[0]) == []


def test_what_random_layers_draw() -> None:
    x = np.ones((200, 300), "float32")

    def drawn(layer):
        graph, output, _ = traced(layer, [x.shape], training=True)
        graph.outputs = [output]
        return reference.run(graph, [x])[0][0]

    y = drawn(layers.Dropout(0.25, seed=1))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    rows = drawn(layers.Dropout(0.25, noise_shape=(None, 1), seed=1))
    assert (rows == rows[:, :1]).all()
    assert (drawn(layers.Dropout(1.0)) == 0).all()
    noise = drawn(layers.GaussianNoise(0.5, seed=2)) - 1
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.5, rel=0.02)


def test_dropout_with_a_noise_shape() -> None:
    graph, output, _ = traced(layers.Dropout(0.5, noise_shape=(None, 1)), [(4, 6)], training=True)
    mask = next(node.output for node in graph.nodes if node.op.name == "dropout")
    assert (mask.shape, output.shape) == ((4, 1), (4, 6))
    with pytest.raises(ShapeError, match="noise_shape"):
        traced(layers.Dropout(0.5, noise_shape=(None, 2)), [(4, 6)], training=True)


def test_random_streams_follow_order_or_seed() -> None:
    nnfast.random.set_random_seed(1)
    first = [layers.Dropout(0.5).stream, layers.GaussianNoise(1.0).stream]
    nnfast.random.set_random_seed(1)
    assert [layers.Dropout(0.5).stream, layers.GaussianNoise(1.0).stream] == first
    assert len(set(first)) == 2
    assert layers.Dropout(0.5, seed=9).stream == layers.Dropout(0.1, seed=9).stream not in first


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_dropout_refuses_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="rate="):
        layers.Dropout(rate)


# Shapes


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.Flatten(), (2, 3, 4, 5), (2, 60)),
        (layers.Flatten(), (2,), (2, 1)),
        (layers.Flatten(), (0, 3, 4), (0, 12)),
        (layers.Reshape((6, 10)), (2, 3, 4, 5), (2, 6, 10)),
        (layers.Reshape((-1, 10)), (2, 3, 4, 5), (2, 6, 10)),
        (layers.Reshape((-1,)), (0, 3, 4), (0, 12)),
        (layers.Permute((3, 1, 2)), (2, 3, 4, 5), (2, 5, 3, 4)),
        (layers.Identity(), (2, 3), (2, 3)),
    ],
)
def test_shape_layers(layer, shape, expected) -> None:
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    y = layer(x)
    assert y.shape == expected
    reference = x.transpose(0, *layer.dims) if isinstance(layer, layers.Permute) else x.reshape(expected)
    np.testing.assert_array_equal(y, reference)
    assert traced(layer, [shape])[1].shape == expected
    assert layer(Symbol((None, *shape[1:]), "float32", "x")).shape == (None, *expected[1:])


def test_shape_layers_refuse_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"reshape.*12 elements.*\(5,\)"):
        layers.Reshape((5,), name="reshape")(np.zeros((2, 3, 4), "float32"))
    with pytest.raises(ShapeError, match="target_shape"):
        layers.Reshape((5, -1))(np.zeros((2, 3, 4), "float32"))
    with pytest.raises(ValueError, match="at most one -1"):
        layers.Reshape((-1, -1))
    with pytest.raises(ValueError, match="each of 1 to 2 once"):
        layers.Permute((0, 1))
    with pytest.raises(ShapeError, match="dims"):
        layers.Permute((2, 1))(IMAGES)


# Merging


A, B, D = (RNG.normal(size=(3, 4)).astype("float32") for _ in range(3))
MERGES = {
    "add": A + B + D,
    "multiply": A * B * D,
    "average": (A + B + D) / 3,
    "maximum": np.maximum(np.maximum(A, B), D),
    "minimum": np.minimum(np.minimum(A, B), D),
    "concatenate": np.concatenate([A, B, D], -1),
}


@pytest.mark.parametrize("name", MERGES)
def test_merging(name: str) -> None:
    layer = getattr(layers, name.capitalize())()
    np.testing.assert_allclose(layer([A, B, D]), MERGES[name], rtol=1e-6)
    np.testing.assert_allclose(getattr(layers, name)([A, B, D]), MERGES[name], rtol=1e-6)
    symbols = [Symbol((None, 4), "float32", letter) for letter in "abd"]
    assert layer(symbols).shape == (None, MERGES[name].shape[1])


def test_subtract_takes_two() -> None:
    np.testing.assert_array_equal(layers.Subtract()([A, B]), A - B)
    with pytest.raises(ShapeError, match="exactly two"):
        layers.Subtract()([A, B, D])


def test_merging_broadcasts_after_the_batch() -> None:
    y = layers.Add()([IMAGES, IMAGES[:, 0, 0, :]])
    np.testing.assert_allclose(y, IMAGES + IMAGES[:, 0, 0][:, None, None, :])
    np.testing.assert_allclose(layers.Multiply()([A, A[:, :1]]), A * A[:, :1])


def test_merging_refuses_what_does_not_fit() -> None:
    for make in (layers.Add, layers.Multiply, layers.Maximum):
        with pytest.raises(ShapeError, match=r"\(3, 4\), \(3, 2\)"):
            make()([A, A[:, :2]])
        with pytest.raises(ShapeError, match="at least two"):
            make()([A])
    with pytest.raises(ShapeError, match="cannot be joined"):
        layers.Concatenate()([A, A[:2]])
    with pytest.raises(ShapeError, match="cannot be joined"):
        layers.Concatenate(axis=5)([A, A])
    np.testing.assert_array_equal(layers.Concatenate(axis=1)([IMAGES, IMAGES[:, :1]]).shape, (2, 4, 4, 5))


# Lambda


def doubled(x, factor=2.0):
    return ops.multiply(x, factor)


def test_lambda() -> None:
    layer = layers.Lambda(doubled, arguments={"factor": 3.0})
    np.testing.assert_allclose(layer(X), 3 * X)
    with serialization.custom_objects({"doubled": doubled}):
        again = serialization.deserialize("layer", serialization.serialize(layer))
    np.testing.assert_allclose(again(X), 3 * X)
    with pytest.raises(UnknownNameError, match="doubled"):
        serialization.deserialize("layer", serialization.serialize(layer))
    with pytest.raises(ValueError, match="cannot be saved"):
        layers.Lambda(lambda x: x).get_config()
    with pytest.raises(TypeError, match="function over nnfast.ops"):
        layers.Lambda(3)


# Own layers


def test_a_layer_of_ones_own_can_be_registered_and_is_not_mistaken() -> None:
    @serialization.register("layer")
    class Scaled(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    again = serialization.deserialize("layer", serialization.serialize(Scaled(3.0)))
    np.testing.assert_allclose(again(X), 3 * X)
    with pytest.raises(ValueError, match="taken"):
        serialization.register("layer")(type("Dense", (layers.Layer,), {}))
    with pytest.raises(UnknownNameError, match="did you mean 'Dense'"):
        serialization.get("layer", {"class_name": "Dens", "config": {}})


def test_errors_of_layers_are_nnfast_errors() -> None:
    for call in (lambda: layers.Add()([A]), lambda: layers.Dense(2)(np.zeros(3))):
        with pytest.raises(NnfastError):
            call()


@pytest.mark.parametrize("units", [1, 15, 16, 17, 32])
def test_weights_that_were_taken_stay(units):
    """Whatever the layout: a copy, not a view that goes on with the training."""
    layer = layers.Dense(units)
    layer(np.ones((2, 3), np.float32))
    taken = layer.get_weights()
    before = [array.copy() for array in taken]
    layer.set_weights([array + 1 for array in before])
    assert all(np.array_equal(a, b) for a, b in zip(taken, before, strict=True))
