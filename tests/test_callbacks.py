"""Callbacks and history on a stand-in for the model, so that each figure is in the test's hands."""

import math

import numpy as np
import pytest

from nnfast import callbacks, metrics, optimizers, schedules


class Model:
    """What callbacks use of a model."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = optimizers.SGD(1.0)
        self.weights = [np.zeros(1)]
        self.metrics: list[metrics.Metric] = []
        self.saved: list[str] = []

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]

    def save(self, path):
        self.saved.append(path)
        with open(path, "w") as file:
            file.write("model")

    save_weights = save


def train(callback, figures, name="val_loss", model=None, start=0, state=None):
    """Run epochs with these figures, from a state where one is given; weights become the number of the epoch. Returns the model and how
    many epochs ran."""
    model = model or Model()
    calls = callbacks.CallbackList([callback], model=model, epochs=len(figures))
    calls.on_train_begin()
    if state is not None:
        callback.load_state_dict(state)
    done = start
    for epoch, value in enumerate(figures[start:], start):
        calls.on_epoch_begin(epoch)
        model.weights = [np.full(1, float(epoch))]
        logs = value if isinstance(value, dict) else {name: value}
        calls.on_epoch_end(epoch, logs)
        done = epoch + 1
        if model.stop_training:
            break
    calls.on_train_end()
    return model, done


# EarlyStopping


@pytest.mark.parametrize(
    ("options", "figures", "epochs", "best"),
    [
        ({"patience": 0}, [3, 2, 1], 3, 2),
        ({"patience": 0}, [3, 2, 2.5, 1], 3, 1),
        ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 4, 1),
        ({"patience": 3}, [3, 2, 2.5, 2.4, 1], 5, 4),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.6, 2.4], 2, 0),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.4, 2.0], 3, 1),
        ({"patience": 2, "baseline": 1.0}, [3, 2, 1.5, 1.2, 1.1], 5, 4),
        ({"patience": 1, "baseline": 1.0}, [3, 2, 2.5], 3, 1),
        ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 4, 5], 4, 2),
        ({"patience": 1}, [math.nan, 3, 2, math.nan], 4, 2),
        ({"patience": 0}, [5, 5], 2, 0),
    ],
)
def test_early_stopping(options, figures, epochs: int, best: int) -> None:
    model, done = train(callbacks.EarlyStopping(**options), figures)
    assert done == epochs
    assert model.weights[0][0] == best


def test_early_stopping_may_keep_the_last_weights() -> None:
    model, _ = train(callbacks.EarlyStopping(restore_best_weights=False), [1, 2])
    assert model.weights[0][0] == 1


@pytest.mark.parametrize(("name", "mode"), [("val_accuracy", "auto"), ("score", "max"), ("val_auc", "auto")])
def test_early_stopping_upwards(name: str, mode: str) -> None:
    model, done = train(callbacks.EarlyStopping(name, mode=mode), [0.5, 0.7, 0.6], name)
    assert (done, model.weights[0][0]) == (3, 1)


def test_early_stopping_asks_the_models_metric() -> None:
    class Score(metrics.Metric):
        direction = "up"

    model = Model()
    model.metrics = [Score(name="strange")]
    _, done = train(callbacks.EarlyStopping("val_strange"), [0.5, 0.7, 0.6], "val_strange", model)
    assert done == 3
    with pytest.raises(ValueError, match="mode='max'"):
        train(callbacks.EarlyStopping("val_unknown"), [0.5, 0.7], "val_unknown")


def test_a_missing_figure_warns_once_and_names_what_is_there() -> None:
    with pytest.warns(UserWarning, match=r"monitor='val_loss'.*known: loss.*validation_data") as caught:
        _, done = train(callbacks.EarlyStopping(), [1.0, 2.0, 3.0], "loss")
    assert (done, len(caught)) == (3, 1)


def test_early_stopping_resumed_equals_the_one_that_ran_through() -> None:
    figures = [3, 2, 2.5, 2.4, 2.3, 1]
    through, done = train(callbacks.EarlyStopping(patience=3), figures)
    first = callbacks.EarlyStopping(patience=3)
    train(first, figures[:3])
    second = callbacks.EarlyStopping(patience=3)
    resumed, done_again = train(second, figures, start=3, state=first.state_dict())
    assert done == done_again == 5
    assert resumed.weights[0][0] == through.weights[0][0] == 1


def test_training_again_starts_anew() -> None:
    callback = callbacks.EarlyStopping(patience=1)
    train(callback, [1, 2])
    model, done = train(callback, [5, 4, 3])
    assert (done, model.weights[0][0]) == (3, 2)


def test_early_stopping_says_so(capsys) -> None:
    train(callbacks.EarlyStopping(verbose=1), [1, 2])
    assert capsys.readouterr().out == "Epoch 2: early stopping\nRestoring the weights of epoch 1, val_loss 1\n"


# TerminateOnNaN


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float32("nan")])
def test_terminate_on_nan(bad, capsys) -> None:
    callback, model = callbacks.TerminateOnNaN(), Model()
    callback.set_model(model)
    callback.on_train_batch_end(0, {"loss": 1.0})
    assert not model.stop_training
    callback.on_train_batch_end(1, {"loss": bad})
    assert model.stop_training
    assert "Batch 1" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="learning rate"):
        callbacks.TerminateOnNaN(raises=True).on_train_batch_end(0, {"loss": bad})


# ModelCheckpoint


def test_checkpoint_every_epoch(tmp_path) -> None:
    pattern = str(tmp_path / "new" / "m-{epoch:02d}-{val_loss:.1f}.nnf")
    train(callbacks.ModelCheckpoint(pattern), [3.0, np.float32(2.5)])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["m-01-3.0.nnf", "m-02-2.5.nnf"]


def test_checkpoint_of_the_best_only(tmp_path) -> None:
    model, _ = train(callbacks.ModelCheckpoint(tmp_path / "{epoch}.nnf", save_best_only=True), [3.0, 4.0, 2.0, 2.0])
    assert [path.rsplit("/", 1)[-1] for path in model.saved] == ["1.nnf", "3.nnf"]
    callback = callbacks.ModelCheckpoint(tmp_path / "x.nnf", save_best_only=True, initial_value_threshold=1.0)
    assert train(callback, [3.0, 2.0])[0].saved == []


def test_checkpoint_keeps_the_last_files(tmp_path) -> None:
    train(callbacks.ModelCheckpoint(tmp_path / "{epoch}.nnf", keep=2), [1.0, 2.0, 3.0, 4.0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.nnf", "4.nnf"]
    train(callbacks.ModelCheckpoint(tmp_path / "same.nnf", keep=1), [1.0, 2.0])
    assert (tmp_path / "same.nnf").exists()


def test_checkpoint_every_few_batches(tmp_path) -> None:
    callback, model = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.nnf", save_freq=3), Model()
    calls = callbacks.CallbackList([callback], model=model)
    for epoch in range(2):
        calls.on_epoch_begin(epoch)
        for batch in range(4):
            calls.on_batches_end(batch, 1, {"loss": 1.0})
        calls.on_epoch_end(epoch, {"loss": 1.0})
    assert [path.rsplit("/", 1)[-1] for path in model.saved] == ["1-3.nnf", "2-2.nnf"]
    assert not calls.needs_batches and calls.needs_runs and calls.most_batches() == 1


def test_checkpoint_names_a_figure_that_is_not_there(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"cannot fill in 'acc'; known: epoch, val_loss"):
        train(callbacks.ModelCheckpoint(tmp_path / "{acc}.nnf"), [1.0])


def test_checkpoint_resumed_knows_the_best(tmp_path) -> None:
    first = callbacks.ModelCheckpoint(tmp_path / "{epoch}.nnf", save_best_only=True)
    train(first, [1.0])
    second = callbacks.ModelCheckpoint(tmp_path / "{epoch}.nnf", save_best_only=True)
    assert train(second, [1.0, 2.0], start=1, state=first.state_dict())[0].saved == []


# Learning rates


def test_learning_rate_scheduler_with_one_and_two_arguments() -> None:
    for schedule in (lambda epoch, rate: rate * 0.5, lambda epoch: 0.5 ** (epoch + 1)):
        logs: list[dict] = [{"loss": 1.0}, {"loss": 1.0}]
        model, _ = train(callbacks.LearningRateScheduler(schedule), logs)
        assert model.optimizer.learning_rate == 0.25
        assert [log["learning_rate"] for log in logs] == [0.5, 0.25]
    with pytest.raises(TypeError, match="returned None for epoch 0"):
        train(callbacks.LearningRateScheduler(lambda epoch: None), [1.0])
    with pytest.raises(TypeError, match="schedule=0.1"):
        callbacks.LearningRateScheduler(0.1)


def test_callbacks_and_schedules_do_not_mix() -> None:
    model = Model()
    model.optimizer = optimizers.SGD(schedules.CosineDecay(0.1, 10))
    with pytest.raises(TypeError, match="in place of the schedule"):
        train(callbacks.LearningRateScheduler(lambda epoch: 0.1), [1.0], model=model)
    with pytest.raises(TypeError, match="in place of the schedule"):
        train(callbacks.ReduceLROnPlateau(), [1.0], model=model)


@pytest.mark.parametrize(
    ("options", "figures", "rates"),
    [
        ({"patience": 1}, [3, 3, 3], [1.0, 0.5, 0.25]),
        ({"patience": 2}, [3, 3, 3, 3, 3], [1.0, 1.0, 0.5, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3], [1.0, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "min_lr": 0.4}, [3, 3, 3, 3], [1.0, 0.5, 0.4, 0.4]),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.6, 2.4], [1.0, 0.5, 0.5]),
        ({"patience": 1}, [3, 2, 1], [1.0, 1.0, 1.0]),
    ],
)
def test_reduce_on_plateau(options, figures, rates) -> None:
    model, seen = Model(), []
    callback = callbacks.ReduceLROnPlateau(factor=0.5, **options)
    calls = callbacks.CallbackList([callback], model=model)
    calls.on_train_begin()
    for epoch, value in enumerate(figures):
        logs = {"val_loss": value}
        before = model.optimizer.learning_rate
        calls.on_epoch_end(epoch, logs)
        assert logs["learning_rate"] == before
        seen.append(model.optimizer.learning_rate)
    assert seen == rates


def test_reduce_on_plateau_resumes() -> None:
    first = callbacks.ReduceLROnPlateau(factor=0.5, patience=2)
    model, _ = train(first, [3, 3])
    second = callbacks.ReduceLROnPlateau(factor=0.5, patience=2)
    train(second, [3, 3, 3], model=model, start=2, state=first.state_dict())
    assert model.optimizer.learning_rate == 0.5


# Reports


def test_csv_logger(tmp_path) -> None:
    path = tmp_path / "log.csv"
    train(callbacks.CSVLogger(path), [{"loss": 1.5, "f1": np.array([0.5, 1.0])}, {"loss": np.float64(1.25)}])
    assert path.read_text() == 'epoch,loss,f1\n0,1.5,"[0.5, 1.0]"\n1,1.25,NA\n'
    train(callbacks.CSVLogger(path, append=True), [{"f1": 2.0, "loss": 1.0, "new": 7}])
    assert path.read_text().splitlines()[-1] == "0,1.0,2.0"
    train(callbacks.CSVLogger(path, separator=";"), [{"loss": 1.0}])
    assert path.read_text() == "epoch;loss\n0;1.0\n"


def test_lambda_callback() -> None:
    seen = []
    callback = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)), on_test_begin=lambda logs: seen.append("test")
    )
    train(callback, [{"loss": 1.0}])
    callback.on_test_begin({})
    assert seen == [(0, {"loss": 1.0}), "test"]
    assert not callback.needs_batches
    assert callbacks.LambdaCallback(on_train_batch_end=print).needs_batches
    assert callbacks.LambdaCallback(on_test_batch_end=print).needs_batches_of("test")
    with pytest.raises(TypeError, match="on_epoch_finish"):
        callbacks.LambdaCallback(on_epoch_finish=print)


def test_needs_batches_follows_the_hooks() -> None:
    class Old(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    class Tests(callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            pass

    assert Old().needs_batches
    assert not Tests().needs_batches
    assert Tests().needs_batches_of("test")
    assert not Tests().needs_batches_of("predict")
    quiet = [callbacks.EarlyStopping(), callbacks.CSVLogger("x"), callbacks.History(), callbacks.ReduceLROnPlateau()]
    assert not callbacks.CallbackList(quiet).needs_batches
    assert callbacks.CallbackList([*quiet, callbacks.TerminateOnNaN()]).needs_batches


def test_the_list_takes_one_callback_and_refuses_others() -> None:
    assert len(callbacks.CallbackList(callbacks.History()).callbacks) == 1
    with pytest.raises(TypeError, match="with brackets"):
        callbacks.CallbackList([callbacks.History])
    with pytest.raises(TypeError, match="not a Callback"):
        callbacks.CallbackList([3])


def test_the_list_saves_and_loads_states_in_order() -> None:
    first = callbacks.CallbackList([callbacks.EarlyStopping(), callbacks.History(), callbacks.EarlyStopping()])
    for number, callback in enumerate(first.callbacks):
        callback.wait = number
    second = callbacks.CallbackList([callbacks.History(), callbacks.EarlyStopping(), callbacks.EarlyStopping()])
    second.load_state_dict(first.state_dict())
    assert [callback.wait for callback in second.callbacks[1:]] == [0, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.EarlyStopping(mode="up"),
        lambda: callbacks.EarlyStopping(patience=-1),
        lambda: callbacks.ModelCheckpoint("x", save_freq="batch"),
        lambda: callbacks.ModelCheckpoint("x", save_freq=0),
        lambda: callbacks.ModelCheckpoint("x", keep=0),
        lambda: callbacks.ModelCheckpoint("x", save_seconds=0),
        lambda: callbacks.BackupAndRestore("x", save_freq=10, save_seconds=5.0),
        lambda: callbacks.BackupAndRestore(""),
        lambda: callbacks.ReduceLROnPlateau(factor=1.0),
    ],
)
def test_wrong_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"\(.*=.*\)"):
        make()


# History


def test_history() -> None:
    history = callbacks.History()
    model, _ = train(history, [{"loss": 2.0}, {"loss": 1.0, "val_loss": 3.0}])
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}
    assert model.history is history


def test_history_plot(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    history = callbacks.History()
    with pytest.raises(ValueError, match="call fit first"):
        history.plot()
    train(history, [{"loss": 2.0, "acc": 0.1}, {"loss": 1.0, "acc": 0.2, "val_loss": 3.0}])
    figure = history.plot(tmp_path / "h.png")
    assert (tmp_path / "h.png").stat().st_size > 1000
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "acc"]
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[1, 2], [2]]
    assert len(history.plot(metrics=["acc"]).axes) == 1
    with pytest.raises(ValueError, match="no figure 'auc'; known: loss, acc"):
        history.plot(metrics=["auc"])
