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
    afresh. times: how often the work is done by run(1). keeps: what has to live as long as the work.
    """

    run: Callable[[int], object]
    result: Callable[[], Sequence[Any]]
    times: int = 1
    keeps: Any = None


class Peer(Protocol):
    """What a file of this folder has in it."""

    versions: dict[str, str]

    def __init__(self, threads: int) -> None: ...

    def make(self, case: Case) -> Work | None:
        """The work of a case, or None."""
        ...


@dataclass(frozen=True)
class Entry:
    """Where a peer is: its module in this folder, the packages that it needs, and the groups of cases that it does (none: all)."""

    module: str
    packages: tuple[str, ...]
    groups: tuple[str, ...] = ()


# By the name in --against.
PEERS = {
    "nnfast": Entry("nnfast", ("nnfast",)),
    "numpy": Entry("numpy", ("numpy",)),
    "torch": Entry("torch", ("torch",)),
    "torch-compile": Entry("torch_compile", ("torch",), ("steps", "inference")),
    "jax": Entry("jax", ("jax",)),
    "sklearn": Entry("sklearn", ("sklearn",), ("steps",)),
    "onnxruntime": Entry("onnxruntime", ("onnxruntime", "onnx"), ("inference",)),
    "openvino": Entry("openvino", ("openvino", "onnx"), ("inference",)),
}


def missing(name: str) -> str:
    """The first package that a peer needs and that is not installed; empty where nothing is missing."""
    if name not in PEERS:
        raise unknown_name("--against", name, list(PEERS))
    return next((package for package in PEERS[name].packages if importlib.util.find_spec(package) is None), "")


def does(name: str, group: str) -> bool:
    """Whether a peer has cases of a group."""
    groups = PEERS[name].groups if name in PEERS else ()
    return not groups or group in groups


def make_peer(name: str, threads: int) -> Peer:
    """Import a peer's packages and set its threads."""
    package = missing(name)
    if package:
        raise SettingError(f'peer {name}: {package} is not installed: pip install "nnfast[bench]"')
    module = importlib.import_module(f"nnfast.benchmark.peers.{PEERS[name].module}")
    peer: Peer = module.Peer(threads)
    return peer


__all__ = ["PEERS", "Array", "Entry", "Peer", "Work", "does", "make_peer", "missing", "repeated"]
