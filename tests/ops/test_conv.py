"""Convolutions, bit by bit as the numeric contract has them; against PyTorch on shapes of all kinds, with gradients; and their padding."""

import numpy as np
import pytest
from checks import ops

import nnfast
from nnfast.errors import ShapeError
from nnfast.graph.ir import Graph
from nnfast.ops import _windows
from nnfast.ops.fused import Part
from nnfast.ops.registry import OPS
from nnfast.passes import run
from nnfast.passes.autodiff import gradients
from nnfast.plan import eager
from nnfast.plan.plan import build
from nnfast.reference import contract_matmul

LEVEL = pytest.mark.parametrize("level", ops.LEVELS)
RNG = np.random.default_rng(5)


def normal(*shape, dtype="float32"):
    return RNG.standard_normal(shape).astype(dtype)


def rows_of(x, kernel, given):
    """The matrix that the kernels never make: per output pixel what its taps find, [pixels, taps * channels]."""
    out = _windows.output_sizes(x.shape[1:-1], kernel, given)
    padded = np.pad(x, [(0, 0), *given["padding"], (0, 0)])
    found = [padded[(slice(None), *part)] for _, part in _windows._tap_slices(kernel, out, given)]
    return np.stack(found, -2).reshape(-1, len(found) * x.shape[-1])


GIVEN = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
CONTRACT = [
    ((1, 5, 4, 3), (3, 3, 3, 5), {}),
    ((1, 2, 3, 60), (3, 3, 60, 17), {}),  # sums of 540: a second chunk
    ((1, 7, 6, 2), (3, 2, 2, 4), {"strides": (2, 3), "dilation": (2, 1)}),
    ((1, 3, 33, 5), (2, 3, 5, 18), {"padding": ((0, 0), (0, 0))}),  # strips read in place
    ((1, 4, 45, 2), (3, 2, 2, 33), {"dilation": (2, 1)}),  # and some of them beside the padding
    ((1, 3, 31, 20), (3, 9, 20, 3), {"padding": ((0, 0), (0, 0)), "strides": (1, 2)}),  # with a second chunk
]


@LEVEL
@pytest.mark.parametrize("case", CONTRACT, ids=str)
def test_sums_are_the_contract(case, level):
    """One chain over taps and channels in ascending order, padding included, in chunks of 512."""
    shape, kernel, changes = case
    given = {**GIVEN, **changes}
    x, w = normal(*shape), normal(*kernel)
    [y] = eager.run_op(OPS["conv"], [x, w], given, level)
    wanted = contract_matmul(rows_of(x, kernel[:-2], given), w.reshape(-1, kernel[-1]))
    assert y.tobytes() == wanted.tobytes()


@LEVEL
def test_weight_gradients_are_the_contract(level):
    """One chain over output pixels in ascending order, in chunks of 512."""
    x, dy = normal(2, 17, 16, 2), normal(2, 17, 16, 3)
    attributes = {**GIVEN, "weight_shape": (3, 3, 2, 3)}
    [dw] = eager.run_op(OPS["conv_weight_gradient"], [x, dy], attributes, level)
    wanted = contract_matmul(np.ascontiguousarray(rows_of(x, (3, 3), GIVEN).T), dy.reshape(-1, 3))
    assert dw.tobytes() == wanted.tobytes()


@LEVEL
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((1, 17000, 17), (3, 17, 4)), ((1, 17000, 17), (3, 1, 17)), ((2, 4, 5, 3), (3, 3, 3, 272))],
    ids=str,
)
def test_padding_is_zeros_around_the_input(shape, kernel, level):
    """Also where the window of a block would be too large, or columns are so many that strips are gathered."""
    axes = len(shape) - 2
    groups = shape[-1] // kernel[-2]
    given = {"strides": (1,) * axes, "padding": ((1, 1),) * axes, "dilation": (1,) * axes, "groups": groups}
    x, w, dy = normal(*shape), normal(*kernel), normal(*shape[:-1], kernel[-1])
    wide, plain = np.pad(x, [(0, 0), *given["padding"], (0, 0)]), {**given, "padding": ((0, 0),) * axes}
    for name, operands in (("conv", (x, w)), ("conv_weight_gradient", (x, dy))):
        more = {"weight_shape": kernel} if name != "conv" else {}
        [found] = eager.run_op(OPS[name], list(operands), {**given, **more}, level)
        [wanted] = eager.run_op(OPS[name], [wide, operands[1]], {**plain, **more}, level)
        assert found.tobytes() == wanted.tobytes()


ENDS = {
    "bias": [("add", 1)],
    "bias, relu": [("add", 1), ("relu", 0)],
    "bias, relu6": [("add", 1), ("relu6", 0)],
    "bias, relu6, more": [("add", 1), ("relu6", 0), ("add", 2), ("relu", 0)],
    "derivative of relu": [("relu_gradient", 2)],
    "derivative of relu6, more": [("relu6_gradient", 2), ("add", 1)],
}


@LEVEL
@pytest.mark.parametrize("end", ENDS)
def test_what_tiles_do_with_their_sums_has_the_bits_of_separate_ops(end, level):
    """Of one chunk and of two, with infinite and missing numbers; operand 1 is a bias, 2 as large as the output."""
    for channels in (3, 60):
        x, w, bias = normal(2, 4, 5, channels), normal(3, 3, channels, 32), normal(32)
        x[0, 2, 1, 0], x[1, 3, 4, 2] = np.nan, np.inf
        full = np.clip(4 * normal(2, 4, 5, 32), 0, 6)
        [y] = eager.run_op(OPS["conv"], [x, w], GIVEN, level)
        body, operands = [], []
        for name, operand in ENDS[end]:
            other = [bias, full][operand - 1 : operand] if operand else []
            body.append((name, len(operands) if operand else None))
            operands += other
            [y] = eager.run_op(OPS[name], [y, *other], {}, level)
        parts = [
            Part(name, (), (len(operands) + i, *([] if place is None else [place])))
            for i, (name, place) in enumerate(body)
        ]
        attributes = {**GIVEN, "product": "conv", "body": tuple(parts)}
        [found] = eager.run_op(OPS["product_with_epilogue"], [x, w, *operands], attributes, level)
        assert ops.same_bits(found, y)


@LEVEL
def test_input_gradients_are_the_contract(level):
    """The convolution of dy by the weight turned round: taps in descending order, then outputs."""
    dy, w = normal(1, 4, 5, 65), normal(3, 3, 2, 65)
    attributes = {**GIVEN, "sizes": (4, 5), "weight_shape": w.shape}
    [dx] = eager.run_op(OPS["conv_input_gradient"], [dy, w], attributes, level)
    turned = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2)).reshape(-1, 2)
    assert dx.tobytes() == contract_matmul(rows_of(dy, (3, 3), GIVEN), turned).tobytes()


@pytest.mark.parametrize("shape", [(3, 20, 21, 9), (2, 40, 6, 16)])
def test_a_row_has_the_same_bits_in_any_batch(shape):
    x, w = normal(*shape), normal(3, 3, shape[-1], 40)
    whole = nnfast.ops.conv(x, w, padding="same")
    for i in range(len(x)):
        assert nnfast.ops.conv(x[i : i + 1], w, padding="same").tobytes() == whole[i : i + 1].tobytes()


def compiled(function, arrays, seed):
    """function(*arrays) and the gradients of sum(function(...) * seed), by plans."""
    graph = Graph()
    values = [graph.input(array.shape, str(array.dtype)) for array in (*arrays, seed)]
    y = function(*values[:-1])
    found = gradients(nnfast.ops.sum(y * values[-1]), values[:-1])
    graph.outputs = [y, *found]
    plan = build(run(run(graph, forward=True), forward=False), threads=2)
    return plan.call([*arrays, seed], None)


