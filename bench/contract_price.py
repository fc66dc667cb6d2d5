"""What the numeric contract costs: its kernels against the same work in the order of sums that is fastest.

    python bench/contract_price.py

In: csrc/, a C compiler, a processor with AVX-512. Out: a table. Free to choose are: where sums of products are cut (contract: 512), the
number of accumulators of a row (64 lanes) and the length of its pieces (8192), all by compiling a changed copy of csrc; and by kernels of
free_order.c: sums divided over threads (split K), lanes over k, unmasked row sums. Both sides run in turn in one process, by the executor
that runs plans; time is the median of the rounds, the price the contract's time over the least of the free ones.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nnfast._core import runtime
from nnfast._core.executor import Executor
from nnfast.ops import OPS
from nnfast.plan import eager

ROOT = Path(__file__).parent.parent
FLAGS = "-std=gnu11 -O3 -ffp-contract=off -fno-math-errno -Wno-unused-function -shared -fPIC -DNNF_REAL=32"
AVX512 = (
    "-mavx2 -mfma -mf16c -mbmi -mbmi2 -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mprefer-vector-width=512"
)
SAME = "the contract again"  # what the figures are worth: its price against the contract is noise
VARIANTS = {  # chunk of products, lanes of a row, pieces of a row
    SAME: (512, 64, 8192),
    "chunk 256, 32 lanes": (256, 32, 1 << 20),
    "chunk 1024, 128 lanes": (1024, 128, 1 << 20),
    "chunk 4096, 64 lanes": (4096, 64, 1 << 20),
}
ROUNDS, SAMPLE_SECONDS = 15, 0.01
LEVEL = "avx512"


class Entry(ctypes.Structure):
    """nnf_entry."""

    _fields_ = (("name", ctypes.c_char_p), ("kernel", ctypes.c_void_p), ("function", ctypes.c_void_p))


class Table(ctypes.Structure):
    """nnf_table."""

    _fields_ = (
        ("level", ctypes.c_char_p),
        ("dtype", ctypes.c_char_p),
        ("lanes", ctypes.c_int32),
        ("count", ctypes.c_int32),
        ("entries", ctypes.POINTER(Entry)),
    )


def compiled(folder, constants):
    """A library of csrc with other constants, and of free_order.c."""
    shutil.copytree(ROOT / "csrc", folder)
    header = (folder / "nnfast.h").read_text()
    for name, value in zip(("NNF_CHUNK", "NNF_VIRTUAL_LANES", "NNF_ROW_CHUNK"), constants, strict=True):
        header, count = re.subn(rf"{name} = \d+", f"{name} = {value}", header)
        assert count == 1, name
    (folder / "nnfast.h").write_text(header)
    command = [
        "cc",
        *FLAGS.split(),
        *AVX512.split(),
        f"-I{folder}",
        ROOT / "bench" / "free_order.c",
        "-o",
        folder / "free.so",
    ]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "free.so"))


def addresses(library):
    """Names of kernels -> addresses."""
    table = Table.in_dll(library, f"nnf_table_{LEVEL}_f32")
    entries = [table.entries[i] for i in range(table.count)]
    return {entry.name.decode(): entry.kernel for entry in entries if entry.kernel}


def executor(steps, arrays, threads):
    """Steps (address, places of arrays, sizes) on these arrays."""
    made = Executor(
        [
            (kernel, [(i, 0) for i in places], sizes, scalars, [], threads, 1, i > 0)
            for i, (kernel, places, sizes, scalars) in enumerate(steps)
        ],
        len(arrays),
        threads,
    )
    for i, array in enumerate(arrays):
        made.bind_array(i, array)
    return made


def median_times(sides):
    """Seconds of each side, in turns."""
    counts, times = {}, {name: [] for name in sides}
    for name, side in sides.items():
        side.run(1)
        begin = time.perf_counter()
        side.run(3)
        counts[name] = max(1, int(SAMPLE_SECONDS * 3 / (time.perf_counter() - begin)))
    for _ in range(ROUNDS):
        for name, side in sides.items():
            begin = time.perf_counter()
            side.run(counts[name])
            times[name].append((time.perf_counter() - begin) / counts[name])
    return {name: statistics.median(found) for name, found in times.items()}


def panels(w):
    """[K, N] -> [N / 16, K, 16]."""
    K, N = w.shape
    padded = np.zeros((K, -(-N // 16) * 16), np.float32)
    padded[:, :N] = w
    return np.ascontiguousarray(padded.reshape(K, -1, 16).transpose(1, 0, 2))


def product(rng, libraries, free, M, K, N, threads):
    """y = x w: other chunks, two threads with half of K each, lanes over k."""
    x, w = rng.standard_normal((M, K)).astype(np.float32), rng.standard_normal((K, N)).astype(np.float32)
    y, more = np.empty((M, N), np.float32), np.empty((M, N), np.float32)
    half = K // 2
    arrays = [y, more, x, panels(w), panels(w[:half]), panels(w[half:]), np.ascontiguousarray(w.T)]
    sizes = [M, N, K, N, K]
    sides = {
        "contract": executor([(runtime.kernel("linear", "float32", LEVEL), [0, 2, 3], sizes, [])], arrays, threads)
    }
    for name, kernels in libraries.items():
        sides[name] = executor([(kernels["linear"], [0, 2, 3], sizes, [])], arrays, threads)
    if threads == 2:
        adding = eager._make(OPS["add"], [y, more], {}, LEVEL, 2).steps[0]
        function = runtime.function("add", "float32", LEVEL)
        steps = [
            (address(free, "free_split_k"), [(i, 0) for i in (0, 1, 2, 4, 5)], sizes, [], [], 2, 1, 0),
            (
                runtime.kernel("elementwise", "float32", LEVEL),
                [(0, 0), (0, 0), (1, 0)],
                adding.sizes,
                [],
                [(function, part.y, part.a, part.b, part.c, ()) for part in adding.program],
                adding.threads,
                adding.parts,
                1,
            ),
        ]
        sides["split K"] = Executor(steps, len(arrays), 2)
        for i, array in enumerate(arrays):
            sides["split K"].bind_array(i, array)
    if M == 1 and K % 128 == 0:
        sides["lanes over k"] = executor([(address(free, "free_dot"), [0, 2, 6], [N, K], [])], arrays, threads)
    return sides, y


def rows(kernel, rng, libraries, free, count, n, threads):
    """`sum` or `softmax` of rows."""
    x = rng.standard_normal((count, n)).astype(np.float32)
    y = np.empty((count, n) if kernel == "softmax" else count, np.float32)
    sizes = [count, n] if kernel == "softmax" else [count, n, 1]
    sides = {"contract": executor([(runtime.kernel(kernel, "float32", LEVEL), [0, 1], sizes, [])], [y, x], threads)}
    for name, kernels in libraries.items():
        sides[name] = executor([(kernels[kernel], [0, 1], sizes, [])], [y, x], threads)
    if kernel == "sum" and n % 128 == 0:
        sides["no masks, 128 lanes"] = executor([(address(free, "free_sum"), [0, 1], [count, n], [])], [y, x], threads)
    return sides, y


def columns(rng, libraries, free, count, n, threads):
    """Sums over the batch, as of a bias's gradient."""
    x, y = rng.standard_normal((count, n)).astype(np.float32), np.empty(n, np.float32)
    sizes = [1, count, n]
    sides = {"contract": executor([(runtime.kernel("sum", "float32", LEVEL), [0, 1], sizes, [])], [y, x], threads)}
    for name, kernels in libraries.items():
        sides[name] = executor([(kernels["sum"], [0, 1], sizes, [])], [y, x], threads)
    return sides, y


