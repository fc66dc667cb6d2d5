"""The process of one library: `python -m nnfast.benchmark.worker NAME THREADS`.

In: questions as JSON, one a line, on standard input. Out: an answer each on standard output; what libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from nnfast.benchmark import limits
from nnfast.benchmark.cases import BY_NAME
from nnfast.benchmark.peers import Peer, Work, make_peer
from nnfast.benchmark.timing import count_for, warm_sample


class Worker:
    """Answers questions: each public method is one."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = threads
        self.peer: Peer = make_peer(name, threads)
        self.work: Work | None = None
        self.count = 0

    def versions(self) -> dict[str, str]:
        """What is measured."""
        return self.peer.versions

    def make(self, case: str) -> bool:
        """Make a case ready; False: the library does not do it."""
        self.work = None
        gc.collect()
        self.work = self.peer.make(BY_NAME[case])
        self.count = 0
        return self.work is not None

    def result(self, path: str) -> None:
        """Save the results of the case."""
        assert self.work is not None
        np.savez(path, *[np.asarray(array) for array in self.work.result()])

    def time(self, quick: bool) -> float:
        """Seconds that the work takes once; quick: after less warming up."""
        assert self.work is not None
        if not self.count:
            self.count = count_for(self.work.run)
        return warm_sample(self.work.run, self.count, team=self.threads > 1 and not quick) / self.work.times

    def limits(self, simd: str | None, quick: bool) -> dict[str, Any]:
        """What the machine can do with this worker's threads."""
        return limits.measure(self.threads, simd, quick).as_dict()

    def flops(self, simd: str, threads: int) -> float:
        """Multiplications and additions per second on another SIMD level."""
        return limits.flops(threads, simd)

    def fit_overhead(self, rounds: int) -> float:
        """The part of `fit` that is not work; of nnfast only."""
        from nnfast.benchmark.peers.nnfast import fit_overhead

        return fit_overhead(rounds)


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        question = json.loads(line)
        method: Callable[..., Any] = getattr(worker, question.pop("ask"))
        try:
            answer = {"answer": method(**question)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
