"""A fit that goes on from a file equals the one that ran through: at every hook and every step, for every kind of data."""

import os
from pathlib import Path

import numpy as np
import pytest
from checks import resumable
from checks.ops import everything_divided

import nnfast
from nnfast import callbacks, errors, layers, ops

RATES = {
    "plateau": 0.02,
    "schedule": nnfast.optimizers.schedules.CosineDecay(0.05, 20, warmup_target=0.1, warmup_steps=5),
}
HOOKS = ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end", "on_epoch_end"]


class Saver(callbacks.Callback):
    """Saves the model in every hook, into a file of its own."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.count, self.on = folder, 0, True
        for hook in HOOKS:
            setattr(self, hook, self._save)

    def _save(self, *_):
        if self.on:
            self.count += 1
            self.model.save(self.folder / f"{self.count:03d}.nnf")

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count, self.on = state["count"], False


def run(rate, listed, **options):
    model = resumable.model(rate)
    tally = next(item for item in listed if isinstance(item, resumable.Tally))
    history = model.fit(resumable.X, resumable.Y, callbacks=listed, **(resumable.OPTIONS | options))
    return resumable.receipt(model, history, tally)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", RATES)
def test_a_file_written_in_any_hook(kind, first, tmp_path):
    """The saver stands before or after the callbacks that count; each file is resumed by a fit that does not save."""
    rate = RATES[kind]

    def listed():
        others, saver = [*resumable.steady(rate), resumable.Tally()], Saver(tmp_path)
        return [saver, *others] if first else [*others, saver]

    wanted = run(rate, listed())
    files = sorted(tmp_path.glob("*.nnf"))
    assert len(files) == resumable.EPOCHS * (2 + 2 + 2 * 7)
    with everything_divided():
        for i, file in enumerate(files[:: 1 if first else 3]):
            with nnfast.num_threads(1 + i % 3):
                assert run(rate, listed(), resume_from=file) == wanted, file.name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_of_every_step(dtype, tmp_path):
    """Without a callback that looks at batches, and with a model from the file itself."""
    pattern = str(tmp_path / "run-{epoch}-{batch}.nnf")
    options = {**resumable.OPTIONS, "shuffle": dtype == "float32"}

    def listed():
        return [callbacks.ModelCheckpoint(pattern, save_freq=1), *resumable.steady()]

    model = resumable.model(dtype=dtype)
    history = model.fit(resumable.X, resumable.Y, callbacks=listed(), **options)
    wanted = resumable.receipt(model, history)
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(files) == resumable.EPOCHS * 7
    for file, content in files.items():
        file.write_bytes(content)
        again = nnfast.load_model(file)
        history = again.fit(resumable.X, resumable.Y, callbacks=listed(), resume_from=file, **options)
        assert resumable.receipt(again, history) == wanted, file.name


def test_saved_again_after_loading(tmp_path):
    model = resumable.model()
    model.fit(resumable.X, resumable.Y, **{**resumable.OPTIONS, "epochs": 2})
    model.save(tmp_path / "one.nnf")
    nnfast.load_model(tmp_path / "one.nnf").save(tmp_path / "two.nnf")
    options = {**resumable.OPTIONS, "resume_from": tmp_path / "two.nnf"}
    assert resumable.model().fit(resumable.X, resumable.Y, **options).epoch == [0, 1, 2, 3]
    loaded = nnfast.load_model(tmp_path / "one.nnf")
    loaded.train_on_batch(resumable.X[:4], resumable.Y[:4])  # no longer where that fit stood
    loaded.save(tmp_path / "three.nnf")
    with pytest.raises(errors.ModelFileError, match=r"three\.nnf: was not written during or after a fit"):
        resumable.model().fit(resumable.X, resumable.Y, resume_from=tmp_path / "three.nnf")


def test_a_longer_training(tmp_path):
    """A fit that has ended goes on with more epochs; one that a callback has ended does not."""
    model, wanted = resumable.model(), resumable.model()
    options = {**resumable.OPTIONS, "resume_from": tmp_path / "a.nnf"}
    model.fit(resumable.X, resumable.Y, **{**resumable.OPTIONS, "epochs": 2})
    model.save(tmp_path / "a.nnf")
    history = wanted.fit(resumable.X, resumable.Y, **resumable.OPTIONS)
    again = resumable.model()
    assert resumable.receipt(again, again.fit(resumable.X, resumable.Y, **options)) == resumable.receipt(
        wanted, history
    )
    stopping = callbacks.EarlyStopping("loss", min_delta=10.0)
    model = resumable.model()
    assert model.fit(resumable.X, resumable.Y, callbacks=[stopping], **resumable.OPTIONS).epoch == [0, 1]
    model.save(tmp_path / "a.nnf")
    assert resumable.model().fit(resumable.X, resumable.Y, **options).epoch == [0, 1]


COUNTING = {
    "stopping": lambda folder: callbacks.EarlyStopping("loss", min_delta=10.0, patience=2),
    "plateau": lambda folder: callbacks.ReduceLROnPlateau("loss", 0.5, min_delta=10.0, patience=2, cooldown=3),
    "best": lambda folder: callbacks.ModelCheckpoint(folder / "{epoch}.nnf", "loss", mode="max", save_best_only=True),
}


@pytest.mark.parametrize("name", COUNTING)
def test_what_callbacks_count(name, tmp_path):
    """Nothing is ever better than at first, so that these count on and on: where they stand decides what follows."""

    def fit(folder, *more, **options):
        model, counting = resumable.model(), COUNTING[name](folder)
        history = model.fit(
            resumable.X, resumable.Y, callbacks=[counting, *more], **{**resumable.OPTIONS, "epochs": 6, **options}
        )
        seen = [counting] if name != "best" else []
        return resumable.receipt(model, history, *seen)

    folders = [tmp_path / part for part in ("files", "through", "again")]
    files = callbacks.ModelCheckpoint(folders[0] / "at-{epoch}-{batch}.nnf", save_freq=5)
    wanted = fit(folders[1], files)
    for file in files.written:
        assert fit(folders[2], resume_from=file) == wanted, file
    written = [[path.name for path in folder.glob("*")] for folder in folders[1:]]
    assert written == ([["1.nnf"]] * 2 if name == "best" else [[], []])


# data that come in batches
PARTS = [(resumable.X[i : i + 10], resumable.Y[i : i + 10]) for i in range(0, 100, 10)]


class Indexed:
    """As a Keras PyDataset: shuffles itself after each epoch. Counts how often a batch is made."""

    def __init__(self):
        self.order, self.rng, self.made = list(range(len(PARTS))), np.random.default_rng(3), 0

    def __len__(self):
        return len(PARTS)

    def __getitem__(self, index):
        self.made += 1
        return PARTS[self.order[index]]

    def on_epoch_end(self):
        self.rng.shuffle(self.order)


class Restarted:
    """An iterable with another order in each pass."""

    def __init__(self):
        self.rng = np.random.default_rng(4)

    def __iter__(self):
        return iter([PARTS[i] for i in self.rng.permutation(len(PARTS))])


def endless():
    while True:
        yield from PARTS


SOURCES = {
    "list": (lambda: PARTS, None),
    "indexed": (Indexed, None),
    "restarted": (Restarted, None),
    "restarted in steps": (Restarted, 7),
    "generator": (endless, 7),
}


@pytest.mark.parametrize("name", SOURCES)
def test_batches(name, tmp_path):
    make, steps = SOURCES[name]
    options = {"epochs": 3, "steps_per_epoch": steps, "verbose": 0}

    def fit(data, **more):
        model = resumable.model()
        return resumable.receipt(model, model.fit(data, **options, **more))

    checkpoint = callbacks.ModelCheckpoint(str(tmp_path / "{epoch}-{batch}.nnf"), save_freq=1)
    wanted = fit(make())
    fit(make(), callbacks=[checkpoint])
    assert len(checkpoint.written) == 3 * (steps or 10)
    for file in checkpoint.written[::2]:
        assert fit(make(), resume_from=file) == wanted, file
    data = Indexed()
    if name == "indexed":
        assert fit(data, resume_from=checkpoint.written[-4]) == wanted
        assert data.made <= 5  # the last three, and what is looked at first


# what stops a fit
def test_an_exception_then_the_same_script(tmp_path):
    class Fails(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise OSError("no network")

    wanted = run(0.02, [*resumable.steady(), resumable.Tally()])
    for seconds in (None, 1e-9):
        folder = tmp_path / str(seconds)
        backup = lambda: callbacks.BackupAndRestore(folder, save_seconds=seconds)  # noqa: B023, E731
        with pytest.raises(OSError, match="no network"):
            run(0.02, [backup(), *resumable.steady(), resumable.Tally(), Fails()])
        assert os.listdir(folder) == ["training.nnf"]
        assert run(0.02, [backup(), *resumable.steady(), resumable.Tally()]) == wanted
        assert os.listdir(folder) == []


def test_ctrl_c_and_a_file_written_after_it(tmp_path, monkeypatch):
    """The interrupt comes as a call into compiled code returns, as a signal does: the batches that ran count."""
    from nnfast.plan.plan import Plan

    wanted = run(0.02, [*resumable.steady(), resumable.Tally()])
    original, left = Plan.run, [0]

    def interrupted(self, *arguments, **options):
        original(self, *arguments, **options)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    for calls in (1, 3, 8, 9, 12):
        left[0] = calls
        model = resumable.model()
        listed = [*resumable.steady(), resumable.Tally()]
        with monkeypatch.context() as patch:
            patch.setattr(Plan, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.fit(resumable.X, resumable.Y, callbacks=listed, **resumable.OPTIONS)
        model.save(tmp_path / "a.nnf")
        listed = [*resumable.steady(), resumable.Tally()]
        assert run(0.02, listed, resume_from=tmp_path / "a.nnf") == wanted, calls


def test_the_newest_of_a_pattern(tmp_path):
    pattern = tmp_path / "run-{epoch:02d}[x]-{loss:.3f}.nnf"
    with pytest.raises(FileNotFoundError, match="resume_from=.*no such file"):
        resumable.model().fit(resumable.X, resumable.Y, resume_from=pattern)
    with pytest.raises(FileNotFoundError):
        resumable.model().fit(resumable.X, resumable.Y, resume_from=tmp_path / "no.nnf")
    checkpoint = callbacks.ModelCheckpoint(pattern, keep=2)
    resumable.model().fit(resumable.X, resumable.Y, callbacks=[checkpoint], **{**resumable.OPTIONS, "epochs": 3})
    assert len(os.listdir(tmp_path)) == 2
    os.utime(checkpoint.written[0], ns=(1, 1))
    seen = []
    watcher = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    resumable.model().fit(
        resumable.X, resumable.Y, callbacks=[watcher], **{**resumable.OPTIONS, "resume_from": pattern}
    )
    assert seen == [2, 3]  # the epoch's end once more, as the file was written in it before the watcher knew


def test_the_backup_before_the_last(tmp_path):
    def fit(epochs, **more):
        backup = callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
        model = resumable.model()
        return model.fit(
            resumable.X, resumable.Y, callbacks=[backup], **{**resumable.OPTIONS, "epochs": epochs, **more}
        )

    fit(3)
    (tmp_path / "training.nnf").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"training\.nnf: not a model file.*goes on from .*training-previous\.nnf"):
        assert fit(4).epoch == [0, 1, 2, 3]
    assert fit(4).epoch == [0, 1, 2, 3]


def test_a_model_that_cannot_be_saved_can_be_backed_up(tmp_path):
    def fit(epochs):
        nnfast.set_random_seed(2)
        stack = [nnfast.Input((6,)), layers.Dense(3), layers.Lambda(lambda x: ops.tanh(x)), layers.Dense(1)]
        model = nnfast.Sequential(stack)
        model.compile("adam", lambda y, p: ops.mean(ops.square(y - p), axis=-1))
        backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        return model.fit(resumable.X, resumable.Y, epochs=epochs, verbose=0, callbacks=[backup]).history

    fit(2)
    resumed = fit(4)
    (tmp_path / "training.nnf").unlink()
    assert resumed == fit(4)


# what does not fit
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 8}, "batch_size=16, this one has 8"),
        ({"shuffle": False}, "shuffle=True, this one has False"),
        ({"steps_per_epoch": 3}, "steps_per_epoch=None, this one has 3"),
        ({"validation_split": 0.0}, "rows=99, this one has 110"),
        ({"class_weight": {0: 2.0}}, r"arrays=.*, this one has .*\['float32'\]\]"),
    ],
)
def test_other_arguments(options, message, tmp_path):
    model = resumable.model()
    model.fit(resumable.X, resumable.Y, **resumable.OPTIONS)
    model.save(tmp_path / "a.nnf")
    with pytest.raises(errors.ModelFileError, match=rf"a\.nnf: .*{message}.*load_model"):
        resumable.model().fit(
            resumable.X, resumable.Y, **{**resumable.OPTIONS, **options, "resume_from": tmp_path / "a.nnf"}
        )


def other_optimizer():
    made = resumable.model()
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def other_streams():
    nnfast.set_random_seed(11)
    layers.Dropout(0.5)
    stack = [layers.Dense(12, "relu"), layers.Dropout(0.3), layers.GaussianNoise(0.1), layers.Dense(3, "softmax")]
    made = nnfast.Sequential([nnfast.Input((6,)), *stack])
    made.compile(nnfast.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    return made


def other_weights():
    nnfast.set_random_seed(11)
    stack = [layers.Dense(13, "relu"), layers.Dropout(0.3), layers.GaussianNoise(0.1), layers.Dense(3, "softmax")]
    made = nnfast.Sequential([nnfast.Input((6,)), *stack])
    made.compile(nnfast.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    return made


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (other_optimizer, r"with the optimizer .*Adam.*has SGD"),
        (other_weights, r"weight 0 has shape"),
        (other_streams, r"other random streams.*set_random_seed"),
    ],
)
def test_other_models(make, message, tmp_path):
    """The error comes before anything has changed."""
    model = resumable.model()
    model.fit(resumable.X, resumable.Y, **resumable.OPTIONS)
    model.save(tmp_path / "a.nnf")
    other = make()
    before = [weight.tobytes() for weight in other.get_weights()]
    with pytest.raises(errors.ModelFileError, match=rf"a\.nnf: .*{message}"):
        other.fit(resumable.X, resumable.Y, **{**resumable.OPTIONS, "resume_from": tmp_path / "a.nnf"})
    assert [weight.tobytes() for weight in other.get_weights()] == before and other.state.iteration == 0


def test_a_state_that_is_no_data(tmp_path):
    class Odd(callbacks.Callback):
        def state_dict(self):
            return {"when": object()}

    checkpoint = callbacks.ModelCheckpoint(tmp_path / "a.nnf")
    with pytest.raises(TypeError, match=r"Odd: <object .*cannot be saved; expected JSON types and arrays"):
        resumable.model().fit(resumable.X, resumable.Y, callbacks=[Odd(), checkpoint], **resumable.OPTIONS)
    assert not Path(tmp_path / "a.nnf").exists()


def test_a_checkpoint_every_few_seconds(tmp_path, monkeypatch):
    from nnfast.callbacks import checkpoint

    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    due = checkpoint.Due("ModelCheckpoint", save_seconds=10.0)
    found = []
    for _ in range(8):
        now[0] += 4.0
        found.append(due.after_batches(100))
    assert found == [False, False, True, False, False, True, False, False]
    assert not due.after_epoch()
