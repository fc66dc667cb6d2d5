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
    """The outputs to differentiate: those of a floating type; of a loss or attention the first alone (the second serves the gradient)."""
    chosen = [i for i, y in enumerate(outputs) if str(y.dtype) in ("float32", "float64")]
    return chosen[:1] if op.kind in ("loss", "attention") else chosen


def weighted(op, arrays, attributes):
    """The terms of the number that is differentiated, by the reference."""
    with np.errstate(all="ignore"):
        outputs = op.reference(*arrays, **attributes)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return np.concatenate([np.ravel(weights(i, outputs[i].shape) * outputs[i]) for i in float_outputs(op, outputs)])


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
    """Central differences of fourth order per element of one input, and where they can be trusted: where they do not change with the
    step, and the slopes on both sides come together as it shrinks, which at a kink they do not."""
    x = arrays[place]
    found, trusted = np.zeros(x.shape), np.zeros(x.shape, bool)
    middle = weighted(op, arrays, attributes)

    def at(index, value):
        changed = [a.copy() if i == place else a for i, a in enumerate(arrays)]
        changed[place][index] = value
        return weighted(op, changed, attributes) - middle

    def slopes(index, h):
        """Fourth order, and the difference between the slopes to the right and to the left."""
        right, left = at(index, x[index] + h), at(index, x[index] - h)
        right2, left2 = at(index, x[index] + 2 * h), at(index, x[index] - 2 * h)
        slope = float((8 * (right - left) - (right2 - left2)).sum()) / (12 * h)
        noise = 1e-15 * float(np.abs(middle[right != 0]).sum()) / h
        return slope, float(np.abs(right + left).sum()) / h, noise

    with np.errstate(all="ignore"):
        for index in list(np.ndindex(x.shape))[:MOST_ELEMENTS]:
            h = 1e-3 * max(abs(x[index]), 1e-2)
            rough, bend, _ = slopes(index, h)
            fine, less_bend, noise = slopes(index, h / 2)
            steady = abs(rough - fine) <= 1e-7 * (1 + abs(fine)) + 10 * noise
            smooth = less_bend <= 0.7 * bend + 1e-6 * (1 + abs(fine)) + 10 * noise
            found[index] = fine
            trusted[index] = np.isfinite(fine) and steady and smooth and noise < 1e-7 * (1 + abs(fine))
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
