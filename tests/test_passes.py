"""Passes: each leaves what the reference computes as it was, on the training graphs of real models; can be switched off by name; and
does what its line says."""

import numpy as np
import pytest
from checks import models, ops

import nnfast
from nnfast import passes, reference
from nnfast.errors import UnknownNameError
from nnfast.graph.check import check
from nnfast.graph.ir import BACKWARD, Graph
from nnfast.graph.show import show
from nnfast.graph.trace import tracing
from nnfast.ops.elementwise import call

TRACED = {name: models.graphs(name) for name in models.MODELS}
MODEL = pytest.mark.parametrize("model", TRACED)


def compare(before, after, feeds, rtol):
    """Outputs and new contents of variables, by the reference interpreter in float64."""
    (outputs, updates), (new_outputs, new_updates) = reference.run(before, feeds), reference.run(after, feeds)
    assert len(outputs) == len(new_outputs) and set(updates) == set(new_updates)
    for a, b in zip(outputs, new_outputs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)
    for variable, a in updates.items():
        np.testing.assert_allclose(new_updates[variable], a, rtol=rtol, atol=rtol, err_msg=variable.name)


@MODEL
def test_each_pass_keeps_the_reference(model):
    """In order, each on the result of those before, as in a real plan. The stable form of a loss differs from the other by Keras'
    limits on probabilities; all others are equal to rounding in float64."""
    traced, whole, feeds = TRACED[model]
    for forward, graph in ((True, traced), (False, whole)):
        text = show(graph)
        for step in (s for s in passes.PIPELINE if s.forward == forward):
            before = show(graph)
            result = step.function(graph)
            check(result)
            compare(graph, result, feeds, 1e-6 if step.name == "stable_losses" else 1e-12)
            assert show(graph) == before, f"{step.name} changed the graph that it was given"
            graph = result
        assert text == show(traced if forward else whole)


@MODEL
def test_compiled_step_keeps_the_reference(model):
    """All passes, plan and kernels in one: a training step in float64 leaves the outputs and weights of the interpreter."""
    _, whole, feeds = TRACED[model]
    outputs, updates = reference.run(whole, feeds)
    made, data, step = models.train_step(model, dtype="float64")
    made.state.learning_rates.storage[:] = 0.01
    own = {variable.name: new for variable, new in updates.items()}
    assert len(own) == len(updates)
    for i, array in enumerate(data):
        step.plan.bind_source(i, array.reshape(len(array), *step.plan.graph.inputs[i].shape[1:]))
    log = np.zeros((1, step.width))
    step.plan.bind_order(np.arange(step.rows))
    step.plan.bind_log(log)
    made.state.begin_run(0)
    step.plan.run(1)
    np.testing.assert_allclose(log[0], np.concatenate([np.ravel(o) for o in outputs]), rtol=1e-11, atol=1e-12)
    found = {v.name: v.numpy() for v in made.state.slots}
    found |= {slot.name: slot.numpy() for slots in made.state.slots.values() for slot in slots.values()}
    assert set(found) == set(own)
    for name, array in found.items():
        np.testing.assert_allclose(array, own[name], rtol=1e-9, atol=1e-11, err_msg=name)


def graph_of(function, *shapes):
    graph = Graph()
    with tracing(graph):
        results = function(*[graph.input(shape, "float32") for shape in shapes])
        graph.outputs = list(results) if isinstance(results, tuple) else [results]
    return graph


def names(graph):
    return [node.op.name for node in graph.nodes]


def run_without(graph, *without):
    done = passes.run(passes.run(graph, forward=True, without=without), forward=False, without=without)
    check(done)
    return names(done)


o = nnfast.ops


def gradient_of_table(dy):
    return o.call("embedding_gradient", dy, np.array([5, 3], np.int32), rows=400, sparse=False)


def marked_and_read_later(x):
    graph = x.graph
    graph.segment = 1
    inner = o.softmax(x)
    leaves = o.sum(inner)
    graph.segment = BACKWARD
    later = o.exp(inner)
    graph.segment = 0
    return leaves, later


