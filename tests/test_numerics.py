"""The measured figures of the elementwise functions: within their bounds, made again on a sample, with the same hash on every level."""

import json

import numpy as np
import pytest
from checks import ops

from nnfast import cli, numerics
from nnfast._core import runtime
from nnfast.ops.registry import OPS
from nnfast.plan.eager import run_op
from nnfast.precision import measure as measuring
from nnfast.precision import measured
from nnfast.precision.functions import FUNCTIONS, Function
from nnfast.precision.measure import SAMPLE_STRIDE, measure, ulps

NOT_MEASURED = {  # of one operand
    **dict.fromkeys(
        ["linear", "negative", "abs", "sign", "is_nan", "logical_not"], "give or move bits, compared in tests/ops"
    ),
    **dict.fromkeys(["scale", "shift", "clip", "fill"], "one exactly rounded operation with a number"),
}
FAST = [level for level in reversed(ops.LEVELS) if level != "scalar"] or ops.LEVELS


def test_every_function_of_one_operand_is_measured():
    one = {op.function for op in ops.compiled() if op.function and len(op.inputs) == 1}
    assert one - set(NOT_MEASURED) == set(FUNCTIONS) == set(measured()["functions"]) == set(numerics())
    assert set(FUNCTIONS) <= set(runtime.functions())


def test_figures_are_within_the_bounds():
    for name, row in numerics().items():
        assert 0.5 <= row["worst_ulp"] <= row["bound"] <= 2, name
        assert {"avx2", "avx512"} <= set(row["levels"])
    assert numerics()["exp"]["bound"] == 1
    for entry in measured()["functions"].values():
        assert entry["sample"]["worst_ulp"] <= entry.get("all", entry["sample"])["worst_ulp"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_sample_of_each_function(name):
    """Every 255th bit pattern, 16,843,010 inputs, on the fast levels: error and hash are the committed ones."""
    found = measure(name, SAMPLE_STRIDE, FAST, threads=2)
    wanted = measured()["functions"][name]["sample"]
    assert not found.differs
    assert found.inputs == wanted["inputs"] >= 2**24
    assert found.sha256 == wanted["sha256"]
    assert found.worst_ulp <= FUNCTIONS[name].bound


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_scalar_level(name):
    assert not measure(name, 65521, ["scalar", FAST[0]], errors=False).differs


@pytest.mark.parametrize("threads", [1, 3])
def test_the_hash_does_not_depend_on_threads(threads, monkeypatch):
    monkeypatch.setattr(measuring, "PIECE", 2**15)
    assert measure("tanh", 4099, threads=threads) == measure("tanh", 4099, threads=2)


def test_units_in_the_last_place():
    exact = np.array([1.0, 1.5, 2.0**-149, 2.0**127 * 1.5, np.inf, np.nan, 1.0, 2.0**-130])
    found = np.array([1 + 2**-23, 1.5 - 2**-22, 0, np.inf, np.inf, np.nan, np.nan, 2.0**-130], np.float32)
    assert ulps(found, exact).tolist() == [1, 2, 1, 2**22, 0, 0, np.inf, 0]


def test_a_wrong_function_is_noticed(monkeypatch, capsys):
    """A reference that is 2^-21 off; an altered hash."""
    monkeypatch.setitem(FUNCTIONS, "exp", Function(lambda x: np.exp(x) * (1 + 2**-21), 1.0))
    assert measure("exp", 65521).worst_ulp > 3
    wrong = json.loads(json.dumps(measured()))
    wrong["functions"]["floor"]["sample"]["sha256"] = "0" * 64
    monkeypatch.setattr("nnfast.cli.numerics.measured", lambda: wrong)
    assert cli.main(["numerics", "--sample", "--only", "floor", "--levels", FAST[0]]) == 1
    assert "results differ" in capsys.readouterr().out


def test_command(capsys, tmp_path):
    assert cli.main(["numerics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == numerics()
    file = tmp_path / "found.json"
    assert cli.main(["numerics", "--sample", "--only", "relu", "--write", str(file)]) == 0
    assert json.loads(file.read_text())["functions"]["relu"]["sample"]["sha256"] == numerics_of_sample("relu")
    assert cli.main(["numerics", "--only", "cosh"]) == 1
    assert "unknown function 'cosh'" in capsys.readouterr().err


def numerics_of_sample(name):
    return measured()["functions"][name]["sample"]["sha256"]


@pytest.mark.parametrize("level", ops.LEVELS)
@pytest.mark.parametrize(("dtype", "exponents"), [("float32", (15, 128)), ("float64", (35, 1024))])
def test_large_angles(dtype, exponents, level):
    """From where three parts of pi / 2 no longer suffice, to the largest number; each lane by itself; the double nearest to a multiple."""
    rng = np.random.default_rng(3)
    x = (rng.uniform(-2, 2, 20_000) * 2.0 ** (rng.integers(*exponents, 20_000) - 1)).astype(dtype)
    x[::5] = rng.uniform(-4, 4, 4000)
    x[:3] = np.finfo(dtype).max, -np.finfo(dtype).max, 16367173.0 * 2.0**72
    if dtype == "float64":
        x[3] = 6381956970095103 * 2.0**797
    for name in ("sin", "cos"):
        found = run_op(OPS[name], [x], {}, level=level, threads=1)[0]
        exact = getattr(np, name)(x.astype(np.longdouble))  # in double, that of libm is off by 8 ULP at x[3]
        error = np.abs(found - exact) / np.spacing(np.abs(exact).astype(dtype))
        assert error.max() <= 2, (name, x[error.argmax()])
        assert np.isnan(run_op(OPS[name], [x[:1] * np.array([np.inf], dtype)], {}, level=level, threads=1)[0]).all()
