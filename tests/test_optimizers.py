"""One weight under each optimizer, step by step, against the formulas in NumPy and against PyTorch; clipping, settings, names."""

from typing import Any

import numpy as np
import pytest

from nnfast import optimizers, schedules
from nnfast.errors import UnknownNameError

STEPS = 30
RNG = np.random.default_rng(2)
START = RNG.normal(size=(5, 3))
GRADIENTS = RNG.normal(size=(STEPS, 5, 3))
RATES = np.full(STEPS, 0.01)


class _Weight:
    shape = START.shape


def run(optimizer: optimizers.Optimizer, dtype: str = "float64") -> np.ndarray:
    """The weight after all gradients, through the update ops."""
    weight = START.astype(dtype)
    slots: dict[str, Any] = {
        name: np.full(START.shape, fill, dtype) for name, fill in optimizer.slots(_Weight()).items()
    }
    rates = optimizer.learning_rates(0, STEPS)
    for step in range(STEPS):
        counters = np.zeros(8, np.int64)
        counters[[0, 2]] = step, step  # iteration, and place in the vector of rates
        gradient = optimizer.clip([GRADIENTS[step].astype(dtype)])[0]
        weight, slots = optimizer.update(weight, gradient, slots, rates, counters)
    assert str(weight.dtype) == dtype
    assert list(slots) == list(optimizer.slots(_Weight()))
    return np.asarray(weight)


def sgd(w, momentum=0.0, nesterov=False, decay=0.0, rate=0.01):
    v = np.zeros_like(w)
    for g in GRADIENTS:
        w = w - rate * decay * w
        v = momentum * v - rate * g
        w = w + (momentum * v - rate * g if nesterov else v)
    return w


def adam(w, b1=0.9, b2=0.999, epsilon=1e-7, decay=0.0, rate=0.01):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(GRADIENTS, 1):
        w = w - rate * decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon)
    return w


def rmsprop(w, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, decay=0.0, rate=0.01):
    v, mean, step = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for g in GRADIENTS:
        w = w - rate * decay * w
        v, mean = rho * v + (1 - rho) * g * g, rho * mean + (1 - rho) * g
        step = momentum * step + rate * g / (np.sqrt(v - mean * mean if centered else v) + epsilon)
        w = w - step
    return w


def adagrad(w, start=0.1, epsilon=1e-7, decay=0.0, rate=0.01):
    total = np.full_like(w, start)
    for g in GRADIENTS:
        w = w - rate * decay * w
        total = total + g * g
        w = w - rate * g / (np.sqrt(total) + epsilon)
    return w


