"""The executor: no allocation in a steady step, times per step, errors in place of wild pointers; other Python threads, forked children
and interrupts find a usable library."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from checks import allocations, models, ops, patience
from checks.processes import run_script

import nnfast
from nnfast._core import runtime
from nnfast._core.executor import Executor, openmp_version
from nnfast.ops.registry import OPS
from nnfast.plan import eager

COUNT = """
import ctypes, json, sys
import numpy as np
import nnfast
from checks import models, ops
count = ctypes.CDLL(None).allocations_so_far
count.restype = ctypes.c_long
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
found = {}
before = count()
for _ in range(100):
    libc.free(libc.malloc(100))
found["the counter counts"] = count() - before
with ops.everything_divided(), nnfast.num_threads(2):
    for name in models.MODELS:
        for kind, most in (("train", 1000), ("test", 10_000)):  # a training run has at most 1024 learning rates
            model, data, step = models.any_step(name, kind)
            plan = step.plan
            assert plan.threads == 2
            data = [array.reshape(len(array), *value.shape[1:]) for array, value in zip(data, plan.graph.inputs)]
            for i, array in enumerate(data):
                plan.bind_source(i, array)
            plan.bind_order(np.resize(np.arange(len(data[0])), most * step.rows))
            plan.bind_log(np.zeros((most, step.width)))
            def run(batches):
                model.state.begin_run(0)
                before = count()
                plan.run(batches)
                return count() - before
            run(10)
            found[f"{name} {kind}"] = [run(10), run(most), run(10)]
