"""Kernels on arrays against NumPy: the cases of `nnfast bench`, one pair of benchmarks each."""

import numpy as np
import pytest

from nnfast.cli.cases import make_cases
from nnfast.cli.peer import ABSOLUTE, RELATIVE

CASES = make_cases(quick=False)


@pytest.mark.parametrize("library", ["nnfast", "numpy"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.size.replace(' ', '')}")
def test_kernel(benchmark, case, library):
    np.testing.assert_allclose(case.nnfast(), case.numpy(), rtol=RELATIVE, atol=ABSOLUTE)
    benchmark.group = f"{case.name} {case.size}"
    benchmark(getattr(case, library))
