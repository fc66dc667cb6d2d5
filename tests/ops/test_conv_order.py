"""Convolutions of many pixels leave out taps in the padding. The result is that of one image at a time, where nothing is left out, in
every bit: with all kinds of padding, with weights that are not finite, and with sums that vanish."""

import numpy as np
import pytest
from checks import ops

from nnfast.ops import _windows
from nnfast.ops.registry import OPS
from nnfast.plan import eager

LEVEL = pytest.mark.parametrize("level", ops.LEVELS)
PIXELS, SUM = 512, 128  # from so many on

CASES = {
    "3 x 3": ((9, 8, 8, 16), (3, 3, 16, 24), {}),
    "a corner by itself": ((130, 2, 2, 32), (3, 3, 32, 16), {}),
    "larger than the image": ((60, 3, 3, 16), (5, 5, 16, 20), {"padding": 2}),
    "apart": ((3, 16, 15, 16), (3, 3, 16, 40), {"padding": 3, "dilation": 3}),
    "one side only": ((3, 16, 15, 16), (3, 3, 16, 40), {"padding": [(2, 0), (0, 1)]}),
    "more kinds of pixels than are told apart": ((20, 40, 8), (31, 8, 16), {"padding": 15}),
    "three axes": ((4, 5, 6, 7, 6), (3, 3, 3, 6, 18), {}),
    "strides": ((9, 17, 16, 16), (5, 3, 16, 16), {"padding": [(2, 2), (0, 1)], "strides": 2}),
    "groups": ((9, 8, 8, 48), (3, 3, 16, 33), {"groups": 3}),
    "so many columns that strips are gathered": ((11, 7, 7, 16), (3, 3, 16, 272), {}),
    "so many channels that strips are gathered": ((33, 4, 4, 460), (3, 3, 460, 64), {}),
}


def given_of(axes, padding=1, dilation=1, strides=1, groups=1):
    pairs = [(padding, padding)] * axes if isinstance(padding, int) else padding
    return {"strides": (strides,) * axes, "padding": tuple(pairs), "dilation": (dilation,) * axes, "groups": groups}


def operands_of(case):
    """x, w, dy and the attributes; both convolutions must be such that taps are left out."""
    shape, kernel, changes = CASES[case]
    rng = np.random.default_rng(7)
    given = given_of(len(shape) - 2, **changes)
    out = _windows.output_sizes(shape[1:-1], kernel[:-2], given)
    assert shape[0] * np.prod(out) >= PIXELS > np.prod(out) and np.prod(kernel[:-1]) >= SUM
    return [rng.standard_normal(s).astype(np.float32) for s in (shape, kernel, (shape[0], *out, kernel[-1]))], given


def alone_and_together(level, name, x, w, given):
    """The result of all images, and of each by itself."""
    [together] = eager.run_op(OPS[name], [x, w], given, level)
    alone = [eager.run_op(OPS[name], [x[i : i + 1], w], given, level)[0] for i in range(len(x))]
    return np.concatenate(alone), together


@LEVEL
@pytest.mark.parametrize("case", CASES)
def test_an_image_has_the_same_bits_alone_and_among_others(case, level):
    (x, w, dy), given = operands_of(case)
    alone, together = alone_and_together(level, "conv", x, w, given)
    assert together.tobytes() == alone.tobytes()
    given |= {"sizes": x.shape[1:-1], "weight_shape": w.shape}
    alone, together = alone_and_together(level, "conv_input_gradient", dy, w, given)
    assert together.tobytes() == alone.tobytes()


@LEVEL
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_weight_that_is_not_finite_is_multiplied_with_the_padding(value, level):
    """Zero times infinity is not a number, wherever the zero comes from."""
    for place in ((0, 0, 3, 5), (1, 2, 15, 23), (2, 2, 0, 0)):
        (x, w, _), given = operands_of("3 x 3")
        w[place] = value
        alone, together = alone_and_together(level, "conv", x, w, given)
        assert ops.same_bits(together, alone)
        seen = np.isnan(together[..., place[-1]])
        assert seen.any() and (np.isnan(value) or not seen.all())
        assert not np.isnan(np.delete(together, place[-1], -1)).any()


