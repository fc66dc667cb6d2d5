"""What a user does wrongly is answered by an error that names the argument, the value, what was expected and the way out."""

import numpy as np
import pytest

import nnfast
from nnfast import errors, layers
from nnfast.io import write_tensors

X = np.zeros((10, 4), np.float32)
Y = np.zeros(10, int)


def make(compiled=True):
    hidden = layers.Dense(8, activation="relu", name="first")
    model = nnfast.Sequential([nnfast.Input((4,)), hidden, layers.Dense(3, name="last")], name="net")
    if compiled:
        loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
    return model


def make_double():
    left, right = nnfast.Input((3,), name="left"), nnfast.Input((2,), name="right")
    model = nnfast.Model([left, right], layers.Dense(1)(layers.Concatenate()([left, right])))
    model.compile("sgd", "mse")
    return model


def fit(x=X, y=Y, **options):
    make().fit(x, y, verbose=0, **options)


def with_nan():
    x = X.copy()
    x[3, 1] = np.nan
    return x


def functional(layer, shape):
    x = nnfast.Input(shape)
    return nnfast.Model(x, layer(x))


WRONG = {
    # shapes
    "fit": (lambda: fit(np.zeros((10, 5))), errors.ShapeError, r"net.*rows of shape \[5\].*built for \[4\]"),
    "predict": (lambda: make().predict(np.zeros((10, 5))), errors.ShapeError, r"\[5\].*\[4\]"),
    "targets": (lambda: fit(X, np.zeros((10, 7))), errors.ShapeError, r"\(10, 7\).*\(10, 3\)"),
    "layer": (
        lambda: layers.Add(name="joint")([nnfast.Input((3,)), nnfast.Input((4,))]),
        errors.ShapeError,
        r"joint.*\[\[None, 3\], \[None, 4\]\]",
    ),
    "reshape": (lambda: functional(layers.Reshape((5, 5)), (7,)), errors.ShapeError, "7 elements.*5, 5"),
    "matmul": (lambda: nnfast.ops.matmul(X, X), errors.ShapeError, r"\[10, 4\] and \[10, 4\]"),
    "out": (lambda: nnfast.kernels.matmul(X, X.T, out=X), errors.ShapeError, r"expected shape \[10, 10\]"),
    "set_weights": (lambda: make().set_weights([np.zeros((5, 8))]), errors.NnfastError, "expected 4 arrays, got 1"),
    # data
    "lengths": (lambda: fit(X, Y[:5]), errors.DataError, "x: 10, y: 5"),
    "sample_weight": (lambda: fit(sample_weight=np.ones(3)), errors.DataError, "sample_weight: 3"),
    "empty": (lambda: fit(X[:0], Y[:0]), errors.DataError, "empty"),
    "empty prediction": (lambda: make().predict(X[:0]), errors.DataError, "empty"),
    "batch size 0": (lambda: fit(batch_size=0), errors.DataError, "batch_size=0: expected a positive integer"),
    "epochs": (lambda: fit(epochs=-1), errors.DataError, "epochs=-1"),
    "split": (lambda: fit(validation_split=1.5), errors.DataError, "validation_split=1.5"),
    "no targets": (lambda: make().fit(X), errors.DataError, "y is missing"),
    "nothing": (lambda: make().fit(None), errors.DtypeError, "x=None"),
    "text": (lambda: fit(np.array([["a"] * 4] * 10)), errors.DtypeError, "x has dtype <U1"),
    "objects": (lambda: make().predict(np.array([[None] * 4])), errors.DtypeError, "Python objects"),
    "complex": (lambda: make().predict(X + 1j), errors.DtypeError, "complex"),
    "nan": (lambda: fit(with_nan(), validate="raise"), errors.DataError, "x: row 3 has a NaN"),
    "label too large": (lambda: fit(X, Y + 3), errors.LabelError, "label 3 in row 0; expected integers from 0 to 2"),
    "label negative": (lambda: fit(X, Y - 1), errors.LabelError, "label -1 in row 0"),
    "label in evaluate": (lambda: make().evaluate(X, Y + 7, verbose=0), errors.LabelError, "label 7"),
    "label in a generator": (lambda: fit(iter([(X, Y + 9)]), None), errors.LabelError, "label 9"),
    "short generator": (lambda: fit(iter([(X, Y)]), None, steps_per_epoch=5), errors.DataError, "after 1 batches"),
    "class_weight": (lambda: fit(class_weight={"a": 1}), errors.DataError, "class 'a'"),
    "number of inputs": (lambda: make_double().fit(X, Y), errors.DataError, "1 arrays; the model takes 2: left, right"),
    # names
    "optimizer": (lambda: make(False).compile("adm", "mse"), errors.UnknownNameError, "'adm': did you mean 'adam'"),
    "activation": (lambda: layers.Dense(3, activation="rleu"), errors.UnknownNameError, "did you mean 'relu'"),
    "initializer": (
        lambda: layers.Dense(3, kernel_initializer="glorot_unifrom"),
        errors.UnknownNameError,
        "did you mean 'glorot_uniform'",
    ),
    "layer name": (lambda: make().get_layer("frist"), errors.UnknownNameError, "did you mean 'first'"),
    "input name": (
        lambda: make_double().fit({"left": np.zeros((4, 3)), "rigth": np.zeros((4, 2))}, np.zeros((4, 1))),
        errors.UnknownNameError,
        "did you mean 'right'",
    ),
    "validate": (lambda: fit(validate="rise"), errors.DataError, "'rise'"),
    # order and values
    "fit before compile": (lambda: make(False).fit(X, Y), errors.NotCompiledError, "model.compile"),
    "evaluate before compile": (lambda: make(False).evaluate(X, Y), errors.NotCompiledError, "model.compile"),
    "units": (lambda: layers.Dense(-3), ValueError, r"Dense\(units=-3\): units must be a positive integer"),
    "rate": (lambda: layers.Dropout(1.5), ValueError, "rate=1.5"),
    "learning rate": (lambda: nnfast.optimizers.Adam("fast"), ValueError, "learning_rate='fast'"),
    "two clips": (lambda: nnfast.optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "at most one of"),
    "threads": (lambda: nnfast.set_num_threads(0), errors.SettingError, "n=0"),
    "class, not layer": (lambda: nnfast.Sequential([layers.Dense]), TypeError, "write it with brackets"),
    "if on a symbol": (
        lambda: functional(layers.Lambda(lambda x: x if x > 0 else -x), (4,)),
        TypeError,
        "nnfast.ops.where",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use(case):
    use, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        use()


def test_metric_name():
    model = make(False)
    with pytest.raises(errors.UnknownNameError, match="did you mean 'accuracy'"):
        model.compile("adam", "mse", metrics=["acuracy"])
        model.fit(X, np.zeros((10, 3)), verbose=0)


def test_loss_name():
    model = make(False)
    with pytest.raises(errors.UnknownNameError, match="did you mean 'mean_squared_error'"):
        model.compile("adam", "mean_square_error")
        model.fit(X, np.zeros((10, 3)), verbose=0)


def test_nan_as_a_warning():
    with pytest.warns(UserWarning, match="x: row 3 has a NaN"):
        fit(with_nan(), validate="warn")


def test_model_files(tmp_path):
    path = tmp_path / "model.nnf"
    with pytest.raises(FileNotFoundError, match="model.nnf"):
        nnfast.load_model(path)
    path.write_bytes(b"hello")
    with pytest.raises(errors.ModelFileError, match=r"model\.nnf: not a model file"):
        nnfast.load_model(path)
    write_tensors(path, {"a": np.zeros(2)}, {})
    with pytest.raises(errors.ModelFileError, match="expected a model"):
        nnfast.load_model(path)


def test_damaged_model_file(tmp_path):
    path = tmp_path / "model.nnf"
    make().save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.ModelFileError, match="damaged"):
        nnfast.load_model(path)


def test_file_for_another_model(tmp_path):
    path = tmp_path / "weights.nnf"
    nnfast.Sequential([nnfast.Input((5,)), layers.Dense(2)]).save_weights(path)
    with pytest.raises(errors.ModelFileError, match="for another model"):
        make().load_weights(path)
    with pytest.raises(errors.ModelFileError, match="load_weights"):
        nnfast.load_model(path)


def test_model_is_usable_after_an_error():
    model = make()
    with pytest.raises(errors.LabelError):
        model.fit(X, Y + 3, verbose=0)
    with pytest.raises(errors.ShapeError):
        model.fit(np.zeros((10, 5)), Y, verbose=0)
    model.fit(X, Y, verbose=0)
    assert np.isfinite(model.predict(X, verbose=0)).all()
