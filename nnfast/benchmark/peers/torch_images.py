"""Networks on images in PyTorch, in its channels_last format, as its documentation advises for CPUs."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import Case
from nnfast.benchmark.images import NETWORKS, NORM_EPSILON, NORM_MOMENTUM, Taken, sizes, walk


class Build:
    """images.Builder on tensors [batch, channels, height, width]."""

    def __init__(self, torch: Any, arrays: list[Any], training: bool) -> None:
        self.functional = torch.nn.functional
        self.weights, self.training = Taken(arrays), training

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any:
        (kernel,) = self.weights.take(1)
        return self.functional.conv2d(x, kernel, self.weights.take(1)[0] if bias else None, strides, padding)

    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any:
        return self.functional.conv2d(x, self.weights.take(1)[0], None, strides, padding, groups=x.shape[1])

    def norm(self, x: Any) -> Any:
        gamma, beta, mean, variance = self.weights.take(4)
        return self.functional.batch_norm(
            x, mean, variance, gamma, beta, self.training, 1 - NORM_MOMENTUM, NORM_EPSILON
        )

    def relu(self, x: Any) -> Any:
        return self.functional.relu(x)

    def relu6(self, x: Any) -> Any:
        return self.functional.relu6(x)

    def max_pool(self, x: Any, size: int) -> Any:
        return self.functional.max_pool2d(x, size)

    def mean(self, x: Any) -> Any:
        return x.mean((2, 3))

    def flatten(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)  # no copy in channels_last

    def dense(self, x: Any, units: int) -> Any:
        kernel, bias = self.weights.take(2)
        return self.functional.linear(x, kernel, bias)

    def add(self, x: Any, y: Any) -> Any:
        return x + y


def network(torch: Any, case: Case, training: bool) -> tuple[list[Any], Any]:
    """Its parameters, and the function of images (batch, height, width, channels)."""
    arrays, kinds = [], [kind for kind, _ in sizes(case.network).weights]
    for array, kind in zip(inputs.weights(case), kinds, strict=True):
        tensor = torch.from_numpy(array)
        if array.ndim == 4:
            depthwise = array.shape[-1] == 1
            tensor = tensor.permute(2, 3, 0, 1) if depthwise else tensor.permute(3, 2, 0, 1)
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        elif array.ndim == 2:
            tensor = tensor.T.contiguous()
        arrays.append(tensor.clone().requires_grad_(training and kind not in ("mean", "variance")))

    def forward(x: Any) -> Any:
        return walk(NETWORKS[case.network].steps, Build(torch, arrays, training), x.permute(0, 3, 1, 2))

    return [array for array in arrays if array.requires_grad], forward
