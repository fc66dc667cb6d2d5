"""Looking inside a trained model: which parts of an input an output depends on.

In: a model of one input and one output, arrays. Out: arrays of attributions. Each row is explained by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from nnfast import ops, random
from nnfast.errors import GraphError, ShapeError, unknown_name
from nnfast.gradient import GradientFunction, value_and_grad
from nnfast.layers.symbol import Symbol, flat
from nnfast.model import Model

ROWS = 64  # inputs that are computed at once


def saliency(model: Any, x: Any, target: Any = None) -> np.ndarray:
    """|d output[target] / d x|: how much each number of the input matters (Simonyan et al. 2014).

    model: of one input and one output (batch, classes); best one that gives logits, as probabilities near 1 have gradients near 0.
    x: (batch, ...). Returns an array like x; for a picture take the maximum over the channels.

    Args:
        model: a trained model.
        x: inputs, floating point.
        target: the column of the output to explain, one for all rows or one per row; None for the largest of each row.

    Errors: ShapeError or ValueError for a model, x or target that do not fit.

    >>> import numpy as np, nnfast
    >>> model = nnfast.Sequential([nnfast.Input((2,)), nnfast.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[3.0], [-4.0]], "float32")])
    >>> saliency(model, np.zeros((1, 2), "float32")).tolist()
    [[3.0, 4.0]]
    """
    x, chosen = _prepared("saliency", model, x, target)
    return np.abs(_in_parts(_gradient(model), x, chosen))


def smooth_grad(
    model: Any, x: Any, target: Any = None, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> np.ndarray:
    """|mean of the gradients at `samples` noisy copies of x|, a saliency with less grain (Smilkov et al. 2017).

    noise: standard deviation, as a share of max - min of each row. seed: of the noise, by nnfast's own generator. Returns an array like x.
    Other arguments and errors as in saliency.

    >>> import numpy as np, nnfast
    >>> model = nnfast.Sequential([nnfast.Input((2,)), nnfast.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[3.0], [-4.0]], "float32")])
    >>> smooth_grad(model, np.ones((1, 2), "float32"), samples=4).tolist()
    [[3.0, 4.0]]
    """
    x, chosen = _prepared("smooth_grad", model, x, target)
    samples = _count("smooth_grad", "samples", samples)
    if not noise >= 0:
        raise ValueError(f"smooth_grad(noise={noise!r}): expected a number >= 0, a share of the range of each row")
    rows = x.reshape(len(x), -1)
    scale = (noise * (rows.max(1) - rows.min(1))).reshape(-1, *[1] * (x.ndim - 1))
    gradient, total = _gradient(model), np.zeros(x.shape)
    for sample in range(samples):
        moved = x + scale * random.normal(x.shape, dtype=str(x.dtype), seed=seed, stream=sample)
        total += _in_parts(gradient, moved.astype(x.dtype), chosen)
    return np.abs(total / samples).astype(x.dtype)


def integrated_gradients(model: Any, x: Any, target: Any = None, baseline: Any = 0.0, steps: int = 32) -> np.ndarray:
    """(x - baseline) * mean gradient on the way from the baseline to x (Sundararajan et al. 2017).

    Attributions with a sign, an array like x. Their sum over a row is output(x) - output(baseline): the completeness of the method, up to
    the error of the quadrature, which is Gauss and Legendre's with `steps` points.

    baseline: an input that says nothing: a number, or an array that broadcasts to x. Other arguments and errors as in saliency.

    >>> import numpy as np, nnfast
    >>> model = nnfast.Sequential([nnfast.Input((2,)), nnfast.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[3.0], [-4.0]], "float32")])
    >>> np.round(integrated_gradients(model, np.array([[1.0, 2.0]], "float32")), 4).tolist()
    [[3.0, -8.0]]
    """
    x, chosen = _prepared("integrated_gradients", model, x, target)
    steps = _count("integrated_gradients", "steps", steps)
    try:
        start = np.broadcast_to(np.asarray(baseline, x.dtype), x.shape)
    except ValueError:
        raise ShapeError(
            f"integrated_gradients(baseline=...): shape {np.shape(baseline)} does not broadcast to that of x, {x.shape}"
        ) from None
    points, weights = np.polynomial.legendre.leggauss(steps)
    gradient, total = _gradient(model), np.zeros(x.shape)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        total += weight * _in_parts(gradient, (start + point * (x - start)).astype(x.dtype), chosen)
    return (total * (x.astype(np.float64) - start)).astype(x.dtype)


def grad_cam(model: Any, x: Any, target: Any = None, layer: Any = None) -> np.ndarray:
    """relu(sum over channels of mean gradient * feature map): where the evidence for a class lies (Selvaraju et al. 2017).

    layer: the layer whose maps are looked at, or its name; None for the last one that gives maps (batch, height, width, channels).
    Returns (batch, height, width), the size of the maps: nnfast.layers.Resizing brings them to that of the image. Other arguments and
    errors as in saliency; ValueError for a layer that the model has not.

    >>> import numpy as np, nnfast
    >>> model = nnfast.applications.LeNet5(classifier_activation=None)
    >>> grad_cam(model, np.ones((2, 28, 28, 1), "float32")).shape
    (2, 5, 5)
    """
    x, chosen = _prepared("grad_cam", model, x, target)
    maps = maps_of("grad_cam", model, layer)
    features = Model(model.inputs, maps)
    function = value_and_grad(
        lambda given, picked, moved: ops.sum(_run(model, given, maps, moved) * picked), None, False
    )
    found = []
    for rows in _parts(len(x)):
        activations = features.predict(x[rows], verbose=0)
        _, (*_, gradient) = function(x[rows], chosen[rows], np.zeros_like(activations))
        weights = gradient.mean((1, 2), keepdims=True)
        found.append(np.maximum((weights * activations).sum(-1), 0))
    return np.concatenate(found)


def occlusion(
    model: Any, x: Any, target: Any = None, size: int = 4, stride: int | None = None, value: float = 0.0
) -> np.ndarray:
    """How much the output falls where a square of the image is covered (Zeiler, Fergus 2014).

    x: images (batch, height, width, channels). size: of the square. stride: from one square to the next, size by default; the last ones
    end with the image. value: what covers. Returns (batch, height, width): the mean fall over the squares that cover a pixel. Other
    arguments and errors as in saliency.

    >>> import numpy as np, nnfast
    >>> layers = nnfast.layers
    >>> model = nnfast.Sequential([nnfast.Input((2, 2, 1)), layers.Flatten(), layers.Dense(1, kernel_initializer="ones")])
    >>> occlusion(model, np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]], "float32"), size=1).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    x, chosen = _prepared("occlusion", model, x, target)
    if x.ndim != 4:
        raise ShapeError(f"occlusion: x has shape {x.shape}; expected images (batch, height, width, channels)")
    size = _count("occlusion", "size", size)
    stride = size if stride is None else _count("occlusion", "stride", stride)
    if size > min(x.shape[1:3]):
        raise ValueError(f"occlusion(size={size}): the images are {x.shape[1]} x {x.shape[2]}, smaller than the square")
    whole = (_outputs(model, x) * chosen).sum(1)
    fall, count = np.zeros(x.shape[:3]), np.zeros(x.shape[1:3])
    for top, left in product(*(_starts(extent, size, stride) for extent in x.shape[1:3])):
        square = np.s_[top : top + size, left : left + size]
        covered = x.copy()
        covered[:, *square] = value
        fall[:, *square] += (whole - (_outputs(model, covered) * chosen).sum(1))[:, None, None]
        count[square] += 1
    return (fall / np.maximum(count, 1)).astype(x.dtype)