CASES = {
    "sgd": (lambda: optimizers.SGD(0.01), lambda: sgd(START)),
    "sgd_decay": (lambda: optimizers.SGD(0.01, weight_decay=0.3), lambda: sgd(START, decay=0.3)),
    "momentum": (lambda: optimizers.SGD(0.01, 0.9), lambda: sgd(START, 0.9)),
    "nesterov": (lambda: optimizers.SGD(0.01, 0.9, True, weight_decay=0.1), lambda: sgd(START, 0.9, True, 0.1)),
    "adam": (lambda: optimizers.Adam(0.01), lambda: adam(START)),
    "adam_betas": (lambda: optimizers.Adam(0.01, 0.5, 0.8, 1e-3, weight_decay=0.2), lambda: adam(START, 0.5, 0.8, 1e-3, 0.2)),
    "adam_no_betas": (lambda: optimizers.Adam(0.01, 0.0, 0.0), lambda: adam(START, 0.0, 0.0)),
    "adamw": (lambda: optimizers.AdamW(0.01), lambda: adam(START, decay=0.004)),
    "rmsprop": (lambda: optimizers.RMSprop(0.01), lambda: rmsprop(START)),
    "rmsprop_momentum": (lambda: optimizers.RMSprop(0.01, momentum=0.8), lambda: rmsprop(START, momentum=0.8)),
    "rmsprop_centered": (lambda: optimizers.RMSprop(0.01, centered=True), lambda: rmsprop(START, centered=True)),
    "rmsprop_all": (lambda: optimizers.RMSprop(0.01, 0.8, 0.7, 1e-4, True, 0.1), lambda: rmsprop(START, 0.8, 0.7, 1e-4, True, 0.1)),
    "adagrad": (lambda: optimizers.Adagrad(0.01), lambda: adagrad(START)),
    "adagrad_all": (lambda: optimizers.Adagrad(0.01, 0.5, 1e-3, 0.1), lambda: adagrad(START, 0.5, 1e-3, 0.1)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_against_the_formula(case: str, dtype: str) -> None:
    make, expected = CASES[case]
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(run(make(), dtype), expected(), rtol=tolerance, atol=tolerance)


TORCH = {
    "sgd": (optimizers.SGD(0.01), "SGD", {}),
    "momentum": (optimizers.SGD(0.01, 0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (optimizers.SGD(0.01, 0.9, True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": (optimizers.Adam(0.01), "Adam", {"eps": 1e-7}),
    "adamw": (optimizers.AdamW(0.01, 0.1), "AdamW", {"eps": 1e-7, "weight_decay": 0.1}),
    "rmsprop": (optimizers.RMSprop(0.01), "RMSprop", {"alpha": 0.9, "eps": 1e-7}),
    "rmsprop_all": (
        optimizers.RMSprop(0.01, 0.8, 0.7, 1e-6, True),
        "RMSprop",
        {"alpha": 0.8, "momentum": 0.7, "eps": 1e-6, "centered": True},
    ),
    "adagrad": (optimizers.Adagrad(0.01), "Adagrad", {"initial_accumulator_value": 0.1, "eps": 1e-7}),
}


@pytest.mark.parametrize("case", TORCH)
def test_against_torch(case: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the formula tests above still ran")
    optimizer, name, options = TORCH[case]
    weight = torch.from_numpy(START.copy()).requires_grad_()
    peer = getattr(torch.optim, name)([weight], lr=0.01, **options)
    for gradient in GRADIENTS:
        weight.grad = torch.from_numpy(gradient.copy())
        peer.step()
    np.testing.assert_allclose(run(optimizer), weight.detach().numpy(), rtol=1e-11, atol=1e-12)


def test_a_schedule_sets_each_step() -> None:
    schedule = schedules.PiecewiseConstantDecay([9], [0.1, 0.0])
    expected = START - 0.1 * GRADIENTS[:10].sum(0)
    np.testing.assert_allclose(run(optimizers.SGD(schedule)), expected, rtol=1e-12)


def norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum((array**2).sum() for array in arrays)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_clipping(scale: float) -> None:
    gradients = [scale * GRADIENTS[0], scale * GRADIENTS[1, 0]]
    by_value = optimizers.SGD(clipvalue=0.5).clip(gradients)
    by_norm = optimizers.SGD(clipnorm=0.5).clip(gradients)
    by_global = optimizers.SGD(global_clipnorm=0.5).clip(gradients)
    for index, gradient in enumerate(gradients):
        np.testing.assert_allclose(by_value[index], np.clip(gradient, -0.5, 0.5))
        np.testing.assert_allclose(by_norm[index], gradient * min(1.0, 0.5 / norm([gradient])), rtol=1e-12)
        np.testing.assert_allclose(by_global[index], gradient * min(1.0, 0.5 / norm(gradients)), rtol=1e-12)
    assert optimizers.SGD().clip(gradients)[0] is gradients[0]


def test_clipping_leaves_zero_gradients_alone() -> None:
    zeros = [np.zeros((2, 2))]
    for optimizer in (optimizers.SGD(clipnorm=1.0), optimizers.SGD(global_clipnorm=1.0), optimizers.SGD(clipvalue=1.0)):
        np.testing.assert_array_equal(optimizer.clip(zeros)[0], zeros[0])


def test_learning_rate_can_be_set_unless_a_schedule_does() -> None:
    optimizer = optimizers.Adam()
    assert optimizer.learning_rate == 0.001
    optimizer.learning_rate = np.float32(0.5)
    assert optimizer.learning_rates(7, 2).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="learning_rate=-1"):
        optimizer.learning_rate = -1
    scheduled = optimizers.Adam(schedules.CosineDecay(0.1, 10))
    with pytest.raises(TypeError, match="CosineDecay"):
        scheduled.learning_rate = 0.5


@pytest.mark.parametrize(
    "optimizer",
    [
        *(make() for make, _ in CASES.values()),
        optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5), clipnorm=2.0, name="mine"),
        optimizers.Adam(global_clipnorm=1.0),
    ],
)
def test_configuration_gives_the_same_optimizer_again(optimizer) -> None:
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.name == optimizer.name
    np.testing.assert_array_equal(run(again), run(optimizer))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", optimizers.SGD),
        ("SGD", optimizers.SGD),
        ("adam", optimizers.Adam),
        ("adamw", optimizers.AdamW),
        ("rmsprop", optimizers.RMSprop),
        ("RMSprop", optimizers.RMSprop),
        ("adagrad", optimizers.Adagrad),
        (optimizers.Adam, optimizers.Adam),
    ],
)
def test_get(name, expected: type) -> None:
    assert type(optimizers.get(name)) is expected


def test_get_refuses_the_rest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'adam'"):
        optimizers.get("adem")
    with pytest.raises(TypeError, match="optimizer=None"):
        optimizers.get(None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(-0.1),
        lambda: optimizers.SGD("fast"),
        lambda: optimizers.SGD(float("nan")),
        lambda: optimizers.SGD(momentum=1.5),
        lambda: optimizers.Adam(beta_1=1.0),
        lambda: optimizers.Adam(epsilon=-1.0),
        lambda: optimizers.Adam(amsgrad=True),
        lambda: optimizers.AdamW(weight_decay=None),
        lambda: optimizers.RMSprop(rho=1.0),
        lambda: optimizers.Adagrad(initial_accumulator_value=-1.0),
        lambda: optimizers.SGD(weight_decay=-1.0),
        lambda: optimizers.SGD(clipnorm=0.0),
        lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0),
    ],
)
def test_wrong_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match="SGD|Adam|RMSprop|Adagrad"):
        make()
