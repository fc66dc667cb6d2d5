"""ConvLSTM layers against a loop in PyTorch, with gradients; masks, states, directions, files."""

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.errors import ShapeError

RNG = np.random.default_rng(0)
LAYERS = {1: layers.ConvLSTM1D, 2: layers.ConvLSTM2D, 3: layers.ConvLSTM3D}


def torch_loop(torch, layer, x, mask=None):
    """All outputs (batch, time, sizes ..., filters) and the last states, channels last, from channels-last inputs."""
    axes = len(x.shape) - 3
    convolve = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}[axes]
    weights = [torch.tensor(w, requires_grad=True) for w in layer.get_weights()]
    order = (axes + 1, axes, *range(axes))
    w, u = (weight.permute(order) for weight in weights[:2])
    same = [k // 2 for k in layer.cell.kernel_size]
    pad = same if layer.cell.padding == "same" else 0
    frames = x.permute(1, 0, axes + 2, *range(2, axes + 2))
    h = c = None
    found = []
    for t in range(len(frames)):
        s = convolve(frames[t], w, weights[2], layer.cell.strides, pad, layer.cell.dilation_rate)
        if h is None:
            h = c = torch.zeros_like(s[:, : s.shape[1] // 4])
        i, f, g, o = (s + convolve(h, u, padding=same)).chunk(4, 1)
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        keep = torch.ones(len(h), dtype=bool) if mask is None else torch.tensor(mask[:, t])
        keep = keep.reshape(-1, *[1] * (axes + 1))
        h, c = torch.where(keep, new_h, h), torch.where(keep, new_c, c)
        found.append(h.permute(0, *range(2, axes + 2), 1))
    return torch.stack(found, 1), [s.permute(0, *range(2, axes + 2), 1) for s in (h, c)], weights


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        (1, {"kernel_size": 3}),
        (1, {"kernel_size": 3, "dilation_rate": 2}),
        (2, {"kernel_size": 3, "padding": "same"}),
        (2, {"kernel_size": (3, 1), "strides": 2}),
        (3, {"kernel_size": 3}),
    ],
)
def test_as_a_loop_in_pytorch(axes, options):
    torch = pytest.importorskip("torch")
    layer = LAYERS[axes](
        3, return_sequences=True, return_state=True, dtype="float64", bias_initializer="normal", **options
    )
    x = RNG.standard_normal((2, 4, *[7, 6, 5][:axes], 2))
    y, h, c = layer(x)
    z = torch.tensor(x, requires_grad=True)
    wanted, states, weights = torch_loop(torch, layer, z)
    for found, expected in zip((y, h, c), (wanted, *states), strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    factor = RNG.standard_normal(y.shape)
    (wanted * torch.tensor(factor)).sum().backward()

    def total(x):
        return nnfast.ops.sum(nnfast.ops.multiply(layer(x)[0], factor))

    _, (dx,) = nnfast.value_and_grad(total)(x)
    np.testing.assert_allclose(dx, z.grad.numpy(), rtol=1e-9, atol=1e-11)
    model = nnfast.Sequential([nnfast.Input(x.shape[1:], dtype="float64"), layer_again(layer)])
    model.compile(nnfast.optimizers.SGD(1.0), lambda y, p: nnfast.ops.sum(nnfast.ops.multiply(y, p)))
    model.layers[-1].set_weights(layer.get_weights())
    model.train_on_batch(x, factor)
    for before, after, weight in zip(layer.get_weights(), model.layers[-1].get_weights(), weights, strict=True):
        np.testing.assert_allclose(before - after, weight.grad.numpy(), rtol=1e-9, atol=1e-10)


def layer_again(layer):
    return type(layer).from_config({**layer.get_config(), "return_state": False})


def test_mask_keeps_output_and_state():
    torch = pytest.importorskip("torch")
    layer = layers.ConvLSTM1D(2, 3, padding="same", return_sequences=True, dtype="float64")
    x = RNG.standard_normal((3, 5, 6, 2))
    mask = RNG.random((3, 5)) < 0.6
    y = layer(x, mask=mask)
    np.testing.assert_allclose(
        y, torch_loop(torch, layer, torch.tensor(x), mask)[0].detach().numpy(), rtol=1e-10, atol=1e-12
    )


def test_backwards_is_the_reversed_sequence():
    x = RNG.standard_normal((2, 4, 5, 5, 1)).astype(np.float32)
    layer = layers.ConvLSTM2D(2, 3, return_sequences=True)
    backwards = layers.ConvLSTM2D(2, 3, return_sequences=True, go_backwards=True)
    expected = layer(x[:, ::-1])
    backwards(x)
    backwards.set_weights(layer.get_weights())
    np.testing.assert_array_equal(backwards(x), expected)
    both = layers.Bidirectional(layers.ConvLSTM2D(2, 3))
    assert both(x).shape == (2, 3, 3, 4)


def test_channels_first_and_states_from_the_caller():
    x = RNG.standard_normal((2, 4, 5, 6, 3)).astype(np.float32)
    last = layers.ConvLSTM2D(2, 3, return_sequences=True, return_state=True)
    first = layers.ConvLSTM2D(2, 3, return_sequences=True, return_state=True, data_format="channels_first")
    moved = np.ascontiguousarray(np.moveaxis(x, -1, 2))
    y, h, _ = last(x)
    first(moved)
    first.set_weights(last.get_weights())
    found, found_h, _ = first(moved)
    np.testing.assert_array_equal(np.moveaxis(found, 2, -1), y)
    np.testing.assert_array_equal(np.moveaxis(found_h, 1, -1), h)
    half, h, c = last(x[:, :2])
    rest, *_ = last(x[:, 2:], initial_state=[h, c])
    np.testing.assert_array_equal(np.concatenate([half, rest], 1), y)


def test_stateful_goes_on_where_it_was():
    x = RNG.standard_normal((2, 4, 5, 1)).astype(np.float32)
    layer = layers.ConvLSTM1D(2, 3, return_sequences=True, stateful=True)
    whole = layer(x)
    layer.reset_state()
    parts = [layer(x[:, :2]), layer(x[:, 2:])]
    np.testing.assert_array_equal(np.concatenate(parts, 1), whole)


@pytest.mark.parametrize("option", ["dropout", "recurrent_dropout"])
def test_dropout_acts_in_training_only(option):
    x, y = RNG.standard_normal((4, 3, 6, 2)).astype(np.float32), np.zeros((4, 6, 2), np.float32)
    found = []
    for rate in (0.5, 0.5, 0.0):
        nnfast.set_random_seed(3)
        model = nnfast.Sequential([nnfast.Input((3, 6, 2)), layers.ConvLSTM1D(2, 1, **{option: rate})])
        model.compile(nnfast.optimizers.SGD(0.0), "mse")
        found.append((model.train_on_batch(x, y), model.evaluate(x, y, verbose=0)))
    assert found[0] == found[1]
    assert found[0][1] == found[2][1] == found[2][0] != found[0][0]


def test_learns_where_a_dot_goes_next():
    """A dot moves by one pixel per frame: the state must know its direction."""
    frames, places = np.zeros((64, 5, 8, 1), np.float32), RNG.integers(0, 8, 64)
    way = RNG.choice([-1, 1], 64)
    for t in range(5):
        frames[np.arange(64), t, (places + t * way) % 8, 0] = 1
    y = (places + 5 * way) % 8
    nnfast.set_random_seed(0)
    model = nnfast.Sequential(
        [nnfast.Input((5, 8, 1)), layers.ConvLSTM1D(8, 3, padding="same"), layers.Flatten(), layers.Dense(8)]
    )
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(frames, y, batch_size=16, epochs=30, verbose=0)
    assert model.evaluate(frames, y, verbose=0)[1] > 0.9


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"ConvLSTM2D\(filters=0\)"):
        layers.ConvLSTM2D(0, 3)
    with pytest.raises(ValueError, match=r"ConvLSTM1D\(kernel_size="):
        layers.ConvLSTM1D(2, (3, 3))
    with pytest.raises(ValueError, match=r"dropout"):
        layers.ConvLSTM1D(2, 3, dropout=1.0)
    with pytest.raises(ShapeError, match="2 sizes"):
        layers.ConvLSTM2D(2, 3)(np.zeros((1, 2, 5, 1), np.float32))
