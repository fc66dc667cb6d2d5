"""Convolution over one to three axes, channels last, and its two gradients, each of which has the others as gradients.

    y  = conv(x, w)                     x [B, ..., C], w [taps ..., C / groups, N], y [B, ..., N]
    dx = conv_input_gradient(dy, w)     also the transposed convolution
    dw = conv_weight_gradient(x, dy)

A result element is a chain of fused multiply-adds as in nnfast.ops.matmul; for y in the order (taps, channels), for dx in that of the
outputs that a pixel has reached, for dw in that of the output pixels. What lies in the padding is a zero, multiplied like any other
number; kernels leave it out where that is the same, since the first chunk's sum is added to +0. As many groups as inputs and outputs is
a depthwise convolution, with kernels of its own, which add nothing; one tap and stride 1 is a product.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops import _windows
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Call, Sample, Specs, define

GEOMETRY = ("strides", "padding", "dilation", "groups")


def geometry(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that the three ops share."""
    return {name: attributes[name] for name in GEOMETRY}


def is_depthwise(node: Node) -> bool:
    """Each channel by itself."""
    kernel = weight_shape(node)
    return kernel[-2] == 1 and node.attributes["groups"] == kernel[-1] > 1


def _is_product(node: Node) -> bool:
    """One tap on each pixel: the kernels of a dense layer do it."""
    given = node.attributes
    kernel = weight_shape(node)
    return (
        given["groups"] == 1
        and prod(kernel[:-2]) == 1
        and set(given["strides"]) == {1}
        and all(tuple(pair) == (0, 0) for pair in given["padding"])
    )


def in_panels(node: Node) -> bool:
    """May the weight's gradient be born as panels? Groups must not end inside a panel."""
    groups, outputs = node.attributes["groups"], weight_shape(node)[-1]
    return not is_depthwise(node) and (groups == 1 or outputs // groups % 16 == 0)


def weight_shape(node: Node) -> tuple[int, ...]:
    return tuple(node.attributes["weight_shape"]) if "weight_shape" in node.attributes else node.inputs[1].shape


def _check(name: str, x: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any]) -> None:
    axes, groups = len(x) - 2, attributes["groups"]
    if not 1 <= axes <= _windows.MAX_AXES or len(kernel) != len(x):
        raise ShapeError(
            f"{name}: inputs of shape {list(x)} and a kernel of shape {list(kernel)}: expected (batch, sizes of 1 to 3 axes, channels) "
            "and (sizes of the kernel on these axes, channels / groups, outputs)"
        )
    if x[-1] != kernel[-2] * groups or kernel[-1] % groups:
        raise ShapeError(
            f"{name}: {x[-1]} input channels and a kernel of shape {list(kernel)} in {groups} groups: expected {kernel[-2] * groups} "
            "input channels, and a number of outputs that the groups divide"
        )


def _infer(node: Node) -> Specs:
    x, w = node.inputs[:2]
    _check("conv", x.shape, w.shape, node.attributes)
    out = _windows.output_sizes(x.shape[1:-1], w.shape[:-2], node.attributes)
    if min(out) < 1:
        raise ShapeError(
            f"conv: inputs of {list(x.shape[1:-1])} pixels, padded by {list(node.attributes['padding'])}, are smaller than a kernel of "
            f"{list(w.shape[:-2])} pixels, {list(node.attributes['dilation'])} apart; use padding='same' or a smaller kernel"
        )
    return [((x.shape[0], *out, w.shape[-1]), x.dtype)]


def _infer_input_gradient(node: Node) -> Specs:
    dy, sizes, kernel = node.inputs[0], tuple(node.attributes["sizes"]), weight_shape(node)
    shape = (dy.shape[0], *sizes, kernel[-2] * node.attributes["groups"])
    _check("conv_input_gradient", shape, kernel, node.attributes)
    if dy.shape[1:] != (*_windows.output_sizes(sizes, kernel[:-2], node.attributes), kernel[-1]):
        raise ShapeError(
            f"conv_input_gradient: outputs of shape {list(dy.shape)} are not those of {list(sizes)} pixels and a kernel of shape {list(kernel)}"
        )
    return [(shape, dy.dtype)]


def _infer_weight_gradient(node: Node) -> Specs:
    x, dy = node.inputs
    kernel = weight_shape(node)
    _check("conv_weight_gradient", x.shape, kernel, node.attributes)
    wanted = (x.shape[0], *_windows.output_sizes(x.shape[1:-1], kernel[:-2], node.attributes), kernel[-1])
    if dy.shape != wanted:
        raise ShapeError(f"conv_weight_gradient: outputs of shape {list(dy.shape)}, expected {list(wanted)}")
    return [(kernel, x.dtype)]


