"""`nnfast demo turbofan` on made-up engines, on the real ones in three epochs, and whole with NNFAST_TEST_DEMOS=full."""

import json
import os

import numpy as np
import pytest

import nnfast
from nnfast import cli, environment
from nnfast.cli import turbofan


def engines(count, seed, cut):
    """One sensor falls in the last 60 cycles, one is noise, one takes one value; 3 settings. Test engines end before they fail."""
    rng = np.random.default_rng(seed)
    series, lives = [], []
    for _ in range(count):
        left = np.arange(rng.integers(80, 160) - 1, -1, -1, dtype=np.float32)
        wear = np.maximum(60 - left, 0) / 10
        columns = [*np.zeros((3, len(left))), wear, np.zeros(len(left)), np.ones(len(left))]
        own = np.stack(columns, 1).astype(np.float32)
        own[:, 3:5] += 0.3 * rng.standard_normal((len(left), 2)).astype(np.float32)
        end = len(left) - (rng.integers(5, 60) if cut else 0)
        series.append(own[:end])
        lives.append(np.minimum(left, 125)[:end])
    return series, lives


@pytest.fixture
def made_up(monkeypatch):
    series, lives = engines(10, 1, cut=True)
    test = series, np.array([life[-1] for life in lives])
    monkeypatch.setattr(nnfast.datasets, "load_turbofan", lambda cap: (engines(20, 0, cut=False), test))


def test_demo_trains_compares_and_saves(made_up, tmp_path, capsys, monkeypatch):
    facts = []
    for _ in range(2):
        arguments = ["demo", "turbofan", "--epochs", "8", "--seed", "1", "--output", str(tmp_path), "--json"]
        assert cli.main(arguments) == 0
        facts.append(json.loads(capsys.readouterr().out))
        monkeypatch.setattr(
            turbofan, "baselines", lambda *_: {"ridge": 1.0, "gradient_boosting": None}
        )  # once is enough
    assert facts[0]["rmse"] == facts[1]["rmse"] < facts[0]["mean"] / 3
    assert facts[0]["baselines"]["ridge"] < facts[0]["mean"]
    assert nnfast.load_model(facts[0]["model"]).count_params() > 0
    assert cli.main(["demo", "turbofan", "--epochs", "1", "--output", str(tmp_path)]) == 0
    assert "nnfast[sklearn]" in capsys.readouterr().out


def test_windows_see_no_later_cycle_and_share_memory():
    series = np.arange(250, dtype=np.float32)[:, None] + 1
    windows = turbofan.windows_of(series)
    assert windows.shape == (250, turbofan.WINDOW, 1)
    assert windows.strides[0] == windows.strides[1]
    assert (windows[0] == 1).all()
    np.testing.assert_array_equal(windows[:, -1], series)
    np.testing.assert_array_equal(windows[200, :, 0], np.arange(102, 202))


def test_sensors_are_scaled_by_the_training_engines(made_up):
    (series, _), (test, _) = nnfast.datasets.load_turbofan(125)
    x, x_test = turbofan.prepared(series, test)
    assert x[0].shape[1:] == (turbofan.WINDOW, 2)
    assert len(x_test[0]) == len(x_test[1]) == 10
    np.testing.assert_allclose(x[0][:, -1].mean(0), 0, atol=1e-4)
    assert x_test[1][3, 0] == len(test[3]) / turbofan.AGE


def test_turbofan(tmp_path, capsys):
    folder = environment.data_folder()
    if folder is None or not (folder / "cmapss").exists():
        pytest.skip("NNFAST_DATA names no folder with cmapss/train_FD001.txt")
    assert cli.main(["demo", "turbofan", "--epochs", "3", "--output", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rmse"] < 14.0


@pytest.mark.skipif(os.environ.get("NNFAST_TEST_DEMOS") != "full", reason="NNFAST_TEST_DEMOS=full runs all epochs")
def test_turbofan_whole(tmp_path, capsys):
    assert cli.main(["demo", "turbofan", "--output", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["rmse"] < 13.0
    assert facts["baselines"]["gradient_boosting"] < facts["baselines"]["ridge"] < facts["mean"]
