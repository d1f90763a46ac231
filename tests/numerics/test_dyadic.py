"""Integers and exponents of floats against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.numerics import dyadic as module
from polyfiber.numerics.dyadic import dyadic, exact_value
from tests.oracles.rationals import outputs


class Plain:
    """Weights and biases, as the oracle reads them."""

    def __init__(self, weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
        self.weights, self.biases = weights, biases


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_floats_are_integers_times_a_power_of_two(values: list[float]) -> None:
    M, e = dyadic(values)
    assert [int(m) * Fraction(2) ** e for m in M] == [Fraction(v) for v in values]


def test_the_ends_of_the_range() -> None:
    values = np.array([5e-324, -np.finfo(float).max, 0.0])
    M, e = dyadic(values)
    assert [int(m) * Fraction(2) ** e for m in M] == [Fraction(v) for v in values.tolist()]
    assert [int(m) for m in dyadic(np.zeros((2, 2)))[0].ravel()] == [0] * 4


@pytest.mark.parametrize("widths", [(2, 1), (2, 3, 1), (3, 4, 2, 2), (1, 2, 2, 2, 1)])
def test_values_of_networks(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(widths))
    for scale in (1.0, 1e-200, 1e150):
        weights = [scale * rng.standard_normal((m, n)) for n, m in zip(widths, widths[1:])]
        biases = [rng.standard_normal(m) * 10.0 ** rng.integers(-30, 30, m) for m in widths[1:]]
        x = rng.standard_normal(widths[0])
        assert exact_value(weights, biases, x).tolist() == outputs(Plain(weights, biases), x)


def test_in_several_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    weights, biases = [rng.standard_normal((5, 3)), rng.standard_normal((2, 5))], [np.zeros(5), np.ones(2)]
    x = rng.standard_normal(3)
    whole = exact_value(weights, biases, x).tolist()
    monkeypatch.setattr(module, "ROWS", 4)
    assert exact_value(weights, biases, x).tolist() == whole == outputs(Plain(weights, biases), x)
