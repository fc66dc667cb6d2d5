"""Faults in the middle of a training: whoever raises, the model stays usable and has the bits of its last whole step."""

import numpy as np
import pytest

import nnfast
from nnfast import callbacks, layers, ops

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 4)).astype("float32")
Y = RNG.standard_normal((40, 2)).astype("float32")
SIZE, STEPS = 8, 5


class Fault(Exception):
    """What the pieces below raise."""


def make(metrics=(), extra=()):
    nnfast.set_random_seed(11)
    model = nnfast.Sequential(
        [nnfast.Input((4,)), layers.Dense(8, "tanh"), *extra, layers.Dropout(0.3), layers.Dense(2)]
    )
    model.compile("adam", "mse", metrics=list(metrics))
    return model


def batches(stop=None):
    for i in range(STEPS):
        if i == stop:
            raise Fault
        yield X[i * SIZE : (i + 1) * SIZE], Y[i * SIZE : (i + 1) * SIZE]


def after(steps, metrics=()):
    """Weights after so many steps of a training in which nothing fails."""
    model = make(metrics)
    for i, (x, y) in enumerate(batches()):
        if i < steps:
            model.train_on_batch(x, y)
    return model


def assert_same(model, other):
    assert model.state.iteration == other.state.iteration
    for found, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        assert found.tobytes() == expected.tobytes()


def assert_usable(model, steps):
    """It predicts, and goes on as a model that has never seen a fault."""
    other = after(steps)
    assert_same(model, other)
    assert model.predict(X).tobytes() == other.predict(X).tobytes()
    for one in (model, other):
        one.fit(X, Y, epochs=2, batch_size=16, verbose=0)
        one.train_on_batch(X, Y)
    assert_same(model, other)


@pytest.mark.parametrize("kind", [Fault, KeyboardInterrupt, MemoryError, SystemExit, GeneratorExit])
@pytest.mark.parametrize(
    ("hook", "steps"),
    [
        ("on_train_begin", 0),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 2),
        ("on_train_batch_end", 3),
        ("on_test_begin", 5),
        ("on_test_batch_end", 5),
        ("on_epoch_end", 5),
        ("on_train_end", 5),
    ],
)
def test_callback(hook, steps, kind):
    def fail(*arguments):
        if "batch" not in hook or "test" in hook or arguments[0] == 2:
            raise kind

    failing = type("Failing", (callbacks.Callback,), {hook: lambda self, *arguments: fail(*arguments)})
    model = make()
    with pytest.raises(kind):
        model.fit(
            X, Y, batch_size=SIZE, shuffle=False, validation_data=(X[:8], Y[:8]), verbose=0,
            callbacks=[failing()],
        )  # fmt: skip
    assert_usable(model, steps)


@pytest.mark.parametrize("stop", range(STEPS))
def test_generator(stop):
    model = make()
    with pytest.raises(Fault):
        model.fit(batches(stop), verbose=0)
    assert_usable(model, stop)


@pytest.mark.parametrize("bad", ["shape", "labels", "object", "missing"])
def test_generator_gives_nonsense(bad):
    """The third batch cannot be used: two steps are done, and the error says which argument is wrong."""
    wrong = {
        "shape": (X[:8, :3], Y[:8]),
        "labels": (X[:8], Y[:8, :1]),
        "object": (np.array([[object()] * 4] * 8), Y[:8]),
        "missing": (X[:8],),
    }[bad]

    def some():
        for i, batch in enumerate(batches()):
            yield wrong if i == 2 else batch

    model = make()
    with pytest.raises(nnfast.errors.NnfastError):
        model.fit(some(), verbose=0)
    assert_usable(model, 2)


def test_metric_in_its_trace():
    """A metric that fails does so while the plan is made, before any step."""

    def failing(y, p):
        raise Fault

    model = make([failing])
    with pytest.raises(Fault):
        model.fit(X, Y, verbose=0)
    model.compile("adam", "mse")
    assert_usable(model, 0)


def test_metric_in_the_middle():
    """A metric fails for the shape of the last, smaller batch: the steps before it are done."""

    def failing(y, p):
        if p.shape[0] == 4:
            raise Fault
        return ops.mean(ops.abs(y - p))

    model = make([failing])
    with pytest.raises(Fault):
        model.fit(X[:20], Y[:20], batch_size=SIZE, shuffle=False, verbose=0)
    expected = after(2, [failing])
    assert_same(model, expected)
    assert model.predict(X).tobytes() == expected.predict(X).tobytes()


class Moody(layers.Layer):
    """Fails where it is told to."""

    fails = False

    def call(self, inputs):
        if Moody.fails:
            raise Fault
        return inputs * 1.0


