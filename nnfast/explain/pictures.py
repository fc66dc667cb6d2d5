"""Pictures of a convolutional net: the filters of its first layer, and the feature maps of any layer.

In: a model, an image. Out: matplotlib figures (extra `viz`), and the maps as arrays.
"""

from __future__ import annotations

import os
from math import ceil, sqrt
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError, missing_extra
from nnfast.explain.attribution import maps_of
from nnfast.model import Model


def feature_maps(model: Any, x: Any, layer: Any = None) -> np.ndarray:
    """What a layer gives for inputs x: (batch, height, width, channels).

    layer: a layer of the model or its name; None for the last one that gives maps. Errors: UnknownNameError for a layer that gives no
    maps, GraphError for a model without any.

    >>> import numpy as np, nnfast
    >>> model = nnfast.applications.LeNet5()
    >>> feature_maps(model, np.ones((2, 28, 28, 1), "float32")).shape
    (2, 5, 5, 16)
    """
    x = np.asarray(x)
    if model.inputs is None:
        model.connect_to(x)
    return np.asarray(Model(model.inputs, maps_of("feature_maps", model, layer)).predict(x, verbose=0))


def draw_feature_maps(
    model: Any, x: Any, layer: Any = None, path: str | os.PathLike[str] | None = None, most: int = 64
) -> Any:
    """A panel for each of the first `most` feature maps of one image x, (height, width, channels). Returns the matplotlib figure.

    path: a file to save to. layer and errors as in feature_maps; MissingExtraError without matplotlib.
    """
    x = np.asarray(x)
    if x.ndim != 3:
        raise ShapeError(f"draw_feature_maps: x has shape {x.shape}; expected one image (height, width, channels)")
    maps = feature_maps(model, x[None], layer)[0]
    return _panels([maps[:, :, channel] for channel in range(min(maps.shape[-1], most))], path)


def draw_filters(model: Any, path: str | os.PathLike[str] | None = None, most: int = 64) -> Any:
    """A panel for each of the first `most` filters of the first layer with a kernel (height, width, channels, filters).

    In colours for three channels, else in grey: the mean over the channels. Each filter is scaled from its least to its largest weight.
    Returns the matplotlib figure. path: a file to save to. Errors: GraphError where no layer has such a kernel, MissingExtraError without
    matplotlib.
    """
    kernel = next((w.numpy() for w in model.weights if w.ndim == 4), None)
    if kernel is None:
        raise GraphError(
            f"draw_filters: model {model.name} has no layer with a kernel (height, width, channels, filters)"
        )
    panels = []
    for number in range(min(kernel.shape[-1], most)):
        one = kernel[..., number]
        panels.append(_scaled(one) if one.shape[-1] == 3 else one.mean(-1))
    return _panels(panels, path)


def _scaled(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _panels(pictures: list[np.ndarray], path: str | os.PathLike[str] | None) -> Any:
    """Pictures in a square of panels without axes."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "viz") from None
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    figure = Figure(figsize=(1.2 * columns, 1.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, picture in zip(panels, pictures, strict=False):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
    if path is not None:
        figure.savefig(os.fspath(path))
    return figure
