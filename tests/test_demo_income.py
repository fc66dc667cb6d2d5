"""`nnfast demo income`: on a made-up table, and its figures on the real one."""

import json

import numpy as np
import pytest

import nnfast
from nnfast import cli, environment
from nnfast.cli import income


def table(rows, seed):
    """Who is paid depends on the job, on every second age, and on a gain that most do not have."""
    rng = np.random.default_rng(seed)
    columns = {
        "age": rng.integers(20, 40, rows).astype(np.float32),
        "job": rng.choice(["cook", "judge", "smith"], rows),
    }
    columns["capital_gain"] = np.where(rng.random(rows) < 0.1, 5000, 0).astype(np.float32)
    columns["fnlwgt"] = rng.standard_normal(rows).astype(np.float32)
    score = 2.0 * (columns["job"] == "judge") + (columns["age"] % 2) + 2.0 * (columns["capital_gain"] > 0)
    return columns, (score + 0.3 * rng.standard_normal(rows) > 1.5).astype(np.int32)


@pytest.fixture
def made_up(monkeypatch):
    train, (columns, y) = table(2000, 0), table(500, 1)
    columns["job"] = np.where(np.arange(500) < 5, "pilot", columns["job"])  # not seen in training
    monkeypatch.setattr(nnfast.datasets, "load_adult", lambda: (train, (columns, y)))


def test_demo_trains_compares_and_saves(made_up, tmp_path, capsys, monkeypatch):
    arguments = ["demo", "income", "--epochs", "20", "--seed", "1", "--output", str(tmp_path), "--json"]
    facts = []
    for _ in range(2):
        assert cli.main(arguments) == 0
        facts.append(json.loads(capsys.readouterr().out))
        monkeypatch.setattr(income, "baselines", lambda *_: None)  # once is enough
    assert facts[0]["auc"] == facts[1]["auc"] > 0.97
    assert facts[0]["accuracy"] > 0.9
    assert nnfast.load_model(facts[0]["model"]).count_params() > 0
    if facts[0]["baselines"] is not None:
        assert set(facts[0]["baselines"]) == {"logistic_regression", "gradient_boosting"}
        assert facts[0]["baselines"]["gradient_boosting"] > 0.9


def test_demo_without_scikit_learn(made_up, tmp_path, capsys, monkeypatch):
    for name in ("sklearn.ensemble", "sklearn.linear_model"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    assert cli.main(["demo", "income", "--epochs", "1", "--output", str(tmp_path)]) == 0
    assert "nnfast[sklearn]" in capsys.readouterr().out


def test_what_was_not_seen_is_a_kind_of_its_own():
    columns, _ = table(50, 0)
    other, _ = table(20, 1)
    other["job"] = np.full(20, "pilot")
    x, x_test, kinds = income.prepared(columns, other)
    assert kinds["job"] == 4
    assert x["job"].min() == 1
    assert (x_test["job"] == 0).all()
    assert x["numbers"].shape == (50, 3)
    np.testing.assert_allclose(x["numbers"].mean(0), 0, atol=1e-5)


def test_area_under_curve():
    labels = np.array([0, 1, 0, 1, 1])
    assert income.area_under_curve(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), labels) == 5 / 6
    assert income.area_under_curve(np.zeros(5), labels) == 0.5


def test_adult(tmp_path, capsys):
    folder = environment.data_folder()
    if folder is None or not ((folder / "adult.data.gz").exists() or (folder / "adult.data").exists()):
        pytest.skip("NNFAST_DATA names no folder with adult.data")
    assert cli.main(["demo", "income", "--output", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["auc"] > 0.92
