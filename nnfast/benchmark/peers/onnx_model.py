"""A network as an ONNX model, for the libraries that run such models."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers.onnx_images import nodes_and_weights

OPSET = 17


def onnx_model(case: Case) -> Any:
    """The network, mostly Gemm and Relu layers, with the case's weights; input "x" of the case's batch, output "y"."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = nodes_and_weights(case) if case.network else ([], [])
    value = "x"
    arrays = [] if case.network else inputs.weights(case)
    for i in range(0, len(arrays), 2):
        last = i == len(arrays) - 2
        weights += [numpy_helper.from_array(arrays[i], f"w{i}"), numpy_helper.from_array(arrays[i + 1], f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], ["y" if last else f"z{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"z{i}"], [f"a{i}"]))
            value = f"a{i}"
    shapes = {"x": inputs.batch(case).shape, "y": (case.batch, 10 if case.network else case.sizes[-1])}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(nodes, "network", [values["x"]], [values["y"]], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return model
