"""PyTorch with `torch.compile`: networks only; loss and gradients are compiled, and the optimizer is the fused one."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark.peers import torch as eager


class Peer(eager.Peer):
    compiled = True

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.versions = {"torch.compile": self.versions["torch"]}

    def _compile(self, function: Any) -> Any:
        self.torch._dynamo.reset()
        return self.torch.compile(function, dynamic=False)
