"""Products and roundings of rationals, one number at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.numerics.products import exact_product, magnitudes_of, nearest, nearest_floats, over_common

NUMBERS = st.lists(st.fractions(), min_size=1, max_size=6)


def column(values: list[Fraction]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


@settings(max_examples=25, deadline=None)
@given(NUMBERS)
def test_common_denominators_are_the_least(values: list[Fraction]) -> None:
    integers, below = over_common(column(values))
    assert [Fraction(int(v), below) for v in integers] == values
    assert math.gcd(below, *(int(v) for v in integers)) == 1
    assert over_common(np.zeros((0, 2), dtype=object))[1] == 1


def test_products_entry_by_entry() -> None:
    rng = np.random.default_rng(0)
    for m, n, k in ((1, 1, 1), (3, 2, 4), (2, 5, 1)):
        a, b = (
            column([Fraction(int(p), int(q)) for p, q in zip(rng.integers(-9, 9, s), rng.integers(1, 9, s))])
            for s in (m * n, n * k)
        )
        a, b = a.reshape(m, n), b.reshape(n, k)
        found = exact_product(a, b)
        for i in range(m):
            for j in range(k):
                assert found[i, j] == sum(a[i, t] * b[t, j] for t in range(n))
    assert exact_product(np.zeros((2, 0), dtype=object), np.zeros((0, 3), dtype=object)).tolist() == [[0] * 3] * 2


@settings(max_examples=25, deadline=None)
@given(NUMBERS)
def test_nearest_is_python_s_division(values: list[Fraction]) -> None:
    assert nearest(column(values)).tolist() == [v.numerator / v.denominator for v in values]


def test_nearest_keeps_signs() -> None:
    far, faint = Fraction(10**400), Fraction(1, 10**400)
    assert nearest(column([far, -far, faint, -faint, Fraction(0)])).tolist() == [np.inf, -np.inf, 5e-324, -5e-324, 0.0]
    assert nearest(np.array([1, 2], dtype=np.float32)).dtype == np.float64


def test_magnitudes_bound_relative_errors() -> None:
    tiny = Fraction(2) ** -1030
    values = column([Fraction(-1, 3), tiny, tiny / 3 * Fraction(2) ** -40, Fraction(0)])
    assert magnitudes_of(values).tolist() == [1 / 3, 2.0**-1030, np.inf, 0.0]
    assert magnitudes_of(np.array([-5e-324])).tolist() == [5e-324]


def test_nearest_floats_say_how_far_they_are() -> None:
    values = column([Fraction(1, 3), Fraction(1, 2)])
    floats, most = nearest_floats(values)
    assert 0 < abs(Fraction(1, 3) - Fraction(floats[0])) <= Fraction(most)
    assert nearest_floats(column([Fraction(1, 2)]))[1] == 0.0
    with pytest.raises(OverflowError):
        nearest_floats(column([Fraction(10**400)]))