def _reference(x: np.ndarray, w: np.ndarray, **attributes: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _windows.reference(x, w, attributes)


def _input_gradient(
    dy: np.ndarray, w: np.ndarray, sizes: Any, weight_shape: tuple[int, ...], **attributes: Any
) -> np.ndarray:
    if w.ndim == 1:
        w = _windows.turned_back(w, weight_shape, attributes)
    with np.errstate(all="ignore"):
        return _windows.input_gradient(dy, w, sizes, attributes)


def _weight_gradient(x: np.ndarray, dy: np.ndarray, weight_shape: tuple[int, ...], **attributes: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _windows.weight_gradient(x, dy, weight_shape, attributes)


# Gradients. The three are the same sum of products, x times w times dy, so each is linear in both operands.
def _input_of(dy: Value, w: Value, sizes: tuple[int, ...], attributes: dict[str, Any]) -> Value:
    return call("conv_input_gradient", dy, w, sizes=sizes, weight_shape=w.shape, **geometry(attributes))


def _weight_of(x: Value, dy: Value, kernel: tuple[int, ...], attributes: dict[str, Any]) -> Value:
    return call("conv_weight_gradient", x, dy, weight_shape=kernel, **geometry(attributes))


def _gradient(node: Node, dy: Value) -> list[Value]:
    x, w = node.inputs
    return [_input_of(dy, w, x.shape[1:-1], node.attributes), _weight_of(x, dy, w.shape, node.attributes)]


def _gradient_of_input_gradient(node: Node, d: Value) -> list[Value]:
    dy, w = node.inputs
    return [call("conv", d, w, **geometry(node.attributes)), _weight_of(d, dy, w.shape, node.attributes)]


def _gradient_of_weight_gradient(node: Node, d: Value) -> list[Value]:
    x, dy = node.inputs
    return [_input_of(dy, d, x.shape[1:-1], node.attributes), call("conv", x, d, **geometry(node.attributes))]


# Kernels
def _pixels(value: Value) -> int:
    return prod(value.shape[:-1])


def _sizes(x: Value, y: Value, kernel: tuple[int, ...], attributes: dict[str, Any]) -> list[int]:
    return _windows.forward_sizes(x.shape[0], x.shape[1:-1], x.shape[-1], y.shape[1:-1], kernel, attributes)


def _calls(node: Node) -> list[Call]:
    x, w = node.inputs[:2]
    if _is_product(node):
        return [Call("linear", [_pixels(x), w.shape[-1], x.shape[-1], w.shape[-1], x.shape[-1]])]
    sizes = _sizes(x, node.output, w.shape, node.attributes)
    if is_depthwise(node):
        return [Call("depthwise_conv", [*sizes, *range(prod(w.shape[:-2]))])]
    return [Call("conv", [*sizes, 0])]


def _input_gradient_calls(node: Node) -> list[Call]:
    dy, dx = node.inputs[0], node.output
    kernel, given = weight_shape(node), node.attributes
    if _is_product(node):
        return [Call("linear_input_gradient", [_pixels(dy), kernel[-1], kernel[-2], kernel[-2], kernel[-1]])]
    calls, offset = [], 0
    inputs, outputs = dx.shape[-1], kernel[-1]
    for phase in _windows.phases(given["sizes"], kernel, given):
        taps = _windows.phase_taps(phase, kernel)
        sizes = _windows.phase_sizes(dy.shape[0], phase, dy.shape[1:-1], outputs, dx.shape[1:-1], inputs, given)
        if is_depthwise(node):
            calls.append(Call("depthwise_conv", [*sizes, *taps]))
        else:
            calls.append(Call("conv", [*sizes, offset]))
        offset += -(-inputs // 16) * 16 * len(taps) * (outputs // given["groups"])
    return calls


def _weight_gradient_calls(node: Node) -> list[Call]:
    x, dy = node.inputs
    kernel = weight_shape(node)
    panel = int(node.output.layout == "panel")
    if _is_product(node):
        return [Call("linear_weight_gradient", [_pixels(x), kernel[-1], kernel[-2], panel, kernel[-2], kernel[-1]])]
    sizes = _sizes(x, dy, kernel, node.attributes)
    if is_depthwise(node):
        return [Call("depthwise_conv_weight_gradient", sizes)]
    return [Call("conv_weight_gradient", [*sizes, panel])]


def needs_turned_weight(node: Node) -> bool:
    """Does the gradient of the input read the weight turned?"""
    return not is_depthwise(node) and not _is_product(node)


def flops(node: Node) -> float:
    """Two for each product, those with padding included."""
    kernel = weight_shape(node)
    outputs = {"conv": node.output, "conv_input_gradient": node.inputs[0]}.get(_product_name(node), node.inputs[-1])
    return 2.0 * outputs.size * prod(kernel[:-1])


def _product_name(node: Node) -> str:
    return str(node.attributes.get("product", node.op.name))


# Samples: [batch, sizes, channels], kernel, attributes
def _case(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: int = 1,
    padding: Any = (0, 0),
    dilation: int = 1,
    groups: int = 1,
) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    axes = len(x) - 2
    pairs = (padding,) * axes if isinstance(padding[0], int) else padding
    given = {"strides": (strides,) * axes, "padding": pairs, "dilation": (dilation,) * axes, "groups": groups}
    return x, kernel, given


CASES = (
    _case((2, 7, 5, 3), (3, 3, 3, 17), padding=(1, 1)),
    _case((1, 9, 1), (4, 1, 5), strides=2, padding=((3, 0),)),
    _case((2, 6, 5, 4), (1, 1, 4, 33)),
    _case((1, 11, 9, 2), (5, 3, 2, 3), strides=3, padding=((2, 1), (0, 2))),
    _case((2, 8, 17, 4), (3, 2, 4, 16), dilation=2, padding=(2, 1)),
    _case((1, 3, 4, 5, 2), (2, 3, 2, 2, 6), strides=2, padding=(1, 1)),
    _case((1, 4, 4, 60), (3, 3, 60, 20), padding=(1, 1)),
    _case((1, 5, 6, 6), (3, 3, 2, 9), groups=3, padding=(1, 1)),
    _case((1, 5, 5, 4), (2, 2, 2, 32), groups=2, strides=2, dilation=3, padding=(2, 2)),
    _case((2, 6, 21, 5), (3, 3, 1, 5), groups=5, padding=(1, 1)),
    _case((1, 7, 12, 33), (3, 5, 1, 33), groups=33, strides=2, padding=((0, 1), (2, 2))),
    _case((1, 5, 7, 3), (1, 1, 3, 8), strides=2),
    _case((8, 9, 9, 2), (2, 2, 2, 3)),
    _case((0, 4, 4, 2), (3, 3, 2, 5)),
)


def _operands(rng: np.random.Generator, dtype: str) -> Iterable[tuple[list[np.ndarray], dict[str, Any]]]:
    for x, kernel, given in CASES:
        y = (x[0], *_windows.output_sizes(x[1:-1], kernel[:-2], given), kernel[-1])
        yield [rng.standard_normal(shape).astype(dtype) for shape in (x, kernel, y)], given


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x, w, _), given in _operands(rng, dtype):
        yield [x, w], given


def _input_gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x, w, dy), given in _operands(rng, dtype):
        yield [dy, w], {**given, "sizes": x.shape[1:-1], "weight_shape": w.shape}


def _weight_gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x, w, dy), given in _operands(rng, dtype):
        yield [x, dy], {**given, "weight_shape": w.shape}


