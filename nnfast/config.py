"""Number of threads, and what `show_config` prints.

In: set_num_threads, num_threads(), the environment. Out: get_num_threads(), read when a plan is made and run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from nnfast._core import runtime
from nnfast._core.executor import openmp_version
from nnfast._version import __version__
from nnfast.environment import MOST_THREADS, default_thread_count
from nnfast.errors import SettingError

_threads: int | None = None
_floatx = "float32"


def floatx() -> str:
    """The floating type of layers that are given none and whose input has none."""
    return _floatx


def set_floatx(dtype: str) -> None:
    """Let layers compute in "float32" (the default) or "float64" from now on."""
    global _floatx
    if dtype not in ("float32", "float64"):
        raise SettingError(f"set_floatx(dtype={dtype!r}): expected 'float32' or 'float64'")
    _floatx = dtype


def get_num_threads() -> int:
    """How many threads the next call may use."""
    if _threads is not None:
        return _threads
    return _default_threads()


@cache
def _default_threads() -> int:
    """Looked up once: it reads files of the operating system."""
    return default_thread_count()[0] if openmp_version() else 1


def set_num_threads(n: int | None) -> None:
    """Use at most n threads from now on; None goes back to the default. Results do not depend on it.

    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _threads
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= MOST_THREADS):
        raise SettingError(
            f"set_num_threads(n={n!r}): expected an integer from 1 to {MOST_THREADS}, or None for the default"
        )
    _threads = None if n is None else int(n)


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use at most n threads inside a `with` block."""
    before = _threads
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def config() -> dict[str, Any]:
    """Version, SIMD levels and threads, with the reasons."""
    count, reason = default_thread_count()
    if _threads is not None:
        count, reason = _threads, "set_num_threads"
    if not openmp_version():
        count, reason = 1, "a serial build: the compiler had no OpenMP"
    return {
        "nnfast": __version__,
        "numpy": np.__version__,
        "level": runtime.level(),
        "levels": runtime.levels(),
        "threads": count,
        "threads_from": reason,
        "openmp": openmp_version(),
    }


def show_config() -> None:
    """Print what `config` returns."""
    facts = config()
    print(f"nnfast {facts['nnfast']}, NumPy {facts['numpy']}")
    for level in facts["levels"]:
        state = (
            "in use"
            if level["name"] == facts["level"]
            else "available"
            if level["available"]
            else f"not available: {level['reason']}"
        )
        print(f"  SIMD level {level['name']}: {state}")
    print(f"  threads: {facts['threads']} ({facts['threads_from']})")
    print(f"  OpenMP: {facts['openmp'] or 'none'}")
