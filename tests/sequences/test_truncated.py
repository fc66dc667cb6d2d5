"""Truncated backpropagation through time: stateful layers over consecutive windows, against PyTorch with detached states; files."""

import numpy as np
import pytest
import torch

import nnfast
from nnfast import callbacks, errors, layers, optimizers
from nnfast.data import ConsecutiveWindows

RNG = np.random.default_rng(0)
SERIES = np.cumsum(RNG.standard_normal((62, 2)), axis=0) * 0.3


def net(kind="LSTM", dtype="float64", rate=0.1, length=5, **options):
    nnfast.set_random_seed(2)
    layer = getattr(layers, kind)(6, return_sequences=True, stateful=True, **options)
    model = nnfast.Sequential([nnfast.Input((length, 2), dtype=dtype), layer, layers.Dense(2)])
    model.compile(optimizers.SGD(rate), "mse")
    return model


def torch_net(model, kind):
    """The same weights in PyTorch."""
    kernel, recurrent, bias, out, out_bias = (torch.tensor(w) for w in model.get_weights())
    cell = getattr(torch.nn, kind)(2, 6, batch_first=True, dtype=torch.float64)
    order = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "RNN": (0,)}[kind]

    def turned(w):
        parts = torch.split(w, 6, dim=-1)
        found = torch.cat([parts[i] for i in order], dim=-1)
        return found.T.contiguous() if found.ndim == 2 else found

    with torch.no_grad():
        cell.weight_ih_l0.copy_(turned(kernel))
        cell.weight_hh_l0.copy_(turned(recurrent))
        both = bias if bias.ndim == 2 else torch.stack([bias, torch.zeros_like(bias)])
        cell.bias_ih_l0.copy_(turned(both[0]))
        cell.bias_hh_l0.copy_(turned(both[1]))
    dense = torch.nn.Linear(6, 2, dtype=torch.float64)
    with torch.no_grad():
        dense.weight.copy_(out.T)
        dense.bias.copy_(out_bias)
    if kind != "GRU":
        cell.bias_hh_l0.requires_grad_(False)  # one bias here, two there
    return cell, dense


