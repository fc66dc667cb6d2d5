"""Ratios and their certainty.

In: times of two sides, round by round. Out: the median of the rounds' ratios, and an interval that holds the true median with at least
95 %. It makes no assumption about the distribution: the k-th least and the k-th greatest of n ratios enclose the median unless fewer
than k of n fall on one side of it, which is a binomial probability.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, exp, log

CONFIDENCE = 0.95
LEAST_ROUNDS = 6  # with fewer, even the least and the greatest enclose the median with less than 95 %


@dataclass(frozen=True)
class Ratio:
    """How many times as long the other side takes, and the interval."""

    median: float
    low: float
    high: float


def ratio(own: Sequence[float], other: Sequence[float]) -> Ratio:
    """other / own of the same rounds.

    >>> ratio([1.0] * 6, [2.0, 2.1, 1.9, 2.0, 2.2, 2.0])
    Ratio(median=2.0, low=1.9, high=2.2)
    """
    ratios = sorted(b / a for a, b in zip(own, other, strict=True))
    k = order(len(ratios))
    return Ratio(statistics.median(ratios), ratios[k], ratios[-1 - k])


def order(count: int) -> int:
    """The greatest place k, from 0, at which the k-th from both ends enclose the median with CONFIDENCE.

    >>> order(6), order(9), order(21)
    (0, 1, 5)
    """
    k, outside = 0, 2 * 0.5**count
    while True:
        outside += 2 * comb(count, k + 1) * 0.5**count
        if outside > 1 - CONFIDENCE or 2 * (k + 1) >= count:
            return k
        k += 1


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios.

    >>> round(geometric_mean([0.5, 8.0]), 6)
    2.0
    """
    return exp(sum(map(log, values)) / len(values))
