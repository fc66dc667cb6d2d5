"""Small trainings, one for each activation, optimizer and loss that the library knows: what receipts are compared on.

As a program: trains all on the level that NNFAST_ISA names, and prints level and receipts as JSON. The first argument: epochs.
"""

import json
import sys

import numpy as np

import nnfast
from checks import models
from nnfast import layers, serialization
from nnfast._core import runtime

DTYPES = ("float32", "float64")
NOT_A_LOSS_BY_ITSELF = {"FunctionLoss", "CTC"}  # CTC wants sequences: tests/test_ctc.py
CLASSES = 4


def is_ours(item):
    """Whether a module of nnfast has it."""
    module = sys.modules[item.__module__]
    return item.__module__.startswith("nnfast.") and hasattr(module, item.__name__)


def registered(kind):
    """Each object that nnfast registers once, by its own name; other tests and examples in docstrings register some of their own."""
    found = {serialization.lookup(kind, name) for name in serialization.known_names(kind)}
    ours = [item for item in found if is_ours(item)]
    return sorted({item.__name__ for item in ours if isinstance(item, type) or kind == "activation"})


def losses():
    return [name for name in registered("loss") if name not in NOT_A_LOSS_BY_ITSELF]


def names():
    """Names of all kinds."""
    parts = (("activation", registered("activation")), ("optimizer", registered("optimizer")), ("loss", losses()))
    return [f"{kind} {name}" for kind, found in parts for name in found]


def make(name, dtype, without=()):
    """(compiled model, x, y): inputs 20, the kind's activation, dropout, 530 wide (sums longer than a chunk), 4 outputs."""
    kind, own = name.split()
    nnfast.set_random_seed(12)
    activation = own if kind == "activation" else "tanh"
    loss = serialization.lookup("loss", own)() if kind == "loss" else nnfast.losses.MeanSquaredError()
    optimizer = serialization.lookup("optimizer", own)() if kind == "optimizer" else nnfast.optimizers.Adam()
    model = nnfast.Sequential(
        [
            nnfast.Input((20,), dtype=dtype),
            layers.Dense(530, activation=activation),
            layers.Dropout(0.3),
            layers.Dense(9, activation=activation),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss, without=without)
    rng = np.random.default_rng(3)
    x, labels = rng.standard_normal((44, 20)).astype(dtype), rng.integers(0, CLASSES, 44)
    y = labels if own.startswith("Sparse") else np.eye(CLASSES, dtype=dtype)[labels]
    return model, x, y


def receipt(name, dtype, without=(), epochs=2):
    """The hash of weights and state after a training."""
    model, x, y = make(name, dtype, without)
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0)
    return models.fingerprint(model)


if __name__ == "__main__":
    epochs = int(sys.argv[1])
    receipts = {f"{name} {dtype}": receipt(name, dtype, epochs=epochs) for name in names() for dtype in DTYPES}
    json.dump({"level": runtime.level(), "receipts": receipts}, sys.stdout)
