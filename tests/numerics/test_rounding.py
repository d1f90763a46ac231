"""Bounds of rounding hold against rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.numerics.rounding import MOST_TERMS, TINY, UNIT, gamma, outward


def exact_sum(a: np.ndarray, b: np.ndarray) -> Fraction:
    return sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist())), Fraction(0))


def in_order(a: np.ndarray, b: np.ndarray) -> float:
    """The sum from the left: as many roundings in a row as there can be."""
    total = 0.0
    for x, y in zip(a.tolist(), b.tolist()):
        total += x * y
    return total


@pytest.mark.parametrize("k", [1, 2, 3, 10, 300])
def test_sums_err_by_gamma_at_most(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(200):
        a, b = rng.standard_normal((2, k)) * 10.0 ** rng.integers(-8, 8, (2, k))
        size = in_order(np.abs(a), np.abs(b))
        assert abs(Fraction(in_order(a, b)) - exact_sum(a, b)) <= Fraction(float(gamma(k + 1) * size + TINY))


@pytest.mark.parametrize("k", [1, 2, 3, 10, 300])
def test_outward_is_above(k: int) -> None:
    rng = np.random.default_rng(k)
    tight = np.nextafter(1.0, 0.0) * np.ones(k)  # products that round down
    for a, b in [(tight, tight), *(np.abs(rng.standard_normal((2, k))) for _ in range(200))]:
        found = outward(np.array([in_order(a, b)]), k + 1)
        assert Fraction(float(found[0])) >= exact_sum(a, b)
    least = np.full(k, 5e-324)
    assert Fraction(float(outward(np.array([in_order(least, least)]), k + 1)[0])) >= exact_sum(least, least)


def test_gamma_is_above_the_formula() -> None:
    for k in (1, 7, 10**6, 10**9, int(MOST_TERMS)):
        u = Fraction(UNIT)
        exact = k * u / (1 - k * u)
        assert Fraction(float(gamma(k))) >= exact * (1 + exact)
    assert gamma(np.array([1, 2])).shape == (2,)
    for terms in (MOST_TERMS + 1, np.array([1.0, 2 * MOST_TERMS]), np.nan):
        with pytest.raises(InputError, match="at most 2\\^44"):
            gamma(terms)
