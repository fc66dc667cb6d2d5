"""The team and the loop of its threads under ThreadSanitizer, and under AddressSanitizer with UndefinedBehaviorSanitizer.

The whole library under the latter two: .ci/sanitize.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or platform.system() != "Linux", reason="sanitizers of gcc on Linux"
)


def build(folder, sanitizers, *sources):
    program = folder / "team"
    flags = [
        "-std=gnu11",
        "-O1",
        "-g",
        f"-fsanitize={sanitizers}",
        "-fno-sanitize-recover=all",
        "-I",
        str(CSRC),
        "-pthread",
    ]
    done = subprocess.run(
        ["gcc", *flags, "-o", str(program), *map(str, sources)], capture_output=True, text=True, check=False
    )
    if done.returncode and "cannot find" in done.stderr:
        pytest.skip(f"gcc without {sanitizers}")
    assert done.returncode == 0, done.stderr
    return program


def run(program, *arguments):
    # its shadow memory does not fit where addresses are too random
    fixed = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
    return subprocess.run([*fixed, program, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("sanitizers", "arguments"), [("thread", ["150"]), ("address,undefined", ["300", "fork"])])
def test_team(tmp_path, sanitizers, arguments):
    program = build(tmp_path, sanitizers, HERE / "team_alone.c", CSRC / "team.c", CSRC / "run.c")
    done = run(program, *arguments)
    assert done.returncode == 0 and done.stdout == "0 wrong\n", done.stdout + done.stderr


def test_a_race_is_found(tmp_path):
    """The same test finds a missing barrier: both steps in one phase."""
    source = tmp_path / "broken.c"
    text = (HERE / "team_alone.c").read_text()
    for right, wrong in (
        ("{{0, 1, MOST, 1}, {1, 2, MOST, PARTS}}", "{{0, 2, MOST, PARTS}}"),
        ("phase_count = 2", "phase_count = 1"),
    ):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    source.write_text(text)
    program = build(tmp_path, "thread", source, CSRC / "team.c", CSRC / "run.c")
    done = run(program, "150")
    assert done.returncode != 0 and "data race" in done.stderr
