"""Optimizer state of weights that get no gradient decays to 0, not into denormal numbers, on which processors are slow."""

import numpy as np
import pytest
from checks import ops

from nnfast.ops.random import COUNTERS
from nnfast.ops.registry import OPS
from nnfast.plan import eager

DECAYING = {
    "update_sgd_momentum": {"weight_decay": 0.0, "momentum": 0.5, "nesterov": True},
    "update_adam": {"weight_decay": 0.0, "beta_1": 0.5, "beta_2": 0.5, "epsilon": 1e-7},
    "update_rmsprop": {"weight_decay": 0.0, "rho": 0.5, "epsilon": 1e-7},
    "update_rmsprop_full": {"weight_decay": 0.0, "rho": 0.5, "momentum": 0.5, "epsilon": 1e-7, "centered": True},
}


@pytest.mark.parametrize("level", ops.LEVELS)
@pytest.mark.parametrize("dtype", ops.DTYPES)
@pytest.mark.parametrize("name", DECAYING)
def test_state_never_is_denormal(name, dtype, level):
    tiny = np.finfo(dtype).tiny
    op, attributes = OPS[name], DECAYING[name]
    states = [np.full(33, 8 * tiny, dtype) for _ in range(len(op.inputs) - 4)]
    counters, rates, weight = np.zeros(COUNTERS, np.int64), np.array([0.01]), np.ones(33, dtype)
    seen = set()
    for _ in range(8):
        weight, *states = eager.run_op(op, [weight, np.zeros(33, dtype), *states, rates, counters], attributes, level)
        for state in states:
            seen.add(float(state[0]))
            assert ((state == 0) | (np.abs(state) >= tiny)).all()
    assert 0.0 in seen
    assert len(seen) > 2


@pytest.mark.parametrize("dtype", ops.DTYPES)
def test_nan_and_infinity_stay(dtype):
    """Only small numbers become 0."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0], dtype)
    counters, rates = np.zeros(COUNTERS, np.int64), np.array([0.01])
    given = [np.ones(4, dtype), np.zeros(4, dtype), special, rates, counters]
    _, velocity = eager.run_op(OPS["update_sgd_momentum"], given, DECAYING["update_sgd_momentum"])
    np.testing.assert_array_equal(velocity, [np.nan, np.inf, -np.inf, 0.0])
