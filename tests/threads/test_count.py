"""How many threads run: what was asked for, by whom; what OpenMP allows; and nobody's affinity is touched."""

import os

import pytest
from checks import processes

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")

STARTED = """
from checks import teams
import nnfast, os
before = teams.tasks()
with_settings
teams.work()
print(nnfast.get_num_threads(), teams.tasks() - before)
"""


@pytest.mark.parametrize(
    ("setting", "environment", "threads"),
    [
        ("", {"NNFAST_NUM_THREADS": "1"}, 1),
        ("", {"NNFAST_NUM_THREADS": "3", "OMP_NUM_THREADS": "1"}, 3),
        ("", {"NNFAST_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
        ("nnfast.set_num_threads(2)", {"NNFAST_NUM_THREADS": "5"}, 2),
        ("block = nnfast.num_threads(4); block.__enter__()", {"NNFAST_NUM_THREADS": "1"}, 4),
    ],
    ids=["own variable", "before that of OpenMP", "that of OpenMP", "set_num_threads", "num_threads"],
)
def test_number_of_threads(setting, environment, threads):
    """The caller is one of them, so one fewer is started."""
    found = processes.output_of(STARTED.replace("with_settings", setting), **environment)
    assert found == f"{threads} {threads - 1}"


def test_block_ends():
    script = """
import nnfast
nnfast.set_num_threads(3)
with nnfast.num_threads(2):
    assert nnfast.get_num_threads() == 2
try:
    with nnfast.num_threads(5):
        raise KeyError
except KeyError:
    pass
print(nnfast.get_num_threads())
"""
    assert processes.output_of(script) == "3"


LIMITED = """
import threadpoolctl
from checks import teams
import nnfast
nnfast.set_num_threads(2)
model, x, y = teams.network()
def threads():
    model.predict(x, verbose=0)
    return teams.used(model)
wanted, free = teams.work()
seen = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "openmp"]
assert len(seen) == 1 and "gomp" in seen[0]["filepath"] + seen[0]["prefix"], seen
with threadpoolctl.threadpool_limits(1, user_api="openmp"):
    assert nnfast.get_num_threads() == 2
    limited = threads()
    assert teams.work() == (wanted, 1)
assert teams.work() == (wanted, 2)
with threadpoolctl.threadpool_limits(1):
    again = threads()
print(free, limited, threads(), again, threads())
"""


def test_threadpoolctl():
    """It sees the library's OpenMP, and its limits hold while they last, with the same bits."""
    pytest.importorskip("threadpoolctl")
    assert processes.output_of(LIMITED) == "2 1 2 1 2"


def test_limit_of_openmp():
    script = """
from checks import teams
import nnfast
nnfast.set_num_threads(3)
print(teams.work()[1])
"""
    assert processes.output_of(script, OMP_THREAD_LIMIT="2") == "2"
    assert processes.output_of(script, OMP_THREAD_LIMIT="1") == "1"


AFFINITY = """
import os
def masks():
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            found[task] = next(line for line in status if line.startswith("Cpus_allowed_list"))
    return found
narrow and os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
[mask] = set(masks().values())
from checks import teams
import nnfast
nnfast.set_num_threads(3)
before = teams.tasks()
teams.work()
found = masks()
assert set(found.values()) == {mask}, (mask, found)
print(len(found) - before)
"""


@pytest.mark.parametrize("narrow", [True, False])
def test_affinity_is_never_set(narrow):
    """Every thread may run where the process may."""
    assert processes.output_of(f"narrow = {narrow}\n" + AFFINITY) == "2"


CROWDED = """
import os, time
import numpy as np
from checks import teams
import nnfast
if narrow:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
nnfast.set_num_threads(2)
model, long, _ = teams.network()
long, short = np.resize(long, (4 * teams.ROWS, 784)), long[:64].copy()
for _ in range(2):
    model.predict_on_batch(long), model.predict_on_batch(short)
plans = {p.graph.inputs[0].shape[0]: p._executor for p in model._predict.plans.values()}
assert plans[len(long)].used == 2
found = []
end = time.monotonic() + 10
while time.monotonic() < end and len(found) < 20 + 10_000 * (not narrow) and 2 not in found:
    model.predict_on_batch(long)  # both threads get their turn within it
    model.predict_on_batch(short)  # within microseconds
    found.append(plans[len(short)].used)
print(max(found))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_short_runs_leave_a_crowded_team_alone():
    """After a run whose two threads were found on one processor, a short run takes one thread."""
    assert processes.output_of("narrow = True\n" + CROWDED) == "1"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_short_runs_take_a_team_that_is_awake():
    found = processes.output_of("narrow = False\n" + CROWDED)
    if found != "2" and os.getloadavg()[0] > 1:
        pytest.skip("other processes have the processors")
    assert found == "2"
