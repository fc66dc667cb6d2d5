"""Receipts of trainings: what went in and the SHA-256 of the weights after each epoch, so that anyone can run it again and compare.

In: `fit(..., receipt="run.json")`. Out: a JSON file with hashes of the data, the version, seed and settings, the model as it was before the
first step, and per epoch the learning rate, the logs and a hash of all weights and optimizer state; `verify` trains again from that, on
any number of threads and any SIMD level, and says what differs.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnfast import callbacks as known
from nnfast._core import runtime
from nnfast._version import __version__
from nnfast.boundary import refuse_unfolded
from nnfast.callbacks.base import Callback
from nnfast.config import get_num_threads
from nnfast.data import ArraySource
from nnfast.errors import DataError, ModelFileError, NnfastError
from nnfast.io.tensor_file import replace_file

FORMAT = 1
# What these do to a training is in the epochs' learning rates and in the number of epochs.
KNOWN_CALLBACKS = (
    *(known.CSVLogger, known.EarlyStopping, known.History, known.LearningRateScheduler, known.ModelCheckpoint),
    *(known.ReduceLROnPlateau, known.TerminateOnNaN),
)
SETTINGS = (
    *("batch_size", "epochs", "initial_epoch", "shuffle", "steps_per_epoch", "validation_split", "validation_freq"),
    *("validation_steps", "validation_batch_size"),
)


def _sha256(data: Any = b"") -> Any:
    import hashlib  # loads OpenSSL, which most runs do not need

    return hashlib.sha256(data)


def weights_hash(model: Any) -> str:
    """SHA-256 of all weights, in the model's order."""
    return str(_weights_digest(model).hexdigest())


def _weights_digest(model: Any) -> Any:
    digest = _sha256()
    for variable in model.weights:
        digest.update(np.ascontiguousarray(variable.numpy()))
    return digest


def fingerprint(model: Any) -> str:
    """SHA-256 of all weights and optimizer state, in the model's order."""
    digest = _weights_digest(model)
    for name, array in sorted(model.state.tensors(model.weights).items()):
        if name.startswith("optimizer/"):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array))
    return str(digest.hexdigest())


def _hash(array: np.ndarray) -> dict[str, Any]:
    refuse_unfolded(array, "receipt=: an array of the data")
    array = np.ascontiguousarray(array)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": _sha256(array.data).hexdigest()}


def _data_hashes(source: ArraySource, suffix: str) -> dict[str, Any]:
    """Hashes by the names that the arrays have in a .npz file for `verify`."""
    arrays = iter(source.arrays)
    counts = (("x", source.inputs), ("y", source.targets), ("sample_weight", source.weights))
    return {name: _hash(next(arrays)) for kind, count in counts for name in _names(kind, count, suffix)}


def _names(kind: str, count: int, suffix: str) -> list[str]:
    return [f"{kind}{suffix}" if count == 1 else f"{kind}{i}{suffix}" for i in range(count)]


