"""What newcomers do wrongly is answered where they did it, in their terms: the message names the argument, what was given, what was
expected and the way out. (More of them, by kind of error, in tests/test_wrong_uses.py.)"""

import re

import numpy as np
import pytest

import nnfast
from nnfast import callbacks, errors, layers, losses, ops, optimizers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 4)).astype("float32")
Y = RNG.integers(0, 3, 20)
ONE_HOT = np.eye(3, dtype="float32")[Y]


def make(loss=None, units=3, **options):
    stack = [layers.Dense(8, activation="relu", name="first"), layers.Dense(units, name="last")]
    model = nnfast.Sequential([nnfast.Input((4,), name="pixels"), *stack], name="net")
    model.compile("adam", loss or losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


def fit(x=X, y=Y, **options):
    return make().fit(x, y, verbose=0, **options)


def functional(function):
    x = nnfast.Input((4,))
    return nnfast.Model(x, function(x))


class Forgetful(layers.Layer):
    def __init__(self):
        self.inner = layers.Dense(3)

    def call(self, inputs):
        return self.inner(inputs)


class NoCall(layers.Layer):
    pass


class NotOps(layers.Layer):
    def call(self, inputs):
        return np.ones(3)


class Named(nnfast.Model):
    def __init__(self):
        super().__init__()
        self.a = layers.Dense(2)

    def call(self, inputs):
        return {"answer": self.a(inputs)}


# what is done, the error (of nnfast's own, or a built-in), what its text must say, in this order
WRONG = {
    # data
    "no batch axis": (lambda: make().predict(X[0]), errors.ShapeError, ["net", "'pixels'", "[4]", "x[None]"]),
    "transposed": (lambda: fit(X.T), errors.DataError, ["x: 4", "y: 20", "one row per sample"]),
    "a number": (lambda: make().predict(3.0), errors.DataError, ["single number", "one row per sample"]),
    "a name": (lambda: make().predict("data.csv"), errors.DtypeError, ["x='data.csv'", "expected arrays"]),
    "rows of different length": (
        lambda: fit([[1.0, 2, 3, 4], [5.0]], [0, 1]), errors.DtypeError, ["x", "rows of equal length"],
    ),
    "unknown input": (lambda: make().predict({"pixel": X}), errors.UnknownNameError, ["'pixel'", "did you mean 'pixels'"]),
    "batch in a generator": (
        lambda: make().fit(iter([(X, Y), (X[:, :2], Y)]), verbose=0), errors.ShapeError, ["net", "[2]", "[4]"],
    ),
    "generator without targets": (
        lambda: make().fit(iter([X]), verbose=0), errors.DataError, ["no targets", "(x, y) or (x, y, sample_weight)"],
    ),
    "empty generator": (lambda: make().fit(iter([]), verbose=0), errors.DataError, ["after 0 batches"]),
    "y beside a generator": (lambda: make().fit(iter([(X, Y)]), Y, verbose=0), errors.DataError, ["leave y out"]),
    "no y": (lambda: make().train_on_batch(X), errors.DataError, ["train_on_batch", "y is missing"]),
    "text as labels": (lambda: fit(y=np.array(["cat", "dog"] * 10)), errors.DtypeError, ["y has dtype <U3", "int32"]),
    # labels and losses
    "one-hot for sparse": (
        lambda: fit(y=ONE_HOT), errors.ShapeError, ["(20, 3)", "expected (20,)", "CategoricalCrossentropy"],
    ),
    "labels for one-hot": (
        lambda: make("categorical_crossentropy").fit(X, Y, verbose=0), errors.ShapeError,
        ["(20,)", "(20, 3)", "SparseCategoricalCrossentropy"],
    ),
    "labels from 1": (lambda: fit(y=Y + 1), errors.LabelError, ["label 3 in row", "from 0 to 2", "Number the classes from 0"]),
    "labels -1 and 1": (
        lambda: make("binary_crossentropy", 1).fit(X, np.where(Y > 0, 1, -1), verbose=0), errors.LabelError,
        ["target -1 in row", "expected 0 and 1"],
    ),
    "labels with NaN": (lambda: fit(y=np.where(Y > 0, Y, np.nan)), errors.LabelError, ["label nan in row"]),
    "too large for any class": (lambda: fit(y=Y + 2**40), errors.LabelError, ["label 10995116277"]),
    # validation: found before the first step
    "validation of another shape": (
        lambda: fit(validation_data=(X[:, :3], Y)), errors.ShapeError, ["validation_data", "[3]", "[4]"],
    ),
    "validation labels": (lambda: fit(validation_data=(X, Y + 7)), errors.LabelError, ["validation_data", "label"]),
    "validation without y": (
        lambda: fit(validation_data=X), errors.DataError, ["validation_data is a single array", "expected (x, y)"],
    ),
    # numbers
    "batch size": (lambda: fit(batch_size=32.0), errors.DataError, ["batch_size=32.0", "positive integer, such as 32"]),
    "batch size for predict": (lambda: make().predict(X, batch_size=0), errors.DataError, ["batch_size=0"]),
    "batch size for plan": (lambda: make().plan(0), errors.DataError, ["batch_size=0"]),
    "epochs": (lambda: fit(epochs="3"), errors.DataError, ["epochs='3'", "expected an integer"]),
    "more steps than batches": (
        lambda: fit(batch_size=5, steps_per_epoch=9), errors.DataError, ["steps_per_epoch=9", "20 rows", "4 batches of 5", "leave it out"],
    ),
    "steps of evaluate": (lambda: make().evaluate(X, Y, steps=0, verbose=0), errors.DataError, ["steps=0", "at least 1"]),
    "steps of predict": (lambda: make().predict(X, steps=-1), errors.DataError, ["steps=-1"]),
    "steps of validation": (
        lambda: fit(validation_data=(X, Y), validation_steps=0), errors.DataError, ["validation_steps=0"],
    ),
    "weights for another shape": (
        lambda: fit(sample_weight=np.ones((20, 3))), errors.ShapeError, ["sample_weight", "3)", "one weight for each sample"],
    ),
    "class weights in a list": (
        lambda: fit(class_weight=[1, 2, 3]), errors.DataError, ["class_weight=[1, 2, 3]", "dictionary", "{0: 1.0"],
    ),
    "class weights of batches in a list": (
        lambda: make().fit([(X, Y)], class_weight=[2.0], verbose=0), errors.DataError, ["class_weight=[2.0]", "dictionary"],
    ),
    # compile
    "loss name": (
        lambda: make("sparse_categorical_crossentropi"), errors.UnknownNameError,
        ["loss", "did you mean 'sparse_categorical_crossentropy'"],
    ),
    "metric name": (lambda: make(metrics=["acuracy"]), errors.UnknownNameError, ["metric", "did you mean 'accuracy'"]),
    "metric name of an output": (
        lambda: make(metrics={"last": ["acuracy"]}), errors.UnknownNameError, ["did you mean 'accuracy'"],
    ),
    "output name": (
        lambda: make({"lst": "mse"}).fit(X, ONE_HOT, verbose=0), errors.UnknownNameError, ["compile(loss", "did you mean 'last'"],
    ),
    "weights of losses": (
        lambda: make(loss_weights=[1, 2]).fit(X, Y, verbose=0), errors.DataError, ["loss_weights", "2 entries for 1 outputs: last"],
    ),
    "weight that is no number": (
        lambda: make(loss_weights="high").fit(X, Y, verbose=0), errors.DataError, ["loss_weights='high'"],
    ),
    "optimizer": (lambda: make().compile(0.1, "mse"), TypeError, ["optimizer=0.1", "'adam'"]),
    "pass": (
        lambda: make().compile("adam", "mse", without=["fuse_epilogue"]), errors.UnknownNameError,
        ["did you mean 'fuse_epilogues'"],
    ),
    "no loss": (lambda: (m := make(), m.compile("adam"), m.fit(X, Y, verbose=0)), errors.DataError, ["needs a loss"]),
    # before compile, before data
    "train before compile": (
        lambda: nnfast.Sequential([layers.Dense(2)]).train_on_batch(X, Y), errors.NotCompiledError, ["train_on_batch", "model.compile("],
    ),
    "test before compile": (lambda: functional(layers.Dense(2)).test_on_batch(X, Y), errors.NotCompiledError, ["model.compile("]),
    "optimizer before compile": (lambda: functional(layers.Dense(2)).optimizer, errors.NotCompiledError, ["model.optimizer"]),
    "plan before data": (lambda: nnfast.Sequential([layers.Dense(2)]).plan(), errors.NnfastError, ["give it an Input"]),
    "weights before data": (
        lambda: nnfast.Sequential([layers.Dense(2)]).set_weights([X]), errors.NnfastError, ["expected 0", "not built yet"],
    ),
    "kind of plan": (lambda: make().plan(8, "trian"), errors.NnfastError, ["'trian'", "'train', 'test' or 'predict'"]),
    "nothing to train": (
        lambda: (m := make(), setattr(m, "trainable", False), m.fit(X, Y, verbose=0)), errors.NnfastError, ["net", "no trainable weights"],
    ),
    # layers
    "argument": (lambda: layers.Dense(3, activaton="relu"), errors.UnknownNameError, ["Dense", "'activaton'", "did you mean 'activation'"]),
    "input_shape": (lambda: layers.Dense(3, input_shape=(4,)), errors.NnfastError, ["Dense(input_shape", "nnfast.Input(shape)"]),
    "units": (lambda: layers.Dense("10"), ValueError, ["Dense(units='10')", "positive integer"]),
    "rate": (lambda: layers.Dropout("0.5"), ValueError, ["Dropout(rate='0.5')"]),
    "dtype": (lambda: layers.Dense(3, dtype="floaty"), errors.DtypeError, ["dtype='floaty'", "'float32' or 'float64'"]),
    "half precision": (lambda: layers.Dense(3, dtype="float16"), errors.DtypeError, ["dtype='float16'", "'float32' or 'float64'"]),
    "dtype of Input": (lambda: nnfast.Input((4,), dtype="string"), errors.DtypeError, ["Input(dtype='string')"]),
    "shape of Input": (lambda: nnfast.Input((0, 4)), errors.NnfastError, ["(0, 4)", "batch is not part of the shape"]),
    "layers without a list": (
        lambda: nnfast.Sequential(layers.Dense(3), layers.Dense(2)), TypeError, ["one list", "Sequential([Dense(8), Dense(1)])"],
    ),
    "one layer without a list": (lambda: nnfast.Sequential(layers.Dense(3)), TypeError, ["expected a list of layers"]),
    "Input in the middle": (
        lambda: nnfast.Sequential([layers.Dense(2), nnfast.Input((4,))]), errors.GraphError, ["Input must come first"],
    ),
    "no layers": (lambda: nnfast.Sequential().predict(X), errors.GraphError, ["no layers", "add some"]),
    "another width": (
        lambda: (d := layers.Dense(3), d(X), d(X[:, :2])), errors.ShapeError, ["dense", "(20, 2)", "expected 4 features"],
    ),
    "one input to Add": (lambda: layers.Add()(nnfast.Input((4,))), errors.ShapeError, ["list of at least two inputs", "Add()([a, b])"]),
    "layer place": (lambda: make().get_layer(index=9), errors.NnfastError, ["index=9", "2 layers"]),
    # symbols
    "open graph": (
        lambda: nnfast.Model(nnfast.Input((4,)), layers.Dense(2)(nnfast.Input((4,), name="other"))), errors.GraphError,
        ["other", "not among the inputs"],
    ),
    "layers in place of symbols": (
        lambda: nnfast.Model(layers.Dense(3), layers.Dense(2)), errors.GraphError, ["Model(inputs=...)", "nnfast.Input"],
    ),
    "dictionary of symbols": (
        lambda: nnfast.Model({"a": nnfast.Input((4,))}, nnfast.Input((4,))), errors.GraphError, ["inputs={", "give a list"],
    ),
    "if": (lambda: functional(lambda x: x if x else -x), errors.GraphError, ["no truth value"]),
    "for": (lambda: functional(list), errors.GraphError, ["cannot be unpacked", "x[:, 0:1]"]),
    "index": (lambda: functional(lambda x: x[:, 9]), errors.ShapeError, ["9 is out of range", "size 4"]),
    "shapes": (
        lambda: nnfast.Input((4,)) + nnfast.Input((3,)), errors.ShapeError, ["add", "[[None, 4], [None, 3]]", "shapes [None, 4] and [None, 3]"],
    ),
    "product": (lambda: nnfast.Input((4,)) @ nnfast.Input((3,)), errors.ShapeError, ["matmul", "do not fit"]),
    "variable": (lambda: nnfast.Input((4,)) * nnfast.Variable((4,)), errors.NnfastError, ["add_weight"]),
    # own pieces
    "NumPy as activation": (lambda: functional(layers.Dense(3, np.tanh)), TypeError, ["NumPy", "nnfast.ops"]),
    "NumPy in a loss": (
        lambda: make(lambda a, b: np.mean((a - b) ** 2)).fit(X, ONE_HOT, verbose=0), TypeError, ["NumPy", "nnfast.ops"],
    ),
    "NumPy in a layer": (lambda: functional(NotOps()), errors.GraphError, ["not_ops", "ndarray", "nnfast.ops"]),
    "no super": (lambda: Forgetful(), errors.NnfastError, ["Forgetful", "super().__init__()"]),
    "no call": (lambda: NoCall(), NotImplementedError, ["NoCall", "define call(self, inputs)"]),
    "dictionary of outputs": (lambda: Named().predict(X), errors.GraphError, ["dictionary", "list or a tuple"]),
    "no scalar": (lambda: nnfast.value_and_grad(lambda x: x * 2)(X), errors.ShapeError, ["[20, 4]", "scalar", "nnfast.ops.mean"]),
    "number for a scalar": (lambda: nnfast.value_and_grad(lambda x: 3.0)(X), errors.ShapeError, ["float", "scalar"]),
    "gradient of integers": (
        lambda: nnfast.value_and_grad(lambda x: ops.sum(x))(np.arange(3)), errors.DtypeError, ["nothing to differentiate"],
    ),
    "training on arrays": (lambda: make()(X, training=True), errors.NnfastError, ["training=True", "train_on_batch"]),
    # settings
    "rate of an optimizer": (lambda: optimizers.Adam(-1), ValueError, ["Adam(learning_rate=-1)", ">= 0"]),
    "rate beside a schedule": (
        lambda: setattr(optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)), "learning_rate", 0.1),
        TypeError, ["ExponentialDecay", "in place of the schedule"],
    ),
    "callback class": (lambda: fit(callbacks=[callbacks.EarlyStopping]), TypeError, ["EarlyStopping", "brackets"]),
    "callback function": (lambda: fit(callbacks=[print]), TypeError, ["print", "not a Callback"]),
    "verbose": (lambda: make().fit(X, Y, verbose=7), ValueError, ["verbose=7", '"auto"']),
    "seed": (lambda: nnfast.set_random_seed("a"), errors.SettingError, ["n='a'", "integer"]),
    "floatx": (lambda: nnfast.set_floatx("float16"), errors.SettingError, ["'float16'", "'float32' or 'float64'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_message(case):
    use, error, parts = WRONG[case]
    with pytest.raises(error) as caught:
        use()
    assert re.search(".*".join(map(re.escape, parts)), str(caught.value), re.DOTALL), str(caught.value)


def test_no_step_is_done_where_the_validation_is_wrong():
    model = make()
    with pytest.raises(errors.ShapeError):
        model.fit(X, Y, validation_data=(X[:, :3], Y), verbose=0)
    assert model.state.iteration == 0


def test_folders_and_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.nnf: there is no folder .*missing; make it first"):
        make().save(tmp_path / "missing" / "model.nnf")
    with pytest.raises(IsADirectoryError, match="is a folder; expected the name of a file"):
        make().save(tmp_path)


def test_a_figure_that_is_not_there_is_a_warning():
    with pytest.warns(UserWarning, match=r"val_acc.*known: loss.*validation_data"):
        fit(epochs=1, callbacks=[callbacks.EarlyStopping(monitor="val_acc")])


def test_a_plan_does_not_fix_what_the_targets_are():
    """plan() has to guess the targets' shape; fit must still look at the real ones."""
    model = make(lambda y, p: ops.sparse_categorical_crossentropy(y, p, from_logits=True), metrics=["accuracy"])
    with pytest.raises(errors.NnfastError):
        model.plan(8)
    logs = model.fit(X, Y, verbose=0).history
    assert 0 <= logs["accuracy"][0] <= 1
    assert model.evaluate(X, Y, verbose=0)[1] == (model.predict(X).argmax(1) == Y).mean()


def test_two_threads_cannot_train_one_model():
    import threading

    model = make()
    inside, go_on = threading.Event(), threading.Event()

    class Wait(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            inside.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[Wait()]))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(errors.NnfastError, match="fit: model net is being trained"):
        model.fit(X, Y, verbose=0)
    go_on.set()
    thread.join()
    model.fit(X, Y, verbose=0)
