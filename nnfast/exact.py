"""Scalar functions that give the same bits on every machine, for learning rates and other numbers that reach weights.

In and out: Python floats. libm differs between systems, so nothing here calls it: each function computes with 40 decimal digits in
`decimal` (integer arithmetic, the same everywhere) and rounds once. A call takes some microseconds, on the host, once per step.
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal, localcontext

_DIGITS = Context(prec=40)
_PI = Decimal("3.141592653589793238462643383279502884197169399375105820974944")
LIMIT = 700.0  # e^700 is just inside float64; beyond +-700 exp and power are refused


def exp(x: float) -> float:
    """e to the power x, for |x| <= 700.

    >>> exp(1.0)
    2.718281828459045
    """
    if not abs(x) <= LIMIT:
        raise ValueError(f"exp: x = {x!r} is outside -{LIMIT:g} to {LIMIT:g}")
    return float(_DIGITS.exp(Decimal(x)))


def log(x: float) -> float:
    """The natural logarithm, for 0 < x < infinity.

    >>> log(2.0)
    0.6931471805599453
    """
    if not 0 < x < float("inf"):
        raise ValueError(f"log: x = {x!r} must be positive and finite")
    return float(_DIGITS.ln(Decimal(x)))


def power(base: float, exponent: float) -> float:
    """base to the power exponent, for base >= 0; 0 where the result is below the range of float64.

    >>> power(0.96, 2.5)
    0.9029798987795907
    """
    if not base >= 0 or not abs(exponent) < float("inf"):
        raise ValueError(f"power: base = {base!r} must be >= 0 and exponent = {exponent!r} finite")
    if exponent == 0 or base == 1:
        return 1.0
    return float(_DIGITS.power(Decimal(base), Decimal(exponent)))


@functools.lru_cache(maxsize=4096)
def cosine_of_half_turns(x: float) -> float:
    """cos(pi * x) for 0 <= x <= 1.

    >>> cosine_of_half_turns(1 / 3) == 0.5000000000000001
    False
    >>> round(cosine_of_half_turns(1 / 3), 12)
    0.5
    """
    if not 0 <= x <= 1:
        raise ValueError(f"cosine_of_half_turns: x = {x!r} is outside 0 to 1")
    with localcontext(_DIGITS):
        if x > 0.5:
            return float(-_cosine(_PI * (1 - Decimal(x))))
        return float(_cosine(_PI * Decimal(x)))


def _cosine(angle: Decimal) -> Decimal:
    """The Taylor series, for 0 <= angle <= pi / 2: terms fall below 1e-40 after at most 20."""
    square = angle * angle
    term = total = Decimal(1)
    order = 0
    while abs(term) > Decimal("1e-42"):
        order += 2
        term *= -square / (order * (order - 1))
        total += term
    return total
