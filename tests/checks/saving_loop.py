"""A process that saves as fast as it can, to be killed: python -m checks.saving_loop PATH. Prints a line before it begins.

Every file has two tensors of one number, so that a file mixed of two saves shows.
"""

import sys

import numpy as np

from nnfast.io import write_tensors


def tensors(number, size=3000):
    return {name: np.full(size, number, "float64") for name in ("a", "b")}


def number_in(path):
    """The number in a file, which must be whole."""
    from nnfast.io import read_tensors

    found, metadata = read_tensors(path)
    numbers = {metadata["number"], *found["a"].tolist(), *found["b"].tolist()}
    assert len(numbers) == 1, f"{path}: mixed of {numbers}"
    return numbers.pop()


def save(path, number):
    write_tensors(path, tensors(number), {"number": number})


if __name__ == "__main__":
    first = int(sys.argv[2])
    save(sys.argv[1], first)
    print("ready", flush=True)
    while True:
        first += 1
        save(sys.argv[1], first)
