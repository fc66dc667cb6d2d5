"""The models that passes, plans, executor and bits are tested on, and the graphs and plans that are made of them.

Each entry of MODELS makes a compiled model with fixed names, data for it, and a batch size.
"""

import contextlib
import hashlib

import numpy as np

import nnfast
from nnfast import layers, losses, ops, optimizers, passes
from nnfast.training import compiled, step


def classifier(dtype="float32", without=()):
    """Dense, dropout, softmax with labels, Adam: the quick start."""
    nnfast.set_random_seed(1)
    model = nnfast.Sequential(
        [
            nnfast.Input((20,), dtype=dtype, name="x"),
            layers.Dense(48, activation="relu", name="first"),
            layers.Dropout(0.25, name="dropout"),
            layers.Dense(33, activation="tanh", kernel_regularizer="l2", name="second"),
            layers.Dense(5, activation="softmax", name="third"),
        ],
        name="classifier",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], without=without)
    rng = np.random.default_rng(0)
    return model, [rng.standard_normal((96, 20)).astype(dtype), rng.integers(0, 5, 96).astype(np.int32)], 32


def two_inputs(dtype="float32", without=()):
    """Two inputs, a shared layer, two outputs, global clipping, Nesterov momentum, weight decay."""
    nnfast.set_random_seed(2)
    a, b = nnfast.Input((12,), dtype=dtype, name="a"), nnfast.Input((12,), dtype=dtype, name="b")
    shared = layers.Dense(24, activation="gelu", name="shared")
    joined = layers.Concatenate(name="join")([shared(a), shared(b)])
    hidden = layers.Dense(17, activation="silu", name="hidden")(joined)
    summed = layers.Add(name="add")([hidden, layers.Dense(17, use_bias=False, name="skip")(joined)])
    outputs = [layers.Dense(3, name="mean")(summed), layers.Dense(1, activation="sigmoid", name="chance")(hidden)]
    model = nnfast.Model([a, b], outputs, name="two_inputs")
    model.compile(
        optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01, global_clipnorm=1.0),
        [losses.Huber(), "binary_crossentropy"], loss_weights=[1.0, 0.5], without=without,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    x = [rng.standard_normal((60, 12)).astype(dtype) for _ in range(2)]
    y = [rng.standard_normal((60, 3)).astype(dtype), (rng.random((60, 1)) < 0.5).astype(dtype)]
    return model, [*x, *y], 20


class Gated(layers.Layer):
    """A layer as a user writes one: slices, a reduction over rows, broadcasting, a product of two activations."""

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (input_shape[-1], 32))
        self.scale = self.add_weight("scale", (16,), initializer="ones")

    def call(self, inputs):
        both = inputs @ self.kernel
        value, gate = both[:, :16], both[:, 16:]
        centred = value - ops.mean(value, axis=-1, keepdims=True)
        spread = ops.sqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + 1e-5)
        return centred / spread * self.scale * ops.sigmoid(gate)


def custom(dtype="float32", without=()):
    """A user's layer and loss, PReLU, RMSprop with momentum, sample weights."""
    nnfast.set_random_seed(3)

    def loss(y_true, y_pred):
        return ops.mean(ops.log1p(ops.square(y_true - y_pred)), axis=-1)

    x = nnfast.Input((9,), dtype=dtype, name="x")
    hidden = layers.PReLU(name="prelu")(Gated(name="gated")(x))
    model = nnfast.Model(x, layers.Dense(4, activation="softplus", name="last")(hidden), name="custom")
    model.compile(optimizers.RMSprop(0.01, momentum=0.5, centered=True, clipvalue=0.5), loss, without=without)
    rng = np.random.default_rng(2)
    data = [rng.standard_normal((40, 9)), rng.random((40, 4)), rng.random(40)]
    return model, [array.astype(dtype) for array in data], 16