def address(library, name):
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value


CASES = [
    *[
        ("x w", product, shape)
        for shape in ((1, 512, 512), (1, 4096, 16), (8, 1024, 1024), (32, 784, 256), (64, 4096, 10), (128, 784, 512))
    ],
    *[("x w", product, shape) for shape in ((128, 4096, 256), (512, 512, 512), (1024, 1024, 1024))],
    *[("row sums", lambda *a: rows("sum", *a), shape) for shape in ((1024, 128), (1024, 1024), (16, 65536))],
    *[("softmax", lambda *a: rows("softmax", *a), shape) for shape in ((128, 10), (128, 1000), (16, 32768))],
    *[("column sums", columns, shape) for shape in ((128, 512), (8192, 64))],
]


def main():
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda i: compiled(Path(folder) / str(i), list(VARIANTS.values())[i]), range(len(VARIANTS)))
        )
        libraries = {name: addresses(library) for name, library in zip(VARIANTS, made, strict=True)}
        print("| work | threads | contract | best free order | price |\n|---|---|---|---|---|")
        prices, noise = [], []
        for title, case, shape in CASES:
            for threads in (1, 2):
                sides, y = case(np.random.default_rng(0), libraries, made[0], *shape, threads)
                wanted = None
                for name, side in sides.items():
                    side.run(1)
                    wanted = y.copy() if wanted is None else wanted
                    assert np.allclose(y, wanted, rtol=1e-3, atol=1e-3), (title, shape, name)
                times = median_times(sides)
                own = times.pop("contract")
                noise.append(own / times.pop(SAME))
                best = min(times, key=times.get)
                prices.append(own / times[best])
                size = " x ".join(map(str, shape))
                print(
                    f"| {title} {size} | {threads} | {own * 1e6:.2f} us | {times[best] * 1e6:.2f} us, {best} | {prices[-1]:.2f} |",
                    flush=True,
                )
        for title, found in (("prices", prices), (f"prices of {SAME}", noise)):
            print(f"\nmedian of the {title} {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}")


if __name__ == "__main__":
    main()
