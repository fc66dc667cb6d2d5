"""Work that is worth a team of threads, what it computes and how many threads it took."""

import hashlib
import os
import threading
import time

import numpy as np

import nnfast
from nnfast import layers

ROWS = 512


def network(seed=7):
    """A compiled network, untrained, and its data: a training step of 128 rows takes about a millisecond."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [nnfast.Input((784,)), layers.Dense(512, activation="relu"), layers.Dense(256, activation="relu"), layers.Dense(10)]
    )  # fmt: skip
    model.compile("adam", nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(seed)
    return model, rng.standard_normal((ROWS, 784)).astype(np.float32), rng.integers(0, 10, ROWS).astype(np.int32)


def digest(*arrays):
    """SHA-256 of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def used(model):
    """The most threads that the last run of any prediction plan of the model took."""
    return max(plan._executor.used for plan in model._predict.plans.values())


def work(_=None):
    """Trains a network and predicts; digest of both, and the threads that the prediction took."""
    model, x, y = network()
    model.fit(x, y, batch_size=128, epochs=2, verbose=0)
    predicted = model.predict(x, verbose=0)
    return digest(predicted, *model.get_weights()), used(model)


def predict_all(model, x, wanted, calls, wrong):
    """Predict so often; counts in `wrong` what differs from the wanted digest."""
    for _ in range(calls):
        if digest(model.predict(x, verbose=0)) != wanted:
            wrong.append(threading.current_thread().name)


def tasks():
    """Threads of this process, also those that Python does not know."""
    return len(os.listdir("/proc/self/task"))


def settled_tasks(expected):
    """The same after a second at most: a thread that has been joined takes a moment to leave the process."""
    end = time.monotonic() + 1
    while tasks() > expected and time.monotonic() < end:
        time.sleep(0.01)
    return tasks()


def seconds(call, count=1):
    """Wall time of so many calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin
