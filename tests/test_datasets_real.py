"""Data sets from NNFAST_DATA: shapes, classes, fixed splits; and what is said of a file that is missing or damaged."""

import gzip
import zipfile

import numpy as np
import pytest

from nnfast import datasets, environment
from nnfast.datasets import adult, files, fsdd, spam, turbofan
from nnfast.errors import DataError, MissingExtraError


def needs(*names):
    folder = environment.data_folder()
    if folder is None or not any((folder / name).exists() for name in names):
        pytest.skip(f"NNFAST_DATA names no folder with {names[0]}")


def test_adult():
    needs("adult.data.gz", "adult.data")
    (x_train, y_train), (_, y_test) = datasets.load_adult()
    assert list(x_train) == list(adult.COLUMNS)
    assert (len(y_train), len(y_test)) == (24421, 8140)
    assert int(y_train.sum() + y_test.sum()) == 7841  # as published
    assert x_train["age"].dtype == np.float32
    assert x_train["workclass"].dtype.kind == "U"
    assert 17 <= x_train["age"].min() < x_train["age"].max() <= 90
    assert "?" in x_train["workclass"]


def test_turbofan():
    needs("cmapss")
    (x_train, y_train), (x_test, y_test) = datasets.load_turbofan()
    assert (len(x_train), len(y_train), len(x_test), y_test.shape) == (100, 100, 100, (100,))
    assert sum(map(len, x_train)) == 20631
    assert sum(map(len, x_test)) == 13096
    for engine, left in zip(x_train, y_train, strict=True):
        assert engine.shape == (len(left), 24)
        assert np.isfinite(engine).all()
        assert left[-1] == 0
        assert left.max() == 125
    assert y_test.max() == 125
    _, (_, uncapped) = datasets.load_turbofan(cap=None)
    assert uncapped.max() == 145


def test_missing_values_are_those_of_the_cycle_before():
    nan = np.nan
    engine = np.array([[nan, 1], [2, nan], [nan, nan], [4, 5]], np.float32)
    assert turbofan._filled(engine).tolist() == [[2, 1], [2, 1], [2, 1], [4, 5]]


def test_pneumonia_mnist():
    needs("pneumoniamnist.npz", "pneumoniamnist")
    splits = datasets.load_pneumonia_mnist()
    assert [len(y) for _, y in splits][1:] == [524, 624]
    assert splits[2][1].sum() == 390  # as published
    for x, y in splits:
        assert x.shape == (len(y), 28, 28)
        assert x.dtype == np.uint8


def test_fsdd():
    needs("fsdd_recordings.zip", "fsdd")
    (x_train, y_train), (_, y_test) = datasets.load_fsdd()
    assert x_train.shape == (2700, 8000)
    assert np.bincount(y_test).tolist() == [30] * 10
    assert np.bincount(y_train).tolist() == [270] * 10
    assert np.abs(x_train).max() <= 1
    (whole, _), _ = datasets.load_fsdd(length=None)
    np.testing.assert_array_equal(whole[7][:8000], x_train[7, : len(whole[7])])
    with pytest.raises(ValueError, match=r"length=0.*positive integer"):
        datasets.load_fsdd(length=0)


def test_donkeycar():
    pytest.importorskip("PIL")
    needs("donkeycar_tub.tar.gz", "donkeycar")
    (x_train, y_train), (x_test, y_test) = datasets.load_donkeycar()
    assert (x_train.shape, x_test.shape) == ((800, 120, 160, 3), (200, 120, 160, 3))
    assert x_train.dtype == np.uint8
    assert -1 <= y_train.min() < y_train.max() <= 1
    assert y_test.shape == (200,)


def test_donkeycar_without_pillow(monkeypatch):
    needs("donkeycar_tub.tar.gz", "donkeycar")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"nnfast\[image\]"):
        datasets.load_donkeycar()


def test_shakespeare():
    needs("tinyshakespeare.txt")
    train, validation, characters = datasets.load_shakespeare()
    assert train.shape == (1003854,) and validation.shape == (111540,) and len(characters) == 65
    assert "".join(characters[i] for i in train[:14]) == "First Citizen:"


def test_spam():
    needs("spam_assassin.zip", "spam_assassin")
    (x_train, y_train), (x_test, _) = datasets.load_spam()
    assert len(x_train) == len(set(x_train)) == len(y_train)
    assert not set(x_train) & set(x_test)
    assert 0.15 < len(x_test) / (len(x_train) + len(x_test)) < 0.25
    assert 0.25 < y_train.mean() < 0.35


def test_what_is_seen_of_a_mail(tmp_path):
    path = tmp_path / "mails.zip"
    mail = (
        "From: a@b\nSubject: Hello\nContent-Type: multipart/mixed; boundary=x\n\n"
        "--x\nContent-Type: text/html; charset=nonsense\n\n<p style='a'>Buy <b>now</b><script>evil()</script>\n"
        "--x\nContent-Type: application/pdf\n\nbinary\n--x--\n"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spam-1/1.txt", mail)
        archive.writestr("easy-ham-2/1.txt", "Subject: Re: lunch\n\nAt noon,\n  as always?")
    assert spam._texts(path) == [("Re: lunch At noon, as always?", 0), ("Hello Buy now", 1)]


def test_a_file_that_cannot_be_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("NNFAST_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"Spoken Digit.*get it from github.*'fsdd_recordings.zip'.*NNFAST_DATA"):
        datasets.load_fsdd()


@pytest.mark.parametrize(
    ("name", "content", "load", "message"),
    [
        ("fsdd_recordings.zip", b"nothing", datasets.load_fsdd, "cannot be read"),
        ("spam_assassin.zip", b"nothing", datasets.load_spam, "cannot be read"),
        ("pneumoniamnist.npz", b"nothing", datasets.load_pneumonia_mnist, "cannot be read"),
        ("adult.data", b"1, 2, 3\n", datasets.load_adult, "not the 32561 rows"),
        ("adult.data.gz", b"nothing", datasets.load_adult, "cannot be read"),
        ("train_FD001.txt.gz", gzip.compress(b"1 2 3"), datasets.load_turbofan, "3 numbers, where 20631 rows"),
        ("train_FD001.txt", b"one", datasets.load_turbofan, "cannot be read"),
    ],
)
def test_damaged_files(monkeypatch, tmp_path, name, content, load, message):
    monkeypatch.setenv("NNFAST_DATA", str(tmp_path))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load()
    assert str(tmp_path / name) in str(caught.value)


def test_an_archive_without_recordings(monkeypatch, tmp_path):
    monkeypatch.setenv("NNFAST_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "fsdd_recordings.zip", "w") as archive:
        archive.writestr("recordings/readme.txt", "no sound")
    with pytest.raises(DataError, match="no recordings named"):
        datasets.load_fsdd()


def test_every_file_says_where_it_comes_from():
    found = [
        value for module in (adult, fsdd, spam) for value in vars(module).values() if isinstance(value, files.DataFile)
    ]
    assert len(found) == 3
    assert all(file.origin and file.names for file in found)
