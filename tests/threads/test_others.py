"""In one process with other libraries that have threads: any order of imports, no crash, the same bits, no lasting slowdown."""

import importlib.util

import pytest
from checks import processes

USES = {
    "torch": """
    import torch
    net = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    net(torch.ones(512, 256)).square().mean().backward()
    """,
    "sklearn": """
    from sklearn.cluster import KMeans
    KMeans(4, n_init=1, max_iter=5).fit(np.random.default_rng(0).standard_normal((2000, 20)))
    """,
    "lightgbm": """
    import lightgbm
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(np.ones((500, 5)) * np.arange(500)[:, None], np.arange(500) % 7), 3)
    """,
    "xgboost": """
    import xgboost
    xgboost.train({}, xgboost.DMatrix(np.ones((500, 5)) * np.arange(500)[:, None], np.arange(500) % 7), 3)
    """,
    "BLAS": """
    np.ones((600, 600)) @ np.ones((600, 600))
    """,
}
PRESENT = [name for name in USES if name == "BLAS" or importlib.util.find_spec(name)]

START = """
import time, warnings
import numpy as np
warnings.simplefilter("ignore")
def other():
    {use}
def own():
    from checks import teams
    import nnfast
    nnfast.set_num_threads(2)
    return teams.work()
"""

ORDERS = """
own() if first else other()
other() if first else own()
found = own()
other()
assert own() == found
print(*found)
"""


@pytest.mark.parametrize("name", PRESENT)
def test_either_is_imported_and_used_first(name):
    wanted = processes.output_of(START.format(use="pass") + "print(*own())")
    for first in (True, False):
        assert processes.output_of(f"first = {first}\n" + START.format(use=USES[name].strip()) + ORDERS) == wanted


ALL = """
for use in order:
    use()
found = own()
for use in order:
    use()
assert own() == found
print(*found)
"""


@pytest.mark.skipif(len(PRESENT) < 3, reason="needs other libraries")
def test_all_in_one_process():
    wanted = processes.output_of(START.format(use="pass") + "print(*own())")
    for shift in range(2):
        names = [*PRESENT, "own"]
        names = names[-1:] + names[:-1] if shift else names
        uses = "\n".join(f"def use_{name}():\n    {USES[name].strip()}" for name in PRESENT)
        order = f"use_own = own\norder = [{', '.join(f'use_{name}' for name in names)}]"
        assert processes.output_of("\n".join([START.format(use="pass"), uses, order, ALL]), timeout=100) == wanted


SPEED = """
own(), other()
from checks import teams
model, x, y = teams.network()
def measure():
    time.sleep(0.1)  # the other library's threads may look for work for a while
    return min(teams.seconds(lambda: model.fit(x, y, batch_size=128, verbose=0)) for _ in range(15))
def between():
    other()
    return measure()
measure()
ratios = []
while len(ratios) < 8 and (len(ratios) < 2 or min(ratios) > 1.1):
    alone = measure()
    ratios.append(between() / alone)
print(min(ratios))
"""


@pytest.mark.parametrize("name", PRESENT)
def test_no_lasting_slowdown(name):
    """A training right after another library's work takes as long as before it, in one of eight pairs: within 10 %."""
    assert float(processes.output_of(START.format(use=USES[name].strip()) + SPEED)) <= 1.1


BETWEEN = """
own(), other()
from checks import teams
model, x, y = teams.network()
x, y = x[:128].copy(), y[:128].copy()
def steps(use):
    total = 0.0
    for _ in range(20):
        use()
        total += teams.seconds(lambda: model.train_on_batch(x, y))
    return total
steps(other), steps(int)
ratios = []
while len(ratios) < 8 and (len(ratios) < 2 or min(ratios) > most):
    ratios.append(steps(other) / steps(int))
print(min(ratios))
"""


def test_blas_between_steps():
    """OpenBLAS's threads go on looking for work for some milliseconds, so a step beside them may wait; not for long."""
    script = "most = 2\n" + START.format(use=USES["BLAS"].strip()) + BETWEEN
    assert float(processes.output_of(script)) <= 2.0
