"""Networks on images in JAX, channels last; in training with the new moving statistics of normalisations."""

from __future__ import annotations

from typing import Any

from nnfast.benchmark.images import NORM_EPSILON, NORM_MOMENTUM, Taken


class Build:
    """images.Builder on arrays [batch, height, width, channels]; `moved` are the moving statistics after a training step."""

    def __init__(self, jax: Any, arrays: list[Any], training: bool) -> None:
        self.jax, self.weights, self.training = jax, Taken(arrays), training
        self.moved: list[Any] = []

    def _conv(self, x: Any, kernel: Any, strides: int, padding: int, groups: int = 1) -> Any:
        return self.jax.lax.conv_general_dilated(
            x, kernel, (strides,) * 2, [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
        )  # fmt: skip

    def conv(self, x: Any, outputs: int, taps: int, strides: int, padding: int, bias: bool) -> Any:
        y = self._conv(x, self.weights.take(1)[0], strides, padding)
        return y + self.weights.take(1)[0] if bias else y

    def depthwise(self, x: Any, taps: int, strides: int, padding: int) -> Any:
        kernel = self.weights.take(1)[0].transpose(0, 1, 3, 2)
        return self._conv(x, kernel, strides, padding, x.shape[-1])

    def norm(self, x: Any) -> Any:
        gamma, beta, mean, variance = self.weights.take(4)
        if self.training:
            now = x.mean((0, 1, 2)), x.var((0, 1, 2))
            pairs = zip((mean, variance), now, strict=True)
            self.moved += [NORM_MOMENTUM * old + (1 - NORM_MOMENTUM) * new for old, new in pairs]
            mean, variance = now
        return (x - mean) * (gamma * self.jax.lax.rsqrt(variance + NORM_EPSILON)) + beta

    def relu(self, x: Any) -> Any:
        return self.jax.nn.relu(x)

    def relu6(self, x: Any) -> Any:
        return self.jax.nn.relu6(x)

    def max_pool(self, x: Any, size: int) -> Any:
        window = (1, size, size, 1)
        return self.jax.lax.reduce_window(x, -self.jax.numpy.inf, self.jax.lax.max, window, window, "VALID")

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def flatten(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def dense(self, x: Any, units: int) -> Any:
        kernel, bias = self.weights.take(2)
        return x @ kernel + bias

    def add(self, x: Any, y: Any) -> Any:
        return x + y