class Recorder(Callback):
    """The last callback of a `fit` with receipt=path; makes the file anew after each epoch.

    Raises NnfastError where a receipt could not hold what is asked for: data that are not arrays, callbacks that may do anything, models
    that cannot be saved.
    """

    def __init__(self, path: Any, model: Any, source: Any, validation: Any, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = os.fspath(path)
        self.learning_rate: str | None = None
        if not isinstance(source, ArraySource) or not (validation is None or isinstance(validation, ArraySource)):
            raise DataError("receipt: works on arrays, of which it keeps hashes; generators and batches have none")
        listed = options["callbacks"] or ()
        for callback in listed if isinstance(listed, list | tuple) else [listed]:
            if type(callback) not in KNOWN_CALLBACKS:
                names = ", ".join(cls.__name__ for cls in KNOWN_CALLBACKS)
                raise NnfastError(
                    f"receipt: {type(callback).__name__} may change the training in ways that a receipt does not hold; "
                    f"leave it out, or use only {names}"
                )
        weights = options["class_weight"]
        data = _data_hashes(source, "")
        if validation is not None:
            data |= _data_hashes(validation, "_val")
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "nnfast": __version__,
            "made_on": {"level": runtime.level(), "threads": get_num_threads()},
            "data": data,
            "seed": model.state.seed,
            "settings": {name: options[name] for name in SETTINGS}
            | {"class_weight": weights and {str(label): float(weight) for label, weight in weights.items()}},
            "epochs": [],
            "start": _packed(model),
        }
        self.write()

    def write(self) -> None:
        """Replace the file."""
        replace_file(os.path.realpath(self.path), (json.dumps(self.content, indent=1, default=_plain) + "\n").encode())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.learning_rate = _rate(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.content["epochs"].append(
            {"epoch": epoch, "learning_rate": self.learning_rate, **_hashes(self.model), "logs": _exact(logs)}
        )
        self.write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.content["final"] = weights_hash(
            self.model
        )  # EarlyStopping may have brought back those of an earlier epoch
        self.write()


def _hashes(model: Any) -> dict[str, str]:
    return {"weights": weights_hash(model), "weights_and_state": fingerprint(model)}


def _plain(value: Any) -> Any:
    """NumPy's numbers among the settings, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"receipt: {type(value).__name__} is not a JSON type")


def _rate(model: Any) -> str | None:
    """The learning rate, exactly; None for a schedule, which is part of the model's configuration."""
    rate = model.optimizer.learning_rate
    return float(rate).hex() if isinstance(rate, float | int | np.number) else None


def _exact(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Figures as they are, bit by bit; a learning rate is put in by some callbacks only, and stands in the entry."""
    numbers = {name: np.asarray(value, np.float64).reshape(-1) for name, value in (logs or {}).items()}
    return {name: [float(v).hex() for v in value] for name, value in numbers.items() if name != "learning_rate"}


def _packed(model: Any) -> dict[str, str]:
    """The model's file, as text."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.nnf"
        model.save(path)
        content = path.read_bytes()
    return {"sha256": _sha256(content).hexdigest(), "file": base64.b64encode(content).decode()}


def _unpacked(receipt: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> Any:
    import tempfile

    from nnfast.saving import load_model

    content = base64.b64decode(receipt["start"]["file"])
    if _sha256(content).hexdigest() != receipt["start"]["sha256"]:
        raise ModelFileError("receipt: the model in it is damaged: its SHA-256 is another; get the receipt anew")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.nnf"
        path.write_bytes(content)
        return load_model(path, custom_objects=custom_objects)


def read_receipt(path: Any) -> dict[str, Any]:
    """The content of a receipt. Raises ModelFileError where it is none."""
    try:
        content = json.loads(Path(path).read_text())
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ModelFileError(f"{path}: not a receipt, which fit(..., receipt=path) makes: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: not a receipt of format {FORMAT}, which fit(..., receipt=path) of {__version__} makes"
        )
    missing = {"nnfast", "data", "seed", "settings", "epochs", "start"} - set(content)
    if missing:
        raise ModelFileError(f"{path}: the receipt lacks {', '.join(sorted(missing))}; get it anew")
    return content


class _Checker(Callback):
    """Sets the learning rates of a receipt, and stops at the first epoch that differs."""

    def __init__(self, epochs: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.epochs = epochs
        self.equal = 0  # epochs
        self.difference: dict[str, Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self.epochs[self.equal]["learning_rate"]
        if rate is not None and _rate(self.model) != rate:
            self.model.optimizer.learning_rate = float.fromhex(rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        wanted = self.epochs[self.equal]
        found = {"epoch": epoch, **_hashes(self.model), "logs": _exact(logs)}
        wrong = [name for name, value in found.items() if wanted[name] != value]
        if wrong:
            what = {"weights_and_state": "optimizer state", "epoch": "number"}.get(wrong[0], wrong[0])
            hashes = {"wanted": wanted["weights_and_state"], "found": found["weights_and_state"]}
            self.difference = {"epoch": epoch, "what": what, **hashes}
            self.model.stop_training = True
            return
        self.equal += 1


def verify(
    receipt: Any, data: Mapping[str, Any], *, custom_objects: Mapping[str, Any] | None = None, verbose: Any = 0
) -> dict[str, Any]:
    """Train again as a receipt says, and compare.

    receipt: path of a file that fit(..., receipt=path) made. data: arrays by name: x, y, sample_weight, and with _val behind the name those
    of validation_data; several inputs or outputs are x0, x1, ... custom_objects: as in load_model.

    Returns {"equal": bool, "epochs": how many are equal, "data": names of arrays that are not those of the receipt, "difference": the
    first epoch that differs, or None, "reason": one sentence, ...}. Nothing is trained where data or seed are others.
    Raises ModelFileError for a file that is no receipt, DataError for arrays that are missing.

    >>> import tempfile, numpy as np, nnfast
    >>> from nnfast import layers
    >>> x, y = np.ones((8, 3), np.float32), np.zeros((8, 1), np.float32)
    >>> model = nnfast.Sequential([nnfast.Input((3,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = model.fit(x, y, epochs=2, verbose=0, receipt=folder + "/run.json")
    ...     print(verify(folder + "/run.json", {"x": x, "y": y})["reason"])
    equal: all 2 epochs have the same bits
    """
    content = read_receipt(receipt)
    arrays = {name: _given(data, name) for name in content["data"]}
    model = _unpacked(content, custom_objects)
    hashes = _hashes_as_used(model, arrays)
    others = [name for name, wanted in content["data"].items() if hashes.get(name) != wanted]
    answer: dict[str, Any] = {"equal": False, "epochs": 0, "data": others, "difference": None}
    answer |= {"made_with": content["nnfast"], "nnfast": __version__, "made_on": content.get("made_on")}
    answer["level"], answer["threads"] = runtime.level(), get_num_threads()
    if others:
        return answer | {
            "reason": f"the data differ: {', '.join(others)} of the file is not what the receipt was made with"
        }
    if model.state.seed != content["seed"]:
        return answer | {
            "reason": f"the seed differs: {content['seed']} in the receipt, {model.state.seed} in its model"
        }
    if not content["epochs"]:
        return answer | {"reason": "the receipt has no epoch: the training ended before its first"}
    checker = _Checker(content["epochs"])
    _train(model, arrays, content, checker, verbose)
    answer |= {"epochs": checker.equal, "difference": checker.difference}
    if checker.difference is not None:
        place = f"epoch {checker.difference['epoch'] + 1}"
        version = (
            ""
            if __version__ == content["nnfast"]
            else f" (the receipt is of nnfast {content['nnfast']}, this is {__version__})"
        )
        return answer | {
            "reason": f"differs: {place} is the first whose {checker.difference['what']} are not the same{version}"
        }
    if "final" in content and content["final"] not in [entry["weights"] for entry in content["epochs"]]:
        return answer | {"reason": "differs: all epochs are equal, but the final weights are those of none of them"}
    return answer | {"equal": True, "reason": f"equal: all {checker.equal} epochs have the same bits"}


def _hashes_as_used(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Hashes of the arrays as `fit` takes them, which converts some."""
    found: dict[str, Any] = {}
    for suffix in ("", "_val"):
        x, y, weight = (_several(arrays, kind, suffix) for kind in ("x", "y", "sample_weight"))
        if x is not None:
            source = ArraySource(x, y, weight, input_names=model.input_names, target_names=model.output_names)
            found |= _data_hashes(source, suffix)
    return found


def _given(data: Mapping[str, Any], name: str) -> np.ndarray:
    if name not in data:
        raise DataError(f"the receipt needs the array {name!r}; the data have {', '.join(sorted(data)) or 'none'}")
    return np.asarray(data[name])


def _train(
    model: Any, arrays: Mapping[str, np.ndarray], content: Mapping[str, Any], checker: Callback, verbose: Any
) -> None:
    settings = dict(content["settings"])
    weights = settings.pop("class_weight", None)
    last = content["epochs"][-1]["epoch"] + 1
    validation = [_several(arrays, kind, "_val") for kind in ("x", "y", "sample_weight")]
    model.fit(
        _several(arrays, "x", ""),
        _several(arrays, "y", ""),
        sample_weight=_several(arrays, "sample_weight", ""),
        validation_data=None if validation[0] is None else tuple(part for part in validation if part is not None),
        class_weight=weights and {int(label): weight for label, weight in weights.items()},
        callbacks=[checker],
        verbose=verbose,
        **(settings | {"epochs": last}),
    )


def _several(arrays: Mapping[str, np.ndarray], kind: str, suffix: str) -> Any:
    """One array, a list of several, or None."""
    if f"{kind}{suffix}" in arrays:
        return arrays[f"{kind}{suffix}"]
    found = [arrays[name] for name in _names(kind, len(arrays) + 2, suffix) if name in arrays]
    return found or None