def _starts(extent: int, size: int, stride: int) -> list[int]:
    return sorted({*range(0, extent - size + 1, stride), extent - size})


def _prepared(function: str, model: Any, x: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """x as the model takes it, and an array (batch, classes) with a one where the output is explained."""
    x = np.asarray(x)
    if model.inputs is None:
        model.connect_to(x)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ShapeError(
            f"{function}: model {model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected one of each"
        )
    x = np.ascontiguousarray(x, model.input_specs[0][1])
    if x.dtype.kind != "f":
        raise ShapeError(
            f"{function}: model {model.name} takes {x.dtype}, which has no gradient; expected an input of floating point"
        )
    if x.ndim != len(model.input_specs[0][0]) or not len(x):
        raise ShapeError(
            f"{function}: x has shape {x.shape}; expected a batch of at least one row, {model.input_specs[0][0]}"
        )
    if len(model.outputs[0].shape) != 2:
        raise ShapeError(f"{function}: the output has shape {model.outputs[0].shape}; expected (batch, classes)")
    outputs = _outputs(model, x)
    columns = outputs.argmax(1) if target is None else np.asarray(target)
    if columns.dtype.kind not in "iu" or columns.shape not in ((), (len(x),)):
        raise ValueError(f"{function}(target={target!r}): expected None, an integer, or {len(x)} integers, one per row")
    if columns.min() < 0 or columns.max() >= outputs.shape[1]:
        raise ValueError(f"{function}(target={target!r}): the output has columns 0 to {outputs.shape[1] - 1}")
    chosen = np.zeros(outputs.shape, x.dtype)
    chosen[np.arange(len(x)), columns] = 1
    return x, chosen


def _outputs(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(x, verbose=0))


def _count(function: str, name: str, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{function}({name}={number!r}): {name} must be a positive integer")
    return int(number)


def _gradient(model: Any) -> GradientFunction:
    return value_and_grad(lambda given, picked: ops.sum(model(given) * picked), None, False)


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, rows, ROWS)]


