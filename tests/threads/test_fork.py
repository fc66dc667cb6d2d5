"""Forked and started processes: never a hang, the same bits, and a team of their own."""

import ast
import os
import re
from pathlib import Path

import pytest
from checks import processes

import nnfast

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORK = """
import os, signal
from checks import teams
import nnfast
nnfast.set_num_threads(threads)
wanted = teams.work()
assert wanted[1] == threads
def in_child(call):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        found = call()
        os.write(write, repr(found).encode())
        os._exit(0)
    os.close(write)
    found = os.read(read, 1000).decode()
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0
    return eval(found)
"""

CHILD = """
def grandchild():
    return teams.work(), in_child(teams.work)
assert in_child(grandchild) == (wanted, wanted)
assert teams.work() == wanted
print("same bits")
"""


@pytest.mark.parametrize("threads", [2, 4])
def test_child_and_grandchild(threads):
    """After the parent has used its team, a child has one too, and its child; the parent's goes on."""
    assert processes.output_of(f"threads = {threads}\n" + FORK + CHILD) == "same bits"


BUSY = """
import threading
model, x, y = teams.network()
predicted = teams.digest(model.predict(x, verbose=0))
stop = threading.Event()
def predict():
    while not stop.is_set():
        assert teams.digest(model.predict(x, verbose=0)) == predicted
def fit():
    other, x, y = teams.network()
    while not stop.is_set():
        other.fit(x, y, batch_size=128, verbose=0)
def ops():
    n = 0
    while not stop.is_set():
        n += 1
        nnfast.ops.softmax(x[: n % 100 + 1])  # plans are made all the time
workers = [threading.Thread(target=work) for work in (predict, predict, fit, ops)]
for worker in workers:
    worker.start()
def child():
    assert nnfast.ops.softmax(x[:50]).shape == (50, 784)
    return teams.digest(model.predict(x, verbose=0)), nnfast.random.next_stream() >= 0
for _ in range(20):
    assert in_child(child) == (predicted, True)
stop.set()
for worker in workers:
    worker.join()
assert in_child(teams.work)[0] == wanted[0]
print("same bits")
"""


def test_fork_while_other_threads_compute():
    """Whatever they hold at that moment is free in the child."""
    assert processes.output_of("threads = 2\n" + FORK + BUSY) == "same bits"


def test_every_lock_is_free_in_a_child():
    """That of functools.cached_property cannot be reached: a child forked while another thread holds it would wait for ever."""
    files = sorted(Path(nnfast.__file__).parent.rglob("*.py*"))
    sources = {path: path.read_text() for path in files if path.suffix in (".py", ".pyx")}
    assert sum("free_in_child(threading." in text for text in sources.values()) > 3
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            assert "cached_property" not in names, path
        made = re.findall(r"(?<!free_in_child\()threading\.R?Lock\(\)", text)
        assert not made, f"{path}: {made}"


POOL = """
import multiprocessing
from checks import teams
import nnfast
if __name__ == "__main__":
    nnfast.set_num_threads(2)
    wanted = teams.work()
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(teams.work, range(4)).get(50)
    assert {bits for bits, _ in found} == {wanted[0]}
    print(max(threads for _, threads in found))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method):
    """After a training in the parent; two workers at once, each with its team."""
    script = f"method = {method!r}\n" + POOL
    assert processes.output_of(script, NNFAST_NUM_THREADS="2") == "2"


SERVER = """
import os, signal, socket, threading
import numpy as np
from checks import teams
import nnfast
nnfast.set_num_threads(2)
model, x, y = teams.network()
model.fit(x, y, batch_size=128, verbose=0)
wanted = model.predict(x, verbose=0)
listener = socket.create_server(("127.0.0.1", 0))
children = []
for _ in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        signal.alarm(50)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as file:
                for line in file:
                    first, rows = map(int, line.split())
                    file.write(model.predict(x[first : first + rows], verbose=0).tobytes())
                    file.flush()
wrong = []
def client(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        with socket.create_connection(listener.getsockname(), timeout=30) as connection, connection.makefile("rwb") as file:
            for _ in range(10):
                rows = int(rng.choice([1, 7, 32, 300]))
                first = int(rng.integers(0, teams.ROWS - rows))
                file.write(b"%d %d\\n" % (first, rows))
                file.flush()
                if file.read(rows * 40) != wanted[first : first + rows].tobytes():
                    wrong.append((first, rows))
clients = [threading.Thread(target=client, args=(seed,)) for seed in range(6)]
for thread in clients:
    thread.start()
for thread in clients:
    thread.join()
for child in children:
    os.kill(child, signal.SIGKILL)
print(len(wrong), "wrong")
"""


def test_server_that_loads_the_model_before_it_forks():
    """As gunicorn does with --preload: workers forked after a training and a prediction answer many requests."""
    assert processes.output_of(SERVER) == "0 wrong"


LOKY = """
import joblib
from checks import teams
import nnfast
nnfast.set_num_threads(2)
wanted = teams.work()
with joblib.parallel_config("loky", inner_max_num_threads=inner):
    found = joblib.Parallel(n_jobs=2, timeout=50)(joblib.delayed(teams.work)(i) for i in range(4))
assert {bits for bits, _ in found} == {wanted[0]}
print(max(threads for _, threads in found))
"""


@pytest.mark.parametrize("inner", [1, 2])
def test_loky(inner):
    """Its workers have the bits of the parent, and as many threads as joblib gives them."""
    pytest.importorskip("joblib")
    script = f"inner = {inner}\n" + LOKY
    assert processes.output_of(script, NNFAST_NUM_THREADS="") == str(inner)
