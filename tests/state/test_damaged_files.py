"""One flipped bit anywhere in a file is an error with a name, never another model; so is what a file claims and does not hold."""

import random

import numpy as np
import pytest
from checks import model_files

import nnfast
from nnfast import errors, layers


@pytest.fixture(scope="module")
def small():
    """The bytes of a model file with a training in it, as small as one can be."""
    return model_files.small()


def test_every_bit_of_a_small_file(small, tmp_path):
    path = tmp_path / "model.nnf"
    path.write_bytes(small)
    nnfast.load_model(path)
    accepted = []
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(small):
            for bit in range(8):
                file.seek(position)
                file.write(bytes([byte ^ (1 << bit)]))
                try:
                    nnfast.load_model(path)
                    accepted.append((position, bit))
                except errors.ModelFileError as error:
                    assert "model.nnf" in str(error)
            file.seek(position)
            file.write(bytes([byte]))
    assert accepted == []
    nnfast.load_model(path)


def test_random_bits_of_a_bigger_file(tmp_path):
    model = nnfast.Sequential([nnfast.Input((64,)), layers.Dense(200), layers.Dense(100)])
    path = tmp_path / "model.nnf"
    model.save(path)
    data = path.read_bytes()
    rng = random.Random(0)
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
            nnfast.load_model(path)


@pytest.mark.parametrize("fold", ["weights", "training"])
def test_every_bit_of_the_other_kinds(fold, tmp_path):
    """Every eighth bit."""
    path = tmp_path / "model.nnf"
    model = model_files.trained()
    (model.save_weights if fold == "weights" else model.save_training)(path)
    data = path.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
            if fold == "weights":
                model.load_weights(path)
            else:
                model.fit(model_files.X, model_files.Y, resume_from=path, verbose=0)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.6, 0.99, 0.9999])
def test_a_file_that_was_cut_off_or_goes_on(part, small, tmp_path):
    path = tmp_path / "model.nnf"
    for data in (small[: int(len(small) * part)], small + small[: 1 + int(len(small) * part)], small + bytes(8)):
        path.write_bytes(data)
        with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
            nnfast.load_model(path)


# contents that nnfast never wrote, with checksums that are right
def change_weight(tensors, metadata):
    tensors["weight/0"] = tensors["weight/0"].astype("int64")


def widen_weight(tensors, metadata):
    tensors["weight/0"] = tensors["weight/0"].astype("float64")


def drop_counters(tensors, metadata):
    del tensors["counters"]


def float_counters(tensors, metadata):
    tensors["counters"] = tensors["counters"].astype("float64")


def drop_slot(tensors, metadata):
    del tensors["optimizer/1/m"]


def foreign_slot(tensors, metadata):
    tensors["optimizer/99/m"] = tensors["optimizer/0/m"]


def other_slot(tensors, metadata):
    tensors["optimizer/0/m"] = tensors["optimizer/0/m"].astype("float16")


def no_compile_loss(tensors, metadata):
    metadata["compile"] = {"optimizer": 7}


def no_layers(tensors, metadata):
    del metadata["model"]["config"]["layers"]


def layers_of_numbers(tensors, metadata):
    metadata["model"]["config"]["layers"] = [1, 2, 3]


def weights_of_terabytes(tensors, metadata):
    for layer in metadata["model"]["config"]["layers"]:
        if "units" in layer["config"]:
            layer["config"]["units"] = 1 << 21


def weights_that_overflow(tensors, metadata):
    for layer in metadata["model"]["config"]["layers"]:
        if "units" in layer["config"]:
            layer["config"]["units"] = 1 << 62


def a_model_in_a_model_in_a_model(tensors, metadata):
    inner = metadata["model"]
    for _ in range(200):
        inner = {"class_name": "Sequential", "config": {"name": "s", "layers": [inner]}}
    metadata["model"] = inner


def no_model(tensors, metadata):
    del metadata["model"]


CHANGES = [
    *(change_weight, widen_weight, drop_counters, float_counters, drop_slot, foreign_slot, other_slot, no_compile_loss, no_layers),
    *(layers_of_numbers, weights_of_terabytes, weights_that_overflow, a_model_in_a_model_in_a_model, no_model),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_contents_that_fit_no_model(change, small, tmp_path):
    path = tmp_path / "model.nnf"
    model_files.rewrite(small, path, change)
    with pytest.raises(errors.NnfastError, match=r"model\.nnf|fits|expected|unknown|has more than"):
        nnfast.load_model(path)


def position(name, value):
    def change(tensors, metadata):
        metadata["training"][name] = value

    change.__name__ = f"{name}={str(value)[:20]}"
    return change


POSITIONS = [
    *(position("epoch", value) for value in (-1, 1.5, "x", None, [])),
    *(position("batches", value) for value in (-1, 10**6, "x", None)),
    *(position("stage", value) for value in ("x", None)),
    *(position("sums", value) for value in (None, 3, [1.0])),
    *(position("callbacks", value) for value in (None, 3, [{}], [{"class_name": "History", "state": {}}])),
    *(position("hook", value) for value in (3, {}, {"name": "__class__", "place": 0, "arguments": []})),
    *(position("signature", value) for value in (None, 3, {"rows": 1 << 40, "inputs": [[[2], "float32"]], "targets": [], "weights": []})),
    *(position("settings", value) for value in (None, {}, [])),
    *(position("optimizer", value) for value in (None, {}, {"class_name": "SGD", "config": None})),
    *(position("streams", value) for value in (None, [1, 2])),
    *(position("rows", value) for value in ("x", None, -5)),
]  # fmt: skip


@pytest.mark.parametrize("change", POSITIONS, ids=lambda change: change.__name__)
def test_positions_that_fit_no_training(change, small, tmp_path):
    """A fit refuses them by name; the model in the file loads all the same."""
    path = tmp_path / "model.nnf"
    model_files.rewrite(small, path, change)
    nnfast.load_model(path)
    with pytest.raises(errors.ModelFileError, match=r"model\.nnf"):
        model_files.trained(0).fit(model_files.X, model_files.Y, **model_files.OPTIONS, resume_from=path)


def test_a_model_of_another_type_takes_weights_of_floats_only(tmp_path):
    """load_weights rounds from one floating type to another, as asked; integers are for another model."""
    wide = nnfast.Sequential([nnfast.Input((4,), dtype="float64"), layers.Dense(2)])
    narrow = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(2)])
    wide.save_weights(tmp_path / "w.nnf")
    narrow.load_weights(tmp_path / "w.nnf")
    np.testing.assert_allclose(narrow.get_weights()[0], wide.get_weights()[0], rtol=1e-6)
    model_files.rewrite((tmp_path / "w.nnf").read_bytes(), tmp_path / "w.nnf", change_weight)
    with pytest.raises(errors.ModelFileError, match=r"weight 0 has dtype int64.*another model"):
        narrow.load_weights(tmp_path / "w.nnf")
