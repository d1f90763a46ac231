"""Networks to test with refuse what they cannot be made of, by our errors."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

import polyfiber as pf
from polyfiber import testing
from polyfiber.errors import InputError

NET = pf.ReLUNetwork.random((2, 3, 1), rng=0)


@pytest.mark.parametrize("make", [testing.huge_ratio_network, testing.integer_network, testing.subnormal_network])
@pytest.mark.parametrize("widths", [3, None, (2, -1), [[2, 3]], "23", (2.0, 3, 1)])
def test_architectures_are_looked_at(make: Callable[..., Any], widths: Any) -> None:
    with pytest.raises(InputError, match="architecture"):
        make(widths)


@pytest.mark.parametrize(
    "call",
    [
        lambda: testing.huge_ratio_network((2, 1), exponent=-1),
        lambda: testing.near_coincident_network((2, 1), ulps=0.5),
        lambda: testing.subnormal_network((2, 1), exponent="3"),
        lambda: testing.integer_network((2, 1), max_abs=None),
        lambda: testing.rescaled(NET, 3),
        lambda: testing.rescaled(NET, [[1, 2]]),
        lambda: testing.rescaled(NET, [[1, 2, 3], [1]]),
        lambda: testing.rescaled(NET, [[10**30, 0, 0]]),
        lambda: testing.rescaled(NET.weights, [[0, 0, 0]]),
        lambda: testing.simple_arrangement_f_vector(-1, 2),
        lambda: testing.box_inequalities([], []),
        lambda: testing.box_inequalities([0, 0], [1]),
        lambda: testing.box_inequalities(["0"], [1]),
        lambda: testing.generic_networks(max_depth=2, min_depth=3),
        lambda: testing.integer_networks(max_width=0),
    ],
)
def test_other_arguments_are_looked_at(call: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        call()


def test_bounds_of_a_box_stay_what_they_are() -> None:
    _, b = testing.box_inequalities([Fraction(1, 3)], [10**400])
    assert b == (Fraction(-1, 3), 10**400)
