"""Recurrent layers against their own cells, step by step; masks, directions, states, dropout; the same bits however they run."""

import hashlib

import numpy as np
import pytest

import nnfast
from nnfast import layers, ops
from nnfast.errors import ShapeError

KINDS = {
    "simple_rnn": (layers.SimpleRNN, layers.SimpleRNNCell),
    "lstm": (layers.LSTM, layers.LSTMCell),
    "gru": (layers.GRU, layers.GRUCell),
}
X = np.random.default_rng(0).standard_normal((5, 6, 3))
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0.0]])


class ByStep(layers.RNN):
    """RNN that never takes the kernel for whole sequences."""

    def run(self, inputs, mask, training):
        self.cell.sequence = lambda *_: None
        return super().run(inputs, mask, training)


def by_step(layer):
    """The same layer with its cell in the graph, once per time step."""
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
    made = ByStep(
        type(layer.cell).from_config(layer.cell.get_config()), **{n: getattr(layer, n) for n in names}, dtype="float64"
    )
    made(X)
    made.set_weights(layer.get_weights())
    return made


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "mask"])
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
@pytest.mark.parametrize("name", KINDS)
def test_a_sequence_is_its_steps(name, backwards, mask):
    """Outputs, states and gradients of the kernel are those of the cell in the graph."""
    layer = KINDS[name][0](
        7, return_sequences=True, return_state=True, go_backwards=backwards, dtype="float64", bias_initializer="normal"
    )
    layer(X)
    steps = by_step(layer)
    for a, b in zip(layer(X, mask=mask), steps(X, mask=mask), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)

    def loss(of):
        def value(x):
            y, *ends = of(x, mask=None if mask is None else ops.add(MASK, 0.0))
            return ops.sum(y * y * y) + sum(ops.sum(ops.exp(end)) for end in ends)

        return value

    for wrt in (None, "weights"):
        _, found = nnfast.value_and_grad(loss(layer), wrt=wrt and layer)(X)
        _, wanted = nnfast.value_and_grad(loss(steps), wrt=wrt and steps)(X)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_padding_does_not_matter(name):
    """On either side, and whatever stands there: the last output is that of the sequence alone."""
    layer = KINDS[name][0](9, dtype="float64")
    whole = layer(X)
    for before, behind in ((0, 3), (2, 0), (1, 1)):
        padded = np.pad(X, ((0, 0), (before, behind), (0, 0)), constant_values=7.0)
        mask = np.pad(np.ones((5, 6)), ((0, 0), (before, behind)))
        assert np.array_equal(layer(padded, mask=mask), whole)
    x = X.astype(np.float32)
    layer = KINDS[name][0](9)
    model = nnfast.Sequential([nnfast.Input((8, 3)), layers.Masking(7.0), layer])
    padded = np.pad(x, ((0, 0), (0, 2), (0, 0)), constant_values=7.0)
    assert np.array_equal(model.predict(padded), layer(x))
    zeroed = KINDS[name][0](9, return_sequences=True, zero_output_for_mask=True, dtype="float64")
    assert not zeroed(X, mask=MASK)[MASK == 0].any()


@pytest.mark.parametrize("name", KINDS)
def test_directions_and_states(name):
    """Backwards is forward on the turned sequence; two halves are the whole, to the bit."""
    kind = KINDS[name][0]
    layer = kind(8, return_sequences=True, return_state=True)
    x = X.astype(np.float32)
    y, *ends = layer(x)
    back = kind(8, return_sequences=True, go_backwards=True)
    back(x)
    back.set_weights(layer.get_weights())
    assert np.array_equal(back(x[:, ::-1]), y)
    _, *middle = layer(x[:, :2])
    rest, *states = layer(x[:, 2:], initial_state=middle)
    assert np.array_equal(rest, y[:, 2:])
    assert all(np.array_equal(a, b) for a, b in zip(states, ends, strict=True))
    assert np.array_equal(kind(4)(x).shape, (5, 4))


