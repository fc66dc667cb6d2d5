"""Files of earlier versions are read for ever: tests/files/ keeps one of each kind for every form that files have had.

`pytest --update-golden` writes the files of a new form beside the old ones, which stay as they are, and the hashes of trainings continued
from them, which change where the bits of a training do.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from checks import models, resumable

import nnfast
from nnfast import callbacks
from nnfast.io import read_tensors

FOLDER = Path(__file__).parent.parent / "files"
HASHES = FOLDER / "hashes.json"
BATCHES = 9  # after which the files are written: in the middle of the second epoch


class Writes(callbacks.Callback):
    """Writes a file after some batches, then stops the training."""

    def __init__(self, save):
        super().__init__()
        self.save, self.seen = save, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == BATCHES:
            self.save(self.model)
            self.model.stop_training = True


def train(model, name, *listed, **options):
    """The training of a kind of file, from the beginning or from a file."""
    if name == "double":
        data = models.MODELS["two_inputs"]("float64")[1]
        x, y, _ = models.parts(model, data)
        return model.fit(x, y, batch_size=20, epochs=5, verbose=0, callbacks=list(listed), **options)
    return model.fit(resumable.X, resumable.Y, callbacks=[*resumable.steady(), *listed], **resumable.OPTIONS, **options)


def fresh(name):
    """The model of a kind of file."""
    return models.MODELS["two_inputs"]("float64")[0] if name == "double" else resumable.model()


KINDS = {
    "model": lambda model, path: model.save(path),
    "double": lambda model, path: model.save(path),  # functional, float64, momentum
    "training": lambda model, path: model.save_training(path),
    "weights": lambda model, path: model.save_weights(path),
}


def write(name, path):
    train(fresh(name), name, Writes(lambda model: KINDS[name](model, path)))


def form(value):
    """What files of one form have in common: names and types, without the numbers and texts."""
    if isinstance(value, dict):
        return {key: form(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return sorted({json.dumps(form(item)) for item in value})
    return "number" if type(value) in (int, float) else type(value).__name__


def form_of(path):
    tensors, metadata = read_tensors(path)
    found = {name: [array.dtype.name, array.ndim] for name, array in sorted(tensors.items())}
    return json.loads(json.dumps({"metadata": form(metadata), "tensors": found}))


def digest(arrays):
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def files(name="*"):
    """Files of a kind, oldest first: 1-model.nnf, 2-model.nnf ..."""
    return sorted(FOLDER.glob(f"*-{name}.nnf"), key=lambda path: int(path.name.split("-")[0]))


def hashes():
    return json.loads(HASHES.read_text()) if HASHES.exists() else {}


def note(path, **found):
    """Add hashes of a file to those that are kept."""
    known = hashes()
    known[path.name] = known.get(path.name, {}) | found
    HASHES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


@pytest.mark.parametrize("name", KINDS)
def test_the_form_of_today_is_kept(name, tmp_path, update_golden):
    """A form that no kept file has is refused: later versions could not be tested with it."""
    path = tmp_path / "new.nnf"
    write(name, path)
    known = files(name)
    if update_golden and (not known or form_of(known[-1]) != form_of(path)):
        number = int(known[-1].name.split("-")[0]) + 1 if known else 1
        kept = FOLDER / f"{number}-{name}.nnf"
        kept.write_bytes(path.read_bytes())
        note(kept, arrays=digest(read_tensors(kept)[0]), version=nnfast.__version__)
        known.append(kept)
    assert known, "there is no file of this kind; pytest --update-golden writes one"
    assert form_of(known[-1]) == form_of(path), (
        "files have a new form: pytest --update-golden keeps one, the old ones stay"
    )


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_kept_file_is_read(path, update_golden):
    """Its arrays are what they were, and a training that goes on from it ends with the bits that it had."""
    name = path.stem.split("-")[1]
    kept = hashes()[path.name]
    assert digest(read_tensors(path)[0]) == kept["arrays"]
    if name == "weights":
        model = fresh(name)
        model.load_weights(path)
        weights = {f"weight/{i}": array for i, array in enumerate(model.get_weights())}
        assert digest(weights) == kept["arrays"]
        return
    model = fresh(name) if name == "training" else nnfast.load_model(path)
    before = int(read_tensors(path)[0]["counters"][0])
    history = train(model, name, resume_from=path)
    assert before == BATCHES < model.state.iteration
    continued = resumable.receipt(model, history)
    if update_golden:
        note(path, continued=continued)
        kept = hashes()[path.name]
    assert continued == kept["continued"]


def test_every_kept_file_has_its_hashes():
    assert sorted(hashes()) == sorted(path.name for path in files())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1 << 20
