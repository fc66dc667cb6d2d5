"""Speed that does not depend on the machine's mood: instructions counted by callgrind, and ratios inside one run.

golden/instructions.json holds the counts of level avx2 on one thread, from gcc 12. Another compiler may need some more; a kernel that
takes half as many again fails. A change on purpose: pytest tests/test_instructions.py --update-golden.
"""

import json
import os
import re
import shutil
import statistics
import sys
from pathlib import Path

import pytest
from checks import beside, patience
from checks.instructions import CASES

from nnfast._core import runtime
from nnfast.benchmark import limits
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import nnfast as own
from nnfast.benchmark.timing import count_for, sample

GOLDEN = Path(__file__).parent / "golden" / "instructions.json"
MOST = 1.25  # times the instructions in the golden file
LEAST = 0.67  # fewer: good, and the golden file wants to know


def missing():
    """Why nothing can be counted here."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: instructions are not counted"
    if "avx2" not in [level["name"] for level in runtime.levels() if level["available"]]:
        return "no AVX2 here: the golden counts are of that level"
    return None


def counting(folder):
    prefix = str(folder / "callgrind")
    valgrind = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=nnf_run_thread"]
    valgrind += ["--dump-after=nnf_run_thread", f"--callgrind-out-file={prefix}"]
    return None if missing() else [*valgrind, sys.executable, "-m", "checks.instructions", prefix]


PATHS = [str(Path(__file__).parent), str(Path(own.__file__).parents[3])]
COUNTING = beside.Program(
    counting, env=os.environ | {"NNFAST_ISA": "avx2", "NNFAST_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS)}
)


@pytest.fixture(scope="module")
def counts():
    """Instructions of each piece of work in checks/instructions.py."""
    if missing():
        pytest.skip(missing())
    folder, printed = COUNTING.result()
    assert len(list(folder.glob("callgrind.*"))) >= len(CASES), printed
    found = {}
    for line in printed.splitlines():
        number, name = line.split(" ", 1)
        text = (folder / f"callgrind.{number}").read_text()
        found[name] = int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE).group(1))
    return found


def problems(found, golden):
    """What is not as it was."""
    for name, expected in golden.items():
        ratio = found[name] / expected
        if not LEAST <= ratio <= MOST:
            yield f"{name}: {found[name]:,} instructions, {ratio:.2f} times the {expected:,} in {GOLDEN.name}"


def test_instructions(counts, update_golden):
    if update_golden:
        GOLDEN.write_text(json.dumps(counts, indent=2) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert set(golden) == {case.name for case in CASES}
    assert not list(problems(counts, golden))


def test_a_slower_kernel_is_noticed(counts):
    golden = json.loads(GOLDEN.read_text())
    for name in golden:
        slower = counts | {name: int(1.5 * golden[name])}
        assert any(problem.startswith(f"{name}:") for problem in problems(slower, golden))


# Ratios inside one run, on one thread, least of several samples; the bounds are generous.


def seconds(work):
    count = count_for(work.run)
    return min(sample(work.run, count) for _ in range(15))


def test_products_use_the_machine():
    """The machine's multiply-adds per second on one thread, measured right before."""
    case = Case("products", "x w", (256, 256, 256))
    assert patience.least(lambda: limits.flops(1, runtime.level()) / (case.flops / seconds(own.op(case, 1))), 2.5) < 2.5


def test_exp_against_relu():
    """About 4 times on AVX-512; a call of libm for each element takes far more."""

    def ratio():
        exp, relu = (seconds(own.op(Case("elementwise", kind, (4096,)), 1)) for kind in ("exp", "relu"))
        return exp / relu

    assert patience.least(ratio, 25) < 25


def test_a_step_is_mostly_its_products():
    """Forward, loss, gradients and Adam together take less than twice the time of the products alone."""
    case = Case("steps", "fit", (784, 512, 256, 10), 128, "adam")
    from nnfast.benchmark import inputs
    from nnfast.data import ArraySource

    model = own.model_of(case, 1e-6)
    x, y = inputs.rows_and_labels(case)
    model.fit(x[:128], y[:128], batch_size=128, verbose=0)
    plan = model.train_step_for(128, list(ArraySource(x[:128], y[:128]).arrays)).plan
    kinds = {step.title: step.kind for step in plan.steps}
    assert "contraction" in kinds.values()

    def ratio():
        before = plan.profile()
        model.state.begin_run(0)
        plan.run(1, threads=1, profile=True)
        took = [(title, now - old) for (title, now), (_, old) in zip(plan.profile(), before, strict=True)]
        return sum(ns for _, ns in took) / sum(ns for title, ns in took if kinds[title] == "contraction")

    ratio()
    assert patience.least(lambda: statistics.median(ratio() for _ in range(9)), 2) < 2