@pytest.mark.parametrize("name", KINDS)
def test_stateful_layers_go_on(name):
    """Batch after batch is one long sequence, in prediction and in training, until the state is reset."""
    kind = KINDS[name][0]
    x = X.astype(np.float32)
    layer, whole = kind(8, stateful=True), kind(8)
    model = nnfast.Sequential([nnfast.Input((2, 3)), layer])
    whole(x)
    whole.set_weights(layer.get_weights())
    for _ in range(2):
        for t in range(0, 6, 2):
            assert np.array_equal(model.predict(x[:, t : t + 2]), whole(x[:, : t + 2]))
        layer.reset_state()
    layer(x[:, :4])
    assert np.array_equal(layer(x[:, 4:]), whole(x))
    layer.reset_state()
    model.compile(nnfast.optimizers.SGD(0.0), "mse")
    y = np.zeros((5, 8))
    losses = [model.train_on_batch(x[:, t : t + 2], y) for t in range(0, 6, 2)]
    assert losses == [pytest.approx((whole(x[:, : t + 2]) ** 2).mean(), rel=1e-6) for t in range(0, 6, 2)]


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_merging_of_both_directions(mode):
    layer = layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode=mode, dtype="float64")
    found = layer(X)
    a = layer.forward_layer(X)
    b = layer.backward_layer(X)[:, ::-1]
    wanted = {"concat": np.concatenate([a, b], -1), "sum": a + b, "mul": a * b, "ave": (a + b) / 2, None: [a, b]}[mode]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15)


def test_states_of_both_directions():
    layer = layers.Bidirectional(layers.LSTM(4, return_state=True), dtype="float64")
    y, *states = layer(X)
    assert [s.shape for s in states] == [(5, 4)] * 4
    again, *_ = layer(X, initial_state=states)
    assert not np.array_equal(y, again)


