"""LSTM, GRU and SimpleRNN against PyTorch in float64, with the same weights: outputs, states, gradients, loss curves."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, ops

torch = pytest.importorskip("torch")

# PyTorch's gates in our order: LSTM i f g o, GRU r z n -> z r n.
CELLS = {
    "lstm": (layers.LSTM, torch.nn.LSTM, [0, 1, 2, 3]),
    "gru": (layers.GRU, torch.nn.GRU, [1, 0, 2]),
    "simple_rnn": (layers.SimpleRNN, torch.nn.RNN, [0]),
}


def in_our_order(weight, order):
    """Rows (gates * units, n) or (gates * units,) of PyTorch, transposed and in our order of gates."""
    parts = np.split(weight.detach().numpy(), len(order))
    return np.concatenate([parts[i] for i in order]).T


def take_weights(cell, peer, order, suffix=""):
    kernel, recurrent = (in_our_order(getattr(peer, f"weight_{k}_l0{suffix}"), order) for k in ("ih", "hh"))
    biases = [in_our_order(getattr(peer, f"bias_{k}_l0{suffix}"), order) for k in ("ih", "hh")]
    bias = np.stack(biases) if isinstance(cell, layers.GRUCell) else sum(biases)
    cell.kernel.assign(kernel)
    cell.recurrent_kernel.assign(recurrent)
    cell.bias.assign(bias)


def pair(name, units, features, **arguments):
    ours, theirs, order = CELLS[name]
    torch.manual_seed(1)
    peer = theirs(features, units, batch_first=True, dtype=torch.float64)
    layer = ours(units, return_sequences=True, return_state=True, dtype="float64", **arguments)
    layer(np.zeros((1, 1, features)))
    take_weights(layer.cell, peer, order)
    return layer, peer


def batch(rows, time, features):
    return np.random.default_rng(3).standard_normal((rows, time, features))


@pytest.mark.parametrize("units", [5, 16, 33])
@pytest.mark.parametrize("name", CELLS)
def test_outputs_states_and_gradients(name, units):
    """Batches that are divided by rows, and one of few sequences, which is divided by units."""
    layer, peer = pair(name, units, 3)
    count = 2 if name == "lstm" else 1
    for rows in (2, 9):
        x = batch(rows, 6, 3)
        starts = [np.random.default_rng(i).standard_normal((rows, units)) for i in range(count)]
        tx = torch.tensor(x, requires_grad=True)
        ts = [torch.tensor(s[None], requires_grad=True) for s in starts]
        ty, tn = peer(tx, tuple(ts) if count == 2 else ts[0])
        tn = list(tn) if count == 2 else [tn]
        y, *ends = layer(x, initial_state=starts)
        np.testing.assert_allclose(y, ty.detach(), rtol=0, atol=1e-13)
        for end, expected in zip(ends, tn, strict=True):
            np.testing.assert_allclose(end, expected.detach()[0], rtol=0, atol=1e-13)

        (torch.sum(ty * ty) + sum(torch.sum(torch.sin(n)) for n in tn)).backward()

        def loss(x, *states):
            y, *ends = layer(x, initial_state=list(states))
            return ops.sum(y * y) + sum(ops.sum(ops.sin(end)) for end in ends)

        _, found = nnfast.value_and_grad(loss)(x, *starts)
        for gradient, expected in zip(found, [tx, *ts], strict=True):
            grad = expected.grad.numpy()
            np.testing.assert_allclose(
                gradient,
                grad[0] if grad.shape[0] == 1 and rows > 1 else grad.reshape(gradient.shape),
                rtol=1e-11,
                atol=1e-12,
            )
        _, of_weights = nnfast.value_and_grad(lambda a, *s: loss(a, *s), wrt=layer)(x, *starts)
        _, _, order = CELLS[name]
        expected = [in_our_order(peer.weight_ih_l0.grad, order), in_our_order(peer.weight_hh_l0.grad, order)]
        for gradient, wanted in zip(of_weights, expected, strict=False):
            np.testing.assert_allclose(gradient, wanted, rtol=1e-10, atol=1e-11)
        biases = [in_our_order(b.grad, order) for b in (peer.bias_ih_l0, peer.bias_hh_l0)]
        np.testing.assert_allclose(
            of_weights[2], np.stack(biases) if name == "gru" else biases[0], rtol=1e-10, atol=1e-11
        )
        peer.zero_grad()


@pytest.mark.parametrize("name", CELLS)
def test_both_directions(name):
    ours, theirs, order = CELLS[name]
    peer = theirs(4, 6, batch_first=True, bidirectional=True, dtype=torch.float64)
    layer = layers.Bidirectional(ours(6, return_sequences=True), dtype="float64")
    x = batch(5, 7, 4)
    layer(x)
    take_weights(layer.forward_layer.cell, peer, order)
    take_weights(layer.backward_layer.cell, peer, order, "_reverse")
    np.testing.assert_allclose(layer(x), peer(torch.tensor(x))[0].detach(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_packed_sequences_are_masks(name):
    """Sequences of different lengths: PyTorch packs them, we mask the padding; outputs, states and gradients of what counts agree."""
    layer, peer = pair(name, 8, 3)
    x, lengths = batch(4, 6, 3), [6, 2, 4, 1]
    mask = np.array([[float(t < n) for t in range(6)] for n in lengths])
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, batch_first=True, enforce_sorted=False)
    ty, tn = peer(packed)
    ty = torch.nn.utils.rnn.pad_packed_sequence(ty, batch_first=True)[0]
    y, h, *_ = layer(x, mask=mask)
    np.testing.assert_allclose(y * mask[..., None], ty.detach(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(h, (tn[0] if name == "lstm" else tn).detach()[0], rtol=0, atol=1e-13)
    torch.sum(torch.sin(tn[0] if name == "lstm" else tn)).backward()
    _, [_, gradient, _] = nnfast.value_and_grad(lambda a, m: ops.sum(ops.sin(layer(a, mask=m)[1])), wrt=layer)(x, mask)
    np.testing.assert_allclose(gradient, in_our_order(peer.weight_hh_l0.grad, CELLS[name][2]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_loss_curves(name):
    """50 steps of Adam from the same weights on the same batches: losses agree to 1e-8."""
    ours, theirs, order = CELLS[name]
    torch.manual_seed(2)
    peer, head = theirs(3, 12, batch_first=True, dtype=torch.float64), torch.nn.Linear(12, 4, dtype=torch.float64)
    layer, dense = ours(12, dtype="float64"), layers.Dense(4, dtype="float64")
    model = nnfast.Sequential([nnfast.Input((9, 3), dtype="float64"), layer, dense])
    take_weights(layer.cell, peer, order)
    if name != "gru":  # one bias in place of PyTorch's two: let theirs be one, too
        with torch.no_grad():
            peer.bias_ih_l0 += peer.bias_hh_l0
            peer.bias_hh_l0.zero_()
        peer.bias_hh_l0.requires_grad_(False)
    dense.set_weights([head.weight.detach().numpy().T, head.bias.detach().numpy()])
    model.compile(
        nnfast.optimizers.Adam(0.01, epsilon=1e-8), nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    trained = [p for p in (*peer.parameters(), *head.parameters()) if p.requires_grad]
    adam = torch.optim.Adam(trained, 0.01)
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.standard_normal((8, 9, 3)), rng.integers(0, 4, 8)
        adam.zero_grad()
        states = peer(torch.tensor(x))[0]
        loss = torch.nn.functional.cross_entropy(head(states[:, -1]), torch.tensor(y))
        loss.backward()
        adam.step()
        assert model.train_on_batch(x, y) == pytest.approx(loss.item(), rel=1e-8)