print(json.dumps(found))
"""


@pytest.mark.skipif(
    shutil.which("gcc") is None or platform.libc_ver()[0] != "glibc",
    reason="counts by a library made with gcc for glibc",
)
def test_no_allocation_in_a_steady_step(tmp_path):
    """As many allocations in a run of 1000 (training) or 10,000 (test) batches as in one of 10: none of them is made per batch."""
    library = allocations.build(tmp_path)
    found = json.loads(allocations.run(library, COUNT))
    assert found.pop("the counter counts") >= 100
    assert len(found) == 2 * len(models.MODELS)
    for name, (few, many, again) in found.items():
        assert few == many == again, f"{name}: {few} allocations in 10 batches, {many} in the long run"
        assert many <= 10, f"{name}: {many} allocations per run"


def step_of(name, buffers, sizes, threads=1, barrier=0, dtype="float32"):
    return (runtime.kernel(name, dtype), buffers, sizes, [], [], threads, 1, barrier)


def copy_step(y, x, n=4):
    return step_of("copy", [(y, 0), (x, 0)], [1, n, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])


def test_steps_run_in_order_on_bound_memory():
    a, b, c = np.arange(4, dtype=np.float32), np.zeros(4, np.float32), np.zeros(4, np.float32)
    executor = Executor([copy_step(1, 0), copy_step(2, 1)], 3, 1)
    for space, array in enumerate((a, b, c)):
        executor.bind_array(space, array)
    executor.run()
    assert c.tolist() == [0, 1, 2, 3]


def test_unbound_space_is_an_error():
    executor = Executor([copy_step(1, 0)], 2, 1)
    executor.bind_array(0, np.zeros(4, np.float32))
    with pytest.raises(RuntimeError, match="space 1 of the plan is not bound"):
        executor.run()


def test_wrong_places_are_errors():
    executor = Executor([copy_step(1, 0)], 2, 1)
    with pytest.raises(IndexError, match="no space 2"):
        executor.bind_array(2, np.zeros(4, np.float32))
    with pytest.raises(IndexError, match="no space -1"):
        executor.bind(-1, 64, None)
    for step, place in ((1, 0), (-1, 0), (0, 99), (0, -1)):
        with pytest.raises(IndexError, match="has no size"):
            executor.set_size(step, place, 1)
    with pytest.raises((BufferError, ValueError)):
        executor.bind_array(0, np.zeros((4, 4), np.float32)[:, ::2])


def test_bound_memory_is_kept_alive():
    import gc
    import weakref

    class Kept(np.ndarray):
        pass

    array = np.zeros(4, np.float32).view(Kept)
    alive = weakref.ref(array)
    executor = Executor([copy_step(1, 0)], 2, 1)
    executor.bind_array(0, array)
    del array
    gc.collect()
    assert alive() is not None
    del executor
    gc.collect()
    assert alive() is None


def test_no_batches_and_no_steps():
    Executor([], 0, 1).run(5)
    a, b = np.ones(4, np.float32), np.zeros(4, np.float32)
    executor = Executor([copy_step(1, 0)], 2, 1)
    executor.bind_array(0, a)
    executor.bind_array(1, b)
    executor.run(0)
    assert not b.any()


def test_profile():
    """Nanoseconds per step of the last profiled run; they make up most of the time that passes."""
    model, data, step = models.train_step("classifier")
    plan = step.plan
    for i, array in enumerate(data):
        plan.bind_source(i, array.reshape(len(array), *plan.graph.inputs[i].shape[1:]))
    plan.bind_order(np.resize(np.arange(96), 500 * 32))
    plan.bind_log(np.zeros((500, step.width)))
    model.state.begin_run(0)
    plan.run(1)
    assert sum(ns for _, ns in plan.profile()) == 0

    def missing():
        """The part of the time that no step accounts for."""
        before = sum(ns for _, ns in plan.profile())
        model.state.begin_run(0)
        begin = time.perf_counter_ns()
        plan.run(400, profile=True)
        passed = time.perf_counter_ns() - begin
        part = 1 - (sum(ns for _, ns in plan.profile()) - before) / passed
        assert part >= 0
        return part

    assert patience.least(missing, 0.5) < 0.5
    found = plan.profile()
    assert [title for title, _ in found] == [step.title for step in plan.steps]
    assert all(ns > 0 for _, ns in found)
    model.state.begin_run(0)
    plan.run(4, profile=True)
    assert 0 < sum(ns for _, ns in plan.profile()) < sum(ns for _, ns in found)


def test_fewer_threads_than_planned():
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    with ops.everything_divided():
        plan = eager._make(OPS["matmul"], [x, x], {"transpose_a": False, "transpose_b": False}, None, 3)
    assert plan.threads == 3
    [wanted] = plan.call([x, x])
    out = np.zeros_like(wanted)
    for space, array in enumerate((x, x, out), plan._external):
        plan._executor.bind_array(space, array)
    for threads in (1, 2, 3, 9):
        out[...] = 0
        plan.run(1, threads)
        assert out.tobytes() == wanted.tobytes()


def test_two_python_threads():
    """Two threads that train at once: one has the team, the other runs by itself; both get the bits that they would get alone."""
    with ops.everything_divided(), nnfast.num_threads(2):
        wanted = {name: models.fingerprint(models.train(name, epochs=1)) for name in models.MODELS}
        made = {name: models.MODELS[name]() for name in models.MODELS}  # seeds are drawn in one thread
        found, errors = {}, []

        def work(name):
            try:
                model, data, batch = made[name]
                x, y, weight = models.parts(model, data)
                model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=1, verbose=0)
                found[name] = models.fingerprint(model)
            except BaseException as error:
                errors.append(error)

        workers = [threading.Thread(target=work, args=(name,)) for name in models.MODELS]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert not errors and found == wanted


def test_ops_from_many_threads():
    """The cache of plans of ops on arrays is shared."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((37, 41)).astype(np.float32)
    wanted = nnfast.ops.softmax(x).tobytes()
    wrong = []

    def work(seed):
        for i in range(60):
            if nnfast.ops.softmax(x).tobytes() != wanted:
                wrong.append((seed, i))
            nnfast.ops.tanh(np.zeros(seed * 60 + i, np.float32))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong


def test_one_model_in_two_threads_is_refused():
    model, data, _ = models.classifier()
    x, y, _ = models.parts(model, data)
    refused = []

    def again(batch_number, logs):
        def work():
            try:
                model.train_on_batch(x, y)
            except nnfast.errors.NnfastError as error:
                refused.append(str(error))

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(30)

    model.fit(
        x, y, batch_size=96, epochs=1, verbose=0, callbacks=[nnfast.callbacks.LambdaCallback(on_train_batch_end=again)]
    )
    assert refused and "being trained" in refused[0]


ABSENT = """
import os
import nnfast
from checks import models, ops
wanted = models.fingerprint(models.train("classifier", epochs=2))
if os.environ.get("ONE_PROCESSOR"):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
with ops.everything_divided():
    for threads in (2, 3, 8):
        with nnfast.num_threads(threads):
            assert models.train_step("classifier")[2].plan.threads == threads
            assert models.fingerprint(models.train("classifier", epochs=2)) == wanted
print("same bits")
"""


