"""Windows that slide over axes: how many there are, which elements each covers, what padding adds. For convolution and pooling.

In: the arguments of a layer as the user wrote them. Out: one number, pair or table per spatial axis. Tensors are channels last:
[batch, *spatial, channels]; layers bring `data_format="channels_first"` in and out at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnfast.errors import ShapeError

DATA_FORMATS = ("channels_last", "channels_first")


def is_whole(x: Any, least: int) -> bool:
    """Is x an integer of at least this?"""
    return not isinstance(x, bool) and isinstance(x, int | np.integer) and bool(x >= least)


def per_axis(value: Any, rank: int, owner: str, name: str, least: int = 1) -> tuple[int, ...]:
    """One integer per spatial axis, from one for all or a sequence of them.

    >>> per_axis(2, 3, "MaxPooling3D", "pool_size")
    (2, 2, 2)
    """
    given = list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * rank
    if len(given) != rank or not all(is_whole(x, least) for x in given):
        several = "an integer" if rank == 1 else f"an integer or {rank} integers"
        raise ValueError(f"{owner}({name}={value!r}): expected {several} of at least {least}")
    return tuple(int(x) for x in given)


def check_data_format(data_format: Any, owner: str) -> str:
    """ "channels_last" (None stands for it) or "channels_first"."""
    if data_format is None:
        return "channels_last"
    if data_format not in DATA_FORMATS:
        raise ValueError(f"{owner}(data_format={data_format!r}): expected 'channels_last' or 'channels_first'")
    return str(data_format)


def check_padding(padding: Any, rank: int, owner: str, words: Sequence[str] = ("valid", "same")) -> Any:
    """One of the words, or (before, after) per axis from numbers: one for all, one per axis, or a pair per axis."""
    if isinstance(padding, str):
        if padding.lower() in words:
            return padding.lower()
    elif is_whole(padding, 0):
        return tuple((int(padding), int(padding)) for _ in range(rank))
    elif isinstance(padding, list | tuple | np.ndarray) and len(padding) == rank:
        if all(is_whole(p, 0) for p in padding):
            return tuple((int(p), int(p)) for p in padding)
        if all(isinstance(p, list | tuple) and len(p) == 2 and all(is_whole(q, 0) for q in p) for p in padding):
            return tuple((int(before), int(after)) for before, after in padding)
    raise ValueError(
        f"{owner}(padding={padding!r}): expected {', '.join(repr(word) for word in words)}, "
        f"or numbers for {rank} axes: one for all, one or (before, after) for each"
    )


def span(size: int, dilation: int = 1) -> int:
    """Elements from the first to the last that a window reads."""
    return (size - 1) * dilation + 1


def window_count(extent: int, size: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1) -> int:
    """Windows along an axis: floor((before + extent + after - span) / stride) + 1; not positive where none fits.

    >>> window_count(7, 3, 2), window_count(2, 3)
    (3, 0)
    """
    return (extent + sum(padding) - span(size, dilation)) // stride + 1


def padding_of(
    padding: Any, extents: Sequence[int], sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int] | None = None
) -> tuple[tuple[int, int], ...]:  # fmt: skip
    """(before, after) per axis for "valid", "same" (as Keras: the odd element at the end), "causal" (all before) or given pairs."""
    dilations = dilations or [1] * len(sizes)
    pairs = []
    for i, (extent, size, stride, dilation) in enumerate(zip(extents, sizes, strides, dilations, strict=True)):
        reach = span(size, dilation)
        if padding == "valid":
            pairs.append((0, 0))
        elif padding == "same":
            missing = max((-(-extent // stride) - 1) * stride + reach - extent, 0)
            pairs.append((missing // 2, missing - missing // 2))
        elif padding == "causal":
            pairs.append((reach - 1, 0))
        else:
            pairs.append((int(padding[i][0]), int(padding[i][1])))
    return tuple(pairs)


def output_sizes(
    owner: str, extents: Sequence[int], sizes: Sequence[int], strides: Sequence[int], pairs: Sequence[tuple[int, int]],
    dilations: Sequence[int] | None = None,
) -> tuple[int, ...]:  # fmt: skip
    """window_count of each axis. ShapeError where none fits."""
    dilations = dilations or [1] * len(sizes)
    counts = []
    for axis, (extent, size, stride, dilation, (before, after)) in enumerate(
        zip(extents, sizes, strides, dilations, pairs, strict=True)
    ):
        count = window_count(extent, size, stride, (before, after), dilation)
        if count < 1:
            padded = f" with padding {before} and {after}" if before or after else ""
            raise ShapeError(
                f"{owner}: a window of {span(size, dilation)} elements does not fit into the {extent} of spatial axis {axis}{padded}; "
                "make it smaller, or pad"
            )
        counts.append(count)
    return tuple(counts)


@dataclass(frozen=True)
class Windows:
    """The windows of pooling along one axis: `count` of them, `size` wide, `stride` apart, the first beginning `before` the first
    element; or, with size 0, `count` that divide the axis into parts as equal as they can be."""

    count: int
    size: int = 0
    stride: int = 0
    before: int = 0

    def bounds(self, extent: int) -> list[tuple[int, int]]:
        """First element and end of each window, within the axis.

        >>> Windows(3, 2, 2, 1).bounds(4)
        [(0, 1), (1, 3), (3, 4)]
        >>> Windows(2).bounds(5)
        [(0, 3), (2, 5)]
        """
        if self.size == 0:
            return [(i * extent // self.count, -(-(i + 1) * extent // self.count)) for i in range(self.count)]
        starts = [i * self.stride - self.before for i in range(self.count)]
        return [(max(start, 0), min(start + self.size, extent)) for start in starts]
