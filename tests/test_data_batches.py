"""Rows and batches: their order, their sizes, weights of classes, and sources that give batches."""

import threading
import time

import numpy as np
import pytest

from nnfast import data
from nnfast.errors import DataError, DtypeError


class Indexed:
    """A source of batches with a length, as Keras' PyDataset."""

    def __init__(self, batches):
        self.batches = batches
        self.epochs = 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.epochs += 1


def batches_of(count, rows=2):
    return [(np.full((rows, 3), i, np.float32), np.full(rows, i, np.float32)) for i in range(count)]


def firsts(batches):
    return [int(batch[0][0, 0]) for batch in batches]


# Batches


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, None, "8"])
def test_wrong_batch_size(batch_size):
    source = data.ArraySource(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(DataError, match="batch_size="):
        source.steps(batch_size)


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (np.int64(9), [5])])
def test_small_last_batch_is_kept(batch_size, sizes):
    source = data.ArraySource(np.arange(5.0), np.arange(5))
    assert source.steps(batch_size) == len(sizes)
    assert [len(x) for x, _ in source.batches(batch_size)] == sizes
    order = source.order(seed=1, epoch=0)
    shuffled = np.concatenate([x for x, _ in source.batches(batch_size, order)])
    np.testing.assert_array_equal(shuffled, order)


def test_permutation_is_fixed():
    # These numbers may never change: the order of the data is part of what is reproducible.
    assert data.permutation(10, 0, 0).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert data.permutation(10, 123, 7).tolist() == [4, 8, 0, 6, 9, 7, 3, 5, 1, 2]


def test_permutation_is_a_stable_sort():
    """Also where the upper bits of two numbers are equal, which the fast way cannot tell apart."""
    from nnfast.data import order

    for n in (0, 1, 2, 3, 255, 256, 70_000):
        raw = np.random.Philox(key=np.array([7, n], dtype=np.uint64)).random_raw(n)
        assert np.array_equal(data.permutation(n, 7, n), np.argsort(raw, kind="stable"))
    assert order._sorted_by_upper_bits(np.array([9 << 60, 5 << 60, 7 << 60], np.uint64)).tolist() == [1, 2, 0]
    assert order._sorted_by_upper_bits(np.array([9 << 60, (9 << 60) + 1, 0], np.uint64)) is None


def test_permutation():
    assert data.permutation(0, 0, 0).shape == (0,)
    order = data.permutation(1000, 5, 2)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(1000))
    assert not np.array_equal(order, data.permutation(1000, 5, 3))
    assert not np.array_equal(order, data.permutation(1000, 6, 2))
    data.permutation(3, 2**64 - 1, 2**64 - 1)
    with pytest.raises(DataError, match="seed=-1"):
        data.permutation(3, -1, 0)


def test_permutations_are_uniform():
    # 24 orders of 4 rows, 4800 draws: each is expected 200 times, with a standard deviation of 14.
    orders, counts = np.unique([data.permutation(4, 9, epoch) for epoch in range(4800)], axis=0, return_counts=True)
    assert len(orders) == 24
    assert abs(counts - 200).max() < 70


def test_split_validation():
    source = data.ArraySource(np.arange(10.0), np.arange(10), np.ones(10))
    training, validation = data.split_validation(source, 0.25)
    assert (training.rows, validation.rows) == (7, 3)
    assert validation.arrays[1].tolist() == [7, 8, 9]
    assert validation.weights == 1
    assert np.shares_memory(training.arrays[0], source.arrays[0])
    for split in (0, 1, -0.1, 1.5, float("nan")):
        with pytest.raises(DataError, match="validation_split="):
            data.split_validation(source, split)
    with pytest.raises(DataError, match="leaves none"):
        data.split_validation(source, 0.95)


def test_class_weights():
    assert data.class_weights(np.array([[0], [2], [1]]), {0: 0.5, 2: 3}).tolist() == [0.5, 3, 1]
    assert data.class_weights(np.eye(3)[[2, 0]], {2: 4.0}).tolist() == [4, 1]
    assert data.class_weights(np.array([1.0, 0.0]), {1: 2.0}).tolist() == [2, 1]
    for weights in ({-1: 1.0}, {"a": 1.0}, {0: -1.0}, {0: float("nan")}):
        with pytest.raises(DataError, match="class_weight"):
            data.class_weights(np.array([0]), weights)
    with pytest.raises(DataError, match="labels or one-hot"):
        data.class_weights(np.zeros((2, 3, 4)), {0: 1.0})


def test_with_weights():
    source = data.ArraySource(np.zeros((3, 2)), np.zeros(3)).with_weights([np.arange(3.0)])
    assert (source.weights, source.arrays[2].tolist()) == (1, [0, 1, 2])


