"""Many Python threads that call at once: right bits, few threads, no loss; a model in training belongs to one of them."""

import threading

import numpy as np
import pytest
from checks import processes, teams

import nnfast

CALLERS = """
import threading
from checks import teams
import nnfast
nnfast.set_num_threads(2)
model, x, y = teams.network()
wanted = teams.digest(model.predict(x, verbose=0))
small = teams.digest(model.predict(x[:3].copy(), verbose=0))
start = threading.Barrier(17)
wrong, most = [], []
def work(i):
    start.wait()
    for _ in range(4):
        teams.predict_all(model, x, wanted, 3, wrong)
        teams.predict_all(model, x[:3].copy(), small, 20, wrong)
        rows = 10 + i  # of a shape of its own, so that plans are made meanwhile
        if teams.digest(model.predict(x[:rows], verbose=0)) != several[rows]:
            wrong.append(rows)
        most.append(teams.tasks())
several = {rows: teams.digest(model.predict(x, batch_size=7, verbose=0)[:rows]) for rows in range(10, 26)}
before = teams.tasks()
workers = [threading.Thread(target=work, args=(i,)) for i in range(16)]
for worker in workers:
    worker.start()
start.wait()
for worker in workers:
    worker.join()
assert not wrong, wrong
assert len(most) == 64
print(max(most) - before)
"""


def test_sixteen_callers_on_one_model():
    """Right bits; the team is there before, so the callers themselves are all that is added."""
    assert int(processes.output_of(CALLERS)) <= 16


NEW_CALLERS = """
import threading
from checks import teams
import nnfast
nnfast.set_num_threads(2)
before = teams.tasks()
for _ in range(20):
    worker = threading.Thread(target=teams.work)
    worker.start()
    worker.join()
print(teams.settled_tasks(before + 1) - before)
"""


def test_callers_that_come_and_go_leave_one_team():
    assert processes.output_of(NEW_CALLERS) == "1"


THROUGHPUT = """
import threading
import numpy as np
from checks import teams
import nnfast
nnfast.set_num_threads(2)
model = nnfast.Sequential([nnfast.Input((256,))] + [nnfast.layers.Dense(256, activation="relu") for _ in range(3)])
x = np.random.default_rng(0).standard_normal((rows, 256)).astype(np.float32)
def work():
    for _ in range(calls):
        model.predict(x, verbose=0)
def together():
    workers = [threading.Thread(target=work) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
def in_turn():
    for _ in range(16):
        work()
together(), in_turn()
times = [(teams.seconds(together), teams.seconds(in_turn)) for _ in range(7)]
print(np.median([a / b for a, b in times]), min(a / b for a, b in times))
"""


@pytest.mark.parametrize(("rows", "calls"), [(1, 400), (128, 40)])
def test_sixteen_callers_are_as_fast_as_one(rows, calls):
    """The same calls one after the other take about as long: 0.7 of the time with many rows, 1.1 with one, whose calls are
    mostly Python's own; the rest is left for noise, and the best of seven pairs counts."""
    for _ in range(3):
        ratios = processes.output_of(f"rows, calls = {rows}, {calls}\n" + THROUGHPUT).split()
        if float(ratios[1]) <= (1.0 if rows > 1 else 1.2) and float(ratios[0]) <= 1.4:
            return
    pytest.fail(f"16 threads took {ratios[0]} times as long as one (median), {ratios[1]} at best")


def test_fit_from_two_threads_is_refused():
    """Exactly one of them trains, the others get an error that says what to do; the model is usable after."""
    model, x, y = teams.network()
    start = threading.Barrier(4)
    results = []

    def work():
        start.wait()
        try:
            model.fit(x, y, batch_size=8, epochs=20, verbose=0)
            results.append("trained")
        except nnfast.errors.NnfastError as error:
            results.append(str(error))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    refused = [text for text in results if text != "trained"]
    assert len(results) == 4 and len(refused) == 3, results
    assert all(text.startswith("fit: model ") and "use a second model" in text for text in refused)
    model.fit(x, y, batch_size=128, verbose=0)


def test_predict_while_another_thread_trains():
    """No crash, and finite numbers: of weights between two steps, not of one moment."""
    model, x, y = teams.network()
    stop = threading.Event()
    trainer = threading.Thread(
        target=lambda: [model.fit(x, y, batch_size=64, verbose=0) for _ in iter(stop.is_set, True)]
    )
    trainer.start()
    try:
        for _ in range(20):
            assert np.isfinite(model.predict(x, verbose=0)).all()
    finally:
        stop.set()
        trainer.join(60)
