"""Singular values that are neither zero up to rounding nor above the cut-off: refused, never dropped in silence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polyfiber import dln
from polyfiber.errors import InputError


@pytest.mark.parametrize("other", [np.diag([1.0, 5e-13]), np.diag([1.0, -1e-13]), np.diag([1.0, 1e-3]), np.eye(2)])
@pytest.mark.parametrize("ask", [dln.geodesic, dln.distance, dln.logarithm, dln.distance_gradient])
def test_values_between_rounding_and_the_cut_off_are_refused(ask: object, other: np.ndarray) -> None:
    for pair in ((np.diag([1.0, 1e-13]), other), (other, np.diag([1.0, 1e-13]))):
        with pytest.raises(InputError, match="cut-off 1e-12"):
            ask(*pair, 10)  # type: ignore[operator]


def test_opposite_determinants_are_never_at_distance_zero() -> None:
    for small in (1e-3, 1e-11, 1e-13, 1e-15, 1e-17, 1e-60):
        with pytest.raises(InputError):
            dln.distance(np.diag([1.0, small]), np.diag([1.0, -small]), 3)


def test_rounding_is_rounding_and_the_cut_off_is_sharp() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 5, 9):
        a, b = (np.outer(*rng.standard_normal((2, size))) for _ in range(2))
        assert dln.geodesic(a, b, 3).method == "rank one"
    assert dln.distance(np.diag([1.0, 2e-12]), np.diag([1.0, 5e-12]), 10) == pytest.approx(
        math.sqrt(10.0) * (5e-12**0.1 - 2e-12**0.1)
    )
    assert dln.distance(np.diag([1.0, 1e-13]), np.diag([1.0, -1e-13]), 1) == pytest.approx(2e-13)  # no ranks there