@pytest.mark.parametrize(
    "change",
    [
        {"OMP_THREAD_LIMIT": "1", "NNFAST_NUM_THREADS": "2"},
        {"OMP_THREAD_LIMIT": "2", "NNFAST_NUM_THREADS": "2"},
        pytest.param(
            {"ONE_PROCESSOR": "1", "NNFAST_NUM_THREADS": "2"},
            marks=pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity"),
        ),
    ],
    ids=lambda change: min(change),
)
def test_threads_that_do_not_come(change):
    """A smaller team than planned for, or eight threads on one processor: those that run do the work of all, with the same bits."""
    done = run_script(ABSENT, environment=change)
    assert done.returncode == 0 and done.stdout == "same bits\n", done.stderr


SHORT_AND_LONG = """
import os
import numpy as np
import nnfast
def products(rows, columns):
    x, w = np.ones((rows, columns), np.float32), np.ones((columns, columns), np.float32)
    before = len(os.listdir("/proc/self/task"))
    y = nnfast.kernels.matmul(x, w)
    assert (y == columns).all()
    return len(os.listdir("/proc/self/task")) - before
with nnfast.num_threads(2):
    print(products(64, 512), products(512, 1024))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
@pytest.mark.skipif(openmp_version() == 0, reason="a serial build has no team")
def test_short_runs_wake_nobody():
    """The first short run of a process takes one thread, though its plan has two; a long one makes a second thread."""
    done = run_script(SHORT_AND_LONG)
    assert done.returncode == 0 and done.stdout == "0 1\n", done.stdout + done.stderr


FORK = """
import os, sys
import nnfast
from checks import models, ops
with ops.everything_divided(), nnfast.num_threads(2):
    wanted = models.fingerprint(models.train("classifier", epochs=1))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, models.fingerprint(models.train("classifier", epochs=1)).encode())
        os._exit(0)
    os.close(write)
    found = os.read(read, 1000).decode()
    assert os.waitpid(child, 0)[1] == 0
    assert found == wanted == models.fingerprint(models.train("classifier", epochs=1))
print("same bits")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_trains():
    """After the parent has used its team, a forked child trains by itself, with the same bits, and does not hang."""
    done = run_script(FORK)
    assert done.returncode == 0 and done.stdout == "same bits\n", done.stderr


INTERRUPT = """
import numpy as np, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import nnfast
x = np.random.default_rng(0).standard_normal((20_000, 64)).astype(np.float32)
y = np.zeros(20_000, np.int32)
model = nnfast.Sequential([nnfast.Input((64,)), nnfast.layers.Dense(128, activation="relu"), nnfast.layers.Dense(4)])
model.compile("adam", nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x, y, batch_size=32, epochs=1, verbose=0)
before = model.state.iteration
print("training", flush=True)
try:
    model.fit(x, y, batch_size=32, epochs=100_000, verbose=0)
except KeyboardInterrupt:
    assert model.state.iteration > before
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
    print("usable", flush=True)
"""


def test_ctrl_c_stops_within_a_second():
    environment = dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPT], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "training\n"
        time.sleep(0.5)
        begin = patience.processor_seconds(process.pid)
        process.send_signal(signal.SIGINT)
        line = process.stdout.readline()
        used = patience.processor_seconds(process.pid) - begin
        process.wait(60)
    assert line == "usable\n" and process.returncode == 0
    assert used < 2.0 * nnfast.get_num_threads()  # a second to stop, and an epoch


def test_memory_that_cannot_be_had():
    with pytest.raises(MemoryError, match="nnfast could not get"):
        runtime.Memory(1 << 60)
    memory = runtime.Memory(1000)
    assert memory.address % 64 == 0 and memory.nbytes == 1000
    assert not np.frombuffer(memory, np.uint8).any()
    with pytest.raises(MemoryError, match=r"largest values: .*tanh"):
        graph = nnfast.graph.ir.Graph()
        with nnfast.graph.trace.tracing(graph):
            x = graph.input((1 << 25, 1 << 25), "float32")
            graph.outputs = [nnfast.ops.exp(nnfast.ops.tanh(nnfast.ops.transpose(x)))]
        nnfast.plan.plan.build(graph, threads=1)


def test_no_thread_is_started_by_the_import():
    done = run_script(
        "import nnfast, os; print(len(os.listdir('/proc/self/task')))" if sys.platform == "linux" else "print(1)"
    )
    if sys.platform == "linux":
        base = run_script("import numpy, os; print(len(os.listdir('/proc/self/task')))")
        assert done.stdout == base.stdout
