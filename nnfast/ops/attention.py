"""Scaled dot-product attention as one op: scores, softmax and weighted sum without a matrix of all scores.

q [B, T, H, D], k [B, S, G, D], v [B, S, G, E], H a multiple of G; heads are read where they lie. What may be given besides is named by
the attribute `extras`, in this order: bias [B or 1, H or 1, T or 1, S], added to the scores; slopes [H], whose product with the distance
of query and key is taken off them; offset int32 [1], the place of the first query among the keys; counters, for dropout.
csrc/kernels/attention.h has the order of all sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.random import words
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, broadcast_strides, define

EXTRAS = ("bias", "slopes", "offset", "counters")
KEY_BLOCK = 128  # csrc/kernels/attention_share.h
LARGEST_HEAD = 512
Sizes = tuple[int, int, int, int, int, int, int]


def _sizes(q: Any, k: Any, v: Any) -> Sizes:
    batch, queries, heads, size = q.shape
    return batch, queries, k.shape[1], heads, k.shape[2], size, v.shape[3]


def _extras(given: Iterable[Any], names: Iterable[str]) -> dict[str, Any]:
    return dict(zip(names, given, strict=True))


def _check(q: Value, k: Value, v: Value, extras: dict[str, Value]) -> Sizes:
    shapes = f"query {list(q.shape)}, key {list(k.shape)}, value {list(v.shape)}"
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ShapeError(f"attention: {shapes}: expected [batch, length, heads, head size] each")
    sizes = batch, queries, keys, heads, groups, size, value_size = _sizes(q, k, v)
    if k.shape[:3] != v.shape[:3] or k.shape[0] != batch or k.shape[3] != size:
        raise ShapeError(
            f"attention: {shapes}: key and value must agree in all but the last size, query and key in the first and last"
        )
    if groups == 0 or heads % groups:
        raise ShapeError(f"attention: {heads} query heads are no multiple of {groups} key heads")
    if not (queries and keys and 0 < size <= LARGEST_HEAD and 0 < value_size <= LARGEST_HEAD):
        raise ShapeError(f"attention: {shapes}: lengths must not be 0, head sizes from 1 to {LARGEST_HEAD}")
    if not q.dtype == k.dtype == v.dtype:
        raise ShapeError(f"attention: query, key and value must have one dtype, got {q.dtype}, {k.dtype}, {v.dtype}")
    bias = extras.get("bias")
    full = (batch, heads, queries, keys)
    if bias is not None and (
        bias.ndim != 4
        or bias.shape[3] != keys
        or any(b not in (1, f) for b, f in zip(bias.shape, full, strict=True))
        or bias.dtype != q.dtype
    ):
        raise ShapeError(
            f"attention: bias {bias.dtype}{list(bias.shape)} does not fit scores {q.dtype}{list(full)}; the last size must be {keys}"
        )
    return sizes


def _infer(node: Node) -> Specs:
    q, k, v, *rest = node.inputs
    batch, queries, _, heads, _, _, size = _check(q, k, v, _extras(rest, node.attributes["extras"]))
    return [((batch, queries, heads, size), q.dtype), ((batch, heads, queries), q.dtype)]


def _arguments(q: Value, k: Value, v: Value, given: dict[str, Value], node: Node) -> tuple[list[int], list[float]]:
    sizes = batch, queries, keys, heads, *_ = _sizes(q, k, v)
    strides = [0, 0, 0]
    if "bias" in given:
        strides = broadcast_strides(given["bias"].shape, (batch, heads, queries, keys))[:3]
    a = node.attributes
    return [*sizes, int(a["causal"]), *strides, a["stream"]], [a["scale"], a["rate"]]


def _places(node: Node, first: int) -> list[int | None]:
    """Inputs of the kernel: all up to `first`, then the extras, None for those that are not there."""
    names = list(node.attributes["extras"])
    return [*range(first), *[first + names.index(n) if n in names else None for n in EXTRAS]]


def _forward_calls(node: Node) -> list[Call]:
    q, k, v, *rest = node.inputs
    sizes, scalars = _arguments(q, k, v, _extras(rest, node.attributes["extras"]), node)
    return [Call("attention", sizes, scalars, inputs=_places(node, 3))]


def _gradient_calls(node: Node) -> list[Call]:
    q, k, v, *rest = node.inputs[3:]
    sizes, scalars = _arguments(q, k, v, _extras(rest, node.attributes["extras"]), node)
    batch, queries, _, heads, _, _, size = sizes[:7]
    inputs = [i for i in _places(node, 6) if i != 1]
    return [
        Call("attention_delta", [batch, queries, heads, size], outputs=(3,), inputs=(0, 1)),
        Call("attention_gradient", sizes, scalars, outputs=(0, 1, 2, 3), inputs=inputs),
    ]


def _weights(
    q: Any, k: Any, v: Any, extras: dict[str, Any], scale: float, causal: bool, rate: float, stream: int
) -> Any:
    """Probabilities [B, H, T, S] in float64, their log-sum-exp, and the factors of dropout."""
    batch, queries, keys, heads, groups, _, _ = _sizes(q, k, v)
    k = np.repeat(k.astype(np.float64), heads // groups, 2)
    s = np.einsum("bthd,bshd->bhts", q.astype(np.float64) * scale, k)
    offset = int(extras["offset"][0]) if "offset" in extras else 0
    key, query = np.arange(keys)[None], np.arange(queries)[:, None] + offset
    if "slopes" in extras:
        s = s - extras["slopes"].astype(np.float64)[:, None, None] * np.abs(key - query)
    if "bias" in extras:
        s = s + extras["bias"]
    if causal:
        s = np.where(key <= query, s, -np.inf)
    most = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(np.isinf(most), 0, most))
    total = e.sum(-1, keepdims=True)
    dead = total == 0
    with np.errstate(divide="ignore"):
        lse = np.where(dead, np.inf, most + np.log(total))[..., 0]
    factors = np.ones_like(s)
    if rate:
        blocks, pairs = -(-keys // KEY_BLOCK), -(-queries // 2)
        shape = batch, heads, blocks, 2 * pairs, KEY_BLOCK
        drawn = words(int(np.prod(shape)), stream, extras["counters"]).reshape(shape)
        drawn = drawn.transpose(0, 1, 3, 2, 4).reshape(batch, heads, 2 * pairs, -1)[:, :, :queries, :keys]
        factors = np.where(drawn >= int(rate * 2.0**32), 1 / (1 - rate), 0)
    return e / np.where(dead, 1, total), lse, factors


def _reference(q: Any, k: Any, v: Any, *rest: Any, extras: Any, **a: Any) -> Any:
    p, lse, factors = _weights(q, k, v, _extras(rest, extras), **a)
    wide = np.repeat(v.astype(np.float64), q.shape[2] // v.shape[2], 2)
    return np.einsum("bhts,bshe->bthe", p * factors, wide).astype(q.dtype), lse.astype(q.dtype)


def _gradient_reference(dy: Any, y: Any, lse: Any, q: Any, k: Any, v: Any, *rest: Any, extras: Any, **a: Any) -> Any:
    p, _, factors = _weights(q, k, v, _extras(rest, extras), **a)
    batch, _, keys, heads, groups, _, _ = _sizes(q, k, v)
    k64, v64 = (np.repeat(x.astype(np.float64), heads // groups, 2) for x in (k, v))
    d = dy.astype(np.float64)
    delta = (d * y.astype(np.float64)).sum(-1).transpose(0, 2, 1)
    ds = p * (np.einsum("bthe,bshe->bhts", d, v64) * factors - delta[..., None])

    def grouped(x: Any) -> Any:
        return x.reshape(batch, keys, groups, heads // groups, x.shape[-1]).sum(3)

    dq = np.einsum("bhts,bshd->bthd", ds, k64) * a["scale"]
    dk = grouped(np.einsum("bhts,bthd->bshd", ds, q.astype(np.float64)) * a["scale"])
    dv = grouped(np.einsum("bhts,bthe->bshe", p * factors, d))
    return tuple(x.astype(q.dtype) for x in (dq, dk, dv, delta))


def _gradient(node: Node, dy: Value | None, dlse: Value | None) -> list[Value | None]:
    if dlse is not None or dy is None:
        raise GraphError("attention: the log-sum-exp of the scores has no gradient; use the first output alone")
    dq, dk, dv, _ = call("attention_gradient", dy, *node.outputs, *node.inputs, **node.attributes)
    return [dq, dk, dv, *[None] * (len(node.inputs) - 3)]


def _no_second(node: Node, *d: Value | None) -> list[Value | None]:
    raise GraphError("attention: no second derivative is defined; build attention from nnfast.ops.softmax and matmul")


def _infer_gradient(node: Node) -> Specs:
    _, _, lse, q, k, v, *_ = node.inputs
    return [*[(x.shape, x.dtype) for x in (q, k, v)], (lse.shape, lse.dtype)]


def _flops(node: Node) -> float:
    first = 3 if node.op.name == "attention_gradient" else 0
    batch, queries, keys, heads, _, size, value_size = _sizes(*node.inputs[first : first + 3])
    products = 3 * size + 2 * value_size if first else size + value_size
    return 2.0 * batch * heads * queries * keys * products / (2 if node.attributes["causal"] else 1)


CASES: tuple[tuple[Sizes, bool, tuple[str, ...], float], ...] = (
    ((1, 1, 1, 1, 1, 1, 1), False, (), 0.0),
    ((0, 2, 3, 2, 1, 4, 4), True, (), 0.0),
    ((1, 3, 4, 2, 1, 2, 2), False, (), 0.0),
    ((1, 4, 4, 1, 1, 2, 3), True, (), 0.0),
    ((2, 7, 7, 2, 2, 8, 8), True, (), 0.0),
    ((1, 65, 130, 2, 1, 16, 17), False, ("bias",), 0.0),
    ((2, 5, 140, 4, 2, 3, 9), True, ("bias", "slopes", "offset"), 0.0),
    ((1, 67, 67, 2, 2, 32, 32), True, ("counters",), 0.3),
    ((1, 300, 260, 1, 1, 24, 16), True, ("slopes",), 0.0),
)


def _case(rng: np.random.Generator, dtype: str, case: Any) -> Sample:
    (batch, queries, keys, heads, groups, size, value_size), causal, names, rate = case
    q = rng.standard_normal((batch, queries, heads, size)).astype(dtype)
    k = rng.standard_normal((batch, keys, groups, size)).astype(dtype)
    v = rng.standard_normal((batch, keys, groups, value_size)).astype(dtype)
    bias = rng.standard_normal((batch, 1, 1, keys)).astype(dtype)
    bias[rng.random(bias.shape) < 0.3] = -np.inf
    made = {
        "bias": bias,
        "slopes": (0.5 ** np.arange(1, heads + 1)).astype(dtype),
        "offset": np.array([keys - queries], np.int32),
        "counters": np.array([3, 0, 0, 42, 0, 0, 0, 0], np.int64),
    }
    attributes = {"extras": names, "scale": size**-0.5, "causal": causal, "rate": rate, "stream": 5}
    return [q, k, v, *[made[name] for name in names]], attributes


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for case in CASES:
        yield _case(rng, dtype, case)
    arrays, attributes = _case(rng, dtype, CASES[6])
    arrays[-1] = np.array([-3], np.int32)  # the first queries see nothing
    yield arrays, attributes


def _gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for arrays, attributes in _samples(rng, dtype):
        y, lse = _reference(*arrays, **attributes)
        yield [rng.standard_normal(y.shape).astype(dtype), y, lse, *arrays], attributes


_shared: dict[str, Any] = {
    "kind": "attention",
    "flops": _flops,
    "tolerance": "product",
    "promotes": False,
    "kernel": None,
}
define(
    name="attention", inputs=("q", "k", "v", "*extras"), formula="y = softmax(scale q k^T + masks) v, per head; second output the log-sum-exp of the scores",
    infer=_infer, reference=_reference, gradient=_gradient, calls=_forward_calls, samples=_samples, **_shared,
)  # fmt: skip
define(
    name="attention_gradient", inputs=("dy", "y", "lse", "q", "k", "v", "*extras"), formula="gradients of attention for q, k and v; fourth output sum(dy * y) per query",
    infer=_infer_gradient, reference=_gradient_reference, gradient=_no_second, calls=_gradient_calls, samples=_gradient_samples, **_shared,
)  # fmt: skip


# cache_write
def _infer_write(node: Node) -> Specs:
    cache, x, place = node.inputs
    if x.ndim != cache.ndim or x.shape[2:] != cache.shape[2:] or x.shape[0] != cache.shape[0] or place.size != 1:
        raise ShapeError(
            f"cache_write: rows {list(x.shape)} do not fit a cache {list(cache.shape)}; the batch and the sizes of a row must agree"
        )
    return [(cache.shape, cache.dtype)]


def _write_reference(cache: np.ndarray, x: np.ndarray, place: np.ndarray) -> np.ndarray:
    new = cache.copy()
    for t in range(x.shape[1]):
        if 0 <= place[0] + t < cache.shape[1]:
            new[:, place[0] + t] = x[:, t]
    return new


def _write_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for batch, rows, new, place in ((1, 4, 1, 2), (2, 5, 3, 0), (2, 5, 3, 4), (0, 1, 1, 0), (3, 2, 2, -1)):
        arrays = [rng.standard_normal((batch, n, 2, 5)).astype(dtype) for n in (rows, new)]
        yield [*arrays, np.array([place], np.int32)], {}


define(
    name="cache_write", inputs=("cache", "x", "place"), formula="cache[:, place + t] = x[:, t]", kind="update", infer=_infer_write, reference=_write_reference,
    gradient=NOT_DIFFERENTIABLE, kernel=None, flops=lambda n: 0.0, tolerance="exact", samples=_write_samples, promotes=False, updates=(0,),
    calls=lambda n: [Call("cache_write", [*n.inputs[0].shape[:2], n.inputs[1].shape[1], int(np.prod(n.inputs[0].shape[2:]))], outputs=(), inputs=(0, 1, 2))],
)  # fmt: skip
