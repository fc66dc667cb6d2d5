"""Arrays as users have them, in any memory, order and type of numbers: the results are those of plain arrays, to the bit. What holds for
strides and alignment of every op stands in tests/ops/test_every_op.py; here it is what is converted on the way in."""

import numpy as np
import pytest

import nnfast
from nnfast import errors, kernels, layers, ops
from nnfast.ops.registry import OPS

RNG = np.random.default_rng(8)


class Wrapped:
    """Something with __array__ and nothing else."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def unaligned(x):
    memory = np.empty(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def wide_strides(x):
    return np.repeat(np.repeat(x, 3, 0), 2, 1)[::3, ::2]


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": unaligned,
    "swapped and unaligned": lambda x: unaligned(x.astype(x.dtype.newbyteorder())),
    "strided": wide_strides,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "columns first": np.asfortranarray,
    "read-only": read_only,
    "without a masked element": np.ma.array,
    "memory": memoryview,
    "wrapped": Wrapped,
    "record field": lambda x: np.rec.fromarrays([x, x], names="a,b")["a"],
}
TYPES = [
    "float32",
    "float64",
    "float16",
    "longdouble",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "bool",
]
FUNCTIONS = {
    "tanh": lambda x: kernels.tanh(x),
    "add": lambda x: kernels.add(x, x),
    "softmax": lambda x: kernels.softmax(x),
    "matmul": lambda x: kernels.matmul(x, np.arange(35, dtype=np.float32).reshape(7, 5)),
    "sum": lambda x: kernels.sum(x, axis=0),
    "argmax": lambda x: kernels.argmax(x),
    "transpose": lambda x: ops.transpose(x),
    "variance": lambda x: ops.variance(x, axis=1),
    "concatenate": lambda x: ops.concatenate([x, x], axis=0),
    "slice": lambda x: ops.slice(x, (slice(1, 5), slice(None, None, -1))),
    "where": lambda x: ops.where(x, 1.0, x),
}


def plain(dtype):
    return (RNG.integers(0, 2, (6, 7)) if dtype == "bool" else RNG.integers(0, 100, (6, 7))).astype(dtype)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_forms(function, dtype):
    x = plain(dtype)
    kernel = {"longdouble": "float64", "float16": "float32"}.get(dtype, dtype)
    wanted = np.asarray(FUNCTIONS[function](x.astype(kernel)))
    for form, make in FORMS.items():
        if form == "memory" and dtype in ("longdouble", "float16"):
            continue
        given = make(x)
        found = np.asarray(FUNCTIONS[function](given))
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), form
        assert found.tobytes() == wanted.tobytes(), form


@pytest.mark.parametrize("form", [form for form in FORMS if form != "wrapped"])
def test_models_read_them(form):
    nnfast.set_random_seed(0)
    x = RNG.standard_normal((64, 4)).astype("float32")
    y = RNG.standard_normal((64, 2)).astype("float32")
    results = []
    for make in (np.asarray, FORMS[form]):
        nnfast.set_random_seed(1)
        model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(2)])
        model.compile("sgd", "mse")
        model.fit(make(x), make(y), verbose=0)
        model.train_on_batch(make(x), make(y))
        results.append([model.predict(make(x), verbose=0).tobytes(), *[w.tobytes() for w in model.get_weights()]])
    assert results[0] == results[1]


def test_masked_elements_are_refused():
    masked = np.ma.array([[1.0, 2.0]], mask=[[0, 1]])
    for use in (kernels.tanh, ops.exp, ops.sum, lambda x: kernels.add(1.0, x)):
        with pytest.raises(errors.NnfastError, match="masked"):
            use(masked)


@pytest.mark.parametrize(
    "name", [name for name, op in OPS.items() if op.function and len(op.inputs) == 2 and not op.parameters]
)
def test_operands_of_two_kinds(name):
    """A scalar, a row of stride 0 and a wider type beside a plain array."""
    x = RNG.uniform(0.5, 2, (5, 6)).astype("float32")
    function = getattr(kernels, name)
    for other in (
        np.float32(1.5),
        np.array(1.5),
        np.broadcast_to(np.float64(1.5), (5, 6)),
        np.full((1, 6), 1.5, ">f8"),
    ):
        if np.ndim(other) == 0 and name.endswith("_gradient"):
            continue
        dtype = "float64" if np.asarray(other).dtype.itemsize == 8 and np.asarray(other).ndim else None
        try:
            found = function(x, other)
        except errors.ShapeError as error:
            assert name in str(error)
            continue
        wide = str(found.dtype)
        assert dtype is None or wide == dtype
        wanted = function(x.astype(wide), np.full((5, 6), 1.5, wide))
        assert found.tobytes() == wanted.tobytes()
