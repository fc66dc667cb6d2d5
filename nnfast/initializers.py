"""First values of weights: `Dense(8, kernel_initializer="he_normal")`.

In: the shape and dtype of a weight. Out: a new array. Random numbers come from the compiled counter-based generator, and the rest is
+ - * / and square roots, so a seed gives the same weights on every machine. With seed=None each weight gets a random stream of its own,
which depends on `nnfast.set_random_seed` and the order in which weights are made; with a seed, every call gives the same values.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnfast import ops, random, serialization
from nnfast.errors import ShapeError
from nnfast.serialization import Configurable
from nnfast.typing import Array, Config

# Standard deviation of a standard normal cut at -2 and 2; dividing by it restores the variance that was asked for.
_CUT_NORMAL_DEVIATION = 0.87962566103423978


class Initializer(Configurable):
    """Base class: override `__call__(shape, dtype) -> array`. Any function of (shape, dtype) serves too."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype)")


@serialization.register("initializer", "zero")
class Zeros(Initializer):
    """All 0.

    >>> Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.zeros(shape, dtype)


@serialization.register("initializer", "one")
class Ones(Initializer):
    """All 1.

    >>> Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.ones(shape, dtype)


@serialization.register("initializer")
class Constant(Initializer):
    """All `value`: a number, or an array that broadcasts to the shape of the weight.

    >>> Constant(0.5)((2,)).tolist()
    [0.5, 0.5]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        result = np.empty(shape, dtype)
        result[...] = np.asarray(self.value)
        return result

    def get_config(self) -> Config:
        return {"value": serialization.serialize(self.value)}


@serialization.register("initializer")
class Identity(Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere.

    >>> Identity()((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        if len(shape) != 2:
            raise ShapeError(
                f"Identity: the weight has shape {tuple(shape)}; expected a matrix, use another initializer"
            )
        return np.eye(shape[0], shape[1], dtype=dtype) * np.dtype(dtype).type(self.gain)

    def get_config(self) -> Config:
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """An initializer with a seed; `stream()` says which numbers this call draws."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"{type(self).__name__}(seed={seed!r}): seed must be an integer >= 0, or None")
        self.seed = None if seed is None else int(seed)

    def stream(self) -> tuple[int, int]:
        """Seed and stream for the next draw: a new stream of the global seed, or stream 0 of this object's seed."""
        if self.seed is None:
            return random.global_seed(), random.next_stream()
        return self.seed, 0

    def get_config(self) -> Config:
        return {"seed": self.seed}


@serialization.register("initializer", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval).

    >>> values = RandomUniform(-1.0, 1.0, seed=1)((1000,))
    >>> bool(values.min() >= -1 and values.max() < 1)
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        if not minval <= maxval:
            raise ValueError(f"RandomUniform(minval={minval!r}, maxval={maxval!r}): minval must not exceed maxval")
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        seed, stream = self.stream()
        return random.uniform(tuple(shape), self.minval, self.maxval, dtype, seed, stream)

    def get_config(self) -> Config:
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


@serialization.register("initializer", "normal")
class RandomNormal(RandomInitializer):
    """Normal with this mean and standard deviation.

    >>> values = RandomNormal(stddev=1.0, seed=1)((1000,))
    >>> bool(abs(values.mean()) < 0.2)
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = _deviation(type(self).__name__, stddev)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        seed, stream = self.stream()
        return random.normal(tuple(shape), self.mean, self.stddev, dtype, seed, stream)

    def get_config(self) -> Config:
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


@serialization.register("initializer")
class TruncatedNormal(RandomNormal):
    """Normal, with values beyond two standard deviations drawn again.

    >>> values = TruncatedNormal(stddev=1.0, seed=1)((1000,))
    >>> bool(abs(values).max() <= 2)
    True
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        kept = truncated_standard_normal(math.prod(shape), dtype, *self.stream())
        real = np.dtype(dtype).type
        return (kept * real(self.stddev) + real(self.mean)).reshape(tuple(shape))


def truncated_standard_normal(count: int, dtype: str, seed: int, stream: int) -> Array:
    """The first `count` numbers of a stream of standard normals that lie in [-2, 2] (95.4 % of them do)."""
    drawn = count + count // 8 + 64
    while True:
        values = random.normal((drawn,), 0.0, 1.0, dtype, seed, stream)
        kept = values[np.abs(values) <= 2]
        if len(kept) >= count:
            return kept[:count]
        drawn *= 2


