"""Callbacks in real trainings: best weights, files, rates, a stop at NaN, and the bits of a watched training."""

import numpy as np

import nnfast
from nnfast import callbacks, optimizers

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X @ np.float32([[1.0], [-2.0], [0.5]])


def compiled(rate: float = 0.05) -> nnfast.Sequential:
    nnfast.set_random_seed(5)
    model = nnfast.Sequential([nnfast.Input((3,)), nnfast.layers.Dense(1)])
    model.compile(optimizer=optimizers.SGD(rate), loss="mse")
    return model


def test_fit_restores_the_best_weights_and_saves_the_best_file(tmp_path) -> None:
    model, path = compiled(rate=0.9), tmp_path / "best.nnf"  # this rate diverges, so that the first epoch is the best
    best = callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    history = model.fit(X, Y, epochs=20, verbose=0, callbacks=[callbacks.EarlyStopping("loss", patience=2), best])
    assert history.history["loss"][0] == min(history.history["loss"])
    assert len(history.epoch) == 3
    np.testing.assert_array_equal(model.get_weights()[0], nnfast.load_model(path).get_weights()[0])


def test_fit_with_rates_and_reports(tmp_path) -> None:
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    history = compiled().fit(
        X, Y, epochs=3, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), log]
    )
    assert history.history["learning_rate"] == [0.025, 0.0125, 0.00625]
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"]


def test_fit_stops_at_nan(capsys) -> None:
    history = compiled(rate=1e20).fit(X, Y, epochs=50, batch_size=10, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert len(history.epoch) <= 2
    assert "training stops" in capsys.readouterr().out


def test_batch_hooks_change_no_bits() -> None:
    seen: list[int] = []
    watched, alone = compiled(), compiled()
    watcher = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    watched.fit(X, Y, epochs=2, verbose=0, callbacks=[watcher])
    alone.fit(X, Y, epochs=2, verbose=0)
    assert seen == [0, 1, 0, 1]
    for a, b in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
