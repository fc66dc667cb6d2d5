"""Receipts of trainings: `verify` says equal on any number of threads and level, and finds what was changed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from checks import models, ops

import nnfast
from nnfast import callbacks, cli, layers
from nnfast.errors import DataError, ModelFileError, NnfastError
from nnfast.receipt import weights_hash

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((50, 6)).astype(np.float32), RNG.integers(0, 3, 50)
X_VAL, Y_VAL = RNG.standard_normal((20, 6)).astype(np.float32), RNG.integers(0, 3, 20)


def classifier(rate=0.01):
    nnfast.set_random_seed(8)
    model = nnfast.Sequential(
        [
            nnfast.Input((6,)),
            layers.Dense(16, activation="gelu"),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(nnfast.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def run(tmp_path):
    """The receipt of a training with all that a receipt can hold, its data as a file and as arrays."""
    x, y, weight = X.copy(), Y.copy(), np.linspace(0.5, 2, 50)
    classifier().fit(
        x,
        y,
        sample_weight=weight,
        class_weight={0: 1.0, 1: 2.0, 2: 0.5},
        batch_size=8,
        epochs=4,
        validation_data=(X_VAL, Y_VAL),
        validation_freq=2,
        callbacks=[
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7),
            callbacks.ReduceLROnPlateau(monitor="loss", patience=1),
            callbacks.EarlyStopping(monitor="loss", patience=3),
        ],
        verbose=0,
        receipt=tmp_path / "run.json",
    )
    data = {"x": x, "y": y, "sample_weight": weight, "x_val": X_VAL, "y_val": Y_VAL}
    np.savez(tmp_path / "data.npz", **data)
    return tmp_path / "run.json", tmp_path / "data.npz", data


def test_equal_on_any_number_of_threads(run):
    path, _, data = run
    for threads in (1, 2, 5):
        with nnfast.num_threads(threads), ops.everything_divided():
            answer = nnfast.verify(path, data)
        assert answer["equal"] and answer["epochs"] == 4 and answer["difference"] is None, answer


@pytest.mark.parametrize("level", ops.LEVELS)
def test_equal_on_any_level(level, run, capfd):
    path, data, _ = run
    command = [sys.executable, "-m", "nnfast", "verify", "--json", str(path), str(data)]
    done = subprocess.run(
        command, env={**os.environ, "NNFAST_ISA": level}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["equal"] and json.loads(done.stdout)["level"] == level


@pytest.mark.parametrize("name", ["x", "y", "sample_weight", "x_val", "y_val"])
def test_a_changed_value_is_found(name, run):
    path, _, data = run
    changed = data | {name: data[name].copy()}
    changed[name][-1] += 1
    answer = nnfast.verify(path, changed)
    assert not answer["equal"] and answer["data"] == [name] and name in answer["reason"]


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def change_seed(content):
    content["seed"] += 1


def test_a_changed_seed_is_found(run):
    path, _, data = run
    assert "seed differs" in nnfast.verify(edited(path, change_seed), data)["reason"]


def change_hash(content):
    content["epochs"][2]["weights_and_state"] = "0" * 64


def change_rate(content):
    content["epochs"][2]["learning_rate"] = (0.011).hex()


def change_batches(content):
    content["settings"]["batch_size"] = 9


def change_order(content):
    content["settings"]["shuffle"] = False


def change_logs(content):
    content["epochs"][1]["logs"]["val_loss"] = [(0.5).hex()]


@pytest.mark.parametrize(
    ("change", "first"), [(change_hash, 3), (change_rate, 3), (change_batches, 1), (change_order, 1), (change_logs, 2)]
)
def test_the_first_epoch_that_differs(change, first, run):
    path, _, data = run
    answer = nnfast.verify(edited(path, change), data)
    assert not answer["equal"] and answer["epochs"] == first - 1
    assert f"epoch {first} " in answer["reason"] and answer["difference"]["epoch"] == first - 1


def test_weights_that_no_epoch_had_are_found(run):
    def change(content):
        content["final"] = "0" * 64

    answer = nnfast.verify(edited(run[0], change), run[2])
    assert not answer["equal"] and answer["epochs"] == 4 and "final weights" in answer["reason"]


def test_early_stopping_brings_back_an_epoch(tmp_path):
    stopping = callbacks.EarlyStopping(monitor="loss", mode="max", patience=2)  # an early epoch is the best
    model = classifier()
    model.fit(X, Y, epochs=9, callbacks=[stopping], verbose=0, receipt=tmp_path / "run.json")
    content = json.loads((tmp_path / "run.json").read_text())
    epochs = [entry["weights"] for entry in content["epochs"]]
    assert content["final"] == weights_hash(model)
    assert content["final"] in epochs[:-1]
    assert nnfast.verify(tmp_path / "run.json", {"x": X, "y": Y})["equal"]


def test_another_model_at_the_start_is_found(run, tmp_path):
    """One bit of the model in the receipt."""

    def change(content):
        text = content["start"]["file"]
        content["start"]["file"] = text[:-40] + ("A" if text[-40] != "A" else "B") + text[-39:]

    with pytest.raises(ModelFileError, match="damaged"):
        nnfast.verify(edited(run[0], change), run[2])


def test_two_inputs_and_a_part_for_validation(tmp_path):
    model, data, batch = models.two_inputs("float64")
    x, y, _ = models.parts(model, data)
    model.fit(
        x, y, batch_size=batch, epochs=2, validation_split=0.25, shuffle=False, verbose=0, receipt=tmp_path / "r.json"
    )
    arrays = {"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    assert nnfast.verify(tmp_path / "r.json", arrays)["equal"]
    assert nnfast.verify(tmp_path / "r.json", arrays | {"x0": x[1], "x1": x[0]})["data"] == ["x0", "x1"]


def test_a_training_that_goes_on(tmp_path):
    """The second half of a training has the receipt; and what was recorded before a training broke off is checked too."""
    model = classifier()
    model.fit(X, Y, epochs=2, verbose=0)
    model.fit(X, Y, initial_epoch=2, epochs=4, verbose=0, receipt=tmp_path / "half.json")
    answer = nnfast.verify(tmp_path / "half.json", {"x": X, "y": Y})
    assert answer["equal"] and answer["epochs"] == 2


def test_schedules_are_part_of_the_model(tmp_path):
    model = classifier(nnfast.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9))
    model.fit(X, Y, epochs=2, verbose=0, receipt=tmp_path / "run.json")
    assert nnfast.verify(tmp_path / "run.json", {"x": X, "y": Y})["equal"]


def test_what_a_receipt_cannot_hold(tmp_path):
    with pytest.raises(NnfastError, match="LambdaCallback may change the training"):
        classifier().fit(X, Y, callbacks=[callbacks.LambdaCallback()], verbose=0, receipt=tmp_path / "run.json")
    with pytest.raises(DataError, match="works on arrays"):
        classifier().fit(iter([(X, Y)]), verbose=0, receipt=tmp_path / "run.json")
    assert not (tmp_path / "run.json").exists()


def test_command(run, capsys, tmp_path):
    path, data, arrays = run
    assert cli.main(["verify", str(path), str(data)]) == 0
    assert capsys.readouterr().out.startswith("equal: all 4 epochs have the same bits")
    arrays["x"][0, 0] += 1
    np.savez(tmp_path / "other.npz", **arrays)
    assert cli.main(["verify", "--json", str(path), str(tmp_path / "other.npz")]) == 1
    assert json.loads(capsys.readouterr().out)["data"] == ["x"]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1}', '{"format": 99}'])
def test_files_that_are_no_receipts(content, tmp_path, capsys):
    (tmp_path / "run.json").write_text(content)
    np.savez(tmp_path / "data.npz", x=X)
    assert cli.main(["verify", str(tmp_path / "run.json"), str(tmp_path / "data.npz")]) == 1
    assert "receipt" in capsys.readouterr().err


def test_data_that_are_missing(run, tmp_path, capsys):
    path, _, data = run
    with pytest.raises(DataError, match="needs the array 'y'"):
        nnfast.verify(path, {"x": data["x"]})
    (tmp_path / "data.npz").write_text("no zip file")
    for name in ("data.npz", "nothing.npz"):
        assert cli.main(["verify", str(path), str(tmp_path / name)]) == 1
        assert "expected a .npz file" in capsys.readouterr().err