def images(dtype="float32", without=()):
    """Convolutions of all kinds: a residual, groups, strides, dilation, depthwise, one pixel, transposed."""
    nnfast.set_random_seed(4)
    x = nnfast.Input((9, 8, 3), dtype=dtype, name="x")
    first = layers.Conv2D(20, 3, padding="same", activation="relu", name="first")(x)
    second = layers.Conv2D(20, 3, padding="same", dilation_rate=2, name="second")(first)
    summed = layers.ReLU(name="relu")(layers.Add(name="add")([second, first]))
    grouped = layers.Conv2D(12, 3, 2, groups=2, activation="tanh", name="grouped")(summed)
    separable = layers.SeparableConv2D(16, 3, 2, "same", activation="relu", name="separable")(grouped)
    larger = layers.Conv2DTranspose(5, 3, 2, "same", name="larger")(separable)
    model = nnfast.Model(x, layers.Dense(4, name="last")(layers.Flatten(name="flatten")(larger)), name="images")
    model.compile(optimizers.Adam(0.01, clipnorm=1.0), losses.MeanSquaredError(), without=without)
    rng = np.random.default_rng(3)
    return model, [rng.standard_normal((20, 9, 8, 3)).astype(dtype), rng.standard_normal((20, 4)).astype(dtype)], 8


MODELS = {"classifier": classifier, "two_inputs": two_inputs, "custom": custom, "images": images}


def parts(model, data):
    """Inputs, targets and sample weights of the data, as `fit` takes them."""
    inputs, outputs = len(model.inputs), len(model.outputs)
    x, y, weights = data[:inputs], data[inputs : inputs + outputs], data[inputs + outputs :]
    one = lambda items: items[0] if len(items) == 1 else items  # noqa: E731
    return one(x), one(y), weights[0] if weights else None


def train(name, epochs=2, without=(), dtype="float32"):
    """Train; returns the model."""
    model, data, batch = MODELS[name](dtype, without)
    x, y, weight = parts(model, data)
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=epochs, verbose=0)
    return model


def fingerprint(model):
    """SHA-256 of all weights and optimizer slots."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    for slots in model.state.slots.values():
        for slot in slots.values():
            digest.update(slot.numpy().tobytes())
    return digest.hexdigest()


def any_step(name, kind, without=(), dtype="float32"):
    """(model, data, Step) of a "train" or "test" step."""
    model, data, batch = MODELS[name](dtype, without)
    x, y, weight = parts(model, data)
    model.prepare_training(
        nnfast.data.ArraySource(x, y, weight, input_names=model.input_names, target_names=model.output_names)
    )
    signature = compiled.signature_of(model, list(data), batch)[1]
    return model, data, model._compiled.step(kind, signature)


def train_step(name, without=(), dtype="float32"):
    """(model, data, Step) of a training step."""
    return any_step(name, "train", without, dtype)


@contextlib.contextmanager
def recorded_passes():
    """Collects (graph before, graph after, forward) of each run of the passes while a step is made."""
    seen = []
    run = passes.run

    def record(graph, *, forward, without=()):
        result = run(graph, forward=forward, without=without)
        seen.append((graph, result, forward))
        return result

    passes.run = record
    try:
        yield seen
    finally:
        passes.run = run


def graphs(name, dtype="float64"):
    """The graph of a training step as it is traced, and the whole one with gradients and updates, before the passes run on each;
    and arrays to feed them with."""
    with recorded_passes() as seen:
        model, data, made = train_step(name, dtype=dtype)
    (traced, _, _), (whole, _, _) = seen
    rows = made.rows
    model.state.learning_rates.storage[:] = 0.01
    feeds = [
        array[:rows].astype(value.dtype).reshape(value.shape) for array, value in zip(data, whole.inputs, strict=True)
    ]
    return traced, whole, feeds


def plans():
    """(name, Plan): training, test and prediction plans of all models, with and without the passes."""
    for name in MODELS:
        for without in ((), tuple(passes.names())):
            if without:
                without = tuple(n for n in without if n != "stable_losses")
            model, data, made = train_step(name, without)
            yield f"{name} train{' plain' if without else ''}", made.plan
        arrays = list(data)
        yield f"{name} test", model._compiled.step("test", compiled.signature_of(model, arrays, made.rows)[1]).plan
        specs = tuple((tuple(shape[1:]), dtype) for shape, dtype in model.input_specs)
        yield f"{name} predict", model._predict.plan(step.Signature(made.rows, specs))
