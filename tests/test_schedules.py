"""Learning rate schedules and the exact functions below them, against the formulas in plain Python."""

import math

import pytest

from nnfast import exact, optimizers, schedules, serialization
from nnfast.errors import UnknownNameError


def assert_close(value: float, expected: float) -> None:
    assert value == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("x", [0.0, 1e-300, 1.0, -1.0, 0.3, 88.7, -700.0, 700.0])
def test_exp_is_the_rounded_exponential(x: float) -> None:
    assert abs(exact.exp(x) - math.exp(x)) <= math.ulp(math.exp(x))


@pytest.mark.parametrize("x", [5e-324, 1e-300, 0.5, 1.0, 1 + 2**-52, 2.0, 1e300])
def test_log_is_the_rounded_logarithm(x: float) -> None:
    assert abs(exact.log(x) - math.log(x)) <= math.ulp(math.log(x))


@pytest.mark.parametrize("base", [0.0, 0.1, 0.96, 1.0, 2.0])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, 1000.25])
def test_power_is_the_rounded_power(base: float, exponent: float) -> None:
    expected = math.pow(base, exponent)
    assert abs(exact.power(base, exponent) - expected) <= math.ulp(expected)


def test_power_underflows_to_zero() -> None:
    assert exact.power(0.5, 5000.0) == 0.0


@pytest.mark.parametrize("i", range(101))
def test_cosine_is_the_rounded_cosine(i: int) -> None:
    x = i / 100
    assert abs(exact.cosine_of_half_turns(x) - math.cos(math.pi * x)) < 5e-16  # pi * x is rounded, too


def test_cosine_at_its_special_points() -> None:
    assert [exact.cosine_of_half_turns(x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.0, -1.0], abs=1e-39)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (exact.exp, (701.0,)),
        (exact.exp, (math.nan,)),
        (exact.log, (0.0,)),
        (exact.log, (math.nan,)),
        (exact.power, (-1.0, 0.5)),
        (exact.power, (0.5, math.inf)),
        (exact.cosine_of_half_turns, (1.5,)),
    ],
)
def test_arguments_out_of_range_are_refused(function, arguments) -> None:
    with pytest.raises(ValueError, match=function.__name__):
        function(*arguments)


@pytest.mark.parametrize("step", [0, 1, 99, 100, 101, 12345])
def test_exponential_decay(step: int) -> None:
    assert_close(schedules.ExponentialDecay(0.1, 100, 0.9)(step), 0.1 * 0.9 ** (step / 100))
    assert_close(schedules.ExponentialDecay(0.1, 100, 0.9, staircase=True)(step), 0.1 * 0.9 ** (step // 100))


@pytest.mark.parametrize("step", [0, 1, 99, 100, 101, 12345])
def test_inverse_time_decay(step: int) -> None:
    assert_close(schedules.InverseTimeDecay(0.1, 100, 0.5)(step), 0.1 / (1 + 0.5 * step / 100))
    assert_close(schedules.InverseTimeDecay(0.1, 100, 0.5, staircase=True)(step), 0.1 / (1 + 0.5 * (step // 100)))


@pytest.mark.parametrize("step", [0, 1, 50, 99, 100, 101, 250])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_decay(step: int, power: float) -> None:
    expected = (0.1 - 0.01) * (1 - min(step, 100) / 100) ** power + 0.01
    assert_close(schedules.PolynomialDecay(0.1, 100, 0.01, power)(step), expected)


@pytest.mark.parametrize("step", [0, 1, 100, 101, 250])
def test_polynomial_decay_cycles(step: int) -> None:
    span = 100 * max(1, math.ceil(step / 100))
    assert_close(schedules.PolynomialDecay(0.1, 100, 0.01, cycle=True)(step), 0.09 * (1 - step / span) + 0.01)


def test_piecewise_constant_decay_changes_after_the_boundary() -> None:
    schedule = schedules.PiecewiseConstantDecay([2, 5], [1.0, 0.5, 0.1])
    assert [schedule(step) for step in range(8)] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize("step", [0, 1, 33, 50, 99, 100, 500])
def test_cosine_decay(step: int) -> None:
    expected = 0.1 * ((1 - 0.2) * 0.5 * (1 + math.cos(math.pi * min(step, 100) / 100)) + 0.2)
    assert schedules.CosineDecay(0.1, 100, alpha=0.2)(step) == pytest.approx(expected, rel=1e-14)


def test_cosine_decay_warms_up_on_a_line() -> None:
    schedule = schedules.CosineDecay(0.0, 100, warmup_target=1.0, warmup_steps=10)
    assert [schedule(step) for step in range(11)] == pytest.approx([step / 10 for step in range(11)], rel=1e-15)
    assert schedule(60) == pytest.approx(0.5)
    assert schedule(110) == schedule(10**6) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.ExponentialDecay(0.1, 0, 0.9),
        lambda: schedules.ExponentialDecay(0.1, 10, -0.9),
        lambda: schedules.InverseTimeDecay(0.1, -1, 0.9),
        lambda: schedules.PolynomialDecay(0.1, 0),
        lambda: schedules.CosineDecay(0.1, 0),
        lambda: schedules.CosineDecay(0.1, 10, warmup_steps=-1),
        lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]),
        lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]),
    ],
)
def test_wrong_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match="decay_steps|decay_rate|warmup_steps|boundaries"):
        make()


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialDecay(0.1, 10, 0.9, staircase=True),
        schedules.InverseTimeDecay(0.1, 10, 0.9),
        schedules.PolynomialDecay(0.1, 10, power=2.0, cycle=True),
        schedules.PiecewiseConstantDecay([3], [0.1, 0.2]),
        schedules.CosineDecay(0.1, 10, warmup_target=1.0, warmup_steps=3),
    ],
)
def test_configuration_gives_the_same_schedule_again(schedule) -> None:
    again = schedules.deserialize(schedules.serialize(schedule))
    assert type(again) is type(schedule)
    assert [again(step) for step in range(30)] == [schedule(step) for step in range(30)]


def test_unknown_schedule_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="cosine_decay|CosineDecay"):
        serialization.get("schedule", "CosinDecay")


def test_the_optimizer_asks_the_schedule_for_a_range_of_steps() -> None:
    schedule = schedules.PiecewiseConstantDecay([2], [1.0, 0.5])
    assert optimizers.SGD(schedule).learning_rates(1, 3).tolist() == [1.0, 1.0, 0.5]
