"""Work whose instructions are counted: run as a program under callgrind, which writes one file for each run of a plan.

In: the prefix of callgrind's files. Out: a line for each piece of work on standard output: how many files there were when it was done.
"""

import glob
import sys

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import nnfast as own

CASES = (
    Case("products", "x w", (32, 784, 256)),
    Case("products", "x w", (1, 512, 512)),
    Case("products", "x w", (33, 65, 129)),
    Case("training products", "x^T dy", (32, 784, 256)),
    Case("training products", "dy w^T", (32, 784, 256)),
    Case("elementwise", "exp", (4096,)),
    Case("elementwise", "tanh", (4096,)),
    Case("rows", "softmax", (128, 1000)),
    Case("rows", "sparse cross-entropy", (128, 1000)),
    Case("updates", "adam", (10_000,)),
    Case("steps", "train_on_batch", (20, 64, 64, 2), 32, "adam"),
)


def run(case):
    """Do the work; its last run of a plan is the one that counts."""
    if case.group == "steps":
        model = own.model_of(case, 0.001)
        x, y = inputs.rows_and_labels(case)
        model.train_on_batch(x[: case.batch], y[: case.batch])
        return
    work = own.update(case, 1) if case.group == "updates" else own.op(case, 1)
    work.run(1)


if __name__ == "__main__":
    for case in CASES:
        run(case)
        print(len(glob.glob(sys.argv[1] + ".*")), case.name, flush=True)
