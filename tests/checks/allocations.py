"""Counts allocations of a whole process: a small library that is loaded before libc's allocator. Linux with glibc and gcc."""

import os
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static atomic_long count;
long allocations_so_far(void) { return count; }
void *malloc(size_t n) { count++; return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { count++; return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { count++; return __libc_realloc(p, n); }
void *memalign(size_t to, size_t n) { count++; return __libc_memalign(to, n); }
void *aligned_alloc(size_t to, size_t n) { count++; return __libc_memalign(to, n); }
int posix_memalign(void **p, size_t to, size_t n) { count++; *p = __libc_memalign(to, n); return *p ? 0 : ENOMEM; }
void *mmap(void *at, size_t n, int protection, int flags, int file, off_t offset) {
    count++;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, file, offset);
}
void *mmap64(void *at, size_t n, int protection, int flags, int file, off_t offset) {
    return mmap(at, n, protection, flags, file, offset);
}
"""


def build(folder):
    """Compile the counter; returns the library's path."""
    source, library = Path(folder) / "count.c", Path(folder) / "count.so"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


def run(library, program, **environment):
    """Run a Python program under the counter; returns what it prints."""
    import sys

    folder = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(folder), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
