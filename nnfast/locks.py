"""Locks that a forked child finds free.

A thread that holds a lock while another thread forks does not exist in the child, where nobody would ever release it. What the locks
of nnfast guard (caches of plans, the arrays of a call, a model in training) is whole at any moment, or filled anew by the next call.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, TypeVar

Lock = TypeVar("Lock")

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def free_in_child(lock: Lock) -> Lock:
    """The lock itself, made free in every child that is forked: a lock of `threading`, or what has its `_at_fork_reinit`.

    >>> import threading
    >>> with free_in_child(threading.Lock()):
    ...     pass
    """
    _locks.add(lock)
    return lock


def _free_all() -> None:
    for lock in _locks:
        lock._at_fork_reinit()  # as the standard library does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
