"""The libraries that are compared: one file each, with a class Peer in it.

A Peer is made once in a process of its own, with a number of threads, which it must keep to. `versions` says what is measured, and
`make` turns a case into Work, or returns None for what the library does not do. Packages are imported when a Peer is made.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from nnfast.benchmark.cases import Case
from nnfast.benchmark.timing import repeated
from nnfast.errors import SettingError, unknown_name

Array = NDArray[Any]


@dataclass
class Work:
    """A case, ready to run in one library.

    run: does the work so many times, and is done when it returns. result: arrays to be compared, computed from the case's inputs
    afresh. times: how often the work is done by run(1).
    """

    run: Callable[[int], object]
    result: Callable[[], Sequence[Any]]
    times: int = 1


class Peer(Protocol):
    """What a file of this folder has in it."""

    versions: dict[str, str]

    def __init__(self, threads: int) -> None: ...

    def make(self, case: Case) -> Work | None:
        """The work of a case, or None."""
        ...


# Name in --against -> module of this folder, and the packages it needs.
PEERS = {
    "nnfast": ("nnfast", ("nnfast",)),
    "numpy": ("numpy", ("numpy",)),
    "torch": ("torch", ("torch",)),
    "torch-compile": ("torch_compile", ("torch",)),
    "jax": ("jax", ("jax",)),
    "sklearn": ("sklearn", ("sklearn",)),
    "onnxruntime": ("onnxruntime", ("onnxruntime", "onnx")),
    "openvino": ("openvino", ("openvino", "onnx")),
}


def missing(name: str) -> str:
    """The first package that a peer needs and that is not installed; empty where nothing is missing."""
    if name not in PEERS:
        raise unknown_name("--against", name, list(PEERS))
    return next((package for package in PEERS[name][1] if importlib.util.find_spec(package) is None), "")


def make_peer(name: str, threads: int) -> Peer:
    """Import a peer's packages and set its threads."""
    package = missing(name)
    if package:
        raise SettingError(f'peer {name}: {package} is not installed: pip install "nnfast[bench]"')
    module = importlib.import_module(f"nnfast.benchmark.peers.{PEERS[name][0]}")
    peer: Peer = module.Peer(threads)
    return peer


__all__ = ["PEERS", "Array", "Peer", "Work", "make_peer", "missing", "repeated"]
