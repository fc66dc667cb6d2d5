"""Inputs whose sizes are not fixed: each layer equals the one of fixed size to the bit; fit, files, plans and errors of such models."""

import sys
from pathlib import Path

import numpy as np
import pytest

import nnfast
from nnfast import errors, layers, losses, metrics, ops
from nnfast.training import compiled

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
from test_saving_layers import LAYERS, TOKENS

RNG = np.random.default_rng(0)
# The first axis is channels here, or has a weight per place: these need a size.
NEED_SIZE = {"DepthwiseConv2D", "LayerNormalization"}
SEVERAL = {
    name: entry
    for name, entry in LAYERS.items()
    if len(entry[1]) > 1 and name not in {*NEED_SIZE, "AttachMask", "PixelShuffle"}
}


def twins(make, shape, dtype=None):
    """make(symbol) with this shape, and with None in place of its first size, with the same weights."""
    models = []
    for sizes in (shape, (None, *shape[1:])):
        nnfast.set_random_seed(3)
        x = nnfast.Input(sizes, dtype=dtype)
        models.append(nnfast.Model(x, make(x)))
    fixed, free = models
    free.set_weights(fixed.get_weights())
    return fixed, free


def compare(make, shape, data, dtype=None):
    for more in (0, 3):
        sizes = (shape[0] + more, *shape[1:])
        fixed, free = twins(make, sizes, dtype)
        x = data((4, *sizes))
        wanted, found = fixed.predict(x), free.predict(x)
        several = isinstance(wanted, list)
        for a, b in zip(wanted if several else [wanted], found if several else [found], strict=True):
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()
        open_shapes = [met for met, _ in free.output_specs_of([x.shape[1:]])]
        assert [shape[1:] for shape in open_shapes] == [a.shape[1:] for a in (wanted if several else [wanted])]
        for met, shape_of in zip(open_shapes, free.output_shapes, strict=True):
            assert all(n is None or n == m for m, n in zip(met, shape_of, strict=True)), (met, shape_of)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_layer_without_a_fixed_size(name):
    make, shape = SEVERAL[name]
    compare(lambda x: make()(x), shape, lambda shape: RNG.standard_normal(shape).astype("float32"))


@pytest.mark.parametrize("name", TOKENS)
def test_a_layer_of_tokens_without_a_fixed_length(name):
    def make(tokens):
        return TOKENS[name](tokens, layers.Embedding(9, 4)(tokens))

    compare(make, (4,), lambda shape: RNG.integers(0, 9, shape).astype("int32"), "int32")


def tagger(**options):
    nnfast.set_random_seed(5)
    tokens = nnfast.Input((None,), dtype="int32")
    x = layers.Embedding(20, 6, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True, dropout=0.2))(x)
    model = nnfast.Model(tokens, layers.Dense(4)(x))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        "adam", loss, metrics=["accuracy", metrics.SparseCategoricalCrossentropy(from_logits=True)], **options
    )
    return model


def batch(length, rows=8):
    ids = RNG.integers(1, 20, (rows, length))
    return ids, ids % 4