@pytest.mark.parametrize("name", KINDS)
def test_other_cells(name):
    """Activations without a kernel, reset before the product, stacked cells, no bias: by steps; gradients exist."""
    cell = KINDS[name][1]
    stacked = layers.RNN([cell(4, activation="relu"), cell(3, use_bias=False)], return_state=True)
    y, *states = stacked(X.astype(np.float32))
    assert y.shape == (5, 3) and len(states) == (4 if name == "lstm" else 2)
    if name == "gru":
        before = layers.GRU(4, reset_after=False, dtype="float64")
        h = np.zeros((5, 4))
        for t in range(6):
            h, _ = before.cell(X[:, t], [h]) if before.cell.built else (before(X[:, :1]), None)
        np.testing.assert_allclose(before(X), h, rtol=0, atol=1e-14)
        assert before.cell.bias.shape == (12,)
    model = nnfast.Sequential([nnfast.Input((6, 3)), layers.RNN([cell(4), cell(3)]), layers.Dense(1)])
    model.compile("adam", "mse")
    losses = model.fit(X.astype(np.float32), np.ones((5, 1)), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_dropout_is_one_mask_for_all_steps():
    """With recurrent_dropout the kernel and the steps see the same factors; without training nothing is dropped."""
    layer = layers.LSTM(8, dropout=0.5, recurrent_dropout=0.5, return_sequences=True, dtype="float64")
    plain = layer(X)
    assert np.array_equal(plain, layer(X))
    steps = by_step(layer)
    steps.cell.input_stream, steps.cell.state_stream = layer.cell.input_stream, layer.cell.state_stream
    functions = [nnfast.value_and_grad(lambda x, of=of: ops.sum(ops.square(of(x))), wrt=of) for of in (layer, steps)]
    (value, found), (wanted, expected) = (f(X) for f in functions)
    assert value == pytest.approx(wanted, rel=1e-12)
    assert value != pytest.approx(float((plain**2).sum()), rel=1e-3)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_time_distributed_and_repeat():
    dense = layers.Dense(2, dtype="float64")
    assert np.array_equal(layers.TimeDistributed(dense, dtype="float64")(X), dense(X))
    assert np.array_equal(layers.RepeatVector(3, dtype="float64")(X[:, 0]), np.repeat(X[:, None, 0], 3, axis=1))


@pytest.mark.parametrize("name", KINDS)
def test_predictions_do_not_depend_on_the_batch(name):
    """A row alone, in a batch that is divided by units, and in one that is divided by rows."""
    model = nnfast.Sequential([nnfast.Input((4, 3)), KINDS[name][0](37, return_sequences=True), KINDS[name][0](20)])
    x = np.random.default_rng(1).standard_normal((70, 4, 3)).astype(np.float32)
    whole = model.predict(x)
    for rows in (1, 2, 9, 64):
        assert np.array_equal(model.predict(x[:rows]), whole[:rows])


GOLDEN = {
    "simple_rnn": "72cb3ef01534d0c7",
    "lstm": "d12f760698f0ac90",
    "gru": "1492c70ea7f7275b",
}


@pytest.mark.parametrize("name", KINDS)
def test_bits_of_a_training(name):
    """The weights after 6 steps, on 1 to 3 threads: those of every machine."""
    found = set()
    for threads in (1, 2, 3):
        nnfast.set_random_seed(4)
        with nnfast.num_threads(threads):
            net = [
                layers.Masking(),
                layers.Bidirectional(KINDS[name][0](10, return_sequences=True, recurrent_dropout=0.2)),
                KINDS[name][0](40),
            ]
            model = nnfast.Sequential([nnfast.Input((6, 3)), *net, layers.Dense(2)])
            model.compile("adam", "mse")
            rng = np.random.default_rng(2)
            x, y = rng.standard_normal((12, 6, 3)).astype(np.float32), rng.standard_normal((12, 2)).astype(np.float32)
            x[:4, 4:] = 0.0
            model.fit(x, y, batch_size=6, epochs=3, verbose=0)
            model.fit(x[:2], y[:2], batch_size=2, verbose=0)
        found.add(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()[:16])
    assert found == {GOLDEN[name]}


def test_a_saved_model_is_the_same(tmp_path):
    model = nnfast.Sequential([
        nnfast.Input((6, 3)), layers.Masking(), layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum"),
        layers.TimeDistributed(layers.Dense(5)), layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(2)]), layers.RepeatVector(2), layers.GRU(3),
    ])  # fmt: skip
    x = X.astype(np.float32)
    model.save(tmp_path / "model.nnf")
    assert np.array_equal(nnfast.load_model(tmp_path / "model.nnf").predict(x), model.predict(x))


def test_wrong_use():
    with pytest.raises(ValueError, match=r"LSTMCell\(units=0\): units must be a positive integer"):
        layers.LSTM(0)
    with pytest.raises(ShapeError, match=r"expected \(batch, time, features\)"):
        layers.GRU(3)(nnfast.Input((4,)))
    with pytest.raises(ValueError, match="expected a recurrent layer"):
        layers.Bidirectional(layers.Dense(3))
    with pytest.raises(ValueError, match="merge_mode='cat'"):
        layers.Bidirectional(layers.GRU(3), merge_mode="cat")
    with pytest.raises(ShapeError, match="1 initial states; expected 2"):
        layers.LSTM(3)(X, initial_state=[np.zeros((5, 3))])
    with pytest.raises(ValueError, match="expected a cell"):
        layers.RNN(layers.Dense(3))
    with pytest.raises(ValueError, match="n must be a positive integer"):
        layers.RepeatVector(0)
    with pytest.raises(ValueError, match="recurrent_dropout=1.5"):
        layers.GRU(3, recurrent_dropout=1.5)


def test_a_plan_shows_time_steps_as_one_line():
    model = nnfast.Sequential([nnfast.Input((50, 3)), layers.LSTM(8)])
    assert "lstm, 50 steps" in str(model.plan(batch_size=1))
    assert len(str(model.plan(batch_size=8)).splitlines()) == len(str(model.plan(batch_size=1)).splitlines())
