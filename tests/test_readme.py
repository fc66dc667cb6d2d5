"""The README keeps its word: its quick-start runs, its commands and variables are the real ones."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nnfast
from nnfast import cli, environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_quick_start(tmp_path):
    (code,) = blocks("python")
    assert len(code.strip().splitlines()) <= 12
    code += (
        "accuracy = model.evaluate(x_test, y_test, verbose=0)[1]\n"
        "assert accuracy >= 0.95, accuracy\n"
        "loaded = nnfast.load_model('digits.nnf')\n"
        "assert (loaded.predict(x_test, verbose=0) == model.predict(x_test, verbose=0)).all()\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits.nnf").stat().st_size > 1000


def test_commands():
    demo, test = blocks("bash")
    assert demo.strip() == "pip install . && nnfast demo"
    assert test.strip() == 'pip install -e ".[test]" && pytest'
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "test" in project["optional-dependencies"]
    assert project["scripts"]["nnfast"] == "nnfast.cli:main"


@pytest.mark.parametrize("command", ["demo", "info", "selftest", "bench"])
def test_command_line(command):
    assert f"`nnfast {command}" in README
    arguments = cli.make_parser().parse_args([command, "--json"])
    assert arguments.json


def test_environment_variables():
    for name in environment.VARIABLES:
        assert f"`{name}`" in README


def test_folders():
    for name in re.findall(r"^\| `([^|]*?)` \|", README, re.MULTILINE):
        for path in name.split("` `"):
            if path.startswith(("nnfast/", "csrc/", "tests/", "bench/")):
                assert (ROOT / path).exists(), path


def test_eight_stops():
    section = README.split("## One number")[1].split("##")[0]
    stops = re.findall(r"^\| `([^|]*)` \| `([^|]*)` \|", section, re.MULTILINE)
    assert len(stops) == 8
    for name, path in stops:
        source = (ROOT / path).read_text()
        for word in re.findall(r'[\w"]+', name.split("(")[0].split(".")[-1]):
            assert re.search(rf"\b{word}\b", source), f"{word} is not in {path}"


def test_numerics_table(update_golden):
    """The table between the marks is what `nnfast.numerics()` returns; --update-golden writes it."""
    rows = ["| function | worst ULP | at | allowed | inputs |", "|---|---|---|---|---|"]
    for name, row in nnfast.numerics().items():
        inputs = "all" if row["inputs"] == 2**32 else f"{row['inputs']:,}"
        rows.append(f"| {name} | {row['worst_ulp']:.3f} | {row['at']:.7g} | {row['bound']:g} | {inputs} |")
    first, last = "<!-- numerics -->\n", "<!-- /numerics -->"
    begin, end = README.index(first) + len(first), README.index(last)
    table = "\n".join(rows) + "\n"
    if update_golden:
        (ROOT / "README.md").write_text(README[:begin] + table + README[end:])
        return
    assert README[begin:end] == table
