"""Sizes that cannot be, in a process with 3 GB of addresses: refused with an exception, or read row by row from arrays that repeat their rows;
the model beside them stays as it was."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np, nnfast
from nnfast import kernels, layers, ops
zeros = lambda *shape: np.broadcast_to(np.float32(0), shape)
rows = lambda *shape: np.broadcast_to(np.ones(shape[-1], np.float32), shape)
stack = lambda *sizes: nnfast.Sequential([nnfast.Input((4,)), *map(layers.Dense, sizes)])
x, y = np.ones((8, 4), np.float32), np.ones((8, 3), np.float32)
model = stack(3)
model.compile("adam", "mse")
model.fit(x, y, verbose=0)
before = [w.tobytes() for w in model.get_weights()]
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    eval(sys.argv[1])
    print("computed")
except Exception as error:
    print(type(error).__name__, error)
assert before == [w.tobytes() for w in model.get_weights()]
model.predict(x, verbose=0)
model.fit(x, y, verbose=0)
print("usable")
"""

CASES = {
    "stack(10**9)": ("MemoryError", "/kernel: no memory for", "16,000,000,000 bytes"),
    "stack(10**30)": ("ShapeError", "2^56 elements"),
    "nnfast.Variable((10**30,))": ("ShapeError", "2^56 elements"),
    "model.plan(10**12)": ("MemoryError", "the plan needs", "largest values: input"),
    "model.plan(10**30)": ("ShapeError", "2^56 elements"),
    "model.predict(zeros(2**33, 4), verbose=0)": ("DataError", "its copy would take"),
    "model.fit(zeros(2**33, 4), zeros(2**33, 3), verbose=0)": ("DataError", "its copy would take"),
    "model.predict(rows(2**33, 4), steps=2, batch_size=4, verbose=0)": ("computed",),
    "model.evaluate(rows(2**27, 4), rows(2**27, 3), steps=2, verbose=0)": ("computed",),
    "model.fit(rows(2**33, 4), rows(2**33, 3), verbose=0)": ("MemoryError", "the order of the 8,589,934,592 rows of x"),
    "model.fit(rows(2**33, 4), rows(2**33, 3), class_weight={0: 2.0}, verbose=0)": (
        "MemoryError",
        "the class_weight of the 8,589,934,592 rows of x",
    ),
    "model.fit(x, zeros(2**33, 3), verbose=0)": ("DataError", "y: an array of shape"),
    "model.train_on_batch(zeros(2**33, 4), y)": ("DataError", "x: an array of shape"),
    "model.predict_on_batch(rows(2**33, 4))": ("DataError", "of the inputs: an array of shape"),
    "model(rows(2**33, 4))": ("DataError", "inputs: an array of shape"),
    "layers.Normalization().adapt(zeros(2**33, 4))": ("DataError", "data: an array of shape"),
    "kernels.relu(zeros(2**33, 4))": ("DataError", "its copy would take"),
    "kernels.matmul(np.ones((2**20, 1)), np.ones((1, 2**20)))": ("MemoryError",),
    "kernels.add(np.ones((2**24, 1)), np.ones((1, 2**24)))": ("MemoryError",),
    "nnfast.value_and_grad(lambda a: ops.sum(a * a))(zeros(2**33))": ("DataError", "its copy would take"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
@pytest.mark.parametrize("case", CASES)
def test_huge(case):
    done = subprocess.run([sys.executable, "-c", PROGRAM, case], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    message, usable = done.stdout.splitlines()
    assert usable == "usable"
    for words in CASES[case]:
        assert words in message
