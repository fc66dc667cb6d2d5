"""`nnfast bench`: kernels and training steps against NumPy.

In: lists of cases. Out: a table, or JSON. A case is checked before it is timed; the two take turns while they are timed, NumPy's
kernels in a process of their own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nnfast
from nnfast import config, layers
from nnfast.cli.cases import Case, make_cases
from nnfast.cli.peer import Peer
from nnfast.cli.steps import check_step, step_times
from nnfast.cli.timing import PAUSE_SECONDS, format_seconds, repeats_for, sample
from nnfast.errors import NnfastError


@dataclass(frozen=True)
class Network:
    """A multilayer network to train: its sizes from inputs to classes, and the rows of a batch."""

    sizes: tuple[int, ...]
    batch_size: int


NETWORKS = (Network((64, 128, 10), 32), Network((784, 512, 256, 10), 128), Network((784, 1024, 1024, 10), 32))


def run(quick: bool, as_json: bool) -> int:
    """Check and time every case; returns 0, or 1 where a result is wrong."""
    lines = []
    if not as_json:
        config.show_config()
        print(f"\n{'what':24}{'size':>20}{'nnfast':>12}{'NumPy':>12}{'ratio':>8}{'GFLOP/s':>9}")
    rounds = 3 if quick else 9
    with Peer(quick) as peer:
        for number, case in enumerate(make_cases(quick)):
            lines.append(measure(case, number, peer, rounds))
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


def measure(case: Case, number: int, peer: Peer, rounds: int = 9) -> dict[str, Any]:
    """Check, then time a case, in turns with the peer."""
    line: dict[str, Any] = {"name": case.name, "size": case.size}
    wrong = peer.check(number)
    if wrong:
        return line | {"error": wrong}
    repeats = repeats_for(case.nnfast)
    own, other = [], []
    for _ in range(rounds):
        other.append(peer.time(number))
        time.sleep(PAUSE_SECONDS)
        case.nnfast()
        own.append(sample(case.nnfast, repeats))
    seconds = statistics.median(own) / case.times
    rate = None if case.flops is None else case.flops / seconds / 1e9
    return line | {"nnfast_seconds": seconds, "numpy_seconds": statistics.median(other) / case.times, "gflops": rate}


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


def _print_line(line: dict[str, Any]) -> None:
    if "error" in line:
        print(f"{line['name']:24}{line['size']:>20}  WRONG: {line['error']}")
        return
    own, other = line["nnfast_seconds"], line["numpy_seconds"]
    rate = "" if line["gflops"] is None else f"{line['gflops']:.1f}"
    times = f"{format_seconds(own):>12}{format_seconds(other):>12}{other / own:>8.2f}"
    print(f"{line['name']:24}{line['size']:>20}{times}{rate:>9}")
