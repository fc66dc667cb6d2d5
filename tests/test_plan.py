"""The plan: no value's memory is taken while it is needed, in-place and views only where they are right, threads that share memory
wait for each other; and four printed plans, kept in golden/, that change only when somebody means it."""

import math
from pathlib import Path

import numpy as np
import pytest
from checks import models, ops, plans

import nnfast
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.passes.reuse import reuse_in_place
from nnfast.plan.memory import ARENA, plan_memory
from nnfast.plan.plan import build
from nnfast.plan.show import show

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("divided", [False, True], ids=["as planned", "all divided"])
@pytest.mark.parametrize("threads", [1, 3])
def test_memory_and_barriers(threads, divided):
    """All plans of all models: replayed by checks.plans."""
    import contextlib

    count = 0
    with nnfast.num_threads(threads), ops.everything_divided() if divided else contextlib.nullcontext():
        for name, plan in models.plans():
            for check in plans.ALL:
                try:
                    check(plan)
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from None
            count += 1
    assert count == 4 * len(models.MODELS)


def test_reuse_saves_memory():
    with nnfast.num_threads(2):
        for name in models.MODELS:
            layout = models.train_step(name)[2].plan.layout
            assert layout.arena_bytes < 0.9 * layout.values_bytes, name


def graph_of(function, *shapes):
    graph = Graph()
    with tracing(graph):
        results = function(*[graph.input(shape, "float32") for shape in shapes])
        graph.outputs = list(results) if isinstance(results, tuple) else [results]
    return graph


def test_in_place_only_over_what_nobody_reads_again():
    graph = graph_of(lambda x: (lambda e: nnfast.ops.tanh(e) + e)(nnfast.ops.exp(x)), (8,))
    exp, tanh, add = (node.output for node in graph.nodes)
    reuse = reuse_in_place(graph)
    assert tanh not in reuse  # exp is still to be read
    assert reuse[add] in (exp, tanh)
    assert exp not in reuse  # inputs belong to the caller


def test_in_place_respects_views():
    """A view keeps the memory that it shows."""
    graph = graph_of(lambda x: (lambda e: (nnfast.ops.tanh(e), nnfast.ops.reshape(e, (4, 2))))(nnfast.ops.exp(x)), (8,))
    exp, tanh, view = (node.output for node in graph.nodes)
    assert reuse_in_place(graph) == {}
    layout = plan_memory(graph, {})
    assert layout.places[view] == layout.places[exp]
    assert not layout.places[tanh].overlaps(layout.places[exp])


def test_in_place_needs_the_whole_size():
    """A small operand that is broadcast cannot hold the result."""
    graph = graph_of(lambda x, y: nnfast.ops.exp(x) + nnfast.ops.exp(y), (1, 4), (3, 4))
    reuse = reuse_in_place(graph)
    assert reuse[graph.nodes[-1].output] is graph.nodes[1].output


def test_results_are_not_reused():
    graph = graph_of(lambda x: (lambda e: (e, nnfast.ops.tanh(e)))(nnfast.ops.exp(x)), (8,))
    assert reuse_in_place(graph) == {}


def test_gradients_lie_in_the_order_of_their_weights():
    """So that one sweep updates all weights: the first bytes of the arena, without gaps, and one update step."""
    plan = models.train_step("classifier")[2].plan
    gradients = [node.inputs[1] for node in plan.graph.nodes if node.op.kind == "update"]
    weights = [node.inputs[0] for node in plan.graph.nodes if node.op.kind == "update"]
    assert len(gradients) == 6
    places, homes = [plan.layout.places[g] for g in gradients], [plan.layout.places[w] for w in weights]
    start = places[0].offset
    assert {place.space for place in places} == {ARENA} and start == 0
    assert [place.offset - start for place in places] == [home.offset - homes[0].offset for home in homes]
    assert [step.kernel for step in plan.steps if step.kind == "update"] == ["adam"]


def check_padding(variables):
    """Panels are padded to 16 columns; the padding is zero."""
    for variable in variables:
        if variable.layout == "panel":
            rows, columns = math.prod(variable.shape[:-1]), variable.shape[-1]
            count = -(-columns // 16)
            wide = variable.storage.reshape(count, rows, 16).transpose(1, 0, 2).reshape(rows, count * 16)
            assert not wide[:, columns:].any(), variable.name


def test_variables_in_panels():
    """What is assigned comes back, whatever the sizes."""
    for shape in ((0, 5), (5, 0), (1, 1), (3, 16), (2, 17), (40, 33), (3, 2, 5, 18)):
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        variable = nnfast.variable.Variable(shape, initializer=array, layout="panel")
        assert variable.numpy().shape == shape and variable.numpy().tobytes() == array.tobytes()
        check_padding([variable])


def test_padding_of_weights_stays_zero():
    """A training leaves the padding of weights and optimizer slots as it was."""
    for name in models.MODELS:
        model = models.train(name)
        check_padding(model.weights)
        check_padding([slot for slots in model.state.slots.values() for slot in slots.values()])


@pytest.mark.parametrize(
    "penalty",
    [
        lambda w: nnfast.ops.sum(nnfast.ops.sin(w)), lambda w: nnfast.ops.sum(nnfast.ops.sigmoid(w)),
        lambda w: nnfast.ops.sum(nnfast.ops.exp(w)), lambda w: nnfast.ops.sum(w), lambda w: nnfast.ops.sum(w / (w + 2.0)),
        lambda w: nnfast.ops.sum(nnfast.ops.softplus(w) * w),
    ],
    ids=["sin", "sigmoid", "exp", "identity", "quotient", "softplus"],
)  # fmt: skip
def test_padding_stays_zero_where_a_gradient_at_zero_is_not(penalty):
    """Penalties whose slope at 0 is not 0: their part of the gradient must not reach the padding."""
    nnfast.set_random_seed(0)
    model = nnfast.Sequential([nnfast.Input((5,)), nnfast.layers.Dense(7, kernel_regularizer=penalty)])
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 5)).astype(np.float32), rng.random((8, 7)).astype(np.float32)
    for without in ((), ["fuse_elementwise"], nnfast.passes.names()):
        model.compile("adam", "mse", without=without)
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        check_padding(model.weights)
        check_padding([slot for slots in model.state.slots.values() for slot in slots.values()])


