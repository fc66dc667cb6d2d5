"""A network as an ONNX model, for the libraries that run such models."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import onnx_images, onnx_sequences
from nnfast.benchmark.sequences import NETWORKS, Decoder

OPSET = 17


def onnx_model(case: Case) -> Any:
    """The network, mostly Gemm and Relu layers, with the case's weights; input "x" of the case's batch, output "y"."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    described = onnx_sequences if case.network in NETWORKS else onnx_images
    nodes, weights = described.nodes_and_weights(case) if case.network else ([], [])
    value = "x"
    arrays = [] if case.network else inputs.weights(case)
    for i in range(0, len(arrays), 2):
        last = i == len(arrays) - 2
        weights += [numpy_helper.from_array(arrays[i], f"w{i}"), numpy_helper.from_array(arrays[i + 1], f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], ["y" if last else f"z{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"z{i}"], [f"a{i}"]))
            value = f"a{i}"
    x, known = inputs.batch(case), NETWORKS.get(case.network)
    classes = known.classes if known else 10 if case.network else case.sizes[-1]
    result = (*x.shape, classes) if isinstance(known, Decoder) else (case.batch, classes)
    values = {
        "x": helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape),
        "y": helper.make_tensor_value_info("y", TensorProto.FLOAT, result),
    }
    graph = helper.make_graph(nodes, "network", [values["x"]], [values["y"]], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return model
