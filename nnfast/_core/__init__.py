"""Where Python meets C: `runtime` (SIMD levels, memory, kernel tables) and `executor` (runs a plan's steps without the GIL), `calls` (the short way into a plan)."""

from nnfast._core import calls, executor, runtime

__all__ = ["calls", "executor", "runtime"]