def test_threads_only_where_they_pay():
    """Small steps stay with one thread; a plan of small steps uses no team at all."""
    with nnfast.num_threads(2):
        small = models.train_step("custom")[2].plan
        assert small.threads == 1 and not any(step.barrier for step in small.steps)
        graph = graph_of(lambda x, w: nnfast.ops.matmul(x, w), (256, 512), (512, 512))
        large = build(nnfast.passes.run(graph, forward=False), threads=2)
        assert large.threads == 2


def test_plans_print_what_they_cost():
    with nnfast.num_threads(2):
        model, _, batch = models.classifier()
        report = model.plan(batch)
    assert report.flops >= 3 * 2 * batch * (20 * 48 + 48 * 33 + 33 * 5) * 0.8
    assert f"peak bytes {report.peak_bytes:,}" in str(report)
    assert report.bytes_moved > 4 * model.count_params()


def large_classifier():
    """As for MNIST: steps large enough to be divided."""
    nnfast.set_random_seed(1)
    layers = nnfast.layers
    model = nnfast.Sequential(
        [
            nnfast.Input((784,), name="x"),
            layers.Dense(512, activation="relu", name="first"),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(256, activation="relu", name="second"),
            layers.Dense(10, activation="softmax", name="third"),
        ],
        name="mnist",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def golden_plans():
    with nnfast.num_threads(2):
        yield "mnist_train_128", str(large_classifier().plan(128))
        yield "mnist_predict_1", str(large_classifier().plan(1, "predict"))
        yield "two_inputs_train_20", show(models.train_step("two_inputs")[2].plan)
        yield "images_train_8", show(models.train_step("images")[2].plan)


def test_golden_plans(update_golden):
    """A plan that changes on purpose: run pytest with --update-golden, and read the difference before it is committed."""
    for name, text in golden_plans():
        path = GOLDEN / f"{name}.txt"
        if update_golden:
            path.write_text(text + "\n")
        assert path.read_text() == text + "\n", f"{path.name} differs: see the docstring of this test"


def test_one_plan_per_batch_shape_from_a_cache():
    model, data, batch = models.custom()
    x, y, weight = models.parts(model, data)
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=2, verbose=0)  # 40 rows: 16, 16, 8
    assert len(model._compiled.steps) == 2
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=1, verbose=0)
    assert len(model._compiled.steps) == 2


def test_outputs_that_share_memory():
    """The same value twice, a constant, an input and a view of it as outputs of one plan."""
    graph = graph_of(
        lambda x: (lambda e: (e, e, x, nnfast.ops.reshape(x, (2, 2)), nnfast.ops.full((2,), 7.0)))(nnfast.ops.exp(x)),
        (4,),
    )
    x = np.arange(4, dtype=np.float32)
    first, second, same, view, seven = build(nnfast.passes.run(graph, forward=False), threads=1).call([x])
    assert first.tobytes() == second.tobytes() == nnfast.ops.exp(x).tobytes()
    assert same.tolist() == x.tolist() and same is not x
    assert view.tolist() == [[0, 1], [2, 3]] and seven.tolist() == [7, 7]
    first[0] = -1
    assert second[0] == 1


def test_long_convolutions_are_divided_further():
    """Into parts that any thread may take: the bits are those of one thread, whoever took them, and in runs with fewer threads."""
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 32)).astype(np.float32)
    model = nnfast.Sequential(
        [nnfast.layers.Conv2D(64, 3, padding="same", activation="relu"), nnfast.layers.Conv2D(8, 1)]
    )
    model.build(x.shape)
    with nnfast.num_threads(1):
        expected = model.predict(x, batch_size=8, verbose=0)
    for threads in 2, 3, 5:
        with nnfast.num_threads(threads):
            assert f"{threads} x 8" in str(model.plan(8))
            for _ in range(10):
                np.testing.assert_array_equal(model.predict(x, batch_size=8, verbose=0), expected)
