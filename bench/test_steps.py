"""Networks, trained and used, each in nnfast and in NumPy, those on images and sequences in PyTorch where it is installed: the cases of
`nnfast bench`, one pair of benchmarks each."""

import pytest

from nnfast.benchmark.cases import CASES
from nnfast.benchmark.peers import make_peer, missing
from nnfast.benchmark.rounds import difference
from nnfast.benchmark.run import KERNELS
from nnfast.config import get_num_threads


@pytest.mark.parametrize("library", ["nnfast", "peer"])
@pytest.mark.parametrize("case", [case for case in CASES if case.group not in KERNELS], ids=lambda case: case.name)
def test_network(benchmark, case, library):
    other = "torch" if case.network else "numpy"
    if missing(other):
        pytest.skip(f"{other} is not installed")
    works = {name: make_peer(name, get_num_threads()).make(case) for name in ("nnfast", other)}
    assert difference(works[other].result(), works["nnfast"].result(), case) == ""
    benchmark.group = case.name
    benchmark(works["nnfast" if library == "nnfast" else other].run, 1)