# batch, sizes, channels, outputs, kernel, strides, pixels of padding, dilation, groups
SHAPES = {
    "3x3": (2, (9, 7), 5, 20, 3, 1, 1, 1, 1),
    "7x7, strides 2": (2, (31, 29), 3, 64, 7, 2, 3, 1, 1),
    "wide": (1, (7, 60), 6, 40, 3, 1, 1, 1, 1),
    "wide, strides 2": (2, (9, 61), 20, 33, 5, 2, 0, 1, 1),
    "5x5, one channel": (1, (13, 11), 1, 6, 5, 1, 0, 1, 1),
    "dilated": (2, (17, 15), 8, 12, 3, 1, 2, 2, 1),
    "dilated, strides 3": (2, (20, 21), 4, 6, (3, 4), 3, 2, 2, 1),
    "groups": (2, (12, 13), 12, 24, 3, 2, 1, 1, 3),
    "groups of whole panels": (1, (8, 8), 64, 64, 3, 1, 1, 1, 2),
    "depthwise": (2, (9, 9), 24, 24, 3, 2, 1, 1, 24),
    "depthwise, 5x5": (2, (11, 8), 40, 40, 5, 1, 2, 1, 40),
    "depthwise, three outputs each": (2, (9, 9), 6, 18, 3, 1, 1, 1, 6),
    "1x1, 1000 outputs": (2, (9, 9), 30, 1000, 1, 1, 0, 1, 1),
    "1x1, strides 2": (2, (9, 9), 30, 40, 1, 2, 0, 1, 1),
    "one axis": (3, (50,), 7, 9, 5, 3, 2, 2, 1),
    "three axes": (1, (6, 7, 8), 3, 5, 3, 2, 1, 1, 1),
    "many": (4, (20, 20), 100, 130, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_against_pytorch(name):
    """Forward and both gradients in float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    batch, sizes, channels, outputs, kernel, strides, padding, dilation, groups = SHAPES[name]
    axes = len(sizes)
    taps = kernel if isinstance(kernel, tuple) else (kernel,) * axes
    x = normal(batch, *sizes, channels, dtype="float64")
    w = normal(*taps, channels // groups, outputs, dtype="float64")
    to_torch, back = (0, axes + 1, *range(1, axes + 1)), (0, *range(2, axes + 2), 1)
    there = torch.tensor(np.ascontiguousarray(x.transpose(to_torch)), requires_grad=True)
    weight = torch.tensor(np.ascontiguousarray(w.transpose(axes + 1, axes, *range(axes))), requires_grad=True)
    convolve = getattr(torch.nn.functional, f"conv{axes}d")
    result = convolve(there, weight, None, strides, padding, dilation, groups)
    seed = normal(*(result.shape[i] for i in back), dtype="float64")
    (result * torch.tensor(np.ascontiguousarray(seed.transpose(to_torch)))).sum().backward()
    y, dx, dw = compiled(lambda a, b: nnfast.ops.conv(a, b, strides, padding, None, dilation), [x, w], seed)
    np.testing.assert_allclose(y, result.detach().numpy().transpose(back), 0, 1e-11)
    np.testing.assert_allclose(dx, there.grad.numpy().transpose(back), 0, 1e-11)
    np.testing.assert_allclose(dw, weight.grad.numpy().transpose(*range(2, axes + 2), 1, 0), 0, 1e-11)


@pytest.mark.parametrize("case", [(3, 2, 1, 1), (4, 2, 1, 0), (2, 2, 0, 0), (3, 1, 1, 0), (5, 3, 2, 2), (2, 3, 0, 1)])
def test_transposed_against_pytorch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    kernel, strides, padding, more = case
    x, w = normal(2, 5, 6, 4, dtype="float64"), normal(kernel, kernel, 3, 4, dtype="float64")
    there, weight = (
        torch.tensor(np.ascontiguousarray(a.transpose(p))) for a, p in ((x, (0, 3, 1, 2)), (w, (3, 2, 0, 1)))
    )
    wanted = torch.nn.functional.conv_transpose2d(there, weight, None, strides, padding, more).numpy()
    found = nnfast.ops.conv_transpose(x, w, strides, padding, more)
    np.testing.assert_allclose(found, wanted.transpose(0, 2, 3, 1), 0, 1e-12)


def test_same_pads_one_more_at_the_end():
    """As Keras and TensorFlow: ceil(size / stride) outputs, the odd pixel after."""
    for size, kernel, stride, wanted in (
        (5, 2, 1, (0, 1)),
        (6, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (8, 7, 2, (2, 3)),
        (9, 1, 2, (0, 0)),
    ):
        x, w = normal(1, size, 1), normal(kernel, 1, 1)
        found = nnfast.ops.conv(x, w, stride, "same")
        assert found.shape[1] == -(-size // stride)
        assert found.tobytes() == nnfast.ops.conv(np.pad(x, ((0, 0), wanted, (0, 0))), w, stride).tobytes()


def test_causal_outputs_see_nothing_later():
    x, w = normal(1, 12, 3), normal(3, 3, 4)
    later = x.copy()
    later[:, 7:] = 9.0
    first, second = (nnfast.ops.conv(a, w, padding="causal", dilation_rate=2) for a in (x, later))
    assert first.shape == (1, 12, 4)
    assert first[:, :7].tobytes() == second[:, :7].tobytes()


@LEVEL
def test_special_values_stay_where_they_are(level):
    """A NaN reaches the outputs that see its pixel, and no others."""
    x, w = np.ones((1, 6, 20, 5), np.float32), np.ones((3, 3, 5, 18), np.float32)
    x[0, 1, 15, 2] = np.nan
    [y] = eager.run_op(OPS["conv"], [x, w], GIVEN, level)
    seen = np.zeros((6, 20), bool)
    seen[0:3, 14:17] = True
    assert np.array_equal(np.isnan(y[0]), np.broadcast_to(seen[..., None], (6, 20, 18)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nnfast.ops.conv(normal(1, 4, 4, 3), normal(5, 5, 3, 2)), "smaller than a kernel"),
        (lambda: nnfast.ops.conv(normal(1, 4, 4, 3), normal(3, 3, 2, 2)), "3 input channels"),
        (lambda: nnfast.ops.conv(normal(4, 3), normal(3, 3)), "expected \\(batch, sizes"),
        (lambda: nnfast.ops.depthwise_conv(normal(1, 4, 3), normal(2, 2, 1)), "3 input channels and a kernel for 2"),
        (lambda: nnfast.ops.conv_transpose(normal(1, 4, 3), normal(2, 2, 1), 1), "its last axis must be 3"),
    ],
)
def test_shapes_that_do_not_fit(call, words):
    with pytest.raises(ShapeError, match=words):
        call()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"strides": 0}, "strides=0"),
        ({"padding": "full"}, "padding='full'"),
        ({"padding": "causal"}, "padding='causal'"),
        ({"padding": (1, 2, 3)}, "padding=\\(1, 2, 3\\)"),
        ({"data_format": "NCHW"}, "'channels_last' or 'channels_first'"),
        ({"dilation_rate": (1, 2, 3)}, "dilation_rate"),
    ],
)
def test_arguments_that_do_not_fit(arguments, words):
    with pytest.raises(ValueError, match=words):
        nnfast.ops.conv(normal(1, 8, 8, 3), normal(3, 3, 3, 2), **arguments)
