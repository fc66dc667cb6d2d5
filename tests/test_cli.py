"""The command line: what it prints, what it returns, and that the self-test can fail."""

import json
import sys
import time

import numpy as np
import pytest

import nnfast
from nnfast import cli
from nnfast.cli import baseline, compare, selftest
from nnfast.errors import SettingError
from nnfast.ops.registry import OPS


def run_json(capsys, *arguments):
    assert cli.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"nnfast {nnfast.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    ["", "train", "demo cifar", "demo --epochs 0", "demo --epochs few", "demo --seed -1"],
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments.split())
    assert stopped.value.code == 2
    assert "usage: nnfast" in capsys.readouterr().err


def test_error_is_one_line(monkeypatch, capsys):
    def refuse(_):
        raise SettingError("NNFAST_NUM_THREADS=x: expected an integer")

    monkeypatch.setattr(cli, "_info", refuse)
    assert cli.main(["info"]) == 1
    assert capsys.readouterr().err == "nnfast: NNFAST_NUM_THREADS=x: expected an integer\n"


def test_interrupt(monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_info", stop)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "nnfast: stopped\n"


def test_info(capsys):
    facts = run_json(capsys, "info")
    assert facts["nnfast"] == nnfast.__version__
    assert facts["threads"] >= 1
    assert facts["level"] in [level["name"] for level in facts["levels"] if level["available"]]
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert "in use" in text
    assert "NNFAST_ISA" in text


# Self-test


def test_selftest(capsys):
    begin = time.process_time()
    facts = run_json(capsys, "selftest")
    assert (time.process_time() - begin) / nnfast.get_num_threads() < 10
    assert facts["passed"]
    used = [level for level in facts["levels"] if level["available"]]
    assert used
    for level in used:
        assert level["ops"] == len(OPS)
        assert level["checks"] > level["ops"]


def test_selftest_catches_a_wrong_lane(monkeypatch, capsys):
    right = selftest.run_op

    def wrong(op, arrays, attributes, **options):
        outputs = right(op, arrays, attributes, **options)
        if op.name == "tanh" and outputs[0].size > 16:
            outputs[0].flat[15] = outputs[0].flat[14]
        return outputs

    monkeypatch.setattr(selftest, "run_op", wrong)
    assert cli.main(["selftest"]) == 1
    text = capsys.readouterr().out
    assert "selftest FAILED" in text
    assert "tanh: output 0, element (15,)" in text


def test_selftest_says_why_a_level_is_missing(monkeypatch, capsys):
    levels = [{"name": "avx512", "available": False, "reason": "the CPU has no avx512f"}]
    monkeypatch.setattr(selftest.runtime, "levels", lambda: levels)
    assert cli.main(["selftest"]) == 0
    assert "avx512   not available: the CPU has no avx512f" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arrays", "found", "message"),
    [
        ("square", [[3.0, 4.0]], [[9.0, 16.0]], None),
        ("square", [[3.0, 4.0]], [[9.0, 16.0002]], "element (1,): got 16.0"),
        ("square", [[3.0, 4.0]], [[9.0]], "output 0 is float32[1], expected float32[2]"),
        ("square", [[np.nan, np.inf]], [[np.nan, np.inf]], None),
        ("square", [[np.nan, 1.0]], [[1.0, 1.0]], "element (0,)"),
        ("square", [[1.0]], [[np.nan]], "got nan"),
        ("square", [[1e30]], [[np.inf]], None),
        ("negative", [[1.0]], [[-1.0000001]], "element (0,)"),
        ("add", [[1e8], [-1e8]], [[1.0]], "element (0,)"),
        ("square", [[1.0]], [[1.0], [1.0]], "2 outputs, expected 1"),
    ],
)
def test_compare(name, arrays, found, message):
    inputs = [np.array(array, np.float32) for array in arrays]
    error = compare.disagreement(OPS[name], inputs, {}, [np.array(array, np.float32) for array in found])
    assert error is None if message is None else message in error


def test_compare_wants_the_dtype():
    x = np.ones(2, np.float32)
    error = compare.disagreement(OPS["square"], [x], {}, [np.ones(2)])
    assert error == "square: output 0 is float64[2], expected float32[2]"


# Demo


def test_demo(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = run_json(capsys, "demo", "--epochs", "12", "--seed", "3")
    assert facts["accuracy"] > 0.94
    assert 0.93 < facts["logistic_regression"] < 0.98
    assert facts["step_seconds"]["nnfast"] > 0
    model = nnfast.load_model(facts["model"])
    _, (x, y) = nnfast.datasets.load_digits()
    assert np.mean(model.predict(x, verbose=0).argmax(axis=1) == y) == pytest.approx(facts["accuracy"])
    assert facts["plot"] is None or (tmp_path / facts["plot"]).read_bytes().startswith(b"\x89PNG")


def test_demo_text_without_matplotlib(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["demo", "--epochs", "1", "--output", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    expected = ("accuracy on held-out data", "logistic regression", "same step in NumPy", 'pip install "nnfast[viz]"')
    for words in expected:
        assert words in text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["digits.nnf"]


def test_demo_is_reproducible(tmp_path, capsys):
    accuracies = [run_json(capsys, "demo", "--epochs", "2", "--output", str(tmp_path))["accuracy"] for _ in range(2)]
    assert accuracies[0] == accuracies[1]


def test_baseline_learns():
    (x, y), (x_test, y_test) = nnfast.datasets.load_digits()
    weights = baseline.train(x, y, 10, epochs=20, batch_size=32, seed=1)
    assert baseline.accuracy(x_test, y_test, *weights) > 0.94
