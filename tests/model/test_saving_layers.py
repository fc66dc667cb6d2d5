"""Every layer in a model file: the loaded model predicts and trains as the saved one."""

import numpy as np
import pytest
from checks.random_layers import MIXING, RANDOM
from checks.spatial_layers import SPATIAL

import nnfast
from nnfast import layers, ops, serialization

X = np.random.default_rng(0).standard_normal((48, 4)).astype("float32")


def cube(x):
    return x * x * x


def functional():
    x = nnfast.Input((4,))
    return nnfast.Model(x, layers.Concatenate()([layers.Dense(3)(x), ops.mean(x, axis=-1, keepdims=True)]))


# every class of the registry
LAYERS = {
    "Dense": (lambda: layers.Dense(3, "relu", kernel_regularizer="l2", activity_regularizer="l1"), (4,)),
    "Activation": (lambda: layers.Activation("gelu"), (4,)),
    "ReLU": (lambda: layers.ReLU(max_value=1.0, negative_slope=0.1), (4,)),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.2), (4,)),
    "PReLU": (lambda: layers.PReLU("ones"), (4,)),
    "ELU": (lambda: layers.ELU(0.5), (4,)),
    "Softmax": (lambda: layers.Softmax(), (4,)),
    "Dropout": (lambda: layers.Dropout(0.3, noise_shape=(None, 1)), (4,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.2), (4,)),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(l2=0.1), (4,)),
    "Flatten": (lambda: layers.Flatten(), (2, 2)),
    "Reshape": (lambda: layers.Reshape((2, -1)), (4,)),
    "Permute": (lambda: layers.Permute((2, 1)), (2, 2)),
    "Identity": (lambda: layers.Identity(), (4,)),
    "Normalization": (lambda: layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 9, 16]), (4,)),
    "Rescaling": (lambda: layers.Rescaling(0.5, [1.0, 2, 3, 4]), (4,)),
    "Lambda": (lambda: layers.Lambda(cube), (4,)),
    "OpLayer": (lambda: layers.Identity(), (4,)),
    "Sequential": (lambda: nnfast.Sequential([layers.Dense(3)]), (4,)),
    "Model": (functional, (4,)),
    **RANDOM,
    "Masking": (lambda: layers.Masking(), (2, 2)),
    **SPATIAL,
}
MERGING = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


def test_every_layer_is_here():
    known = {
        name
        for name in serialization.known_names("layer")
        if serialization.lookup("layer", name).__module__.startswith("nnfast.")
    }
    assert known - set(MERGING) - MIXING == set(LAYERS)


def check_round_trip(model, x, tmp_path):
    model.compile("adam", "mse")
    y = np.zeros((len(X), *model.output_shape[1:]))
    if model.trainable_weights:
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf", custom_objects={"cube": cube})
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    if model.trainable_weights:
        assert loaded.fit(x, y, verbose=0).history == model.fit(x, y, verbose=0).history


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_a_file(name, tmp_path):
    make, shape = LAYERS[name]
    x, layer = nnfast.Input(shape), make()
    y = layer(x)
    if y.shape == x.shape:
        y = layer(1.0 - y)  # shared
    check_round_trip(nnfast.Model(x, y), X.reshape(-1, *shape), tmp_path)


@pytest.mark.parametrize("name", MERGING)
def test_merging_layers_in_a_file(name, tmp_path):
    x = nnfast.Input((4,))
    check_round_trip(nnfast.Model(x, getattr(layers, name)()([layers.Dense(4)(x), x])), X, tmp_path)
