"""Recomputation: the same bits with less memory, for marked layers, models as blocks, groups of layers and all of a model."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, losses, ops, optimizers
from nnfast.graph.ir import BACKWARD, Graph
from nnfast.graph.trace import tracing
from nnfast.passes.autodiff import gradients
from nnfast.passes.recompute import recompute_marked

RNG = np.random.default_rng(0)
TOKENS, NEXT = RNG.integers(0, 20, (24, 12)), RNG.integers(0, 20, (24, 12))
IMAGES, CLASSES = RNG.standard_normal((24, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, 24)
SERIES, SUMS = RNG.standard_normal((24, 12, 5)).astype("float32"), RNG.standard_normal((24, 3)).astype("float32")


def gpt(mark):
    tokens = nnfast.Input((12,), dtype="int32")
    x = layers.Embedding(20, 16)(tokens)
    x = x + layers.PositionEmbedding(12)(x)
    for _ in range(4):
        x = mark(layers.TransformerEncoder(64, 2, dropout=0.2, normalize_first=True))(x)
    return nnfast.Model(tokens, layers.Dense(20)(x)), TOKENS, NEXT


def residual(mark):
    """Blocks are models of their own; their batch normalisation moves its statistics."""
    image = nnfast.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    for _ in range(3):
        inner = nnfast.Input((8, 8, 8))
        y = inner
        for _ in range(2):
            y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))
            y = layers.Dropout(0.1)(layers.ReLU()(y))
        x = mark(nnfast.Model(inner, y + inner))(x)
    return nnfast.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))), IMAGES, CLASSES


def recurrent(mark):
    """States that a layer keeps are read before they change, dropout inside the sequence, a cell without a kernel."""
    x = series = nnfast.Input((12, 5))
    x = mark(layers.LSTM(8, return_sequences=True, stateful=True, dropout=0.2, recurrent_dropout=0.2))(x)
    x = mark(layers.Bidirectional(layers.GRU(4, return_sequences=True)))(x)
    x = mark(layers.RNN(layers.GRUCell(4, reset_after=False)))(x)
    return nnfast.Model(series, layers.Dense(3)(x)), SERIES, SUMS


def flat(mark):
    """Layers called twice, and with an activity regularizer."""
    x = series = nnfast.Input((12, 5))
    shared = mark(layers.Dense(5, "gelu", activity_regularizer="l2"))
    x = shared(layers.Dropout(0.3)(shared(x)))
    return nnfast.Model(series, layers.Dense(3)(layers.Flatten()(x))), SERIES, SUMS


NETS = {"gpt": gpt, "residual": residual, "recurrent": recurrent, "flat": flat}


def trained(name, mark, batch=8, accumulate=None, **options):
    nnfast.set_random_seed(4)
    model, x, y = NETS[name](mark)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True) if y.dtype.kind == "i" else "mse"
    optimizer = optimizers.AdamW(0.01, global_clipnorm=1.0, gradient_accumulation_steps=accumulate)
    model.compile(optimizer, loss, **options)
    logs = model.fit(x, y, batch_size=batch, epochs=2, verbose=0).history
    return model, [logs["loss"], *model.get_weights()]


def equal(a, b):
    return len(a) == len(b) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("name", NETS)
def test_the_same_bits(name):
    plain, wanted = trained(name, lambda layer: layer)
    marked, found = trained(name, nnfast.recompute)
    assert equal(wanted, found)
    assert marked.plan(8).flops > plain.plan(8).flops  # it did compute again
    _, found = trained(name, lambda layer: layer, recompute=True)
    assert equal(wanted, found)
    _, found = trained(name, nnfast.recompute, without=["share_common", "fuse_elementwise", "reuse_in_place"])
    assert equal(wanted, found)
    off, found = trained(name, nnfast.recompute, without=["recompute_marked"])
    assert equal(wanted, found)
    assert off.plan(8).flops == plain.plan(8).flops


def test_with_accumulation_and_two_threads():
    _, wanted = trained("gpt", lambda layer: layer, accumulate=2)
    with nnfast.num_threads(2):
        _, found = trained("gpt", nnfast.recompute, accumulate=2)
    assert equal(wanted, found)


@pytest.mark.parametrize(("name", "share"), [("gpt", 0.5), ("residual", 0.7)])
def test_the_plan_takes_less_memory(name, share):
    plain, marked = (trained(name, mark)[0].plan(64).peak_bytes for mark in (lambda layer: layer, nnfast.recompute))
    assert marked < share * plain


def test_groups_of_a_model_take_less_memory_than_layers_alone():
    """What lies between the layers of a group is not kept either; names and layers mean the same."""

    def peak(recompute):
        nnfast.set_random_seed(4)
        model = nnfast.Sequential([nnfast.Input((64,)), *[layers.Dense(64, "gelu", name=f"d{i}") for i in range(16)]])
        model.compile("sgd", "mse", recompute=recompute(model) if callable(recompute) else recompute)
        x = np.ones((4, 64), "float32")
        model.fit(x, x, verbose=0)
        return model.plan(512).peak_bytes, model.get_weights()

    (plain, weights), (alone, same), (all_of_it, again) = peak(None), peak([f"d{i}" for i in range(16)]), peak(True)
    (pairs, third), (objects, _) = (
        peak([[f"d{i}", f"d{i + 1}"] for i in range(0, 16, 2)]),
        peak(lambda model: [model.layers[i : i + 2] for i in range(0, 16, 2)]),
    )
    assert max(all_of_it, pairs) < alone < plain
    assert pairs == objects
    assert equal(weights, same) and equal(weights, again) and equal(weights, third)


def test_a_mark_in_files_and_after_the_first_plan(tmp_path):
    model, _ = trained("gpt", nnfast.recompute)
    blocks, _ = trained("residual", nnfast.recompute)
    groups, _ = trained("flat", lambda layer: layer, recompute=True)
    for i, made in enumerate((model, blocks, groups)):
        made.save(tmp_path / f"{i}.nnf")
        again = nnfast.load_model(tmp_path / f"{i}.nnf")
        assert again.get_config() == made.get_config()
        assert again.plan(8).peak_bytes == made.plan(8).peak_bytes
        assert again.plan(8).flops == made.plan(8).flops
    before = model.plan(8).flops
    for layer in model.layers:
        layer.recompute = False
    assert model.plan(8).flops < before
    block = nnfast.recompute(nnfast.Sequential([layers.Dense(3)]))
    assert nnfast.Sequential.from_config(block.get_config()).recompute


def test_value_and_grad_of_a_marked_layer():
    def found(mark):
        nnfast.set_random_seed(1)
        layer = mark(layers.TransformerEncoder(32, 2, dropout=0.3))
        layer(SERIES[..., :4])
        return nnfast.value_and_grad(lambda x: ops.sum(ops.square(layer(x))), layer)(SERIES[..., :4])

    (a, wanted), (b, again) = found(lambda layer: layer), found(nnfast.recompute)
    assert equal([a, *wanted], [b, *again])


def test_the_pass_on_a_small_graph():
    """Values inside the segment are computed twice, what enters and leaves it once; a prediction has nothing to repeat."""
    layer = nnfast.recompute(layers.Lambda(lambda x: ops.exp(ops.tanh(ops.sin(x)))))
    graph = Graph()
    with tracing(graph, training=True):
        x = graph.input((3,), "float32")
        y = layer(ops.cos(x))
        graph.outputs = [ops.sum(ops.square(y))]
        forward = len(graph.nodes)
        graph.outputs += gradients(graph.outputs[0], [x])
    after = recompute_marked(graph)
    names = [node.op.name for node in after.nodes if node.segment < BACKWARD]
    assert names == ["sin", "tanh"]  # exp(...) leaves the segment
    assert [node.op.name for node in after.nodes].count("cos") == [node.op.name for node in graph.nodes].count("cos")
    first = next(i for i, node in enumerate(after.nodes) if node.segment < BACKWARD)
    assert first >= forward
    alone = Graph()
    with tracing(alone, training=False):
        alone.outputs = [layer(alone.input((3,), "float32"))]
    assert all(node.segment == 0 for node in alone.nodes)
    assert recompute_marked(alone) is alone


def test_wrong_uses():
    with pytest.raises(TypeError, match=r"recompute\('dense'\)"):
        nnfast.recompute("dense")
    model = nnfast.Sequential([nnfast.Input((3,)), layers.Dense(3, name="first")])
    with pytest.raises(TypeError, match=r"compile\(recompute=\.\.\.\): 3"):
        model.compile("sgd", "mse", recompute=[3])
    model.compile("sgd", "mse", recompute=["frist"])
    with pytest.raises(nnfast.errors.UnknownNameError, match="first"):
        model.fit(np.ones((2, 3)), np.ones((2, 3)), verbose=0)
