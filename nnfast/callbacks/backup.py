"""BackupAndRestore: a training that is stopped, by whatever, goes on when its script is started again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nnfast.callbacks.base import Callback, Logs
from nnfast.callbacks.checkpoint import Due

FILE, PREVIOUS = "training.nnf", "training-previous.nnf"


class BackupAndRestore(Callback):
    """Write where the training stands into a folder; a fit that finds such a file there goes on from it, with the same bits.

    save_freq: "epoch", or a number of batches; save_seconds: seconds, in its place. double_checkpoint: keep the file before the last, too.
    delete_checkpoint: remove the files when the training has ended by itself. For several trainings give several folders. Any model can be
    backed up, also one that cannot be saved (with a lambda, say), since the script makes it anew.

    >>> import nnfast, numpy as np, tempfile
    >>> x, y, folder = np.ones((96, 4), "float32"), np.arange(96.0), tempfile.mkdtemp()
    >>> def train(callbacks):  # what a script does
    ...     nnfast.set_random_seed(1)
    ...     model = nnfast.Sequential([nnfast.Input((4,)), nnfast.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     history = model.fit(x, y, epochs=4, verbose=0, callbacks=[BackupAndRestore(folder), *callbacks])
    ...     return history.history["loss"], model.get_weights()[0].tobytes()
    >>> def fail(epoch, logs):
    ...     if epoch == 2:
    ...         raise RuntimeError("power cut")
    >>> try:
    ...     train([nnfast.callbacks.LambdaCallback(on_epoch_begin=fail)])
    ... except RuntimeError:
    ...     resumed = train([])
    >>> resumed == train([])
    True
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        save_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError(f"BackupAndRestore(backup_dir={backup_dir!r}): expected the name of a folder")
        self.due = Due("BackupAndRestore", save_freq, save_seconds)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint

    @property
    def path(self) -> str:
        """The file that is written."""
        return os.path.join(self.backup_dir, FILE)

    @property
    def previous_path(self) -> str:
        """The file before the last one, for double_checkpoint."""
        return os.path.join(self.backup_dir, PREVIOUS)

    def resume_paths(self) -> list[str]:
        return [path for path in (self.path, self.previous_path) if os.path.exists(path)]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.due.begin()

    def most_batches(self) -> int:
        return self.due.most_batches()

    def on_batches_end(self, batch: int, count: int, logs: Logs | None = None) -> None:
        if self.due.after_batches(count):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.due.after_epoch():
            self._save()

    def _save(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self.path):
            os.replace(self.path, self.previous_path)
        self.model.save_training(self.path)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            for path in (self.path, self.previous_path):
                if os.path.exists(path):
                    os.unlink(path)

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.due.batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.due.batches = state["batches"]
