"""Tensor files: what comes back, what is noticed, and what a crash leaves."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from nnfast.errors import DtypeError, ModelFileError
from nnfast.io import read_tensors, write_tensors
from nnfast.io.tensor_file import DTYPES

METADATA = {"class": "Sequential", "layers": [{"units": 3, "name": "dense_ü"}], "rate": 0.1, "best": float("inf")}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "model.nnf"
    write_tensors(file, {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.zeros(3, np.float32)}, METADATA)
    return file


def rewrite_header(path, change):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (2, 3)])
def test_round_trip(tmp_path, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    write_tensors(tmp_path / "a", {"a": array}, {})
    tensors, _ = read_tensors(str(tmp_path / "a"))
    assert tensors["a"].dtype == array.dtype
    assert tensors["a"].shape == shape
    assert tensors["a"].tobytes() == array.tobytes()


def test_metadata_and_empty(path, tmp_path):
    assert read_tensors(path)[1] == METADATA
    write_tensors(tmp_path / "empty", {}, {})
    assert read_tensors(tmp_path / "empty") == ({}, {})


def test_strided_and_foreign_byte_order(tmp_path):
    array = np.arange(24.0).reshape(4, 6)
    tensors = {"columns": array[:, ::2], "turned": array.T, "big": array.astype(">f4"), "back": array[::-1]}
    write_tensors(tmp_path / "a", tensors, {})
    found, _ = read_tensors(tmp_path / "a")
    for name, given in tensors.items():
        np.testing.assert_array_equal(found[name], given)


def test_tensors_own_their_memory(path):
    tensors, _ = read_tensors(path)
    path.unlink()
    tensors["kernel"][0, 0] = 7
    assert tensors["kernel"].flags.writeable


def test_nan_and_negative_zero_keep_their_bits(tmp_path):
    array = np.array([np.nan, -0.0, np.inf, 5e-324])
    write_tensors(tmp_path / "a", {"a": array}, {})
    assert read_tensors(tmp_path / "a")[0]["a"].tobytes() == array.tobytes()


def test_every_changed_byte_is_noticed(path):
    original = path.read_bytes()
    for position in range(len(original)):
        damaged = bytearray(original)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="model.nnf"):
            read_tensors(path)


def test_every_truncation_is_noticed(path):
    original = path.read_bytes()
    for length in range(len(original)):
        path.write_bytes(original[:length])
        with pytest.raises(ModelFileError, match="model.nnf"):
            read_tensors(path)


def test_foreign_file(tmp_path):
    save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="nnfast did not write"):
        read_tensors(tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ModelFileError, match="not a model file"):
        read_tensors(tmp_path / "text")


def test_other_version(path):
    rewrite_header(path, lambda header: header["__metadata__"].update(format_version="2"))
    with pytest.raises(ModelFileError, match="version 2, expected 1"):
        read_tensors(path)


def test_changed_shape_is_noticed(path):
    rewrite_header(path, lambda header: header["kernel"].update(shape=[3, 2]))
    with pytest.raises(ModelFileError, match="tensor 'kernel'"):
        read_tensors(path)


def test_removed_tensor_is_noticed(path):
    rewrite_header(path, lambda header: header.update(other=header.pop("bias")))
    with pytest.raises(ModelFileError, match="bias, other"):
        read_tensors(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        read_tensors(tmp_path / "missing")
    with pytest.raises(OSError, match=str(tmp_path)):
        read_tensors(tmp_path)


def test_wrong_content(tmp_path):
    with pytest.raises(DtypeError, match="tensor 'a' has dtype complex128"):
        write_tensors(tmp_path / "a", {"a": np.zeros(2, complex)}, {})
    with pytest.raises(DtypeError, match="metadata"):
        write_tensors(tmp_path / "a", {}, {"x": object()})
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def broken(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("nnfast.io.tensor_file.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_tensors(path, {}, {})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.nnf"]


def test_link_is_followed(path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path)
    write_tensors(link, {}, {"epoch": 2})
    assert link.is_symlink()
    assert read_tensors(path) == ({}, {"epoch": 2})
