"""Data sets: the digits that the package carries, and IDX files from a folder, a cache and a download."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

from nnfast import datasets, environment
from nnfast.datasets import idx
from nnfast.errors import DataError, MissingExtraError

SHAPES = ((3, 2, 2), (3,), (2, 2, 2), (2,))
NAMES = ("a.gz", "b.gz", "c.gz", "d.gz")


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


@pytest.fixture
def arrays():
    return [np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) for shape in SHAPES]


@pytest.fixture
def small(tmp_path, arrays, monkeypatch):
    """A data set of four tiny files, which lie in tmp_path/data/small."""
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    files = []
    for name, array in zip(NAMES, arrays, strict=True):
        content = idx_bytes(array)
        archive = gzip.compress(content)
        (folder / name).write_bytes(archive)
        digests = hashlib.sha256(archive).hexdigest(), hashlib.sha256(content).hexdigest()
        files.append(idx.IdxFile(name, array.shape, *digests))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NNFAST_DATA", raising=False)
    return idx.IdxDataset("Small", "small", "http://127.0.0.1:9/", tuple(files))


def test_digits():
    (x_train, y_train), (x_test, y_test) = datasets.load_digits()
    assert x_train.shape == (1348, 64)
    assert x_test.shape == (449, 64)
    assert x_train.dtype == np.float32
    assert y_train.dtype == np.int32
    assert (x_train.min(), x_train.max()) == (0, 1)
    assert np.bincount(y_train).tolist() == [129, 141, 139, 126, 143, 143, 123, 145, 137, 122]
    assert np.bincount(y_test).tolist() == [49, 41, 38, 57, 38, 39, 58, 34, 37, 58]
    assert not {row.tobytes() for row in x_test} & {row.tobytes() for row in x_train}


def test_digits_as_images():
    (x, _), _ = datasets.load_digits()
    (images, _), _ = datasets.load_digits(flat=False)
    assert images.shape == (1348, 8, 8)
    assert images.reshape(-1, 64).tobytes() == x.tobytes()


def test_from_the_given_folder(small, arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("NNFAST_DATA", str(tmp_path / "data"))
    for found, expected in zip(idx.load(small), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.flags.writeable


def test_from_the_cache(small, arrays, tmp_path):
    (tmp_path / "cache" / "nnfast").mkdir(parents=True)
    (tmp_path / "data" / "small").rename(tmp_path / "cache" / "nnfast" / "small")
    np.testing.assert_array_equal(idx.load(small)[0], arrays[0])


def test_download_into_the_cache(small, arrays, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    calls = []

    def retrieve(url, known_hash, fname, path):
        calls.append((url, known_hash))
        path.mkdir(parents=True, exist_ok=True)
        data = (tmp_path / "data" / "small" / fname).read_bytes()
        assert known_hash == "sha256:" + hashlib.sha256(data).hexdigest()
        (path / fname).write_bytes(data)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    np.testing.assert_array_equal(idx.load(small)[3], arrays[3])
    assert [url for url, _ in calls] == ["http://127.0.0.1:9/" + name for name in NAMES]
    idx.load(small)
    assert len(calls) == 4


def test_download_that_fails(small, monkeypatch):
    pooch = pytest.importorskip("pooch")

    def refused(*_, **__):
        raise OSError("connection refused")

    monkeypatch.setattr(pooch, "retrieve", refused)
    with pytest.raises(DataError, match=r"a\.gz could not be downloaded \(connection refused\).*NNFAST_DATA"):
        idx.load(small)


def test_without_pooch(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"nnfast\[data\]") as caught:
        idx.load(small)
    assert "NNFAST_DATA" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: gzip.compress(data)[:-9], "cannot be read"),
        (lambda data: b"no gzip", "cannot be read"),
        (lambda data: gzip.compress(data[:-1]), "cut off"),
        (lambda data: gzip.compress(data[:3] + b"\x01" + data[4:]), "not an IDX file"),
        (lambda data: gzip.compress(data[:-1] + b"\xff"), "content differs"),
    ],
)
def test_damaged_file(small, arrays, tmp_path, damage, message):
    path = tmp_path / "damaged.gz"
    path.write_bytes(damage(idx_bytes(arrays[0])))
    with pytest.raises(DataError, match=message):
        idx.read(path, small.files[0])


def test_mnist():
    folder = environment.data_folder()
    if folder is None or not (folder / "mnist").is_dir():
        pytest.skip("NNFAST_DATA names no folder with mnist/")
    (x_train, y_train), (x_test, y_test) = datasets.load_mnist()
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert x_train.dtype == y_test.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