def test_fit_evaluate_predict_and_files(tmp_path):
    batches = [batch(length) for length in (3, 6, 3, 11)]
    model, other = tagger(), tagger()
    history = model.fit(batches, epochs=3, verbose=0).history
    for _ in range(3):
        for x, y in batches:
            other.train_on_batch(x, y)
    assert all((a == b).all() for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    assert history["loss"][-1] < history["loss"][0]
    assert len(model._compiled.steps) == 3  # one per length
    model.save(tmp_path / "tagger.nnf")
    loaded = nnfast.load_model(tmp_path / "tagger.nnf")
    for length in (1, 3, 17):
        x, y = batch(length)
        assert loaded.predict(x).shape == (8, length, 4)
        assert loaded.predict(x).tobytes() == model.predict(x).tobytes()
        assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert loaded.inputs[0].shape == (None, None)
    assert "(None, None, 4)" in capture_summary(model)


def capture_summary(model):
    lines = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def test_sequential_frozen_and_plans():
    model = nnfast.Sequential(
        [
            nnfast.Input((None, 3)),
            layers.Conv1D(4, 3),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    assert model.output_shape == (None, 2)
    again = nnfast.Sequential.from_config(model.get_config())
    assert again.inputs[0].shape == (None, None, 3)
    x = RNG.standard_normal((4, 9, 3)).astype("float32")
    np.testing.assert_allclose(model.freeze().predict(x), model.predict(x), rtol=1e-5, atol=1e-6)
    assert model.plan(4, input_shape=(9, 3)).peak_bytes < model.plan(4, input_shape=(90, 3)).peak_bytes
    assert model.freeze().plan(4, input_shape=(9, 3)).flops > 0
    with pytest.raises(errors.ShapeError, match=r"input_shape=None.*None, 3"):
        model.plan(4)
    with pytest.raises(errors.ShapeError, match=r"input_shape=\(9, 4\)"):
        model.plan(4, input_shape=(9, 4))


def test_plans_are_bounded():
    model = nnfast.Sequential([nnfast.Input((None, 1)), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    for length in range(1, compiled.MOST_PLANS + 9):
        model.train_on_batch(np.ones((2, length, 1)), np.ones((2, 1)))
        model.predict(np.ones((2, length, 1)))
    assert len(model._compiled.steps) == len(model._predict.plans) == compiled.MOST_PLANS


def test_several_sizes_and_images():
    image = nnfast.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.UpSampling2D()(x)
    model = nnfast.Model(image, [x, layers.GlobalAveragePooling2D()(x)])
    assert model.output_shapes == [(None, None, None, 4), (None, 4)]
    for height, width in ((8, 8), (6, 10)):
        whole, mean = model.predict(np.ones((2, height, width, 3), "float32"))
        assert whole.shape == (2, height, width, 4)
        assert mean.shape == (2, 4)


def test_pooling_so_wide_that_small_sizes_all_give_one():
    """64 and less become 1 place; the length of the output is still not taken for fixed."""
    x = nnfast.Input((None, 2))
    model = nnfast.Model(x, layers.MaxPooling1D(100, padding="same")(x))
    assert model.output_shape == (None, None, 2)
    assert model.predict(np.ones((1, 250, 2), "float32")).shape == (1, 3, 2)


def test_arithmetic_and_functions_on_open_symbols():
    x = nnfast.Input((None, 2))
    y = ops.concatenate([x[:, 1:] - x[:, :-1], x[:, :1]], axis=1) * 2.0
    model = nnfast.Model(x, [y, ops.mean(y, axis=1)])
    assert model.output_shapes == [(None, None, 2), (None, 2)]
    data = RNG.standard_normal((3, 6, 2)).astype("float32")
    wanted = np.concatenate([data[:, 1:] - data[:, :-1], data[:, :1]], axis=1) * np.float32(2)
    np.testing.assert_array_equal(model.predict(data)[0], wanted)


WRONG = {
    "features": (lambda m: m.predict(np.ones((2, 5, 7))), r"\[5, 7\].*built for \[None, 3\]"),
    "one sample": (lambda m: m.predict(np.ones((5, 3))), r"batch axis in front"),
    "nothing": (lambda m: m.predict(np.ones((2, 0, 3))), r"\[0, 3\].*built for \[None, 3\]"),
    "too long": (lambda m: m.predict(np.ones((2, 9, 3))), "9 places.*at most sequence_length=8"),
    "targets": (lambda m: m.fit(np.ones((2, 5, 3)), np.ones((2, 4, 3)), verbose=0), r"\(2, 4, 3\).*\(2, 5, 3\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_of_models(name):
    x = nnfast.Input((None, 3))
    model = nnfast.Model(x, x + layers.PositionEmbedding(8)(x))
    model.compile("sgd", "mse")
    use, message = WRONG[name]
    with pytest.raises(errors.ShapeError, match=message):
        use(model)


@pytest.mark.parametrize("name", sorted(NEED_SIZE))
def test_a_layer_of_the_tables_that_needs_a_size(name):
    make, shape = LAYERS[name]
    with pytest.raises(errors.ShapeError, match="known (size|number)"):
        make()(nnfast.Input((None, *shape[1:])))


def test_a_layer_that_needs_a_size_says_so():
    x = nnfast.Input((None, 3))
    with pytest.raises(errors.ShapeError, match="dense.*known number of features"):
        layers.Dense(2)(layers.Flatten()(x))
    with pytest.raises(errors.NnfastError, match=r"Input\(shape=\(None, 0\)\)"):
        nnfast.Input((None, 0))

    class Three(layers.Layer):
        def call(self, inputs):
            return ops.reshape(inputs, (inputs.shape[0], 3, 12))

    with pytest.raises(errors.ShapeError, match=r"three.*no other size: fix it, as in Input\(\(4"):
        Three(name="three")(nnfast.Input((None, 9)))
