"""Model files to be damaged, and the one function that says whether a file was read as it should be: used by tests and by the fuzzer."""

import hashlib
import json
import os
import struct
import tempfile
from pathlib import Path

import numpy as np

import nnfast
from nnfast import errors, layers
from nnfast.io import read_tensors, write_tensors

X = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
Y = X[:, 0] * X[:, 1]
OPTIONS = {"batch_size": 5, "verbose": 0, "epochs": 2}


def trained(epochs=1):
    nnfast.set_random_seed(3)
    model = nnfast.Sequential(
        [nnfast.Input((2,)), layers.Dense(2, "relu", name="a"), layers.Dense(1, name="b")], name="m"
    )
    model.compile("adam", "mse")
    model.fit(X, Y, **{**OPTIONS, "epochs": epochs})
    return model


def small():
    """The bytes of a file with a model and its training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.nnf"
        trained().save(path)
        return path.read_bytes()


def rewrite(data, path, change):
    """The file with its tensors and metadata changed by change(tensors, metadata), and right checksums."""
    Path(path).write_bytes(data)
    tensors, metadata = read_tensors(path)
    change(tensors, metadata)
    write_tensors(path, tensors, metadata)


def raw(header, data=b""):
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def signed(content, tensors, data=b""):
    """A file whose content, any text, has the right checksum, with these entries of tensors."""
    about = {"format": "nnfast", "format_version": "1", "content": content}
    about["sha256"] = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return raw({"__metadata__": about, **tensors}, data)


def check(data, path):
    """Load bytes as a model: either it is one, or there is an error of nnfast. Returns whether it is one."""
    Path(path).write_bytes(data)
    try:
        model = nnfast.load_model(path)
    except errors.NnfastError as error:
        assert str(error), "an error says what is wrong"
        return False
    except MemoryError:
        assert os.path.getsize(path) > 1 << 24, "a small file needs little memory"
        return False
    assert all(np.size(weight) * 4 <= len(data) for weight in model.get_weights())
    return True


def check_fit(data, path):
    """Let a fit go on from bytes: it does, or there is an error of nnfast. Returns whether it did."""
    Path(path).write_bytes(data)
    try:
        trained(0).fit(X, Y, **OPTIONS, resume_from=path)
    except errors.NnfastError as error:
        assert str(error), "an error says what is wrong"
        return False
    return True
