from collections.abc import Callable, Iterable, Sequence
from typing import Any

def note_change() -> None: ...

class Unchanged:
    def __init__(self, containers: Iterable[Any]) -> None: ...
    def holds(self) -> bool: ...

class Spec:
    dtype: Any
    shape: tuple[int, ...]
    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None: ...

class DirectCall:
    threads: int
    def __init__(
        self,
        executor: Any,
        another: Callable[[], Any],
        most: int,
        first: int,
        inputs: list[Spec],
        outputs: list[Spec],
        in_place: bool,
        threads: int,
    ) -> None: ...
    def call(self, operands: tuple[Any, ...], out: Sequence[Any] | None = None) -> list[Any] | None: ...

class Calls:
    def add(self, call: DirectCall) -> None: ...
    def call(self, operands: tuple[Any, ...], threads: int, out: Sequence[Any] | None = None) -> list[Any] | None: ...
    def one(self, operands: tuple[Any, ...], threads: int, out: Any = None) -> Any: ...

class BatchCall:
    log: Any
    threads: int
    def __init__(
        self,
        executor: Any,
        first: int,
        sources: list[tuple[Spec, tuple[float, float, bool] | None]],
        sizes: list[tuple[int, int, int]],
        order: Any,
        log: Any,
        counters: Any,
        rates: Any,
        places: tuple[int, int],
        threads: int,
    ) -> None: ...
    def run(self, arrays: tuple[Any, ...], rate: float) -> bool: ...
    def mean(self) -> float: ...