# Sources of batches


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("make", [list, Indexed], ids=["iterable", "indexed"])
def test_epochs_start_again(make, prefetch):
    source = data.BatchSource(make(batches_of(4)), prefetch=prefetch)
    assert source.length == 4
    assert firsts(source.epoch()) == [0, 1, 2, 3]
    assert firsts(source.epoch()) == [0, 1, 2, 3]
    assert firsts(source.epoch(3)) == [0, 1, 2]
    assert firsts(source.epoch(3)) == [3, 0, 1]
    assert firsts(source.epoch()) == [0, 1, 2, 3]
    assert getattr(source.data, "epochs", 5) == 5


@pytest.mark.parametrize("prefetch", [0, 2])
def test_generator_goes_on(prefetch):
    source = data.BatchSource(iter(batches_of(5)), prefetch=prefetch)
    assert source.length is None
    assert firsts(source.epoch(2)) == [0, 1]
    assert firsts(source.epoch(2)) == [2, 3]
    with pytest.raises(DataError, match="after 1 batches of this epoch, 2 are needed"):
        firsts(source.epoch(2))
    with pytest.raises(DataError, match="after 0 batches"):
        firsts(source.epoch())


def test_epoch_left_early():
    source = data.BatchSource(batches_of(4))
    next(source.epoch())
    assert firsts(source.epoch()) == [0, 1, 2, 3]
    source.close()


def test_empty_source():
    for empty in ([], iter([])):
        with pytest.raises(DataError, match="after 0 batches"):
            list(data.BatchSource(empty).epoch(3))


def test_thread_ends():
    before = threading.active_count()
    source = data.BatchSource(batches_of(100), prefetch=1)
    next(source.epoch())
    source.close()
    assert threading.active_count() == before


def test_batches_are_made_ahead():
    made = []

    def slow():
        for i, batch in enumerate(batches_of(3)):
            made.append(i)
            yield batch

    epoch = data.BatchSource(slow(), prefetch=2).epoch()
    next(epoch)
    deadline = time.monotonic() + 60
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made == [0, 1, 2]


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_error_in_a_generator_comes_where_it_was_due(prefetch):
    def broken():
        yield from batches_of(2)
        raise ZeroDivisionError("in the generator")

    epoch = data.BatchSource(broken(), prefetch=prefetch).epoch()
    assert len([next(epoch), next(epoch)]) == 2
    with pytest.raises(ZeroDivisionError, match="in the generator"):
        next(epoch)


@pytest.mark.parametrize("kind", [tuple, list])
def test_batch_with_weights(kind):
    x, y = batches_of(1)[0]
    (batch,) = data.BatchSource(iter([kind((x, y, np.ones(2)))])).epoch()
    assert [part.shape for part in batch] == [(2, 3), (2,), (2,)]


def test_batches_for_prediction():
    x = np.zeros((2, 3))
    (batch,) = data.BatchSource(iter([x]), target_names=()).epoch()
    assert len(batch) == 1
    (batch,) = data.BatchSource(iter([(x, np.zeros(2))]), target_names=()).epoch()
    assert len(batch) == 1
    (batch,) = data.BatchSource(iter([[x, x]]), input_names=["a", "b"], target_names=()).epoch()
    assert len(batch) == 2


def test_wrong_batches():
    x = np.zeros((2, 3))
    for batch, message in ((x, "no targets"), ((x, x, x, x), "4 parts"), ((x, np.zeros(3)), "lengths")):
        with pytest.raises(DataError, match=message):
            list(data.BatchSource(iter([batch])).epoch())


def test_torch_loader():
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.arange(10.0).reshape(5, 2), torch.arange(5))
    loader = torch.utils.data.DataLoader(dataset, batch_size=2)
    source = data.make_source(loader)
    assert isinstance(source, data.BatchSource)
    for _ in range(2):
        assert [len(x) for x, _ in source.epoch()] == [2, 2, 1]


# Which source


def test_make_source():
    x, y = np.zeros((4, 2)), np.zeros(4)
    assert isinstance(data.make_source(x, y), data.ArraySource)
    assert isinstance(data.make_source([[1.0], [2.0]], [0, 1]), data.ArraySource)
    for batches in (iter([]), batches_of(2), Indexed(batches_of(2)), (batch for batch in batches_of(2))):
        assert isinstance(data.make_source(batches), data.BatchSource)
    assert data.make_source(x, need_targets=False).targets == 0
    with pytest.raises(DataError, match="y is missing"):
        data.make_source(x)
    with pytest.raises(DataError, match="leave y out"):
        data.make_source(iter([]), y)
    for nonsense in (None, "data.csv"):
        with pytest.raises(DtypeError, match="expected arrays"):
            data.make_source(nonsense)
