"""NumPy's side of `nnfast bench`, in a process of its own, so that the threads of its BLAS and nnfast's do not share one.

In: lines on standard input, "check N" or "time N" for case N. Out: a line each: "" or what is wrong; seconds of one sample.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np

from nnfast.cli.cases import Case, make_cases
from nnfast.cli.timing import repeats_for, sample
from nnfast.errors import NnfastError

RELATIVE, ABSOLUTE = 1e-4, 1e-4  # float32 sums in another order; the self-test is the strict one
HOLD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # settings with which OpenBLAS would not show what it can


class Peer:
    """The process; use it in a `with` block."""

    def __init__(self, quick: bool) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in HOLD_BACK}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nnfast.cli.peer", *(["quick"] if quick else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()

    def check(self, number: int) -> str:
        """What is wrong with the results of a case; empty where nothing is."""
        return self._ask(f"check {number}")

    def time(self, number: int) -> float:
        """Seconds of one call of the case in NumPy."""
        return float(self._ask(f"time {number}"))

    def _ask(self, question: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(question + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise NnfastError(f"nnfast bench: the process of NumPy ended at {question!r}")
        return answer.rstrip("\n")


def difference(case: Case) -> str:
    """What is wrong with the results of a case."""
    found, expected = case.nnfast(), case.numpy()
    if np.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE):
        return ""
    return f"differs from NumPy by up to {np.abs(found - expected).max():.3g}"


def main() -> None:
    """Answer until the input ends."""
    cases = make_cases("quick" in sys.argv[1:])
    repeats: dict[int, int] = {}
    for line in sys.stdin:
        question, number = line.split()
        case = cases[int(number)]
        if question == "check":
            print(difference(case), flush=True)
            continue
        if int(number) not in repeats:
            repeats[int(number)] = repeats_for(case.numpy)
        print(sample(case.numpy, repeats[int(number)]), flush=True)


if __name__ == "__main__":
    main()
