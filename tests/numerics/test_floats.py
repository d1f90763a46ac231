"""Floats beside rationals: against Python's exact comparison of both."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.numerics.floats import as_float, directed, magnitudes_of, nearest, nearest_floats, upward

NUMBERS = st.lists(st.fractions(), min_size=1, max_size=6)
SCALED = st.builds(lambda v, k: v * Fraction(2) ** k, st.fractions(), st.integers(-1200, 1100))


def column(values: list[Fraction]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def exact(value: float) -> Fraction | float:
    return value if math.isinf(value) else Fraction(value)


@settings(max_examples=100, deadline=None)
@given(SCALED)
def test_floats_on_either_side_are_next_to_each_other(value: Fraction) -> None:
    low, high = directed(value, up=False), directed(value, up=True)
    assert exact(low) <= value <= exact(high)
    assert low == high or math.nextafter(low, math.inf) == high
    assert (low == high) == (not math.isinf(low) and Fraction(low) == value)


@settings(max_examples=100, deadline=None)
@given(SCALED)
def test_the_nearest_float_keeps_the_sign(value: Fraction) -> None:
    near = as_float(value)
    assert (near > 0) == (value > 0)
    assert (near < 0) == (value < 0)
    assert near in (directed(value, up=False), directed(value, up=True))


def test_upward_is_entry_by_entry() -> None:
    values = column([Fraction(1, 3), Fraction(1, 4), Fraction(10**400), Fraction(-(10**400)), Fraction(0)])
    assert upward(values).tolist() == [directed(v, up=True) for v in values]
    assert upward(values.reshape(1, 5)).shape == (1, 5)


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
