"""Ops and kernels on arrays a second time, when they take the short way: the same bits and errors as the first time."""

import threading

import numpy as np
import pytest

import nnfast
from nnfast import kernels, ops
from nnfast.errors import DtypeError, ShapeError
from nnfast.plan import eager

RNG = np.random.default_rng(8)
A, B = RNG.standard_normal((2, 33, 17)).astype(np.float32)


@pytest.fixture
def long_ways(monkeypatch):
    """Which ops took the long way."""
    names = []
    long_way = eager.OpCall._long_way
    monkeypatch.setattr(eager.OpCall, "_long_way", lambda self, *a: (names.append(self.op.name), long_way(self, *a))[1])
    eager.forget_plans()
    return names


def test_the_second_call_is_short(long_ways):
    for _ in range(3):
        kernels.exp(A)
        kernels.add(A, B)
        kernels.softmax(A)
        kernels.matmul(A, B.T.copy())
        ops.sum(A, 1)
        kernels.leaky_relu(A, negative_slope=0.5)
    assert sorted(long_ways) == ["add", "exp", "leaky_relu", "matmul", "softmax", "sum"]
    with nnfast.num_threads(nnfast.get_num_threads() + 1):  # a plan of its own
        kernels.exp(A)
    assert len(long_ways) == 7


def test_short_and_long_ways_agree():
    first = kernels.add(A, B), kernels.matmul(A, B.T.copy()), kernels.leaky_relu(A)
    again = kernels.add(A, B), kernels.matmul(A, B.T.copy()), kernels.leaky_relu(A)
    other = kernels.leaky_relu(A, negative_slope=0.7)
    assert [a.tobytes() for a in first] == [a.tobytes() for a in again]
    assert other.tobytes() != again[2].tobytes()
    assert not np.shares_memory(first[0], again[0])


@pytest.mark.parametrize("dtype", [np.float64, np.int32, ">f4"])
def test_another_dtype_is_seen(dtype):
    for _ in range(2):
        kernels.exp(A)
    x = A.astype(dtype)
    wanted = np.float64 if dtype is np.float64 else np.float32
    assert kernels.exp(x).dtype == wanted
    assert np.allclose(kernels.exp(x), np.exp(x.astype(wanted)), rtol=1e-5)


def test_out_may_lie_over_an_operand():
    for _ in range(2):
        x, y = A.copy(), B.copy()
        assert kernels.add(x, y, out=y) is y and y.tobytes() == (A + B).tobytes()
        assert kernels.subtract(x, x, out=x) is x and not x.any()
        line = np.arange(10, dtype=np.float32)
        kernels.add(line[1:], line[:-1], out=line[1:])
        assert line[1:].tolist() == [1, 3, 5, 7, 9, 11, 13, 15, 17]
        square = RNG.standard_normal((16, 16)).astype(np.float32)
        wanted = kernels.matmul(square, square)
        assert kernels.matmul(square, square, out=square).tobytes() == wanted.tobytes()
        row = RNG.standard_normal((4, 4)).astype(np.float32)
        wanted = row + row[0]
        assert kernels.add(row, row[0], out=row).tobytes() == wanted.tobytes()


def test_strided_operands_and_out():
    for _ in range(2):
        out = np.zeros((33, 34), np.float32)[:, ::2]
        assert kernels.add(A, B[::-1], out=out) is out
        assert np.array_equal(out, A + B[::-1])


def test_wrong_out_is_an_error_each_time():
    read_only = np.empty_like(A)
    read_only.flags.writeable = False
    for _ in range(3):
        kernels.exp(A, out=np.empty_like(A))
        with pytest.raises(ShapeError, match="exp"):
            kernels.exp(A, out=np.empty((17, 33), np.float32))
        with pytest.raises(DtypeError, match="exp"):
            kernels.exp(A, out=np.empty(A.shape, np.float64))
        with pytest.raises(DtypeError, match="read-only"):
            kernels.exp(A, out=read_only)
        with pytest.raises(DtypeError, match="NumPy array"):
            kernels.exp(A, out=[1.0])


def test_subclasses_numbers_and_no_elements():
    for _ in range(2):
        assert type(kernels.exp(A.view(np.recarray))) is np.ndarray
        assert kernels.add(A, 1.0).tobytes() == (A + np.float32(1)).tobytes()
        assert kernels.exp(A[:0]).shape == (0, 17)
        assert kernels.exp(np.float32(0)) == 1 and kernels.exp(np.array(0, np.float32)).shape == ()


def test_one_call_from_many_threads():
    x = RNG.standard_normal(5000).astype(np.float32)
    wanted = kernels.tanh(x).tobytes()
    wrong = []

    def work():
        mine = np.empty_like(x)
        wrong.extend(i for i in range(200) if kernels.tanh(x, out=mine).tobytes() != wanted)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong


def test_plans_of_many_attributes_are_not_kept():
    for i in range(2 * eager.MOST_PLANS):
        kernels.leaky_relu(A[:1], negative_slope=float(i))
    assert len(eager._op_calls) <= eager.MOST_PLANS and len(eager._plans) <= eager.MOST_PLANS


def test_an_operand_is_not_kept_alive():
    import weakref

    class Kept(np.ndarray):
        pass

    owner = np.zeros(64, np.float32).view(Kept)
    kept = weakref.ref(owner)
    plain = np.asarray(owner)
    for _ in range(2):
        kernels.exp(plain)
    del owner, plain
    assert kept() is None