@LEVEL
@pytest.mark.parametrize(
    "case", ["3 x 3", "larger than the image", "groups", "so many columns that strips are gathered"]
)
def test_a_sum_that_vanishes_is_plus_zero(case, level):
    """Of products that are too small to be told from zero, of either sign."""
    (x, w, _), given = operands_of(case)
    x, w = x * np.float32(1e-30), w * np.float32(1e-30)
    for sign in (1, -1):
        alone, together = alone_and_together(level, "conv", x, sign * w, given)
        assert not together.any() and not np.signbit(together).any()
        assert not alone.any() and not np.signbit(alone).any()


WEIGHT_CASES = {
    "3 x 3": ((9, 8, 8, 32), (3, 3, 32, 24), {}),
    "two chunks of pixels": ((3, 14, 15, 70), (3, 3, 70, 17), {}),
    "larger than the image": ((40, 3, 3, 40), (5, 5, 40, 20), {"padding": 2}),
    "apart": ((2, 16, 15, 64), (3, 3, 64, 40), {"padding": 3, "dilation": 3}),
    "one side only": ((2, 9, 8, 64), (3, 3, 64, 40), {"padding": [(2, 0), (0, 1)]}),
    "one axis": ((20, 40, 32), (31, 32, 16), {"padding": 15}),
    "three axes": ((2, 5, 6, 7, 32), (3, 3, 3, 32, 18), {}),
    "strides": ((9, 9, 8, 64), (5, 3, 64, 16), {"padding": [(2, 2), (0, 1)], "strides": 2}),
    "groups": ((9, 6, 6, 96), (3, 3, 32, 33), {"groups": 3}),
    "some channels at a time": ((60, 3, 3, 520), (3, 3, 520, 40), {}),
    "taps that see nothing": ((30, 2, 2, 32), (5, 5, 32, 16), {"padding": 2}),
}


def weight_gradients(level, case, change=lambda x, dy: None):
    """Of x with its padding, and of x with zeros around it, where nothing is left out."""
    shape, kernel, changes = WEIGHT_CASES[case]
    rng = np.random.default_rng(8)
    given = given_of(len(shape) - 2, **changes)
    out = _windows.output_sizes(shape[1:-1], kernel[:-2], given)
    x, dy = (rng.standard_normal(s).astype(np.float32) for s in (shape, (shape[0], *out, kernel[-1])))
    change(x, dy)
    wide, plain = np.pad(x, [(0, 0), *given["padding"], (0, 0)]), {**given, "padding": ((0, 0),) * (len(shape) - 2)}
    op = OPS["conv_weight_gradient"]
    [found] = eager.run_op(op, [x, dy], {**given, "weight_shape": kernel}, level)
    [wanted] = eager.run_op(op, [wide, dy], {**plain, "weight_shape": kernel}, level)
    return found, wanted


@LEVEL
@pytest.mark.parametrize("case", WEIGHT_CASES)
def test_a_weight_gradient_has_the_bits_of_all_products(case, level):
    found, wanted = weight_gradients(level, case)
    assert found.tobytes() == wanted.tobytes()


@LEVEL
def test_a_gradient_that_is_not_finite_is_multiplied_with_the_padding(level):
    def change(x, dy):
        dy[3, 0, 0, 5], dy[5, 7, 3, 20], dy[8, 4, 4, 23] = np.inf, np.nan, -np.inf

    found, wanted = weight_gradients(level, "3 x 3", change)
    assert ops.same_bits(found, wanted)
    assert (
        np.isnan(found[0, 0, :, 5]).all() and not np.isnan(found[1, 1, :, 5]).any() and np.isnan(found[..., 20]).all()
    )


@LEVEL
@pytest.mark.parametrize("case", ["3 x 3", "two chunks of pixels", "some channels at a time", "taps that see nothing"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_weight_gradient_that_vanishes_is_plus_zero(case, sign, level):
    def change(x, dy):
        x *= sign * np.float32(1e-30)
        dy *= np.float32(1e-30)

    found, wanted = weight_gradients(level, case, change)
    for dw in (found, wanted):
        assert not dw.any() and not np.signbit(dw).any()
