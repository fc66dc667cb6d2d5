"""Masks: made by Masking, handed on by layers, left out by losses and metrics."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, ops


class Marked(layers.Layer):
    """Inputs times mask + 10: shows which mask has arrived."""

    def call(self, inputs, mask=None):
        return inputs if mask is None else inputs * ops.reshape(mask, (*mask.shape, 1)) + 10.0


@pytest.fixture
def batch():
    x = np.random.default_rng(0).standard_normal((6, 5, 3)).astype(np.float32)
    x[:, 3:] = 0.0
    x[0, 1:] = 0.0
    return x, (x != 0).any(-1)


def test_losses_and_metrics_leave_padding_out(batch):
    x, mask = batch
    model = nnfast.Sequential([nnfast.Input((5, 3)), layers.Masking(), layers.Dense(4, "relu"), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    y = np.random.default_rng(1).standard_normal((6, 5, 2)).astype(np.float32)
    error = (model.predict(x) - y)[mask]
    loss, mae = model.evaluate(x, y)
    assert loss == pytest.approx((error**2).mean(), rel=1e-6)
    assert mae == pytest.approx(np.abs(error).mean(), rel=1e-6)


def test_layers_hand_masks_on(batch):
    x, mask = batch
    through = [layers.Dense(3), layers.Activation("tanh"), layers.Dropout(0.5), layers.Identity(), layers.ReLU()]
    through += [
        layers.LayerNormalization(),
        layers.RMSNormalization(),
        layers.BatchNormalization(),
        layers.UnitNormalization(),
    ]
    model = nnfast.Sequential([nnfast.Input((5, 3)), layers.Masking(), *through, Marked()])
    assert (model.predict(x)[~mask] == 10.0).all()
    stopped = nnfast.Sequential(
        [nnfast.Input((5, 3)), layers.Masking(), layers.Flatten(), layers.Reshape((5, 3)), Marked()]
    )
    assert np.array_equal(stopped.predict(x), np.where(mask[..., None], x, 0.0))


def test_a_mask_of_several_inputs(batch):
    x, mask = batch
    a, b = nnfast.Input((5, 3)), nnfast.Input((5, 3))
    both = layers.Add()([layers.Masking()(a), layers.Masking(mask_value=1.0)(b)])
    other = np.ones_like(x)
    other[:, 0] = 2.0
    found = nnfast.Model([a, b], Marked()(both)).predict([x, other])
    counts = mask & (np.arange(5) == 0)
    assert (found[~counts] == 10.0).all()
    assert (found[counts] != 10.0).all()


def test_masks_of_what_is_put_together(batch):
    x, mask = batch
    a, b = nnfast.Input((5, 3)), nnfast.Input((5, 3))
    one, other = layers.Masking()(a), layers.Masking(mask_value=1.0)(b)
    behind = nnfast.Model([a, b], Marked()(layers.Concatenate(axis=1)([one, b])))
    beside = nnfast.Model([a, b], Marked()(layers.Concatenate()([one, other])))
    counts = np.concatenate([mask, np.ones_like(mask)], axis=1)
    assert np.array_equal((behind.predict([x, x]) != 10.0).all(-1), counts & (np.concatenate([x, x], 1) != 0).all(-1))
    assert (beside.predict([x, np.ones_like(x)]) == 10.0).all()


def test_a_mask_that_is_given(batch):
    x, mask = batch
    given = mask.astype(np.float32)
    wanted = x * given[..., None] + 10.0
    assert np.array_equal(Marked()(x, mask=given), wanted)
    a, m = nnfast.Input((5, 3)), nnfast.Input((5,))
    model = nnfast.Model([a, m], [Marked()(a, mask=m), Marked()(a)])
    with_mask, without = model.predict([x, given])
    assert np.array_equal(with_mask, wanted)
    assert np.array_equal(without, x)


def test_masking_needs_features():
    with pytest.raises(nnfast.errors.ShapeError, match="expected \\(batch, time, features\\)"):
        layers.Masking()(nnfast.Input((5,)))


def test_arithmetic_hands_masks_on(batch):
    """x + 1, and sums with what has no mask or another one; what changes axes hands none on."""
    x, mask = batch
    a = layers.Masking()(nnfast.Input((5, 3), name="a"))
    inputs = a.call.inputs
    late = layers.Masking(mask_value=1.0)(inputs - inputs * 1.0 + np.linspace(1, 5, 5)[:, None].astype("float32"))
    found = nnfast.Model(inputs, [Marked()(y) for y in (a + 1.0, a * 2.0 + inputs, a + late, a[:, ::-1])]).predict(x)
    for y in found[:2]:
        assert (y[~mask] == 10.0).all() and (y[mask] != 10.0).all()
    both = mask & (np.arange(5) > 0)
    assert (found[2][~both] == 10.0).all() and (found[2][both] != 10.0).all()
    assert np.array_equal(found[3], np.where(mask[..., None], x, 0.0)[:, ::-1])


@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_leaves_padding_out(batch, keepdims):
    x, mask = batch
    x[:, :, 0] -= 5.0 * mask  # the greatest is below the 0 of padding
    for data_format in ("channels_last", "channels_first"):
        first = data_format == "channels_first"
        for layer, function in ((layers.GlobalAveragePooling1D, np.mean), (layers.GlobalMaxPooling1D, np.max)):
            wanted = np.stack([function(row[counts], axis=0) for row, counts in zip(x, mask, strict=True)])
            wanted = np.expand_dims(wanted, -1 if first else 1) if keepdims else wanted
            given = x.transpose(0, 2, 1) if first else x
            found = layer(data_format, keepdims)(given, mask=mask.astype("float32"))
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    model = nnfast.Sequential([nnfast.Input((5, 3)), layers.Masking(), layers.GlobalAveragePooling1D()])
    np.testing.assert_allclose(model.predict(x), [row[m].mean(0) for row, m in zip(x, mask, strict=True)], rtol=1e-5)