def _in_parts(gradient: Callable[..., Any], x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.concatenate([gradient(x[rows], chosen[rows])[1][0] for rows in _parts(len(x))])


def _calls(model: Any) -> list[Any]:
    """The layer calls between input and output, from the history of the symbols."""
    found, waiting = [], [model.outputs[0]]
    while waiting:
        call = waiting.pop().call
        if call is not None and call not in found:
            found.append(call)
            waiting += [s for s in flat(call.inputs) if isinstance(s, Symbol)]
    return found


def maps_of(function: str, model: Any, layer: Any) -> Symbol:
    """The symbol of a layer's feature maps."""
    maps = {call.layer.name: call.outputs[0] for call in reversed(_calls(model)) if len(call.outputs[0].shape) == 4}
    if not maps:
        raise GraphError(
            f"{function}: model {model.name} has no layer that gives maps (batch, height, width, channels); "
            "one made of Input and layers is needed, nested models are not looked into"
        )
    if layer is None:
        return list(maps.values())[-1]
    name = getattr(layer, "name", layer)
    if name not in maps:
        raise unknown_name(f"layer with feature maps of model {model.name}", name, list(maps))
    return maps[name]


def _run(model: Any, given: Any, maps: Symbol, moved: Any) -> Any:
    """The output where `moved` is added to the feature maps: its gradient at zero is that of the maps."""
    known: dict[Symbol, Any] = {model.inputs[0]: given}
    waiting = [model.outputs[0]]
    while waiting:
        symbol = waiting[-1]
        if symbol in known:
            waiting.pop()
            continue
        missing = [s for s in flat(symbol.call.inputs) if isinstance(s, Symbol) and s not in known]
        if missing:
            waiting += missing
            continue
        inputs = [known[s] if isinstance(s, Symbol) else s for s in flat(symbol.call.inputs)]
        results = symbol.call.layer(inputs if isinstance(symbol.call.inputs, list | tuple) else inputs[0])
        known.update(zip(symbol.call.outputs, flat(results), strict=True))
        if maps in symbol.call.outputs:
            known[maps] = known[maps] + moved
    return known[model.outputs[0]]
