"""Random numbers on arrays, and the seed that all of nnfast draws from.

In: `set_random_seed`. Out: streams for layers and initializers, numbered in the order in which they are asked for, and arrays of
uniform or normal numbers by the compiled Philox kernels. A number is a function of seed, stream and index alone.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from nnfast.errors import SettingError
from nnfast.locks import free_in_child
from nnfast.ops.random import COUNTERS, SEED
from nnfast.ops.registry import OPS
from nnfast.plan.eager import run_op


class _State:
    def __init__(self) -> None:
        self.lock = free_in_child(threading.Lock())
        self.seed: int | None = None
        self.streams = 0


_state = _State()


def set_random_seed(n: int) -> None:
    """Start all random numbers of nnfast anew from this seed, an integer from 0 to 2^63 - 1."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n < 2**63:
        raise SettingError(f"set_random_seed(n={n!r}): expected an integer from 0 to 2**63 - 1")
    with _state.lock:
        _state.seed = int(n)
        _state.streams = 0


def global_seed() -> int:
    """The seed; drawn from the operating system at first use where none was set."""
    with _state.lock:
        if _state.seed is None:
            _state.seed = int(np.random.SeedSequence().entropy) & (2**63 - 1)  # type: ignore[arg-type]
        return _state.seed


def next_stream() -> int:
    """A number that no layer or initializer has had since the seed was set: 0, 1, 2 ..."""
    with _state.lock:
        _state.streams += 1
        return _state.streams - 1


def _draw(
    name: str,
    shape: tuple[int, ...],
    first: tuple[str, float],
    second: tuple[str, float],
    dtype: str,
    seed: int | None,
    stream: int | None,
) -> np.ndarray:
    counters = np.zeros(COUNTERS, np.int64)
    counters[SEED] = global_seed() if seed is None else seed
    attributes: dict[str, Any] = {"shape": tuple(shape), first[0]: float(first[1]), second[0]: float(second[1])}
    attributes |= {"stream": (next_stream() if seed is None else 0) if stream is None else stream, "dtype": dtype}
    return run_op(OPS[name], [counters], attributes)[0]


def uniform(
    shape: tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    dtype: str = "float32",
    seed: int | None = None,
    stream: int | None = None,
) -> np.ndarray:
    """Uniform numbers in [low, high).

    >>> bool((uniform((2, 2), seed=1) == uniform((2, 2), seed=1)).all())
    True
    """
    return _draw("random_uniform", shape, ("low", low), ("high", high), dtype, seed, stream)


def normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    std: float = 1.0,
    dtype: str = "float32",
    seed: int | None = None,
    stream: int | None = None,
) -> np.ndarray:
    """Normal numbers of the given mean and standard deviation."""
    return _draw("random_normal", shape, ("mean", mean), ("std", std), dtype, seed, stream)
