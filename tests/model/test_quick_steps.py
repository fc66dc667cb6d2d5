"""train_on_batch and test_on_batch take a short way for batches like earlier ones: the same bits and errors, and nothing stale."""

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.errors import LabelError, NnfastError
from nnfast.training.quick import QuickSteps

RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 6)


class Blocks(nnfast.Model):
    """A model whose layers stand in a list and a dictionary, which may grow."""

    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(8, activation="relu")]
        self.named = {"head": layers.Dense(3)}

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        for block in self.named.values():
            x = block(x)
        return x


def make(kind=None, metrics=(), **options):
    nnfast.set_random_seed(5)
    model = (
        kind()
        if kind
        else nnfast.Sequential(
            [nnfast.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(3)]
        )
    )
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        options.get("optimizer", nnfast.optimizers.Adam(0.01)), options.get("loss", loss), metrics=list(metrics)
    )
    return model


def built(size, units):
    layer = layers.Dense(units)
    layer(np.zeros((1, size), np.float32))
    return layer


def weights(model):
    return [array.tobytes() for array in model.get_weights()]


@pytest.fixture
def taken(monkeypatch):
    """How often the short way was taken."""
    counts = []
    run = QuickSteps.run

    def counted(self, *arguments):
        found = run(self, *arguments)
        counts.append(found is not None)
        return found

    monkeypatch.setattr(QuickSteps, "run", counted)
    return counts


@pytest.fixture
def long_way(monkeypatch):
    """A context in which every batch takes the long way."""

    def off():
        monkeypatch.setattr(QuickSteps, "run", lambda *_: None)

    return off


CHANGES = {
    "nothing": lambda model: None,
    "learning rate": lambda model: setattr(model.optimizer, "learning_rate", 0.5),
    "layer frozen": lambda model: setattr(model.layers[0], "trainable", False),
    "variable frozen": lambda model: setattr(model.layers[0].weights[1], "trainable", False),
    "weights set": lambda model: model.set_weights([w * 2 for w in model.get_weights()]),
    "a fit between": lambda model: model.fit(X[:5], Y[:5], batch_size=2, verbose=0, shuffle=False),
    "an evaluation between": lambda model: model.evaluate(X[:5], Y[:5], batch_size=2, verbose=0),
    "another batch size": lambda model: model.train_on_batch(X[:3], Y[:3]),
    "compiled again": lambda model: model.compile("sgd", nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "weights moved": lambda model: [v.move_to(nnfast._core.runtime.Memory(4096), 0) for v in model.weights],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [None, Blocks])
@pytest.mark.parametrize("metrics", [(), ("accuracy",)])
def test_same_bits_as_the_long_way(change, kind, metrics, taken, long_way):
    def history(model):
        logs = [model.train_on_batch(X, Y) for _ in range(3)]
        CHANGES[change](model)
        logs += [model.train_on_batch(X, Y, return_dict=True) for _ in range(3)]
        return [*logs, model.test_on_batch(X, Y), model.test_on_batch(X, Y)], weights(model)

    quick = history(make(kind, metrics))
    assert sum(taken) >= 5
    long_way()
    assert quick == history(make(kind, metrics))


@pytest.mark.parametrize("where", ["blocks", "named"])
def test_a_layer_added_to_a_container_is_trained(where):
    model = make(Blocks)
    for _ in range(3):
        model.train_on_batch(X, Y)
    if where == "blocks":
        model.blocks.append(built(8, 8))
    else:
        model.named["last"] = built(3, 3)
    model.train_on_batch(X, Y)
    before = weights(model)
    model.train_on_batch(X, Y)
    after = weights(model)
    assert len(after) == 6
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_a_layer_taken_from_a_container_is_not_trained():
    model = make(Blocks)
    model.blocks.append(built(8, 8))
    for _ in range(3):
        model.train_on_batch(X, Y)
    gone = model.blocks.pop()
    before = [w.tobytes() for w in gone.get_weights()]
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    assert [w.tobytes() for w in gone.get_weights()] == before


def test_a_layer_behind_the_others_is_trained():
    model = make()
    for _ in range(2):
        model.train_on_batch(X, Y)
    model.add(layers.Dense(3))
    before = weights(model)
    model.train_on_batch(X, Y)
    assert len(before) == 6 and all(a != b for a, b in zip(before, weights(model), strict=True))


def test_nothing_left_to_train_is_an_error():
    model = make()
    model.train_on_batch(X, Y)
    model.trainable = False
    with pytest.raises(NnfastError, match="no trainable weights"):
        model.train_on_batch(X, Y)
    assert model.test_on_batch(X, Y) == model.test_on_batch(X, Y)


def test_a_schedule_is_followed(taken, long_way):
    def losses():
        rate = nnfast.schedules.ExponentialDecay(0.1, 2, 0.5)
        model = make(optimizer=nnfast.optimizers.SGD(rate))
        return [model.train_on_batch(X, Y) for _ in range(6)]

    quick = losses()
    assert sum(taken) == 5
    long_way()
    assert quick == losses()


def test_threads_are_followed():
    model = make()
    for threads in (1, 2, 1, 2):
        with nnfast.num_threads(threads):
            model.train_on_batch(X, Y)
            model.train_on_batch(X, Y)
    [*calls] = model._compiled.quick.calls["train"]
    assert sorted(call.threads for call, _ in calls) == [1, 2]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32", "float64"])
def test_labels_are_checked_each_time(dtype, taken):
    model = make()
    good = Y.astype(dtype)
    for _ in range(3):
        model.train_on_batch(X, good)
    assert taken == [False, True, True]
    values = [3, -1, 100] if good.dtype.kind != "u" else [3, 255]
    for value in values if good.dtype.kind != "f" else [*values, 0.5, np.nan, np.inf]:
        wrong = good.copy()
        wrong[4] = value
        before = weights(model)
        with pytest.raises(LabelError, match="row 4"):
            model.train_on_batch(X, wrong)
        with pytest.raises(LabelError, match="row 4"):
            model.test_on_batch(X, wrong)
        assert weights(model) == before
    model.train_on_batch(X, good)
    assert taken[-1]


def test_chances_are_checked_each_time():
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(1)])
    model.compile("sgd", nnfast.losses.BinaryCrossentropy(from_logits=True))
    y = np.array([0, 1, 0, 1, 0, 1], np.float32)
    for _ in range(2):
        model.train_on_batch(X, y)
    with pytest.raises(LabelError, match="row 2"):
        model.train_on_batch(X, np.array([0, 1, 2, 1, 0, 1], np.float32))


