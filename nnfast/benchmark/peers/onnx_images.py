"""Networks on images as ONNX nodes: images (batch, height, width, channels) are turned to channels first once, at the beginning."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import NETWORKS, NORM_EPSILON, Sizes, Taken, walk


class Build:
    """images.Builder on (name of a value, its shape without the batch); nodes and weights are collected."""

    def __init__(self, case: Case) -> None:
        self.weights = Taken(inputs.weights(case))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shapes = Sizes()

    def _node(self, op: str, inputs: list[str], arrays: list[Any], **attributes: Any) -> str:
        from onnx import helper, numpy_helper

        names = [f"w{len(self.constants) + i}" for i in range(len(arrays))]
        self.constants += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        self.nodes.append(helper.make_node(op, [*inputs, *names], [f"v{len(self.nodes)}"], **attributes))
        return f"v{len(self.nodes) - 1}"

    def begin(self, shape: Any) -> Any:
        return self._node("Transpose", ["x"], [], perm=[0, 3, 1, 2]), tuple(shape)

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any:
        kernel, *others = self.weights.take(1 + bias)
        given = {"kernel_shape": [taps] * 2, "strides": [strides] * 2, "pads": [padding] * 4}
        arrays = [kernel.transpose(3, 2, 0, 1).copy(), *others]
        return self._node("Conv", [x[0]], arrays, **given), self.shapes.conv(
            x[1], outputs, taps, strides, padding, bias
        )

    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any:
        kernel = self.weights.take(1)[0].transpose(2, 3, 0, 1).copy()
        given = {"kernel_shape": [taps] * 2, "strides": [strides] * 2, "pads": [padding] * 4, "group": x[1][2]}
        return self._node("Conv", [x[0]], [kernel], **given), self.shapes.depthwise(x[1], taps, strides, padding)

    def norm(self, x: Any) -> Any:
        return self._node("BatchNormalization", [x[0]], self.weights.take(4), epsilon=NORM_EPSILON), x[1]

    def relu(self, x: Any) -> Any:
        return self._node("Relu", [x[0]], []), x[1]

    def relu6(self, x: Any) -> Any:
        import numpy as np

        return self._node("Clip", [x[0]], [np.float32(0).reshape(()), np.float32(6).reshape(())]), x[1]

    def max_pool(self, x: Any, size: int) -> Any:
        given = {"kernel_shape": [size] * 2, "strides": [size] * 2}
        return self._node("MaxPool", [x[0]], [], **given), self.shapes.max_pool(x[1], size)

    def mean(self, x: Any) -> Any:
        return self._node("Flatten", [self._node("GlobalAveragePool", [x[0]], [])], []), self.shapes.mean(x[1])

    def flatten(self, x: Any) -> Any:
        return self._node("Flatten", [x[0]], []), x[1]  # the order is the next layer's weights' concern

    def dense(self, x: Any, units: int) -> Any:
        kernel, bias = self.weights.take(2)
        if len(x[1]) == 3:
            kernel = kernel.reshape(*x[1], units).transpose(2, 0, 1, 3).reshape(-1, units)
        return self._node("Gemm", [x[0]], [kernel.copy(), bias]), (units,)

    def add(self, x: Any, y: Any) -> Any:
        return self._node("Add", [x[0], y[0]], []), x[1]


def nodes_and_weights(case: Case) -> tuple[list[Any], list[Any]]:
    """Nodes from "x" to "y", and the constants that they read."""
    build = Build(case)
    walk(NETWORKS[case.network].steps, build, build.begin(case.sizes))
    build.nodes[-1].output[0] = "y"
    return build.nodes, build.constants
