"""`nnfast bench`: kernels and training steps against NumPy.

In: lists of cases. Out: a table, or JSON. A case is checked before it is timed; the two take turns while they are
timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nnfast
from nnfast import config, kernels, layers
from nnfast.cli import baseline
from nnfast.cli.steps import check_step, step_times
from nnfast.cli.timing import format_seconds, interleaved_medians
from nnfast.errors import NnfastError

Function = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """One line of the table: what, its size, both functions, and flops where they say something."""

    name: str
    size: str
    nnfast: Function
    numpy: Function
    flops: float | None = None


@dataclass(frozen=True)
class Network:
    """A multilayer network to train: its sizes from inputs to classes, and the rows of a batch."""

    sizes: tuple[int, ...]
    batch_size: int


PRODUCTS = ((32, 784, 256), (128, 784, 512), (1, 1024, 1024), (256, 256, 256), (1024, 1024, 1024))
ROWS = ((32, 10), (128, 1000))
ELEMENTS = (10_000, 1_000_000)
NETWORKS = (Network((64, 128, 10), 32), Network((784, 512, 256, 10), 128), Network((784, 1024, 1024, 10), 32))
RELATIVE, ABSOLUTE = 1e-4, 1e-4  # float32 sums in another order; the self-test is the strict one


def run(quick: bool, as_json: bool) -> int:
    """Check and time every case; returns 0, or 1 where a result is wrong."""
    lines = []
    if not as_json:
        config.show_config()
        print(f"\n{'what':24}{'size':>20}{'nnfast':>12}{'NumPy':>12}{'ratio':>8}{'GFLOP/s':>9}")
    rounds = 5 if quick else 15
    for case in make_cases(quick):
        lines.append(measure(case, rounds))
        if not as_json:
            _print_line(lines[-1])
    for network in NETWORKS[:1] if quick else NETWORKS:
        lines.append(measure_step(network, rounds))
        if not as_json:
            _print_line(lines[-1])
    if as_json:
        json.dump({"config": config.config(), "lines": lines}, sys.stdout, indent=2)
        print()
    return 1 if any("error" in line for line in lines) else 0


def measure(case: Case, rounds: int = 15) -> dict[str, Any]:
    """Check, then time a kernel."""
    line: dict[str, Any] = {"name": case.name, "size": case.size}
    found, expected = case.nnfast(), case.numpy()
    if not np.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE):
        return line | {"error": f"differs from NumPy by up to {np.abs(found - expected).max():.3g}"}
    times = interleaved_medians({"nnfast": case.nnfast, "numpy": case.numpy}, rounds)
    rate = None if case.flops is None else case.flops / times["nnfast"] / 1e9
    return line | {"nnfast_seconds": times["nnfast"], "numpy_seconds": times["numpy"], "gflops": rate}


def measure_step(network: Network, rounds: int = 15) -> dict[str, Any]:
    """Check, then time a training step."""
    size = "-".join(map(str, network.sizes)) + f", {network.batch_size}"
    line: dict[str, Any] = {"name": "training step, Adam", "size": size}
    model, x, y = make_network(network)
    try:
        check_step(model, x, y, network.batch_size)
    except NnfastError as error:
        return line | {"error": str(error)}
    times = step_times(model, x, y, network.batch_size, rounds)
    return line | {"nnfast_seconds": times["nnfast"], "numpy_seconds": times["numpy"], "gflops": None}


def make_network(network: Network) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """The compiled model, and rows and labels for it."""
    nnfast.set_random_seed(0)
    generator = np.random.default_rng(0)
    hidden = [layers.Dense(units, activation="relu") for units in network.sizes[1:-1]]
    model = nnfast.Sequential([nnfast.Input((network.sizes[0],)), *hidden, layers.Dense(network.sizes[-1])])
    model.compile("adam", nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = generator.standard_normal((network.batch_size, network.sizes[0]), dtype=np.float32)
    return model, x, generator.integers(0, network.sizes[-1], network.batch_size, dtype=np.int32)


def make_cases(quick: bool) -> list[Case]:
    """The kernels of the table."""
    products = PRODUCTS[:2] if quick else PRODUCTS
    cases = [make_product(*sizes) for sizes in products]
    cases += [make_softmax(*sizes) for sizes in (ROWS[:1] if quick else ROWS)]
    for size in ELEMENTS[:1] if quick else ELEMENTS:
        cases += [make_elementwise(name, size) for name in NUMPY_FUNCTIONS]
    return cases


def make_product(m: int, k: int, n: int) -> Case:
    """a b for float32 a (m, k) and b (k, n)."""
    a, b, out, own = _normal(m, k), _normal(k, n), np.empty((m, n), np.float32), np.empty((m, n), np.float32)
    size = f"{m} x {k} x {n}"
    return Case(
        "matmul", size, lambda: kernels.matmul(a, b, out=own), lambda: np.matmul(a, b, out=out), 2.0 * m * k * n
    )


def make_softmax(rows: int, columns: int) -> Case:
    """Softmax of float32 rows."""
    x, own = _normal(rows, columns), np.empty((rows, columns), np.float32)
    return Case("softmax", f"{rows} x {columns}", lambda: kernels.softmax(x, out=own), lambda: baseline.softmax(x))


NUMPY_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def make_elementwise(name: str, size: int) -> Case:
    """An elementwise function of float32 numbers."""
    x, own = _normal(size), np.empty(size, np.float32)
    function, reference = getattr(kernels, name), NUMPY_FUNCTIONS[name]
    return Case(name, f"{size:,}", lambda: function(x, out=own), lambda: reference(x))


def _normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _print_line(line: dict[str, Any]) -> None:
    if "error" in line:
        print(f"{line['name']:24}{line['size']:>20}  WRONG: {line['error']}")
        return
    own, other = line["nnfast_seconds"], line["numpy_seconds"]
    rate = "" if line["gflops"] is None else f"{line['gflops']:.1f}"
    times = f"{format_seconds(own):>12}{format_seconds(other):>12}{other / own:>8.2f}"
    print(f"{line['name']:24}{line['size']:>20}{times}{rate:>9}")
