"""A training with everything that has a state: dropout, Adam, shuffling, metrics, callbacks that count; as a script, to be killed:

python -m checks.resumable FOLDER SECONDS    (SIGKILL comes after so many seconds, somewhere)
"""

import hashlib
import json
import os
import signal
import sys
import threading

import numpy as np

import nnfast
from nnfast import callbacks, layers

RNG = np.random.default_rng(7)
X = RNG.standard_normal((110, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int32") + (X[:, 2] > 0.5)
BATCH, EPOCHS = 16, 4
OPTIONS = {"epochs": EPOCHS, "verbose": 0, "batch_size": BATCH, "validation_split": 0.1}


class Tally(callbacks.Callback):
    """Digests every hook that it sees, with its figures: a hook left out, or called twice, changes the digest."""

    def __init__(self):
        super().__init__()
        self.digest, self.calls = "", 0

    def _see(self, *what):
        text = self.digest + json.dumps(what, sort_keys=True, default=float)
        self.digest, self.calls = hashlib.sha256(text.encode()).hexdigest(), self.calls + 1

    def on_train_begin(self, logs=None):
        self.digest, self.calls = "", 0

    def on_epoch_begin(self, epoch, logs=None):
        self._see("epoch_begin", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self._see("batch_begin", batch)

    def on_train_batch_end(self, batch, logs=None):
        self._see("batch_end", batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._see("epoch_end", epoch, logs)

    def state_dict(self):
        return {"digest": self.digest, "calls": self.calls, "array": np.full(2, self.calls, "int64")}

    def load_state_dict(self, state):
        self.digest, self.calls = state["digest"], state["calls"]
        assert state["array"].tolist() == [self.calls] * 2


def model(rate=0.02, dtype="float32"):
    """Compiled, fresh, from the same seed."""
    nnfast.set_random_seed(11)
    made = nnfast.Sequential(
        [
            nnfast.Input((6,), dtype=dtype),
            layers.Dense(12, "relu"),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(3, "softmax"),
        ]
    )
    made.compile(nnfast.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def steady(rate=0.02):
    """Callbacks that change the course of the training from what they count."""
    changing = isinstance(rate, float)
    return [
        callbacks.EarlyStopping("val_loss", patience=2, min_delta=0.02),
        *([callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05)] if changing else []),
        *([callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)] if changing else []),
    ]


def receipt(trained, history, *seen):
    """SHA-256 of weights, optimizer state, iteration, seed, rate, history and what callbacks have counted."""
    tensors = trained.state.tensors(trained.weights)
    counters = tensors.pop("counters")
    tensors |= {f"weight/{i}": array for i, array in enumerate(trained.get_weights())}
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    rate = trained.optimizer.get_config()["learning_rate"]
    about = [int(counters[0]), int(counters[3]), rate, history.epoch, history.history]
    about += [callback.state_dict() for callback in seen]
    digest.update(json.dumps(about, sort_keys=True, default=lambda array: array.tolist()).encode())
    return digest.hexdigest()


def main(folder, seconds):
    """Train, or go on; the receipt is printed at the end."""
    made, tally = model(), Tally()
    log = callbacks.CSVLogger(os.path.join(folder, "log.csv"))
    backup = callbacks.BackupAndRestore(folder, save_freq=3)
    timer = threading.Timer(float(seconds), lambda: os.kill(os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
    history = made.fit(X, Y, **{**OPTIONS, "epochs": 60}, callbacks=[*steady()[1:], tally, backup, log])
    timer.cancel()
    with open(log.filename, "rb") as file:
        lines = hashlib.sha256(file.read()).hexdigest()
    print(json.dumps({"receipt": receipt(made, history, tally), "csv": lines, "calls": tally.calls}))


if __name__ == "__main__":
    main(*sys.argv[1:])