def epilogue_samples(rng: np.random.Generator, dtype: str) -> Iterable[tuple[str, list[np.ndarray], dict[str, Any]]]:
    """Operands and attributes of convolutions that an epilogue may follow: op name, arrays, attributes."""
    for i, ((x, w, dy), given) in enumerate(_operands(rng, dtype)):
        if i % 2:
            yield "conv_input_gradient", [dy, w], {**given, "sizes": x.shape[1:-1], "weight_shape": w.shape}
        else:
            yield "conv", [x, w], given


_shared: dict[str, Any] = {"kind": "contraction", "flops": flops, "tolerance": "product", "kernel": None}
define(
    name="conv", inputs=("x", "w"), formula="sum over taps and channels of what the taps find in x, times w", infer=_infer, reference=_reference,
    gradient=_gradient, calls=_calls, samples=_samples, **_shared,
)  # fmt: skip
define(
    name="conv_input_gradient", inputs=("dy", "w"), formula="the gradient of conv for x; a transposed convolution", infer=_infer_input_gradient,
    reference=_input_gradient, gradient=_gradient_of_input_gradient, calls=_input_gradient_calls, samples=_input_gradient_samples, **_shared,
)  # fmt: skip
define(
    name="conv_weight_gradient", inputs=("x", "dy"), formula="the gradient of conv for w", infer=_infer_weight_gradient,
    reference=_weight_gradient, gradient=_gradient_of_weight_gradient, calls=_weight_gradient_calls, samples=_weight_gradient_samples, **_shared,
)  # fmt: skip


# The weight as conv_input_gradient reads it; the layout pass puts it there.
def _turn_arguments(node: Node) -> tuple[list[int], list[float]]:
    w, groups = node.inputs[0].shape, node.attributes["groups"]
    found = [_windows.phase_taps(phase, w) for phase in _windows.phases((1,) * (len(w) - 2), w, node.attributes)]
    listed = [number for taps in found for number in (len(taps), *taps)]
    return [w[-2], w[-1], groups, len(found), prod(w[:-2]), *listed], []


def _turn_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (_, w, _), given in _operands(rng, dtype):
        yield [w], given


def _turn_gradient(node: Node, d: Value) -> list[Value | None]:
    raise GraphError("turn_weight is made after differentiation")


define(
    name="turn_weight", inputs=("w",), formula="w with inputs and outputs exchanged, taps by phases, in panels", kind="layout",
    infer=lambda n: [((_windows.turned_size(n.inputs[0].shape, n.attributes["groups"]),), n.inputs[0].dtype)],
    reference=lambda w, **attributes: _windows.turned(w, attributes), gradient=_turn_gradient, kernel="turn_weight", arguments=_turn_arguments,
    flops=lambda n: 0.0, tolerance="exact", samples=_turn_samples, promotes=False,
)  # fmt: skip
