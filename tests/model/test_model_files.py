"""Files that are no models, or no longer: each is refused by an error that names the file, and nothing is lost."""

import os

import numpy as np
import pytest

import nnfast
from nnfast import errors, layers
from nnfast.io import write_tensors

X = np.random.default_rng(0).standard_normal((48, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 48)
sparse = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)


def sequential():
    return nnfast.Sequential([nnfast.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.4), layers.Dense(3)])


def fit(model, first, last):
    model.fit(X, Y, batch_size=16, initial_epoch=first, epochs=last, verbose=0)


@pytest.fixture
def saved(tmp_path):
    model = sequential()
    model.compile("adam", sparse)
    fit(model, 0, 1)
    model.save(tmp_path / "model.nnf")
    return tmp_path / "model.nnf"


def test_every_flipped_byte_is_noticed(saved):
    data = saved.read_bytes()
    for place in [0, 3, 8, 20, len(data) // 3, len(data) // 2, len(data) - 1]:
        broken = bytearray(data)
        broken[place] ^= 0x10
        saved.write_bytes(broken)
        with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
            nnfast.load_model(saved)


@pytest.mark.parametrize("part", [0, 7, 100, 0.5, 0.99])
def test_a_file_that_was_cut_off(saved, part):
    data = saved.read_bytes()
    saved.write_bytes(data[: part if isinstance(part, int) else int(len(data) * part)])
    with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
        nnfast.load_model(saved)


def test_foreign_files(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "foreign"
    for content in (b"\x89HDF\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + bytes(100), b"{}", b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(errors.ModelFileError, match="foreign: not a model file"):
            nnfast.load_model(path)
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(errors.ModelFileError, match="nnfast did not write"):
        nnfast.load_model(path)
    np.savez(path.with_suffix(".npz"), a=np.zeros(2))
    with pytest.raises(errors.ModelFileError, match="not a model file"):
        nnfast.load_model(path.with_suffix(".npz"))
    with pytest.raises(OSError):
        nnfast.load_model(tmp_path)  # a folder


def test_files_for_other_models(tmp_path):
    narrow = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(2)])
    wide = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3)])
    deep = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(2), layers.Dense(2)])
    narrow.save_weights(tmp_path / "w.nnf")
    before = wide.get_weights()
    with pytest.raises(errors.ModelFileError, match=r"weight 0 has shape \[4, 2\].*\[4, 3\].*another model"):
        wide.load_weights(tmp_path / "w.nnf")
    np.testing.assert_array_equal(wide.get_weights()[0], before[0])
    with pytest.raises(errors.ModelFileError, match="has 2 weights.* has 4.*another model"):
        deep.load_weights(tmp_path / "w.nnf")
    with pytest.raises(errors.ModelFileError, match=r"load_weights"):
        nnfast.load_model(tmp_path / "w.nnf")
    write_tensors(tmp_path / "other.nnf", {}, {"kind": "dataset"})
    with pytest.raises(errors.ModelFileError, match="holds 'dataset'"):
        wide.load_weights(tmp_path / "other.nnf")


def test_nothing_is_left_behind_where_saving_fails(tmp_path, monkeypatch):
    model = sequential()
    model.save(tmp_path / "model.nnf")
    old = (tmp_path / "model.nnf").read_bytes()
    model.set_weights([2 * w for w in model.get_weights()])

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        model.save(tmp_path / "model.nnf")
    assert os.listdir(tmp_path) == ["model.nnf"] and (tmp_path / "model.nnf").read_bytes() == old


def test_a_model_that_is_not_built_cannot_be_saved(tmp_path):
    with pytest.raises(errors.NnfastError, match="not built yet: give it an Input"):
        nnfast.Sequential([layers.Dense(3)]).save(tmp_path / "model.nnf")
