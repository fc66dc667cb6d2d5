"""Functions of arrays on arrays that hypothesis draws: any dtype, shape, strides, byte order, alignment, read-only or repeated elements.

How an array lies in memory changes no bit of a result; what cannot be computed is an error that names the argument or the call.
"""

import inspect

import numpy as np
import pytest
from checks import hostile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

MOST_OPERANDS = 3
# They draw random numbers, change their operands, or take functions and names instead of arrays.
EXCEPT = ("dropout", "random", "update", "call", "cond", "scan", "generate")


def functions():
    """Public functions of ops and kernels that need one to three arguments."""
    found = {}
    for name, function in hostile.functions():
        module, short = name.rsplit(".", 1)
        if module not in ("nnfast.ops", "nnfast.kernels") or any(word in short for word in EXCEPT):
            continue
        parameters = inspect.signature(function).parameters.values()
        needed = [
            p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if 1 <= len(needed) <= MOST_OPERANDS:
            found[name] = function, [p.name for p in parameters], len(needed)
    return found


FUNCTIONS = functions()
DTYPES = st.one_of(
    st.sampled_from(["<f4", "<f8"]),  # what is computed, half of the time
    st.one_of(
        hnp.floating_dtypes(endianness="?"), hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.boolean_dtypes(), hnp.complex_number_dtypes(), hnp.datetime64_dtypes(), hnp.byte_string_dtypes(), st.just(np.dtype(object)),
    ),
)  # fmt: skip


def strided(array, steps, turned, repeated, shifted, frozen):
    """The same elements, lying in memory in another way."""
    held = np.empty([extent * abs(step) for extent, step in zip(array.shape, steps, strict=True)], array.dtype)
    if shifted and not array.dtype.hasobject and array.dtype.itemsize > 1:
        raw = np.empty(held.nbytes + 1, np.uint8)
        held = raw[1:].view(array.dtype).reshape(held.shape)
    if turned:
        held = held.T.copy(order="F").T if not shifted else held
    view = held[(*[slice(None, None, step) for step in steps], ...)]
    view[...] = array
    if repeated:
        view = np.broadcast_to(view, (2, *view.shape))
    elif frozen:
        view.flags.writeable = False
    return view


@st.composite
def drawn(draw, shape):
    array = draw(hnp.arrays(draw(DTYPES), shape))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, 2, -1, -2])] * array.ndim))
    return strided(array, steps, *(draw(st.booleans()) for _ in range(4)))


@st.composite
def operands(draw, count):
    """Arrays of one shape, or of shapes that fit together, or of any."""
    shapes = draw(
        st.one_of(
            st.just([draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))] * count),
            hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0).map(lambda found: found.input_shapes),
            st.just([draw(hnp.array_shapes(max_dims=2, max_side=5)) for _ in range(count)]),
        )
    )  # fmt: skip
    return [draw(drawn(tuple(shape))) for shape in shapes]


def outcome(function, arrays):
    try:
        with np.errstate(all="ignore"):
            return "ok", function(*arrays)
    except Exception as error:
        return type(error).__name__, str(error)


def plain(result):
    if isinstance(result, list | tuple):
        return [part for item in result for part in plain(item)]
    return [np.asarray(result)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_drawn_arrays(name):
    function, parameters, count = FUNCTIONS[name]

    @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(operands(count))
    def check(arrays):
        kind, found = outcome(function, arrays)
        if kind != "ok":
            wrong = hostile.problem(name, [f"{p}=" for p in parameters[:count]], parameters, kind, found)
            assert wrong is None, wrong
        again, expected = outcome(function, [np.array(array, order="C") for array in arrays])
        assert again == kind, f"{kind}, but {again} for contiguous copies: {expected if kind == 'ok' else found}"
        if kind == "ok":
            for a, b in zip(plain(found), plain(expected), strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                assert a.dtype.hasobject or a.tobytes() == b.tobytes(), "other bits than for contiguous copies"

    check()


def test_that_enough_is_drawn():
    assert len(FUNCTIONS) > 60
