"""Hostile weights are what they say: the same function, huge ratios, walls an ulp apart, subnormal numbers; what they cannot be made of is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import testing
from polyfiber.errors import InputError
from polyfiber.testing import hostile
from tests.oracles.rationals import outputs


def test_rescaled_networks_are_the_same_in_rationals() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=0)
    twin = hostile.rescaled(net, [[200, -200, 0], [17, -3]])
    assert twin.weights[0][0, 0] == net.weights[0][0, 0] * 2.0**200
    for x in np.random.default_rng(0).standard_normal((10, 2)):
        assert outputs(twin, x) == outputs(net, x)
    for wrong in ([[2000, 0, 0]], [[0, -1100, 0]]):
        with pytest.raises(InputError, match="under- or overflows"):
            hostile.rescaled(net, wrong)


def test_huge_ratios() -> None:
    net = hostile.huge_ratio_network((4, 30, 1), rng=0, exponent=100)
    sizes = np.log2(np.abs(net.weights[0]))
    assert sizes.max() > 80
    assert sizes.min() < -80
    assert np.abs(sizes).max() < 110


def test_pairs_of_rows_are_a_few_ulps_apart() -> None:
    net = hostile.near_coincident_network((3, 8, 1), rng=1, ulps=2)
    rows = np.concatenate([net.weights[0], net.biases[0][:, None]], axis=1)
    for i in range(1, 8, 2):
        factor = -3 if i % 4 == 3 else 1
        for a, b in zip(rows[i - 1].tolist(), rows[i].tolist()):
            exact = factor * Fraction(a)
            assert abs(Fraction(b) - exact) <= Fraction(7, 2) * Fraction(float(np.spacing(abs(float(exact)))))
    assert (rows[1::4] != rows[::4]).any()


def test_subnormal_first_layers() -> None:
    net = hostile.subnormal_network((3, 5, 2), rng=0)
    assert (np.abs(net.weights[0]) < 2.0**-1022).all()
    assert net.weights[0].any()
    assert np.abs(net.weights[1]).max() > 0.01


def test_integer_networks() -> None:
    net = hostile.integer_network((3, 20, 2), rng=0, max_abs=2)
    entries = np.concatenate([w.ravel() for w in (*net.weights, *net.biases)])
    assert set(entries.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    again = hostile.integer_network((3, 20, 2), rng=0, max_abs=2)
    assert net == again


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