@pytest.mark.parametrize(("ours", "theirs"), [("LSTM", "LSTM"), ("GRU", "GRU"), ("SimpleRNN", "RNN")])
def test_as_in_pytorch_with_detached_states(ours, theirs):
    data = ConsecutiveWindows(SERIES, window=5, batch_size=4)
    model = net(ours)
    cell, dense = torch_net(model, theirs)
    history = model.fit(data, epochs=3, verbose=0).history["loss"]
    optimizer = torch.optim.SGD([w for w in (*cell.parameters(), *dense.parameters()) if w.requires_grad], 0.1)
    wanted = []
    for _ in range(3):
        state, found = None, []
        for i in range(len(data)):
            x, y = map(torch.tensor, data[i])
            h, state = cell(x, state)
            loss = ((dense(h) - y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            found.append(float(loss.detach()))
        wanted.append(np.mean(found))
    np.testing.assert_allclose(history, wanted, rtol=1e-10)
    np.testing.assert_allclose(model.get_weights()[3], dense.weight.detach().numpy().T, rtol=1e-9)


def test_windows_cover_the_series_in_order():
    for batch_size, series in ((4, SERIES), (None, SERIES[:60].reshape(4, 15, 2))):
        data = ConsecutiveWindows(series, window=3, batch_size=batch_size)
        x, y = (np.concatenate([data[i][part] for i in range(len(data))], axis=1) for part in (0, 1))
        whole = SERIES[:60].reshape(4, 15, 2) if batch_size else series
        assert np.array_equal(x, whole[:, : x.shape[1]])
        assert np.array_equal(x[:, 1:], y[:, :-1])  # the next step
    labels = np.arange(62) % 3
    given = ConsecutiveWindows(SERIES, labels, window=4, batch_size=5)
    assert (given.length, given[2][1].tolist()[1]) == (3, (np.arange(20, 24) % 3).tolist())
    last = ConsecutiveWindows(SERIES, labels, window=4, batch_size=5, last=True)
    assert last[2][1].tolist() == given[2][1][:, -1].tolist()


def test_epochs_evaluations_and_predictions_begin_with_zeros():
    data = ConsecutiveWindows(SERIES, window=5, batch_size=4)
    model = net(rate=0.0)
    whole = nnfast.Sequential(
        [nnfast.Input((15, 2), dtype="float64"), layers.LSTM(6, return_sequences=True), layers.Dense(2)]
    )
    whole.set_weights(model.get_weights())
    x, y = ConsecutiveWindows(SERIES, window=15, batch_size=4)[0]
    wanted = ((whole.predict(x) - y) ** 2).mean()
    history = model.fit(data, epochs=2, verbose=0, validation_data=data).history
    for losses in history.values():
        np.testing.assert_allclose(losses, [wanted] * 2, rtol=1e-12)
    assert model.evaluate(data, verbose=0) == pytest.approx(wanted, rel=1e-12)
    found = model.predict(data)  # window after window
    np.testing.assert_allclose(np.concatenate(np.split(found, 3), axis=1), whole.predict(x), rtol=1e-12)
    assert model.stateful and not whole.stateful
    assert any(state.storage.any() for state in model.layers[0].kept[4, "float64"])
    model.reset_states()
    assert not any(state.storage.any() for state in model.layers[0].kept[4, "float64"])


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_a_file_of_every_batch_holds_the_states(stop, loaded, tmp_path):
    data = [ConsecutiveWindows(SERIES, window=5, batch_size=4) for _ in range(2)]

    class Save(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.state.iteration == stop:
                self.model.save(tmp_path / "part.nnf")

    def made():
        nnfast.set_random_seed(2)
        inner = layers.Bidirectional(layers.GRU(4, return_sequences=True, stateful=True, recurrent_dropout=0.2))
        model = nnfast.Sequential(
            [nnfast.Input((5, 2)), inner, layers.LSTM(3, return_sequences=True, stateful=True), layers.Dense(2)]
        )
        model.compile("adam", "mse")
        return model

    whole = made()
    whole.fit(data[0], epochs=3, verbose=0, callbacks=[Save()])
    again = nnfast.load_model(tmp_path / "part.nnf") if loaded else made()
    again.fit(data[1], epochs=3, verbose=0, resume_from=tmp_path / "part.nnf")
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_prediction_of_many_rows_keeps_each_row_its_state():
    """More rows than one batch of predict has: the last batch may not begin inside the one before."""
    model = net(dtype="float32", length=1)
    x = RNG.standard_normal((700, 1, 2)).astype("float32")
    model.predict(x)
    model.reset_state()
    first = model.predict(x)
    parts = net(dtype="float32", length=1)
    wanted = np.concatenate([parts.predict_on_batch(x[:512]), parts.predict_on_batch(x[512:])])
    assert first.tobytes() == wanted.tobytes()


def test_a_layer_called_twice_and_initial_states():
    x = RNG.standard_normal((3, 4, 2)).astype("float32")
    layer, alone = layers.GRU(5, stateful=True), layers.GRU(5, stateful=True)
    first, second = nnfast.Input((4, 2)), nnfast.Input((4, 2))
    model = nnfast.Model([first, second], [layer(first), layer(second)])
    alone(x)
    alone.set_weights(layer.get_weights())
    alone.reset_state()
    for _ in range(2):
        for given, found in zip((x, x[::-1]), model.predict([x, x[::-1]]), strict=True):
            np.testing.assert_array_equal(found, alone(given))
    state = nnfast.Input((5,))
    started = nnfast.Model([first, state], layers.GRU(5, stateful=True)(first, initial_state=state))
    ones = np.ones((3, 5), "float32")
    assert np.array_equal(started.predict([x, ones]), started.predict([x, ones]))


WRONG = {
    "window": (lambda: ConsecutiveWindows(SERIES, window=0), "window=0"),
    "long": (lambda: ConsecutiveWindows(SERIES, window=40, batch_size=4), "62 steps in 4 rows make no window of 40"),
    "targets": (lambda: ConsecutiveWindows(SERIES, SERIES[:9]), r"y has the shape \[9, 2\], x \[62, 2\]"),
    "rows": (lambda: ConsecutiveWindows(np.arange(9), batch_size=None), r"expected \(rows, time"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_uses(name):
    with pytest.raises(errors.DataError, match=WRONG[name][1]):
        WRONG[name][0]()
    with pytest.raises(IndexError, match="batch 9 of 3"):
        ConsecutiveWindows(SERIES, window=5, batch_size=4)[9]
