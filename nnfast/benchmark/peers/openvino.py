"""OpenVINO: inference of networks, compiled for latency, in float32."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import Work, repeated
from nnfast.benchmark.peers.onnx_model import onnx_model


class Peer:
    def __init__(self, threads: int) -> None:
        import openvino

        self.core: Any = openvino.Core()
        self.tensor: Any = openvino.Tensor
        self.options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
        }
        self.versions = {"openvino": f"{openvino.__version__.split('-')[0]}, {threads} threads"}

    def make(self, case: Case) -> Work | None:
        """Networks that predict."""
        if case.kind != "predict":
            return None
        content, x = onnx_model(case).SerializeToString(), inputs.batch(case)
        model = self.core.read_model(content)
        request = self.core.compile_model(model, "CPU", self.options).create_infer_request()
        request.set_input_tensor(self.tensor(x, shared_memory=True))
        return Work(
            repeated(request.infer), lambda: [request.infer()[0].copy()], keeps=(content, x)
        )  # it reads both where they lie