def test_layer(monkeypatch):
    """A layer fails in a trace for another batch size; what was traced before goes on."""
    model = make(extra=[Moody()])
    model.fit(X[:16], Y[:16], batch_size=SIZE, shuffle=False, verbose=0)
    before = model.get_weights()
    monkeypatch.setattr(Moody, "fails", True)
    with pytest.raises(Fault):
        model.fit(X[:13], Y[:13], batch_size=13, verbose=0)
    with pytest.raises(Fault):
        model.predict(X[:13])
    for found, expected in zip(model.get_weights(), before, strict=True):
        assert found.tobytes() == expected.tobytes()
    assert model.state.iteration == 2
    model.train_on_batch(X[:8], Y[:8])
    monkeypatch.setattr(Moody, "fails", False)
    model.fit(X, Y, batch_size=13, verbose=0)


def test_optimizer_state_that_cannot_be_had(monkeypatch):
    """Memory fails between the weights and the slots: the model trains when there is memory again."""
    from nnfast.training import state

    real, calls = state.Memory, []

    def scarce(nbytes):
        calls.append(nbytes)
        if len(calls) > 1:
            raise MemoryError("no")
        return real(nbytes)

    model = make()
    before = [weight.tobytes() for weight in model.get_weights()]
    with monkeypatch.context() as patched, pytest.raises(MemoryError, match=r"training needs [\d,]+ bytes.*kernel"):
        patched.setattr(state, "Memory", scarce)
        model.fit(X, Y, verbose=0)
    assert len(calls) == 2
    assert [weight.tobytes() for weight in model.get_weights()] == before
    assert_usable(model, 0)


def failing_at(count):
    """A function that raises when it is called for the count-th time."""
    calls = []

    def step():
        calls.append(1)
        if len(calls) == count:
            raise Fault

    return step


class Batches:
    """A sequence of batches whose third cannot be read."""

    def __init__(self, stop):
        self.stop = stop

    def __len__(self):
        return STEPS

    def __getitem__(self, i):
        if i == self.stop:
            raise Fault
        if i >= STEPS:
            raise IndexError(i)
        return X[i * SIZE : (i + 1) * SIZE], Y[i * SIZE : (i + 1) * SIZE]


def test_sequence_of_batches():
    model = make()
    with pytest.raises(Fault):
        model.fit(Batches(2), shuffle=False, verbose=0)
    assert_usable(model, 2)


def test_generator_of_validation():
    """The epoch's steps are done, and its validation is not."""

    def some():
        yield X[:8], Y[:8]
        raise Fault

    model = make()
    with pytest.raises(Fault):
        model.fit(X, Y, batch_size=SIZE, shuffle=False, validation_data=some(), verbose=0)
    assert_usable(model, STEPS)


@pytest.mark.parametrize("hook", ["on_predict_begin", "on_predict_batch_end", "on_predict_end"])
def test_callback_of_predict(hook):
    failing = type("Failing", (callbacks.Callback,), {hook: lambda self, *arguments: failing_at(1)()})
    model = make()
    with pytest.raises(Fault):
        model.predict(X, batch_size=SIZE, verbose=0, callbacks=[failing()])
    assert_usable(model, 0)


def test_schedule():
    """A learning-rate schedule of one's own fails at its fourth step: whatever was done, is done wholly."""
    step = failing_at(4)

    class Failing(nnfast.schedules.LearningRateSchedule):
        def __call__(self, iteration):
            step()
            return 0.001

    model = make()
    model.compile(nnfast.optimizers.Adam(Failing()), "mse")
    with pytest.raises(Fault):
        model.fit(X, Y, batch_size=SIZE, shuffle=False, verbose=0)
    done = model.state.iteration
    assert done < STEPS
    expected = after(done)
    for found, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        assert found.tobytes() == wanted.tobytes()


def test_loss():
    """A loss that fails for the last, smaller batch."""

    def failing(y, p):
        if p.shape[0] == 4:
            raise Fault
        return ops.mean(ops.square(y - p))

    model = make()
    model.compile("adam", failing)
    with pytest.raises(Fault):
        model.fit(X[:20], Y[:20], batch_size=SIZE, shuffle=False, verbose=0)
    assert model.state.iteration == 2
    before = [weight.tobytes() for weight in model.get_weights()]
    with pytest.raises(Fault):
        model.train_on_batch(X[:4], Y[:4])
    assert [weight.tobytes() for weight in model.get_weights()] == before
    model.train_on_batch(X[:8], Y[:8])
    assert model.state.iteration == 3


def test_saving(tmp_path):
    """A checkpoint that cannot be written ends the fit after a whole step."""
    model = make()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        model.fit(
            X, Y, batch_size=SIZE, shuffle=False, verbose=0,
            callbacks=[callbacks.ModelCheckpoint(tmp_path / "file" / "model.nnf", save_freq=3)],
        )  # fmt: skip
    assert_usable(model, 3)