def _deviation(owner: str, stddev: float) -> float:
    if not 0 <= stddev < float("inf"):
        raise ValueError(f"{owner}(stddev={stddev!r}): stddev must be a finite number >= 0")
    return stddev


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(inputs of one output, outputs of one input) of a weight: (rows, columns) of a matrix; kernels of images multiply by their area.

    >>> fans((784, 512)), fans((3, 3, 8, 16))
    ((784, 512), (72, 144))
    """
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    area = math.prod(shape[:-2])
    return area * shape[-2], area * shape[-1]


@serialization.register("initializer")
class VarianceScaling(RandomInitializer):
    """Random values with variance scale / n, where n is the number of inputs ("fan_in"), outputs ("fan_out") or their mean ("fan_avg").

    distribution is "uniform", "untruncated_normal" or "truncated_normal" ("normal" means the last). Source: He et al. 2015.

    >>> values = VarianceScaling(scale=3.0, distribution="uniform", seed=1)((4, 5))
    >>> values.shape, bool(abs(values).max() <= 1.5)
    ((4, 5), True)
    """

    modes = ("fan_in", "fan_out", "fan_avg")
    distributions = ("truncated_normal", "untruncated_normal", "uniform", "normal")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"VarianceScaling(scale={scale!r}): scale must be positive")
        if mode not in self.modes:
            raise ValueError(f"VarianceScaling(mode={mode!r}): expected one of {self.modes}")
        if distribution not in self.distributions:
            raise ValueError(f"VarianceScaling(distribution={distribution!r}): expected one of {self.distributions}")
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        inputs, outputs = fans(shape)
        count = {"fan_in": float(inputs), "fan_out": float(outputs), "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        seed, stream = self.stream()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(tuple(shape), -limit, limit, dtype, seed, stream)
        if self.distribution == "untruncated_normal":
            return random.normal(tuple(shape), 0.0, math.sqrt(variance), dtype, seed, stream)
        deviation = math.sqrt(variance) / _CUT_NORMAL_DEVIATION
        kept = truncated_standard_normal(math.prod(shape), dtype, seed, stream)
        return (kept * np.dtype(dtype).type(deviation)).reshape(tuple(shape))

    def get_config(self) -> Config:
        return {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, "seed": self.seed}


class _SeedOnly(VarianceScaling):
    """A named variance scaling, whose one argument is the seed."""

    def get_config(self) -> Config:
        return {"seed": self.seed}


@serialization.register("initializer")
class GlorotUniform(_SeedOnly):
    """Uniform in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010); the default of Dense."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


@serialization.register("initializer")
class GlorotNormal(_SeedOnly):
    """Truncated normal with variance 2 / (inputs + outputs) (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


@serialization.register("initializer")
class HeUniform(_SeedOnly):
    """Uniform in +-sqrt(6 / inputs) (He et al. 2015), for relu."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


@serialization.register("initializer")
class HeNormal(_SeedOnly):
    """Truncated normal with variance 2 / inputs (He et al. 2015), for relu."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


@serialization.register("initializer")
class LecunUniform(_SeedOnly):
    """Uniform in +-sqrt(3 / inputs) (LeCun et al. 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


@serialization.register("initializer")
class LecunNormal(_SeedOnly):
    """Truncated normal with variance 1 / inputs (LeCun et al. 1998), for selu."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


@serialization.register("initializer", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """gain times a random matrix with orthonormal columns (or rows, where there are more columns) (Saxe et al. 2013).

    The weight is taken as a matrix of (all axes but the last) x (last axis).

    >>> import numpy as np
    >>> q = Orthogonal(seed=1)((4, 3), "float64")
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal: the weight has shape {tuple(shape)}; expected at least two axes")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        seed, stream = self.stream()
        vectors = random.normal((min(rows, columns), max(rows, columns)), 0.0, 1.0, "float64", seed, stream)
        orthonormal = orthonormal_rows(vectors)
        matrix = orthonormal if rows < columns else orthonormal.T
        return (self.gain * matrix).astype(dtype).reshape(tuple(shape))

    def get_config(self) -> Config:
        return {"gain": self.gain, "seed": self.seed}


def orthonormal_rows(vectors: Array, block: int = 64) -> Array:
    """Gram-Schmidt on the rows of a float64 matrix, a block at a time, each twice ("twice is enough": Giraud et al. 2005).

    Products go through nnfast's kernels and sums run from left to right; LAPACK's bits differ between machines.
    """
    result = np.array(vectors, np.float64)
    for start in range(0, len(result), block):
        done, rows = result[:start], result[start : start + block]
        for _ in range(2):
            if start:
                rows -= ops.matmul(ops.matmul(rows, done.T), done)
            _orthonormalize(rows)
    return result


def _orthonormalize(rows: Array) -> None:
    """Modified Gram-Schmidt in place."""
    for index in range(len(rows)):
        row = rows[index]
        row /= np.sqrt(np.add.accumulate(np.square(row))[-1])
        rest = rows[index + 1 :]
        rest -= np.add.accumulate(rest * row, axis=1)[:, -1:] * row


zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal


def get(identifier: Any) -> Callable[..., Array]:
    """The initializer for a name, a configuration, a class, an object, a function of (shape, dtype), or an array (a constant).

    >>> get("he_normal").get_config()
    {'seed': None}
    """
    if isinstance(identifier, np.ndarray | int | float) and not isinstance(identifier, bool):
        return Constant(identifier)
    found = serialization.get("initializer", identifier)
    if inspect.isclass(found) or not callable(found):
        raise TypeError(
            f"initializer={identifier!r}: expected a name such as 'glorot_uniform', or a function of (shape, dtype)"
        )
    return found


def serialize(initializer: Any) -> Any:
    """The initializer's name and configuration."""
    return serialization.serialize(initializer)


def deserialize(config: Any) -> Callable[..., Array]:
    """The initializer for what `serialize` returned."""
    return get(config)
