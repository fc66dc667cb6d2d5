"""How elementwise ops are defined: shape rule, cost and samples shared by the arithmetic and the activation family.

`unary`, `binary` and `gradient_of` fill in what all of them have in common and register the op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node
from nnfast.ops.registry import Arrays, OpDef, Sample, Specs, define

SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    6.0,
    -6.0,
    1e-3,
    -1e-3,
    1e-30,
    -1e-30,
    20.0,
    -20.0,
    88.0,
    -88.0,
)
SPECIAL_EXTREME = (np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38)
SIZES = (0, 1, 7, 15, 16, 17, 31, 33, 255, 257, 1025)


def broadcast(node: Node) -> Specs:
    """NumPy's broadcasting over all inputs."""
    try:
        shape = np.broadcast_shapes(*(value.shape for value in node.inputs))
    except ValueError:
        shapes = " and ".join(str(list(value.shape)) for value in node.inputs)
        raise ShapeError(
            f"{node.op.name}: shapes {shapes} do not broadcast: trailing sizes must be equal or 1; reshape one operand"
        ) from None
    return [(shape, node.inputs[0].dtype)]


def per_element(count: float) -> Callable[[Node], float]:
    """A cost of `count` flops per output element."""
    return lambda node: count * node.output.size


def values(rng: np.random.Generator, size: int, dtype: str, low: float, high: float, special: bool) -> np.ndarray:
    """Random numbers of several magnitudes in [low, high], with the special values of that range in front."""
    x = rng.uniform(max(low, -8.0), min(high, 8.0), size)
    wide = rng.uniform(-1, 1, size) * 10.0 ** rng.uniform(-6, 2, size)
    x = np.where((rng.random(size) < 0.3) & (wide >= low) & (wide <= high), wide, x)
    candidates = SPECIAL + (SPECIAL_EXTREME if special else ())
    chosen = [v for v in candidates if np.isnan(v) or low <= v <= high]
    if size > 64:
        x[: len(chosen)] = chosen
    return x.astype(dtype)


Domain = tuple[float, float]
EVERYWHERE: Domain = (-np.inf, np.inf)


def _samples(
    domains: Sequence[Domain], attributes: Sequence[dict[str, Any]], special: bool
) -> Callable[[np.random.Generator, str], Iterable[Sample]]:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for chosen in attributes:
            for size in SIZES:
                yield [values(rng, size, dtype, low, high, special) for low, high in domains], chosen
        if len(domains) > 1:
            shapes = [((5, 1), (1, 7)), ((3, 4, 17), (17,)), ((2, 1, 3), (4, 3)), ((33, 10), (10,)), ((), (9,))]
            for shape_a, shape_b in shapes:
                made = []
                for i, (low, high) in enumerate(domains):
                    shape = (shape_a, shape_b)[min(i, 1)]
                    size = int(np.prod(shape))
                    made.append(values(rng, size, dtype, low, high, False).reshape(shape))
                yield made, attributes[0]

    return samples


def unary(
    name: str,
    formula: str,
    reference: Callable[..., Any],
    gradient: Any,
    *,
    flops: float = 1,
    tolerance: str = "function",
    domain: Domain = EVERYWHERE,
    parameters: tuple[str, ...] = (),
    attributes: Sequence[dict[str, Any]] = ({},),
    special: bool = True,
    keeps_zero: bool = False,
) -> OpDef:
    """Define y = f(x; parameters)."""
    return nary(
        name,
        ("x",),
        formula,
        reference,
        gradient,
        flops=flops,
        tolerance=tolerance,
        domains=[domain],
        parameters=parameters,
        attributes=attributes,
        special=special,
        keeps_zero=keeps_zero,
    )


def nary(
    name: str,
    inputs: tuple[str, ...],
    formula: str,
    reference: Callable[..., Any],
    gradient: Any,
    *,
    flops: float = 1,
    tolerance: str = "rounding",
    domains: Sequence[Domain] | None = None,
    parameters: tuple[str, ...] = (),
    attributes: Sequence[dict[str, Any]] = ({},),
    special: bool = True,
    keeps_zero: bool = False,
) -> OpDef:
    """Define y = f(a, b[, c]; parameters) with broadcasting."""
    return define(
        name=name,
        inputs=inputs,
        formula=formula,
        kind="elementwise",
        infer=broadcast,
        reference=reference,
        gradient=gradient,
        kernel=None,
        function=name,
        parameters=parameters,
        flops=per_element(flops),
        tolerance=tolerance,
        samples=_samples(domains or [EVERYWHERE] * len(inputs), attributes, special),
        in_place=tuple(range(len(inputs))),
        keeps_zero=keeps_zero,
    )


def in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a reference in a wider type (float64 for float32, long double for float64) and round once to the operands' type."""

    def reference(*arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            wide = np.float64 if arrays[0].dtype == np.float32 else np.longdouble
            result = function(*(a.astype(wide) for a in arrays), **attributes)
            return np.asarray(result).astype(arrays[0].dtype)

    return reference


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a reference in the operands' own type."""

    def reference(*arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays, **attributes), dtype=arrays[0].dtype)

    return reference


def shapes_of(arrays: Arrays) -> list[tuple[int, ...]]:
    return [a.shape for a in arrays]
