"""predict: batches of its own choice, the short way for small arrays, few plans, progress for long work alone."""

import io
import sys

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.training import loop

RNG = np.random.default_rng(4)
X = RNG.standard_normal((1300, 5)).astype(np.float32)


def make():
    nnfast.set_random_seed(1)
    return nnfast.Sequential([nnfast.Input((5,)), layers.Dense(17, activation="tanh"), layers.Dense(3)])


def two_outputs():
    nnfast.set_random_seed(1)
    a, b = nnfast.Input((5,), name="a"), nnfast.Input((2,), name="b")
    hidden = layers.Dense(8)(layers.Concatenate()([a, b]))
    return nnfast.Model([a, b], [hidden, layers.Dense(1)(hidden)])


@pytest.mark.parametrize("rows", [1, 2, 31, 511, 512, 513, 1024, 1300])
def test_any_number_of_rows_has_the_bits_of_single_rows(rows):
    model = make()
    wanted = np.concatenate([model.predict(X[i : i + 1], batch_size=1, verbose=0) for i in range(0, rows, 37)])
    for _ in range(3):
        found = model.predict(X[:rows])
        assert found.shape == (rows, 3)
        assert found[::37].tobytes() == wanted.tobytes()
    assert model.predict(X[:rows], batch_size=32, verbose=0).tobytes() == found.tobytes()


def test_several_inputs_and_outputs():
    model = two_outputs()
    data = [X[:700], X[:700, :2]]
    many, few = model.predict(data), model.predict(data, batch_size=7, verbose=0)
    assert [a.tobytes() for a in many] == [a.tobytes() for a in few]


def test_one_row_is_new_each_time():
    model = make()
    first = [model.predict(X[:1]) for _ in range(3)]
    kept = first[2].copy()
    model.predict(X[1:2])
    assert first[2].tobytes() == kept.tobytes() and not np.shares_memory(first[1], first[2])


@pytest.mark.parametrize("call", ["predict", "predict_on_batch"])
def test_changes_are_seen(call):
    model = make()
    model.compile("sgd", "mse")
    run = getattr(model, call)
    for change in (
        lambda: model.set_weights([w * 2 for w in model.get_weights()]),
        lambda: model.fit(X[:64], X[:64, :3], verbose=0),
        lambda: [v.move_to(nnfast._core.runtime.Memory(4096), 0) for v in model.weights],
        lambda: model.weights[1].assign([1.0, 2.0, 3.0] + [0.0] * 14),
        lambda: model.add(layers.Dense(2)),
    ):
        for _ in range(3):
            run(X[:4])
        change()
        model_again = nnfast.Sequential(
            [nnfast.Input((5,)), *[type(layer)(**_config(layer)) for layer in model.layers]]
        )
        model_again.set_weights(model.get_weights())
        assert run(X[:4]).tobytes() == model_again.predict(X[:4], verbose=0).tobytes()


def _config(layer):
    return {key: value for key, value in layer.get_config().items() if key in ("units", "activation")}


def test_other_arrays_take_the_long_way():
    model = make()
    for _ in range(3):
        wanted = model.predict(X[:4])
    for x in (X[:4].astype(np.float64), X[:4].tolist(), np.asfortranarray(X[:4]), X[:4].view(np.recarray)):
        assert model.predict(x).tobytes() == wanted.tobytes()
    for x in (X[:4, :4], X[0], None, "x"):
        with pytest.raises(nnfast.errors.NnfastError):
            model.predict(x)


def test_few_plans_are_kept():
    model = make()
    for rows in range(1, 60):
        model.predict(X[:rows])
    assert len(model._predict.plans) == model._predict.MOST
    for rows in range(1250, 1300):
        model.predict(X[:rows])
    assert len(model._predict.plans) == model._predict.MOST


def test_progress_of_long_work_alone(monkeypatch):
    model = make()

    def shown(**options):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        model.predict(X, **options)
        return stream.getvalue()

    assert shown() == "" and shown(verbose=0) == ""
    for verbose in (1, 2):
        assert shown(verbose=verbose).startswith("predict - ")
        assert shown(verbose=verbose).count("\n") == 1
    monkeypatch.setattr(loop, "SILENT_SECONDS", 1e-9)
    assert shown().startswith("predict - ")
    with pytest.raises(ValueError, match="verbose=7"):
        model.predict(X[:1], verbose=7)
