"""A Keras 3 quick-start runs after changing its import: the example of the conventions, and the way Keras' own guide writes it."""

import numpy as np

import nnfast

RNG = np.random.default_rng(0)
X = RNG.random((256, 64), "float32")
Y = X.reshape(256, 4, 16).sum(2).argmax(1)


def test_the_example_of_the_conventions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y, xv, yv = X[:192], Y[:192], X[192:], Y[192:]
    from nnfast import layers

    model = nnfast.Sequential([
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10),
    ])  # fmt: skip
    model.compile(optimizer="adam",
                  loss=nnfast.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])  # fmt: skip
    history = model.fit(x, y, batch_size=128, epochs=5, validation_data=(xv, yv))
    model.evaluate(xv, yv)
    expected = model.predict(xv)
    model.save("digits.nnf")
    model = nnfast.load_model("digits.nnf")

    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert [len(values) for values in history.history.values()] == [5] * 4
    np.testing.assert_array_equal(model.predict(xv), expected)
    shown = capsys.readouterr()
    assert "5/5" in shown.out + shown.err and "val_accuracy" in shown.out + shown.err


def test_the_guide_of_keras(tmp_path):
    """keras.io: "Getting started", "Functional API", "Training with the built-in methods", with keras. -> nnfast."""
    keras = nnfast
    inputs = keras.Input(shape=(64,), name="digits")
    x = keras.layers.Dense(64, activation="relu", name="dense_1")(inputs)
    x = keras.layers.Dense(64, activation="relu", name="dense_2")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(
        optimizer=keras.optimizers.RMSprop(),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    history = model.fit(X, Y, batch_size=64, epochs=2, validation_data=(X, Y), verbose=0)
    assert list(history.history) == [
        "loss", "sparse_categorical_accuracy", "val_loss", "val_sparse_categorical_accuracy",
    ]  # fmt: skip
    results = model.evaluate(X, Y, batch_size=128, verbose=0)
    assert len(results) == 2
    assert model.predict(X[:3]).shape == (3, 10)
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2)
    keep = keras.callbacks.ModelCheckpoint(filepath=str(tmp_path / "best.nnf"), save_best_only=True, monitor="val_loss")
    model.fit(X, Y, epochs=3, validation_split=0.2, callbacks=[stop, keep], class_weight={0: 1.0, 1: 2.0}, verbose=0)
    assert (tmp_path / "best.nnf").exists()


def test_layers_and_weights_by_name():
    keras = nnfast
    model = keras.Sequential(
        [
            keras.Input(shape=(64,)),
            keras.layers.Dense(8, kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.l2(1e-4)),
            keras.layers.Activation("relu"),
            keras.layers.Dense(1, activation="sigmoid", name="out"),
        ],
        name="small",
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    model.fit(X, Y == 0, epochs=1, verbose=0)
    assert set(model.history.history) == {"loss", "accuracy", "auc"}
    assert model.get_layer("out").kernel.shape == (8, 1)
    assert model.layers[0].get_weights()[1].shape == (8,)
    assert model.count_params() == 64 * 8 + 8 + 8 + 1