def test_a_loss_with_a_check_of_its_own_is_asked_each_time():
    class Even(nnfast.losses.SparseCategoricalCrossentropy):
        def check_targets(self, y_true, output_shape):
            if (y_true % 2).any():
                raise LabelError("odd")

    model = make(loss=Even(from_logits=True))
    for _ in range(2):
        model.train_on_batch(X, np.zeros(6, np.int32))
    with pytest.raises(LabelError, match="odd"):
        model.train_on_batch(X, np.ones(6, np.int32))


@pytest.mark.parametrize(
    "x",
    [X[::-1], np.asfortranarray(X), X.astype(np.float64), X.tolist(), X.astype(">f4"), np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(6, 4), X.view(np.recarray)],
    ids=["strided", "columns", "float64", "list", "swapped", "unaligned", "subclass"],
)  # fmt: skip
def test_other_forms_of_the_same_numbers(x):
    expected, model = make(), make()
    expected.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    plain = np.array(X[::-1]) if isinstance(x, np.ndarray) and x.strides[0] < 0 else X
    assert [expected.train_on_batch(plain, Y) for _ in range(2)] == [model.train_on_batch(x, Y) for _ in range(2)]


def test_wrong_shapes_are_errors():
    model = make()
    for _ in range(2):
        model.train_on_batch(X, Y)
    for x, y in ((X[:, :3], Y), (X, Y[:5]), (X[0], Y), (X, Y.reshape(2, 3)), (X, None)):
        with pytest.raises(NnfastError):
            model.train_on_batch(x, y)


def test_integer_targets_that_leave_int32():
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    small, large = np.arange(6), np.arange(6) + 2**40
    for y in (small, small, large, small):
        assert np.isfinite(model.test_on_batch(X, y))
    assert model.test_on_batch(X, large) == model.evaluate(X, large, verbose=0)


def test_a_model_in_use_is_refused(monkeypatch):
    model = make()
    for _ in range(2):
        model.train_on_batch(X, Y)
    with model._alone("fit"), pytest.raises(NnfastError, match="being trained"):
        model.train_on_batch(X, Y)
