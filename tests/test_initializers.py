"""First values of weights: range, moments, seeds, orthogonality."""

import math

import numpy as np
import pytest

import nnfast.random
from nnfast import initializers
from nnfast.errors import ShapeError, UnknownNameError

SHAPE = (300, 200)
RANDOM = [
    initializers.RandomUniform,
    initializers.RandomNormal,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
    initializers.GlorotUniform,
    initializers.GlorotNormal,
    initializers.HeUniform,
    initializers.HeNormal,
    initializers.LecunUniform,
    initializers.LecunNormal,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [initializers.Zeros, initializers.Ones, *RANDOM])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (0, 3), (3, 5), (3, 3, 2, 4)])
def test_shape_and_dtype(make, shape: tuple[int, ...], dtype: str) -> None:
    values = make()(shape, dtype)
    assert values.shape == shape
    assert values.dtype == dtype


@pytest.mark.parametrize("make", RANDOM)
def test_a_seed_gives_the_same_values_at_every_call(make) -> None:
    initializer = make(seed=7)
    first = initializer(SHAPE)
    np.testing.assert_array_equal(first, initializer(SHAPE))
    np.testing.assert_array_equal(first, make(seed=7)(SHAPE))
    assert not np.array_equal(first, make(seed=8)(SHAPE))


@pytest.mark.parametrize("make", RANDOM)
def test_without_a_seed_calls_differ_and_follow_the_global_seed(make) -> None:
    nnfast.random.set_random_seed(3)
    first, second = make()(SHAPE), make()(SHAPE)
    assert not np.array_equal(first, second)
    nnfast.random.set_random_seed(3)
    np.testing.assert_array_equal(first, make()(SHAPE))
    np.testing.assert_array_equal(second, make()(SHAPE))


@pytest.mark.parametrize(
    ("initializer", "variance", "limit"),
    [
        (initializers.RandomUniform(-0.5, 0.5, seed=1), 1 / 12, 0.5),
        (initializers.RandomNormal(stddev=2.0, seed=1), 4.0, math.inf),
        (initializers.TruncatedNormal(stddev=2.0, seed=1), 4 * 0.7737, 4.0),
        (initializers.GlorotUniform(seed=1), 2 / 500, math.sqrt(6 / 500)),
        (initializers.GlorotNormal(seed=1), 2 / 500, 2 * math.sqrt(2 / 500) / 0.8796),
        (initializers.HeUniform(seed=1), 2 / 300, math.sqrt(6 / 300)),
        (initializers.HeNormal(seed=1), 2 / 300, 2 * math.sqrt(2 / 300) / 0.8796),
        (initializers.LecunUniform(seed=1), 1 / 300, math.sqrt(3 / 300)),
        (initializers.LecunNormal(seed=1), 1 / 300, 2 * math.sqrt(1 / 300) / 0.8796),
        (initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=1), 3 / 200, math.inf),
    ],
)
def test_mean_variance_and_range(initializer, variance: float, limit: float) -> None:
    values = initializer(SHAPE, "float64")
    deviation = math.sqrt(variance)
    assert abs(values.mean()) < 5 * deviation / math.sqrt(values.size)
    assert values.var() == pytest.approx(variance, rel=0.03)
    assert np.abs(values).max() <= limit * (1 + 1e-4)


def test_random_normal_has_its_mean() -> None:
    assert initializers.RandomNormal(mean=5.0, stddev=0.1, seed=1)(SHAPE).mean() == pytest.approx(5.0, abs=0.01)
    assert initializers.TruncatedNormal(mean=5.0, stddev=0.1, seed=1)(SHAPE).mean() == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((4,), (4, 4)), ((4, 6), (4, 6)), ((3, 4, 6), (12, 18)), ((3, 3, 4, 6), (36, 54))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert initializers.fans(shape) == expected


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (9, 4), (4, 9), (3, 3, 2, 8), (65, 64), (130, 140)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape: tuple[int, ...], dtype: str) -> None:
    matrix = initializers.Orthogonal(gain=2.0, seed=5)(shape, dtype).reshape(-1, shape[-1]).astype("float64")
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5 if dtype == "float32" else 1e-12)


def test_orthogonal_needs_a_matrix() -> None:
    with pytest.raises(ShapeError, match="Orthogonal"):
        initializers.Orthogonal()((3,))


def test_identity() -> None:
    np.testing.assert_array_equal(initializers.Identity(gain=3.0)((2, 3)), np.float32([[3, 0, 0], [0, 3, 0]]))
    with pytest.raises(ShapeError, match="matrix"):
        initializers.Identity()((3,))


def test_constant_broadcasts_an_array() -> None:
    np.testing.assert_array_equal(initializers.Constant([1.0, 2.0])((3, 2)), np.float32([[1, 2]] * 3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zeros", initializers.Zeros),
        ("glorot_uniform", initializers.GlorotUniform),
        ("GlorotUniform", initializers.GlorotUniform),
        ("he_normal", initializers.HeNormal),
        ("uniform", initializers.RandomUniform),
        ("normal", initializers.RandomNormal),
        (initializers.Ones, initializers.Ones),
        ({"class_name": "Orthogonal", "config": {"gain": 2.0}}, initializers.Orthogonal),
        (0.25, initializers.Constant),
        (np.ones(2), initializers.Constant),
    ],
)
def test_get(name, expected: type) -> None:
    assert type(initializers.get(name)) is expected


def test_get_takes_a_function() -> None:
    def mine(shape, dtype="float32"):
        return np.full(shape, 7, dtype)

    assert initializers.get(mine) is mine


def test_get_refuses_the_rest() -> None:
    with pytest.raises(UnknownNameError, match="glorot_uniform"):
        initializers.get("glorot_unifrom")
    with pytest.raises(TypeError, match="initializer=None"):
        initializers.get(None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: initializers.RandomUniform(1.0, 0.0),
        lambda: initializers.RandomNormal(stddev=-1.0),
        lambda: initializers.GlorotUniform(seed=-1),
        lambda: initializers.VarianceScaling(scale=0.0),
        lambda: initializers.VarianceScaling(mode="fan"),
        lambda: initializers.VarianceScaling(distribution="gauss"),
    ],
)
def test_wrong_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"\(.*=.*\)"):
        make()


@pytest.mark.parametrize("make", [*RANDOM, initializers.Orthogonal])
def test_configuration_gives_the_same_values_again(make) -> None:
    initializer = make(seed=11)
    again = initializers.deserialize(initializers.serialize(initializer))
    np.testing.assert_array_equal(again((4, 3)), initializer((4, 3)))
