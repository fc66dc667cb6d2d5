"""Filters and feature maps as pictures."""

import numpy as np
import pytest

import nnfast
from nnfast import applications, explain, layers


def net():
    return nnfast.Sequential(
        [
            nnfast.Input((6, 7, 3)),
            layers.Conv2D(5, 3, activation="relu", name="maps"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def drawn(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_feature_maps_are_what_the_layer_gives():
    model = net()
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 3)).astype("float32")
    wanted = model.layers[0](x)
    np.testing.assert_allclose(explain.feature_maps(model, x, "maps"), wanted, 1e-6)
    assert np.array_equal(explain.feature_maps(model, x), explain.feature_maps(model, x, model.layers[0]))


def test_pictures_of_feature_maps(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model = net()
    x = np.random.default_rng(0).standard_normal((6, 7, 3)).astype("float32")
    found = drawn(explain.draw_feature_maps(model, x, path=tmp_path / "maps.png", most=4))
    assert (tmp_path / "maps.png").stat().st_size > 500
    assert len(found) == 4
    np.testing.assert_allclose(found[3], explain.feature_maps(model, x[None])[0, :, :, 3], 1e-6)


def test_pictures_of_filters(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model = net()
    kernel = model.get_weights()[0]
    found = drawn(explain.draw_filters(model, tmp_path / "filters.png"))
    assert (tmp_path / "filters.png").stat().st_size > 500
    assert len(found) == 5
    assert (found[2].min(), found[2].max()) == (0, 1)
    assert np.argmax(found[2]) == np.argmax(kernel[..., 2])
    grey = drawn(explain.draw_filters(applications.LeNet5()))
    assert [picture.shape for picture in grey] == [(5, 5)] * 6


def test_wrong_use_says_what_is_wrong():
    with pytest.raises(ValueError, match="one image"):
        explain.draw_feature_maps(net(), np.zeros((1, 6, 7, 3), np.float32))
    with pytest.raises(nnfast.errors.GraphError, match="no layer with a kernel"):
        explain.draw_filters(nnfast.Sequential([nnfast.Input((3,)), layers.Dense(2)]))
    with pytest.raises(nnfast.errors.GraphError, match="no layer that gives maps"):
        explain.feature_maps(nnfast.Sequential([nnfast.Input((3,)), layers.Dense(2)]), np.zeros((1, 3), np.float32))
