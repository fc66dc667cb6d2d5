"""Where Python meets C: `runtime` (SIMD levels, memory, kernel tables) and `executor` (runs a plan's steps without the GIL)."""
