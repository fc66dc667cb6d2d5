"""Gradient rules against central differences of the reference, in float64.

The scalar that is differentiated is the sum of an op's outputs times fixed weights, so every output element counts differently.
"""

import numpy as np

from nnfast import reference
from nnfast.errors import GraphError
from nnfast.graph import trace
from nnfast.graph.ir import Graph
from nnfast.ops import functions
from nnfast.ops.elementwise import call
from nnfast.passes.autodiff import gradients

LIMIT = 1e-5  # relative; a rule that is wrong by 0.05 % is fifty times further off
MOST_ELEMENTS = 40


def weights(i, shape):
    return np.random.default_rng(100 + i).uniform(0.5, 1.5, shape)


def differentiable_inputs(op, arrays):
    """Places of the inputs that can be changed a little: floats but learning rates and the like."""
    return [i for i, array in enumerate(arrays) if array.dtype == np.float64 and array.size]


def small(sample):
    arrays, _ = sample
    count = sum(a.size for a in arrays if a.dtype.kind == "f")
    return 0 < count <= 3 * MOST_ELEMENTS and all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f")


def float_outputs(op, outputs):
    """The outputs to differentiate: those of a floating type; of a loss, the loss alone (its second output is a gradient)."""
    chosen = [i for i, y in enumerate(outputs) if str(y.dtype) in ("float32", "float64")]
    return chosen[:1] if op.kind == "loss" else chosen


def scalar(op, arrays, attributes):
    """The number that is differentiated, by the reference."""
    with np.errstate(all="ignore"):
        outputs = op.reference(*arrays, **attributes)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return sum(float((weights(i, outputs[i].shape) * outputs[i]).sum()) for i in float_outputs(op, outputs))


def trace_gradients(op, arrays, attributes):
    """A graph whose outputs are the gradients with respect to the floating inputs."""
    graph = Graph()
    values = [graph.input(a.shape, str(a.dtype)) for a in arrays]
    with trace.tracing(graph):
        outputs = trace.add(graph, op, values, attributes)
        total = None
        for i in float_outputs(op, outputs):
            weight = graph.constant(weights(i, outputs[i].shape), outputs[i].dtype)
            part = functions.sum(call("multiply", outputs[i], weight))
            total = part if total is None else call("add", total, part)
        graph.outputs = gradients(total, [values[i] for i in differentiable_inputs(op, arrays)])
    return graph


def analytic(op, arrays, attributes):
    """The gradients by the op's rule, through the reference interpreter."""
    with np.errstate(all="ignore"):
        return reference.run(trace_gradients(op, arrays, attributes), arrays)[0]


def numeric(op, arrays, attributes, place):
    """Central differences of fourth order per element of one input, and where they can be trusted: at a kink, steps of two sizes
    disagree."""
    x = arrays[place]
    found, trusted = np.zeros(x.shape), np.zeros(x.shape, bool)

    def at(index, value):
        changed = [a.copy() if i == place else a for i, a in enumerate(arrays)]
        changed[place][index] = value
        return scalar(op, changed, attributes)

    def slope(index, h):
        middle = x[index]
        near = at(index, middle + h) - at(index, middle - h)
        far = at(index, middle + 2 * h) - at(index, middle - 2 * h)
        return (8 * near - far) / (12 * h)

    size = abs(scalar(op, arrays, attributes))
    for index in list(np.ndindex(x.shape))[:MOST_ELEMENTS]:
        h = 1e-3 * max(abs(x[index]), 1e-2)
        rough, fine = slope(index, h), slope(index, h / 2)
        found[index] = fine
        noise = 1e-15 * size / h
        trusted[index] = np.isfinite(fine) and abs(rough - fine) <= 1e-7 * (1 + abs(fine)) + 10 * noise and noise < 1e-6
    return found, trusted


def check_gradient(op, arrays, attributes):
    """Compare; returns how many elements could be compared and how many there were."""
    compared = total = 0
    places = differentiable_inputs(op, arrays)
    for place, found in zip(places, analytic(op, arrays, attributes), strict=True):
        wanted, trusted = numeric(op, arrays, attributes, place)
        assert found.shape == arrays[place].shape and found.dtype == np.float64
        error = np.abs(found - wanted) / (1e-2 + np.abs(wanted))
        wrong = trusted & ~(error <= LIMIT)
        assert not wrong.any(), (
            f"{op.name}, {attributes}: gradient for input {op.inputs[min(place, len(op.inputs) - 1)]!r} at "
            f"{[a.flat[np.argmax(wrong)] if a.size == wrong.size else a.shape for a in arrays]}: "
            f"{found[wrong][0]!r}, central differences say {wanted[wrong][0]!r}"
        )
        compared += int(trusted.sum())
        total += min(trusted.size, MOST_ELEMENTS)
    return compared, total


def refuses(op, arrays, attributes):
    """Does the rule refuse, with the error that says why?"""
    try:
        trace_gradients(op, arrays, attributes)
    except GraphError:
        return True
    return False
