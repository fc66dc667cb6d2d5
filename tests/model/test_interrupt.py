"""Ctrl-C stops a long fit within a second of computing; the model is usable, with the weights of the last finished step: those of a model that
does the same number of steps without a stop. (1000 steps of this net take seconds, so a fit that heard nothing until then would fail.)"""

import os
import signal
import subprocess
import sys
import time

import pytest
from checks import patience

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have commands in the background ignore it
import numpy as np
import nnfast
from nnfast import layers

from nnfast.plan.plan import Plan

run, calls = Plan.run, []

def timed(self, *arguments, **options):
    begin = time.process_time()
    try:
        return run(self, *arguments, **options)
    finally:
        calls.append((time.process_time() - begin) / nnfast.get_num_threads())

Plan.run = timed

def make():
    nnfast.set_random_seed(3)
    model = nnfast.Sequential([nnfast.Input((64,)), layers.Dense(4096, "relu"), layers.Dropout(0.2), layers.Dense(10)])
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(nnfast.optimizers.schedules.ExponentialDecay(0.001, 100, 0.9)), loss)
    return model

rng = np.random.default_rng(0)
x = rng.standard_normal((200_000, 64), "float32")
y = rng.integers(0, 10, len(x))
generator = sys.argv[1] == "generator"
model = make()
model.train_on_batch(x[:32], y[:32])

def batches():
    while True:
        for i in range(0, 100_000 // 128 * 128, 128):
            yield x[i : i + 128], y[i : i + 128]

print("ready", flush=True)
try:
    if generator:
        model.fit(batches(), steps_per_epoch=10**6, epochs=1000, verbose=0)
    else:
        model.fit(x, y, batch_size=128, epochs=1000, shuffle=False, verbose=0)
    raise SystemExit("fit ended by itself")
except KeyboardInterrupt:
    print("stopped", flush=True)

assert max(calls) < 0.8, f"one call into compiled code took {max(calls)} s: Ctrl-C waits for it"
steps = model.state.iteration - 1
assert steps > 5, steps
again = make()
again.train_on_batch(x[:32], y[:32])
per_epoch = (100_000 if generator else len(x)) // 128
for step in range(steps):
    i = step % per_epoch * 128
    again.train_on_batch(x[i : i + 128], y[i : i + 128])
assert again.state.iteration == model.state.iteration
for a, b in zip(model.get_weights(), again.get_weights()):
    assert a.tobytes() == b.tobytes(), f"weights differ after {steps} steps"
assert np.isfinite(model.predict(x[:10], verbose=0)).all()
assert len(model.fit(x[:320], y[:320], verbose=0).epoch) == 1
print("same", steps, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize(("source", "threads"), [("arrays", "1"), ("arrays", "2"), ("generator", "2")])
def test_ctrl_c(source, threads):
    environment = {**os.environ, "NNFAST_NUM_THREADS": threads}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, source]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready", process.stderr.read()
            begin = patience.processor_seconds(process.pid)
            while patience.processor_seconds(process.pid) < begin + 1.0:  # until it trains
                time.sleep(0.05)
            begin = patience.processor_seconds(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped\n"
            used = patience.processor_seconds(process.pid) - begin
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert used < 1.0 * int(threads)
    assert out.startswith("same")
