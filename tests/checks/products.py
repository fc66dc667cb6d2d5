"""The products through the executor, on memory of one's own, and their exact oracle.

    linear                  y[M, N]  = x[M, K] w[K, N]
    matmul_rows             y[M, N]  = x[M, K] b[K, N], b row-major
    linear_weight_gradient  dw[K, N] = x[M, K]^T dy[M, N]
    linear_input_gradient   dx[M, K] = dy[M, N] w[K, N]^T

Sizes are M, N, K, as in csrc/kernels/matmul.h; weights lie in panels of 16 columns.
"""

from fractions import Fraction

import numpy as np

from nnfast._core import runtime
from nnfast._core.executor import Executor
from nnfast.reference import contract_matmul

FORMS = ("linear", "matmul_rows", "linear_weight_gradient", "linear_input_gradient")
SIZES = [
    (1, 1, 1), (0, 5, 3), (5, 0, 3), (5, 3, 0), (1, 16, 16), (1, 17, 40), (2, 15, 33), (3, 31, 7), (6, 33, 65),
    (14, 32, 16), (15, 64, 17), (16, 48, 48), (17, 65, 31), (33, 10, 129), (65, 100, 9),
    (20, 70, 140), (140, 70, 20), (8, 20, 20), (9, 40, 20),
]  # fmt: skip
LONG = {  # the summed axis beyond one chunk of 512, at its edges too
    "linear": [(3, 17, 511), (3, 17, 512), (4, 33, 513), (5, 16, 1025), (2, 7, 1600)],
    "matmul_rows": [(3, 17, 511), (3, 17, 512), (4, 33, 513), (5, 16, 1025), (2, 7, 1600)],
    "linear_weight_gradient": [(511, 17, 3), (512, 17, 3), (513, 33, 4), (1025, 16, 5), (1600, 7, 2)],
    "linear_input_gradient": [(3, 511, 17), (3, 512, 17), (4, 513, 33), (5, 1025, 16), (2, 1600, 7)],
}


def panels(w):
    """[K, N] -> [ceil(N / 16)][K][16], zero beyond column N."""
    rows, columns = w.shape
    count = -(-columns // 16)
    wide = np.zeros((rows, count * 16), w.dtype)
    wide[:, :columns] = w
    return np.ascontiguousarray(wide.reshape(rows, count, 16).transpose(1, 0, 2))


def operands(form, sizes, dtype):
    """Random matrices: x and w, x and dy, or dy and w."""
    m, n, k = sizes
    rng = np.random.default_rng([m, n, k])
    x, w, dy = ((rng.standard_normal(shape)).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    return {"linear_weight_gradient": (x, dy), "linear_input_gradient": (dy, w)}.get(form, (x, w))


def plain(form, a, b):
    """The operands as a product of two matrices."""
    return {"linear_weight_gradient": (a.T, b), "linear_input_gradient": (a, b.T)}.get(form, (a, b))


def oracle(form, sizes, dtype):
    """What the contract says, bit by bit."""
    a, b = plain(form, *operands(form, sizes, dtype))
    return contract_matmul(a, b) if dtype == "float32" else _contract_matmul_float64(a, b)


def _contract_matmul_float64(a, b):
    """The same in float64, with fractions: for very small products."""
    y = np.zeros((a.shape[0], b.shape[1]))
    for i, j in np.ndindex(y.shape):
        total = 0.0
        for start in range(0, a.shape[1], 512):
            chunk = 0.0
            for k in range(start, min(start + 512, a.shape[1])):
                chunk = float(Fraction(float(a[i, k])) * Fraction(float(b[k, j])) + Fraction(chunk))
            total = chunk if start == 0 else total + chunk
        y[i, j] = total
    return y


def padded(array, extra, empty):
    """The rows of a matrix further apart, with NaN between them; extra: elements."""
    rows, columns = array.shape
    memory = empty((max(rows * (columns + extra) - extra, 0),), array.dtype)
    memory[...] = np.nan
    view = np.lib.stride_tricks.as_strided(memory, array.shape, ((columns + extra) * array.itemsize, array.itemsize))
    view[...] = array
    return memory, view


def run(form, sizes, dtype, level=None, threads=1, empty=np.empty, gap=0, panel=True):
    """The product by its kernel. gap: elements between the rows of what is row-major. panel: for the weight gradient. Returns the
    result as a matrix, and the memory that the kernel wrote."""
    m, n, k = sizes
    a, b = operands(form, sizes, dtype)
    first, _ = padded(a, gap, empty)
    if form == "linear_weight_gradient":
        second, _ = padded(b, gap, empty)
        step_sizes = [m, n, k, int(panel), k + gap, n + gap]
        shape = (k, n)
    elif form == "matmul_rows":
        second, _ = padded(b, gap, empty)
        shape = (m, n)
        step_sizes = [m, n, k, n + gap, k + gap, n + gap]
    else:
        second = empty(panels(b).shape, b.dtype)
        second[...] = panels(b)
        shape = (m, k) if form == "linear_input_gradient" else (m, n)
        step_sizes = [m, n, k, shape[1] + gap, a.shape[1] + gap]
    if form == "linear_weight_gradient":
        result = empty((-(-n // 16), k, 16) if panel else (k, n), a.dtype)
        result[...] = np.nan
        view = result
    else:
        result, view = padded(np.full(shape, np.nan, a.dtype), gap, empty)
    step = (runtime.kernel(form, dtype, level), [(0, 0), (1, 0), (2, 0)], step_sizes, [], [], threads, 1, 0)
    executor = Executor([step], 3, threads)
    for space, array in enumerate((result, first, second)):
        executor.bind(space, array.ctypes.data, array)
    executor.run()
    if form == "linear_weight_gradient" and panel:
        whole = result.transpose(1, 0, 2).reshape(k, -(-n // 16) * 16)
        assert not whole[:, n:].any(), "the padding of the panels is not zero"
        view = whole[:, :n]
    return np.array(view), result
