"""ONNX Runtime: inference of networks, one session a case."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.peers import Work, repeated
from nnfast.benchmark.peers.onnx_model import onnx_model


class Peer:
    def __init__(self, threads: int) -> None:
        import onnxruntime

        self.runtime: Any = onnxruntime
        self.threads = threads
        self.versions = {"onnxruntime": f"{onnxruntime.__version__}, {threads} threads"}

    def make(self, case: Case) -> Work | None:
        """Networks that predict."""
        if case.kind != "predict":
            return None
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = self.runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        model = onnx_model(case).SerializeToString()
        session = self.runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds = {"x": inputs.batch(case)}
        return Work(repeated(lambda: session.run(None, feeds)), lambda: session.run(None, feeds))
