"""Where Python meets C: `runtime` (SIMD levels, memory, kernel tables) and `executor` (runs a plan's steps without the GIL)."""

from nnfast.environment import short_openmp_waits

with short_openmp_waits():
    from nnfast._core import executor, runtime

__all__ = ["executor", "runtime"]
