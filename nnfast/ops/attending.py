"""The public functions of nnfast.ops for tokens: rows of tables, attention, rotary positions.

On symbolic values, variables and arrays alike.
"""

from __future__ import annotations

import builtins
import functools

import numpy as np

from nnfast import exact
from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.ops.elementwise import call
from nnfast.ops.functions import _counters
from nnfast.ops.registry import OPS
from nnfast.ops.shaping import Tensor, cast, concatenate, dtype_of, reshape, shape_of
from nnfast.ops.shaping import slice as _slice

__all__ = ["alibi_slopes", "dot_product_attention", "embedding", "rotate"]


@trace.on_symbols
def embedding(table: Tensor, ids: Tensor, sparse: bool = False) -> Tensor:
    """Rows of a table by number. table [rows, size], ids any shape -> [*ids.shape, size]; NaN for an id outside the table.

    sparse: an optimizer may leave the rows alone that a batch does not name, with their state.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.embedding(np.array([[1.0], [2.0]], np.float32), np.array([1, 0, 1])).ravel().tolist()
    [2.0, 1.0, 2.0]
    """
    return call("embedding", table, cast(ids, "int32"), sparse=bool(sparse))


@trace.on_symbols
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    scale: float | None = None,
    is_causal: bool = False,
    *,
    slopes: Tensor = None,
    offset: Tensor = None,
    dropout: float = 0.0,
    seed_stream: int = 0,
) -> Tensor:
    """softmax(scale query key^T + bias) value per head, without a matrix of all scores (Vaswani et al. 2017; Dao et al. 2022).

    query [batch, queries, heads, size], key [batch, keys, groups, size], value [batch, keys, groups, value size]; heads is a multiple
    of groups (Ainslie et al. 2023) -> [batch, queries, heads, value size]. Names as in Keras. Also called scaled dot-product attention.

    bias: added to the scores, [batch or 1, heads or 1, queries or 1, keys]. mask: 1 where a key may be seen, 0 elsewhere, of such a
    shape or [batch, keys]. Neither gets a gradient. scale: 1 / sqrt(size) by default. is_causal: a query sees the keys up to its own
    place. slopes [heads]: taken off the scores times the distance (ALiBi, Press et al. 2022). offset int32 [1]: place of the first
    query among the keys. dropout: rate for the weights, inside a model. A query that sees no key gives zeros.

    >>> import numpy as np, nnfast
    >>> q = k = np.zeros((1, 2, 1, 4), np.float32)
    >>> v = np.array([1.0, 3.0], np.float32).reshape(1, 2, 1, 1)
    >>> nnfast.ops.dot_product_attention(q, k, v, is_causal=True).ravel().tolist()
    [1.0, 2.0]
    """
    shape, keys = shape_of(query), shape_of(key)
    if len(shape) != 4 or len(keys) != 4 or len(shape_of(value)) != 4:
        raise ShapeError(
            f"dot_product_attention: query {list(shape)}, key {list(keys)}, value {list(shape_of(value))}: expected [batch, length, heads, head size] each"
        )
    dtype = dtype_of(query)
    if mask is not None:
        seen = call("where", _four_axes(mask, "mask", keys[1]), np.zeros((), dtype), np.full((), -np.inf, dtype))
        bias = seen if bias is None else call("add", seen, _four_axes(bias, "bias", keys[1]))
    extras = {
        "bias": None if bias is None else cast(_four_axes(bias, "bias", keys[1]), dtype),
        "slopes": slopes,
        "offset": offset,
        "counters": _counters() if dropout else None,
    }
    given = {name: x for name, x in extras.items() if x is not None}
    found = call(
        "attention", query, key, value, *given.values(), extras=tuple(given), causal=bool(is_causal), rate=float(dropout),
        scale=float(shape[3] ** -0.5 if scale is None else scale), stream=int(seed_stream),
    )  # fmt: skip
    return found[0]


def _four_axes(x: Tensor, name: str, keys: int) -> Tensor:
    """[batch, keys] -> [batch, 1, 1, keys]; [batch, queries, keys] -> [batch, 1, queries, keys]."""
    shape = shape_of(x)
    if not 2 <= len(shape) <= 4 or shape[-1] != keys:
        raise ShapeError(
            f"dot_product_attention: {name} {list(shape)}: expected [batch, heads, queries, keys] with sizes of 1 where it repeats, and {keys} keys"
        )
    return x if len(shape) == 4 else reshape(x, (shape[0], *(1,) * (4 - len(shape)), *shape[1:]))


def alibi_slopes(heads: int, dtype: str = "float32") -> np.ndarray:
    """What each head's scores lose per step of distance: 2^(-8 / heads), its square, ... (Press et al. 2022, for powers of two).

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    if not 1 <= heads <= 1 << 16:
        raise ValueError(f"heads={heads}: expected 1 to 65,536")
    return np.array([exact.power(2.0, -8.0 * (h + 1) / heads) for h in range(heads)], dtype)


@functools.lru_cache(maxsize=64)
def _angles(length: int, size: int, wavelength: float, scaling: float) -> np.ndarray:
    inverse = np.array([exact.power(wavelength, -2.0 * i / size) for i in range(size // 2)])
    return np.arange(length)[:, None] / scaling * inverse


def sine_table(length: int, size: int, wavelength: float, scaling: float, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of place / scaling times wavelength^(-2 i / size), [length, size / 2] each."""
    angles = _angles(length, size, float(wavelength), float(scaling))
    assert trace.eager is not None
    cosine, sine = (
        trace.eager(OPS[name], [angles], {}) for name in ("cos", "sin")
    )  # now, also while a graph is traced
    return cosine.astype(dtype), sine.astype(dtype)


@trace.on_symbols
def rotate(
    x: Tensor, max_wavelength: float = 10000.0, scaling_factor: float = 1.0, places: Tensor = None, length: int = 0
) -> Tensor:
    """Rotary positions: element pairs (i, i + size / 2) turned by an angle that grows with the place (Su et al. 2021).

    x [batch, places, heads, size], size even. places: int32 [length of x], where these stand in a sequence of at most `length`; in
    order from 0 by default.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.rotate(np.ones((1, 1, 1, 2), np.float32)).ravel().tolist()
    [1.0, 1.0]
    """
    shape = shape_of(x)
    if len(shape) != 4 or shape[3] % 2:
        raise ShapeError(f"rotate: shape {list(shape)}: expected [batch, places, heads, size] with an even size")
    half = shape[3] // 2
    tables = sine_table(length or shape[1], shape[3], max_wavelength, scaling_factor, dtype_of(x))
    cosine, sine = (reshape(t if places is None else embedding(t, places), (1, shape[1], 1, half)) for t in tables)
    a, b = (_slice(x, (..., part)) for part in (builtins.slice(0, half), builtins.slice(half, None)))
    return concatenate(
        [
            call("subtract", call("multiply", a, cosine), call("multiply", b, sine)),
            call("add", call("multiply", b, cosine), call("multiply", a, sine)),
        ],
        -1,
    )
