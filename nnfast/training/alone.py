"""One training or evaluation of a model at a time."""

from __future__ import annotations

import threading
from typing import Any

from nnfast.errors import NnfastError


class Alone:
    """Holds a model for one training or evaluation; a second thread gets an error in place of mixed weights."""

    def __init__(self, lock: threading.Lock, name: str, call: str) -> None:
        self.lock, self.name, self.call = lock, name, call

    def __enter__(self) -> None:
        if not self.lock.acquire(blocking=False):
            raise NnfastError(
                f"{self.call}: model {self.name} is being trained or evaluated by another call; wait for it, or use a second model"
            )

    def __exit__(self, *_: Any) -> None:
        self.lock.release()