EFFECTS = {  # name -> (function, shapes, what the plan has with the pass, and without)
    "stable_losses": (
        lambda z, t: o.categorical_crossentropy(t, o.softmax(z)), [(2, 3), (2, 3)],
        lambda n: n == ["categorical_cross_entropy"], lambda n: "softmax" in n,
    ),
    "recompute_marked": (
        marked_and_read_later, [(2, 3)],
        lambda n: n.count("softmax") == 2, lambda n: n.count("softmax") == 1,
    ),
    "fold_constants": (
        lambda x: x * (o.full((1,), 2.0) * 3.0), [(4,)],
        lambda n: n == ["scale"], lambda n: len(n) > 1 or n == ["elementwise_program"],
    ),
    "drop_broadcasts": (
        lambda x, y: x + o.broadcast_to(y, (4, 3)), [(4, 3), (3,)],
        lambda n: n == ["add"], lambda n: n == ["broadcast_to", "add"],
    ),
    "share_common": (
        lambda x: (o.exp(x), o.exp(x)), [(4,)],
        lambda n: n == ["exp"], lambda n: n == ["exp", "exp"],
    ),
    "drop_dead": (
        lambda x: (o.exp(x), o.tanh(x))[1], [(4,)],
        lambda n: n == ["tanh"], lambda n: n == ["exp", "tanh"],
    ),
    "sparse_updates": (
        lambda w, dy: o.call("update_sgd", w, gradient_of_table(dy), np.zeros(1), np.zeros(8, np.int64), weight_decay=0.0), [(400, 3), (2, 3)],
        lambda n: n == ["sort_ids", "sparse_update_sgd"], lambda n: n == ["embedding_gradient", "update_sgd"],
    ),
    "fuse_epilogues": (
        lambda x, w, b: o.relu(x @ w + b), [(16, 3), (3, 2), (2,)],
        lambda n: n[-1] == "product_with_epilogue", lambda n: "matmul" in n and "product_with_epilogue" not in n,
    ),
    "recompute_cheap": (
        lambda x, mean: (o.exp(x - mean), o.tanh(x - mean)), [(40, 3), (3,)],
        lambda n: n == ["elementwise_program"] * 2, lambda n: n == ["subtract", "exp", "tanh"],
    ),
    "fuse_elementwise": (
        lambda x: o.tanh(o.exp(x) + x), [(4,)],
        lambda n: n == ["elementwise_program"], lambda n: n == ["exp", "add", "tanh"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EFFECTS)
def test_a_pass_does_its_work_and_can_be_switched_off(name):
    function, shapes, expected, expected_without = EFFECTS[name]
    found, without = run_without(graph_of(function, *shapes)), run_without(graph_of(function, *shapes), name)
    assert expected(found), found
    assert expected_without(without), without


def test_every_pass_has_such_a_test():
    needed = {step.name for step in passes.PIPELINE if step.needed}
    assert {*EFFECTS, *needed, passes.IN_PLACE} == set(passes.names())


def test_needed_passes_run_whatever_is_switched_off():
    """decompose and assign_layouts: without them there is no plan."""
    flags = {"transpose_a": False, "transpose_b": True}
    found = run_without(graph_of(lambda x, w: call("matmul", x, w, **flags), (16, 3), (2, 3)), *passes.names())
    assert "pack_panels" in found
    model = models.train("custom", epochs=1, without=passes.names())
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_in_place_reuse_can_be_switched_off():
    on, off = models.train_step("classifier")[2].plan, models.train_step("classifier", ["reuse_in_place"])[2].plan
    assert any(set(s.writes()) & set(s.reads()) for s in on.steps if s.kind != "update")
    assert not any(set(s.writes()) & set(s.reads()) for s in off.steps if s.kind not in ("update",))
    assert on.peak_bytes <= off.peak_bytes


def test_unknown_pass_names_the_nearest():
    model, _, _ = models.classifier()
    with pytest.raises(UnknownNameError, match="fuse_elementwise"):
        model.compile("sgd", "mse", without=["fuse_elementwize"])
    with pytest.raises(UnknownNameError, match="drop_dead"):
        passes.run(Graph(), forward=False, without=["drop_dea"])


def test_names_follow_the_pipeline():
    listed = [step.name for step in passes.PIPELINE]
    assert passes.names() == [*dict.fromkeys(listed), "reuse_in_place"]
    assert all(step.line and step.function.__doc__ for step in passes.PIPELINE)
    assert [step.forward for step in passes.PIPELINE] == sorted((s.forward for s in passes.PIPELINE), reverse=True)


def test_stable_losses_neither_overflow_nor_lose_digits():
    """Logits of +-1000: the probabilities are 0 and 1, their logarithm is -inf; the fused form has the exact loss."""
    logits, labels = np.array([[1000.0, 0.0], [0.0, 1000.0]], np.float32), np.array([1, 1], np.int32)
    f = nnfast.value_and_grad(lambda z: o.sum(o.sparse_categorical_crossentropy(labels, o.softmax(z))))
    value, [gradient] = f(logits)
    assert float(value) == 1000.0
    assert gradient.tolist() == [[1.0, -1.0], [0.0, 0.0]]
    g = nnfast.value_and_grad(lambda z: o.sum(o.binary_crossentropy(np.array([0.0, 1.0], np.float32), o.sigmoid(z))))
    value, [gradient] = g(np.array([1000.0, -1000.0], np.float32))
    assert float(value) == 2000.0 and gradient.tolist() == [1.0, -1.0]


def test_fused_products_keep_their_operands_apart():
    """A row for all rows, a full matrix, and one row that is both; few rows of products take another way."""
    rng = np.random.default_rng(0)
    for rows in (1, 5, 20):
        feeds = [rng.standard_normal(s).astype(np.float32) for s in ((rows, 4), (4, 6), (6,), (rows, 6))]
        graph = graph_of(lambda x, w, b, full: o.tanh(x @ w + b) * full, *(a.shape for a in feeds))
        done = passes.run(graph, forward=False)
        assert rows < 20 or names(done)[-1] == "product_with_epilogue"
        found = nnfast.plan.plan.build(done, threads=1).call(feeds)[0]
        np.testing.assert_allclose(found, reference.run(graph, feeds)[0][0], rtol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda y, c: y - c, lambda y, c: c - y, lambda y, c: y / c, lambda y, c: c / y, lambda y, c: y * y, lambda y, c: y - y,
        lambda y, c: c * y, lambda y, c: o.maximum(c, y), lambda y, c: o.where(y, c, y), lambda y, c: o.where(c, y, c),
        lambda y, c: o.tanh(c - o.exp(y)) + y, lambda y, c: (c - y) - (y - c),
    ],
    ids=range(12),
)  # fmt: skip
def test_which_operand_is_the_running_value(function):
    """Behind a product, and in a chain of elementwise ops: fused or not, the same bits, whichever operand comes first."""
    rng = np.random.default_rng(1)
    for rows, shape in ((20, (6,)), (20, (20, 6)), (1, (6,)), (6, (6, 1)), (20, ())):
        feeds = [rng.uniform(0.5, 1.5, s).astype(np.float32) for s in ((rows, 4), (4, 6), (rows, 6), shape)]
        for before in (lambda x, w, z: x @ w, lambda x, w, z: o.exp(z)):
            graph = graph_of(lambda x, w, z, c, before=before: function(before(x, w, z), c), *(a.shape for a in feeds))
            fused = nnfast.plan.plan.build(passes.run(graph, forward=False), threads=1).call(feeds)[0]
            plain = passes.run(graph, forward=False, without=["fuse_epilogues", "fuse_elementwise"])
            assert ops.same_bits(fused, nnfast.plan.plan.build(plain, threads=1).call(feeds)[0])
            np.testing.assert_allclose(fused, reference.run(graph, feeds)[0][0], rtol=1e-4, atol=1e-5)


def test_the_sum_of_two_products_is_fused_once():
    graph = graph_of(lambda x, v, w: x @ v + x @ w, (16, 4), (4, 5), (4, 5))
    found = run_without(graph)
    assert sorted(found) == ["matmul", "product_with_epilogue"]


def test_programs_stay_within_what_the_kernel_holds():
    """A chain longer than a program, with more operands than a step has buffers: cut, not refused."""

    def long(*xs):
        y = xs[0]
        for i in range(70):
            y = o.tanh(y * xs[i % len(xs)]) + xs[(i + 1) % len(xs)]
        return y

    graph = graph_of(long, *[(7,)] * 20)
    feeds = [np.random.default_rng(i).standard_normal(7).astype(np.float32) for i in range(20)]
    done = passes.run(graph, forward=False)
    assert len(done.nodes) > 1
    found = nnfast.plan.plan.build(done, threads=1).call(feeds)[0]
    plain = nnfast.plan.plan.build(passes.run(graph, forward=False, without=["fuse_elementwise"]), threads=1).call(
        feeds
    )[0]
    assert ops.same_bits(found, plain)


def test_layouts_repack_no_weight():
    """In a training step every weight is read and written in its panels; only the l2 penalty of one reads rows."""
    kernels = [step.kernel for step in models.train_step("classifier")[2].plan.steps]
    assert kernels.count("linear_weight_gradient") == 3
    assert [kernel for kernel in kernels if "pack" in kernel] == ["unpack_panels"]


def test_debug_prints_each_pass(monkeypatch, capsys):
    monkeypatch.setenv("NNFAST_DEBUG", "passes,plan")
    models.train_step("custom")
    text = capsys.readouterr().err
    for step in passes.PIPELINE:
        assert f"pass {step.name}:" in text
    assert "peak bytes" in text
