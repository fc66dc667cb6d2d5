"""Model.freeze: batch normalisation folded into the weights before it; the predictions stay within a few units of rounding."""

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.passes.fold import fold_norms

X = np.random.default_rng(1).standard_normal((50, 6, 5)).astype("float32")


def trained(body, dtype="float32"):
    """A functional model with moving statistics and weights that are not those it began with."""
    nnfast.set_random_seed(5)
    x = nnfast.Input((6, 5), dtype=dtype)
    model = nnfast.Model(x, body(x))
    model.compile(nnfast.optimizers.SGD(0.01), "mse")
    rng = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(np.abs(weight.numpy()) + rng.uniform(0.1, 1.0, weight.shape))
    return model


def norm(**options):
    return layers.BatchNormalization(**options)


def dense_norm(x):
    return layers.Activation("relu")(norm()(layers.Dense(20)(x)))


def several(x):
    y = norm(scale=False)(layers.Dense(7, use_bias=False)(x))
    y = layers.Flatten()(norm(center=False)(layers.Dense(9, "tanh")(layers.Activation("gelu")(y))))
    return norm()(layers.Dense(3)(y))  # the second one follows an activation and stays


def shared(x):
    y = layers.Dense(8)(x)
    return norm()(y) + y  # the product is read twice: it stays


def nested(x):
    return nnfast.Sequential([layers.Dense(8), norm(), layers.ReLU()])(x)


def depthwise(x):
    y = norm()(layers.DepthwiseConv1D(3, depth_multiplier=2, padding="same")(x))
    y = norm()(layers.SeparableConv1D(4, 3, use_bias=False)(layers.ReLU(6.0)(y)))
    return norm()(layers.Conv1D(8, 1, groups=2)(y))


def folds(model):
    """How many normalisations go."""
    frozen = model.freeze()
    frozen.plan(4)
    return len(frozen._predict.folded) // 2


@pytest.mark.parametrize("body, count", [(dense_norm, 1), (several, 2), (shared, 0), (nested, 1), (depthwise, 3)])
def test_predictions_agree(body, count):
    for dtype, tolerance in (("float32", 2e-6), ("float64", 1e-14)):
        model = trained(body, dtype)
        assert folds(model) == count
        wanted = model.predict(X)
        frozen = model.freeze()
        for found in (frozen.predict(X), frozen.predict(X, batch_size=7), frozen(X), frozen.predict_on_batch(X)):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())
        np.testing.assert_array_equal(frozen.predict(X[:1]), frozen.predict(X)[:1])


def test_nothing_to_fold_gives_the_same_bits():
    model = trained(shared)
    np.testing.assert_array_equal(model.freeze().predict(X), model.predict(X))


def test_training_goes_on_without_the_frozen_model():
    model = trained(dense_norm)
    frozen = model.freeze()
    before = frozen.predict(X)
    model.fit(X, np.zeros((50, 6, 20), "float32"), verbose=0)
    assert not np.array_equal(model.predict(X), before)
    np.testing.assert_array_equal(frozen.predict(X), before)
    np.testing.assert_array_equal(frozen.predict(X, batch_size=9), before)


def test_the_plan_has_no_trace_of_the_normalisation():
    model = trained(dense_norm)
    assert "multiply" in str(model.plan(4, "predict"))
    text = str(model.freeze().plan(4))
    assert "linear + add" in text and "multiply" not in text and "rsqrt" not in text


def test_the_reference_agrees_before_and_after_the_pass():
    from nnfast import passes, reference
    from nnfast.training.step import Signature, predict_graph

    model = trained(several, "float64")
    graph = passes.run(predict_graph(model, Signature(4, (((6, 5), "float64"),))), forward=True)
    new = fold_norms(graph, lambda array, like: like.graph.constant(array, like.dtype))
    x = X[:4].astype("float64")
    np.testing.assert_allclose(reference.run(new, [x])[0][0], reference.run(graph, [x])[0][0], rtol=1e-12)
    assert len(new.nodes) < len(graph.nodes)


def test_what_a_frozen_model_cannot_do():
    with pytest.raises(nnfast.errors.NnfastError, match="give it an Input"):
        nnfast.Sequential([layers.Dense(1)]).freeze()
    frozen = trained(dense_norm).freeze()
    with pytest.raises(AttributeError, match="no 'fit'; it is for inference"):
        frozen.fit(X)
    assert "FrozenModel" in repr(frozen)


@pytest.mark.parametrize("body", [several, nested])
def test_a_saved_frozen_model_predicts_the_same(body, tmp_path):
    """With the weights that it was frozen with, whatever became of the model."""
    model = trained(body)
    frozen = model.freeze()
    for weight in model.weights:
        weight.assign(weight.numpy() * 0.5)
    frozen.save(tmp_path / "frozen.nnf")
    read = nnfast.load_model(tmp_path / "frozen.nnf")
    assert isinstance(read, type(frozen))
    assert read.predict(X).tobytes() == frozen.predict(X).tobytes()
    assert not np.allclose(model.freeze().predict(X), frozen.predict(X))
    model.load_weights(tmp_path / "frozen.nnf")
    np.testing.assert_array_equal(model.freeze().predict(X), frozen.predict(X))
