"""Data on the way to a plan: what counts as an array, what is copied, and what is refused."""

import array

import numpy as np
import pytest

from nnfast import data
from nnfast.errors import DataError, DtypeError, UnknownNameError


class Interface:
    """An object that is an array only through `__array_interface__`."""

    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


class Capsule:
    """An object that is an array only through DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


# One array


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6, dtype=np.float32).reshape(3, 2),
        [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
        ((0, 1), (2, 3), (4, 5)),
        memoryview(np.arange(6.0).reshape(3, 2)),
        Interface(np.arange(6.0).reshape(3, 2)),
        Capsule(np.arange(6.0).reshape(3, 2)),
        np.ma.masked_array(np.arange(6.0).reshape(3, 2)),
        [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])],
    ],
    ids=["array", "lists", "tuples", "memoryview", "interface", "dlpack", "masked", "rows"],
)
def test_forms_of_an_array(x):
    source = data.ArraySource(x, np.zeros(3))
    np.testing.assert_array_equal(source.arrays[0], [[0, 1], [2, 3], [4, 5]])
    assert type(source.arrays[0]) is np.ndarray


def test_buffers():
    np.testing.assert_array_equal(data.as_rows(array.array("f", [1, 2]), "x"), [1, 2])
    np.testing.assert_array_equal(data.as_rows(b"\x01\x02", "x"), [1, 2])


def test_torch_tensor():
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(3, 2)
    found = data.as_rows(tensor, "x")
    tensor[0, 0] = 9
    assert found[0, 0] == 9  # the same memory


@pytest.mark.parametrize(
    "select",
    [
        lambda a: a,
        lambda a: a[::2],
        lambda a: a[::-1],
        lambda a: a[:, :3],
        lambda a: a[1:4],
        lambda a: np.broadcast_to(a[0], (7, 5)),
        lambda a: a[:, :1],
        lambda a: a[:, 0],
    ],
)
def test_no_copy_where_rows_are_contiguous(select):
    given = select(np.arange(40.0).reshape(8, 5))
    found = data.as_rows(given, "x")
    assert np.shares_memory(found, given)
    np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize(
    "select",
    [
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(">f8"),
        lambda a: a[:, ::-1],
    ],
)
def test_one_copy_elsewhere(select):
    given = select(np.arange(40.0).reshape(8, 5))
    found = data.as_rows(given, "x")
    assert not np.shares_memory(found, given)
    assert found.flags.c_contiguous
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, given)


def test_unaligned_is_copied():
    records = np.zeros(4, dtype=np.dtype([("flag", "u1"), ("value", "f4")]))
    assert data.as_rows(records["value"], "x").flags.aligned


def test_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = data.ArraySource(mapped, np.zeros(4))
    assert np.shares_memory(source.arrays[0], mapped)


def test_input_is_not_changed():
    x = np.arange(6.0).reshape(3, 2)
    x.flags.writeable = False
    data.ArraySource(x, x)
    assert x.flags.writeable is False


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1, 2], [3]], "rows"),
        (np.array([None, 1]), "objects"),
        (np.array(["a", "b"]), "dtype <U1"),
        (np.zeros(3, complex), "complex128"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
        (np.zeros(2, np.longdouble) if np.longdouble(0).itemsize > 8 else np.zeros(2, complex), "expected one of"),
    ],
)
def test_wrong_dtype(x, message):
    with pytest.raises(DtypeError, match=message):
        data.ArraySource(x, np.zeros(2))


def test_sparse_matrix_is_told():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DtypeError, match="toarray"):
        data.as_rows(sparse.csr_matrix(np.eye(3)), "x")


def test_single_number_and_masked_elements():
    with pytest.raises(DataError, match=r"x is the single number"):
        data.as_rows(np.float64(3), "x")
    with pytest.raises(DataError, match="masked"):
        data.as_rows(np.ma.masked_array([1.0, 2.0], [True, False]), "x")


# Several arrays


def test_several_inputs_and_targets():
    a, b, y, z = np.zeros((4, 2)), np.ones((4, 3)), np.arange(4), np.arange(4.0)
    names = {"input_names": ["a", "b"], "target_names": ["y", "z"]}
    for x in ([a, b], (a, b), {"b": b, "a": a}):
        source = data.ArraySource(x, {"z": z, "y": y}, **names)
        for found, given in zip(source.arrays, [a, b, y, z], strict=True):
            np.testing.assert_array_equal(found, given)
        assert (source.inputs, source.targets, source.weights) == (2, 2, 0)


def test_a_list_with_the_one_array():
    x = np.zeros((4, 2))
    assert data.ArraySource([x], [np.zeros(4)]).arrays[0].shape == (4, 2)


def test_several_inputs_as_lists_of_numbers():
    source = data.ArraySource([[1, 2], [3, 4]], [0, 1], input_names=["a", "b"])
    assert [found.tolist() for found in source.arrays] == [[1, 2], [3, 4], [0, 1]]


def test_wrong_structure():
    x = np.zeros((4, 2))
    with pytest.raises(DataError, match="x has 3 arrays; the model takes 2: a, b"):
        data.ArraySource([x, x, x], x, input_names=["a", "b"])
    with pytest.raises(DataError, match=r"x lacks 'b'"):
        data.ArraySource({"a": x}, x, input_names=["a", "b"])
    with pytest.raises(UnknownNameError, match="did you mean 'right'"):
        data.ArraySource({"left": x, "rigth": x}, x, input_names=["left", "right"])


def test_weights():
    x, y, w = np.zeros((4, 2)), np.zeros(4), np.arange(4.0)
    names = ["y", "z"]
    assert data.ArraySource(x, y, w).weights == 1
    both = data.ArraySource(x, [y, y], w, target_names=names)
    assert both.weights == 2
    assert all(np.array_equal(found, w) for found in both.arrays[3:])
    for weights in ({"z": w}, [None, w]):
        some = data.ArraySource(x, [y, y], weights, target_names=names)
        assert some.arrays[3].tolist() == [1, 1, 1, 1]
        assert some.arrays[4].tolist() == [0, 1, 2, 3]
    with pytest.raises(UnknownNameError, match="sample_weight"):
        data.ArraySource(x, [y, y], {"zz": w}, target_names=names)
    with pytest.raises(DataError, match="sample_weight has 3 arrays"):
        data.ArraySource(x, [y, y], [w, w, w], target_names=names)


def test_lengths():
    with pytest.raises(DataError, match=r"x: 4, y: 3"):
        data.ArraySource(np.zeros((4, 2)), np.zeros(3))
    with pytest.raises(DataError, match=r"x\[0\]: 4, x\[1\]: 5, y: 4"):
        data.ArraySource([np.zeros((4, 2)), np.zeros((5, 2))], np.zeros(4), input_names=["a", "b"])
    with pytest.raises(DataError, match="sample_weight: 1"):
        data.ArraySource(np.zeros((4, 2)), np.zeros(4), np.zeros(1))


def test_empty():
    with pytest.raises(DataError, match="empty"):
        data.ArraySource(np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(DataError, match="empty"):
        data.ArraySource([], [])


def test_nan_on_request():
    x = np.zeros((3000, 1000), np.float32)
    x[2345, 6] = np.nan
    data.ArraySource(x, np.zeros(3000))
    with pytest.raises(DataError, match="x: row 2345 has a NaN"):
        data.ArraySource(x, np.zeros(3000), check_nan=True)
    with pytest.raises(DataError, match="y: row 1"):
        data.ArraySource(np.zeros((2, 1)), np.array([0, np.inf]), check_nan=True)
    assert data.find_not_finite(np.zeros(3, int)) is None
