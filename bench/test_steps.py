"""Networks, trained and used, each in nnfast and in NumPy: the cases of `nnfast bench`, one pair of benchmarks each."""

import pytest

from nnfast.benchmark.cases import CASES
from nnfast.benchmark.peers import make_peer
from nnfast.benchmark.rounds import difference
from nnfast.benchmark.run import KERNELS
from nnfast.config import get_num_threads

LIBRARIES = ("nnfast", "numpy")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", [case for case in CASES if case.group not in KERNELS], ids=lambda case: case.name)
def test_network(benchmark, case, library):
    works = {name: make_peer(name, get_num_threads()).make(case) for name in LIBRARIES}
    assert difference(works["numpy"].result(), works["nnfast"].result(), case) == ""
    benchmark.group = case.name
    benchmark(works[library].run, 1)
