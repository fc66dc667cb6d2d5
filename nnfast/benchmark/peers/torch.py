"""PyTorch, eager: what its own documentation would write, with out= and fused optimizers where there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import UPDATES, Case
from nnfast.benchmark.peers import Work, repeated, torch_images, torch_sequences
from nnfast.benchmark.peers.training import CHECKED, LEARNING_RATE, WEIGHT_DECAY, train_by_steps
from nnfast.benchmark.sequences import NETWORKS, Lookup


class Peer:
    compiled = False

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch: Any = torch
        self.versions = {"torch": f"{torch.__version__}, {torch.get_num_threads()} threads"}
        if torch.backends.mkl.is_available():
            self.versions["torch"] += ", MKL"

    def make(self, case: Case) -> Work | None:
        """Every case; the compiled one does networks only."""
        if case.group == "steps":
            return train_by_steps(case, lambda rate: self._trainer(case, rate), self._tensor, lambda loss: loss.item())
        if case.kind == "decode":
            return torch_sequences.decode(self.torch, case, self._compile)
        if case.group == "inference":
            return self._predict(case)
        if self.compiled:
            return None
        if case.kind in UPDATES:
            return self._update(case)
        if case.group == "convolutions":
            return self._convolution(case)
        if case.kind == "attention":
            return self._attention(case)
        return self._function(case)

    def _tensor(self, array: Any) -> Any:
        tensor = self.torch.from_numpy(array)
        return tensor if tensor.is_floating_point() else tensor.long()

    def _function(self, case: Case) -> Work:
        torch = self.torch
        functional = torch.nn.functional
        functions: dict[str, Callable[..., Any]] = {
            "x w": lambda x, w, out: torch.matmul(x, w, out=out),
            "x^T dy": lambda x, dy, out: torch.matmul(x.T, dy, out=out),
            "dy w^T": lambda dy, w, out: torch.matmul(dy, w.T, out=out),
            "kernels.matmul": lambda a, b, out: torch.matmul(a, b, out=out),
            "relu": lambda x, out: torch.clamp_min(x, 0, out=out),
            "add": lambda a, b, out: torch.add(a, b, out=out),
            "gelu": lambda x, out: functional.gelu(x),
            "softmax": lambda x, out: torch.softmax(x, 1, out=out),
            "sparse cross-entropy": self._cross_entropy,
        }
        if case.kind in ("exp", "log", "tanh", "sigmoid"):
            plain = getattr(torch, case.kind)
            functions[case.kind] = lambda x, out: plain(x, out=out)
        function = functions[case.kind]
        operands = [self._tensor(array) for array in inputs.operands(case)]
        first = function(*operands, None)
        out = None if isinstance(first, tuple) else first

        def result() -> list[Any]:
            found = function(*operands, out)
            return [array.numpy() for array in (found if isinstance(found, tuple) else (found,))]

        def run(count: int) -> None:
            with torch.inference_mode():
                for _ in range(count):
                    function(*operands, out)

        return Work(repeated(lambda: function(*operands, out)) if case.kind.startswith("sparse") else run, result)

    def _convolution(self, case: Case) -> Work:
        """On channels_last tensors; weights and their gradients in PyTorch's own order."""
        torch = self.torch
        batch, pixels, channels, outputs, taps, strides = case.sizes
        first, second = (torch.from_numpy(array) for array in inputs.operands(case))
        first = first.permute(0, 3, 1, 2)
        second = second.permute(0, 3, 1, 2) if case.kind == "conv dw" else second.permute(3, 2, 0, 1)
        second = second.contiguous(memory_format=torch.channels_last)
        x = torch.empty(batch, channels, pixels, pixels).to(memory_format=torch.channels_last)
        w = torch.empty(outputs, channels, taps, taps).to(memory_format=torch.channels_last)
        shape = [strides] * 2, [taps // 2] * 2, [1, 1], False, [0, 0], 1
        back = torch.ops.aten.convolution_backward

        def compute() -> Any:
            with torch.inference_mode():
                if case.kind == "conv":
                    return torch.nn.functional.conv2d(first, second, None, strides, taps // 2)
                if case.kind == "conv dx":
                    return back(first, x, second, None, *shape, (True, False, False))[0]
                return back(second, first, w, None, *shape, (False, True, False))[1]

        order = (2, 3, 1, 0) if case.kind == "conv dw" else (0, 2, 3, 1)
        return Work(repeated(compute), lambda: [compute().numpy().transpose(order)])

    def _attention(self, case: Case) -> Work:
        torch = self.torch
        *operands, dy = (torch.from_numpy(array).transpose(1, 2) for array in inputs.operands(case))
        leaves = [tensor.requires_grad_() for tensor in operands]

        def compute() -> Any:
            y = torch.nn.functional.scaled_dot_product_attention(*leaves, is_causal=True)
            return y, *torch.autograd.grad(y, leaves, dy)

        return Work(repeated(compute), lambda: [array.detach().transpose(1, 2).numpy() for array in compute()])

    def _cross_entropy(self, logits: Any, labels: Any, _: Any) -> tuple[Any, Any]:
        logits = logits.detach().requires_grad_()
        loss = self.torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        (gradient,) = self.torch.autograd.grad(loss.sum(), logits)
        return loss.detach(), gradient

    def _optimizer(self, kind: str, parameters: Any, rate: float) -> Any:
        if kind == "adamw":
            return self.torch.optim.AdamW(parameters, lr=rate, eps=1e-7, weight_decay=WEIGHT_DECAY, fused=True)
        if kind == "adam":
            return self.torch.optim.Adam(parameters, lr=rate, eps=1e-7, fused=True)
        return self.torch.optim.SGD(parameters, lr=rate, momentum=0.9 if kind == "sgd_momentum" else 0.0, fused=True)

    def _update(self, case: Case) -> Work:
        (start,) = inputs.operands(case)

        def make() -> tuple[Any, Any]:
            weight = self.torch.nn.Parameter(self.torch.from_numpy(start.copy()))
            weight.grad = self.torch.from_numpy(start.copy())
            return weight, self._optimizer(case.kind, [weight], LEARNING_RATE)

        _, optimizer = make()

        def result() -> list[Any]:
            weight, fresh = make()
            for _ in range(CHECKED):
                fresh.step()
            return [weight.detach().numpy()]

        return Work(repeated(optimizer.step), result)

    def network(self, case: Case) -> Any:
        """The network with the case's weights."""
        torch = self.torch
        arrays = inputs.weights(case)
        stack: list[Any] = []
        for i in range(0, len(arrays), 2):
            linear = torch.nn.Linear(*arrays[i].shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(arrays[i].T.copy()))
                linear.bias.copy_(torch.from_numpy(arrays[i + 1]))
            stack += [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*stack[:-1])

    def _described(self, case: Case, training: bool) -> tuple[list[Any], Any]:
        """Parameters and function of a network on images or sequences."""
        return (torch_sequences if case.network in NETWORKS else torch_images).network(self.torch, case, training)

    def _compile(self, function: Any) -> Any:
        return function

    def _trainer(self, case: Case, rate: float) -> Callable[[Any, Any], Any]:
        if case.network:
            parameters, network = self._described(case, training=True)
        else:
            network = self.network(case)
            parameters = list(network.parameters())
        optimizers = []
        if isinstance(NETWORKS.get(case.network), Lookup):
            table, *parameters = parameters
            optimizers.append(self.torch.optim.SparseAdam([table], lr=rate, eps=1e-7))
        optimizers.append(self._optimizer(case.optimizer, parameters, rate))
        cross_entropy = self.torch.nn.functional.cross_entropy

        def loss_of(x: Any, y: Any) -> Any:
            return cross_entropy(network(x).flatten(0, -2), y.flatten())

        compiled = self._compile(loss_of)

        def step(x: Any, y: Any) -> Any:
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss = compiled(x, y)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            return loss.detach()

        return step

    def _predict(self, case: Case) -> Work:
        torch = self.torch
        made = self._described(case, training=False)[1] if case.network else self.network(case)
        network, x = self._compile(made), self._tensor(inputs.batch(case))

        def predict() -> Any:
            with torch.inference_mode():
                return network(x)

        return Work(repeated(predict), lambda: [predict().numpy()])
