"""The optimizer updates as functions, for nnfast.optimizers: symbolic values in, new values out."""

from __future__ import annotations

from typing import Any

from nnfast.graph.ir import Value
from nnfast.ops.elementwise import call


def update_sgd(w: Value, g: Value, lr: Value, counters: Value, weight_decay: float = 0.0) -> Value:
    """w - lr * g."""
    return call("update_sgd", w, g, lr, counters, weight_decay=weight_decay)


def update_sgd_momentum(
    w: Value,
    g: Value,
    velocity: Value,
    lr: Value,
    counters: Value,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
) -> Any:
    """New weight and velocity."""
    return tuple(
        call(
            "update_sgd_momentum",
            w,
            g,
            velocity,
            lr,
            counters,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
        )
    )


def update_adam(
    w: Value,
    g: Value,
    m: Value,
    v: Value,
    lr: Value,
    counters: Value,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> Any:
    """New weight, m and v."""
    return tuple(
        call(
            "update_adam",
            w,
            g,
            m,
            v,
            lr,
            counters,
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
        )
    )


def update_rmsprop(
    w: Value, g: Value, mean_square: Value, momentum_slot: Value | None, mean_gradient: Value | None, lr: Value, counters: Value,
    weight_decay: float, rho: float, momentum: float, epsilon: float, centered: bool,
) -> Any:  # fmt: skip
    """New weight and mean square; with both further slots given, those too."""
    if momentum_slot is None or mean_gradient is None:
        return tuple(
            call("update_rmsprop", w, g, mean_square, lr, counters, weight_decay=weight_decay, rho=rho, epsilon=epsilon)
        )
    attributes = {
        "weight_decay": weight_decay,
        "rho": rho,
        "momentum": momentum,
        "epsilon": epsilon,
        "centered": centered,
    }
    return tuple(
        call("update_rmsprop_full", w, g, mean_square, momentum_slot, mean_gradient, lr, counters, **attributes)
    )


def update_adagrad(
    w: Value, g: Value, accumulator: Value, lr: Value, counters: Value, weight_decay: float, epsilon: float
) -> Any:
    """New weight and accumulator."""
    return tuple(call("update_adagrad", w, g, accumulator, lr, counters, weight_decay=weight_decay, epsilon=epsilon))
