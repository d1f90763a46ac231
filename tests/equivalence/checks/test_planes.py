"""Relaxations of one network on boxes: above every value, in rationals and at samples."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks import planes
from polyfiber.equivalence.checks.planes import relaxed_upper
from polyfiber.numerics.exact import as_fractions
from tests.bounds.test_rounding import affine, full
from tests.oracles.rationals import hidden_values, outputs


def wild(rng: np.random.Generator, widths: tuple[int, ...]) -> pf.ReLUNetwork:
    """Weights of many sizes, with cancellation: rounding is as large as it gets."""
    W = [
        rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-6, 6, (m, 1)) * 10.0 ** rng.uniform(-3, 3, (1, n))
        for n, m in zip(widths[:-1], widths[1:])
    ]
    for w in W[1:]:
        w[:, 1::2] = -w[:, : w.shape[1] // 2 * 2 : 2] * (1 + 1e-14 * rng.standard_normal(w[:, 1::2].shape))
    return pf.ReLUNetwork(W, [rng.standard_normal(m) for m in widths[1:]])


@pytest.mark.parametrize("seed", range(6))
def test_relaxations_hold_as_rational_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = wild(rng, ((2, 4, 4, 2), (3, 6, 2), (2, 4, 6, 4, 1))[seed % 3])
    exact, n0 = net.exact(), net.architecture[0]
    for size in (1.0, 1e-9, 0.0):
        centre = rng.standard_normal(n0)
        lo, hi = centre - size, centre + size
        bounds = relaxed_upper(net, lo[None], hi[None])
        A, c = as_fractions(bounds.coefficients[0]), as_fractions(bounds.constants[0])
        corners = list(product(*zip(lo, hi)))
        for x in [*corners, *(lo + (hi - lo) * rng.random((12, n0)))]:
            if not ((lo <= x) & (x <= hi)).all():
                continue
            point = as_fractions(np.asarray(x))
            value = exact(point)
            assert (value <= as_fractions(bounds.upper[0])).all()
            assert (value <= A @ point + c).all()
            y = point
            for l, (W, b) in enumerate(zip(exact.weights[:-1], exact.biases[:-1])):
                z = W @ y + b
                assert (z >= as_fractions(bounds.lower_z[l][0])).all()
                assert (z <= as_fractions(bounds.upper_z[l][0])).all()
                y = np.array([max(v, Fraction(0)) for v in z], dtype=object)


def test_bounds_that_would_be_lost_to_rounding() -> None:
    """Without its error term the bound of this network is below the true maximum."""
    net = pf.ReLUNetwork([[[0.1], [0.3]], [[3.0, -1.0]]], [[0.7, 0.7], [0.0]])
    lo, hi = np.array([1.0 / 3.0]), np.array([1.0 / 3.0])
    for k in range(200):
        shifted = pf.ReLUNetwork(net.weights, [net.biases[0] * (1 + k / 7), net.biases[1] + 1 / (k + 3)])
        upper = relaxed_upper(shifted, lo[None], hi[None]).upper[0, 0]
        true = shifted.exact()(as_fractions(lo))[0]
        assert Fraction(float(upper)) >= true
        assert upper - float(true) < 1e-12


def test_relaxations_are_above() -> None:
    rng = np.random.default_rng(4)
    for seed in range(5):
        net = pf.ReLUNetwork.random((3, 6, 5, 4, 2), rng=seed)
        centre = rng.standard_normal((7, 3))
        radius = 10.0 ** rng.uniform(-3, 0.5, (7, 3))
        bounds = relaxed_upper(net, centre - radius, centre + radius)
        for k in range(7):
            X = centre[k] + radius[k] * rng.uniform(-1, 1, (500, 3))
            assert (net(X) <= bounds.upper[k]).all()
            line = X @ bounds.coefficients[k].T + bounds.constants[k]
            assert (net(X) <= line + 1e-9).all()


# ---- each charge alone covers what only it can lose, and without it something is lost --------------------------
F = Fraction
ONE = np.ones(1)


def upper(net: Any, lo: Any, hi: Any, unit: Any) -> Fraction:
    return F(float(relaxed_upper(net, lo[None], hi[None], unit).upper[0, 0]))


def case_ends(rng: Any, unit: Any) -> bool:
    w, lo, hi = full(rng, 6) * rng.choice([-1, 1], 6), -full(rng, 6), full(rng, 6)
    exact = sum(max(F(v) * F(a), F(v) * F(b)) for v, a, b in zip(w.tolist(), lo.tolist(), hi.tolist()))
    return upper(affine(w[None], 0.0), lo, hi, unit) >= exact


def case_interval(rng: Any, unit: Any) -> bool:
    """A neuron whose interval lies below what substituting lines gives: it reads minus one that may be off."""
    w, b = float(full(rng, 1)[0]), float(full(rng, 1)[0])
    net = pf.ReLUNetwork([np.eye(2), [[-1.0, w]], [[1.0]]], [np.zeros(2), [b], [0.0]])
    x = float(full(rng, 1)[0])
    found = relaxed_upper(net, np.array([[-1.0, x]]), np.array([[2.0, x]]), unit)
    return F(float(found.upper_z[1][0, 0])) >= hidden_values(net, [-1.0, x])[2]


def case_lift(rng: Any, unit: Any) -> bool:
    low, high = -full(rng, 1), full(rng, 1)
    slope, lift, _ = (float(part[0]) for part in planes._lines(low, high, unit))
    return F(lift) >= max(-F(slope) * F(float(low[0])), (1 - F(slope)) * F(float(high[0])))


def case_sums(rng: Any, unit: Any) -> bool:
    v, p = full(rng, 5, 1), full(rng, 1, 5)
    net = pf.ReLUNetwork([v, p], [np.zeros(5), [0.0]])
    return upper(net, ONE, ONE, unit) >= outputs(net, ONE)[0]


def case_constant(rng: Any, unit: Any) -> bool:
    net = pf.ReLUNetwork([[[0.0]], [[1.0]]], [full(rng, 1), full(rng, 1) * 2.0**-9])
    found = relaxed_upper(net, ONE[None], ONE[None], unit)
    return (
        F(float(found.upper[0, 0])) >= outputs(net, ONE)[0] and F(float(found.constants[0, 0])) >= outputs(net, ONE)[0]
    )


def case_underflow(rng: Any, unit: Any) -> bool:
    net = pf.ReLUNetwork([[[2.0**-600]], [[2.0**-600]]], [[0.0], [0.0]])
    x = np.array([2.0**700 * float(rng.integers(1, 9))])
    return upper(net, x, x, unit) >= outputs(net, x)[0]


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = (np.zeros(len(planes.CHARGES)) for _ in range(2))
    only[getattr(planes, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))
    assert all(CASES[name](np.random.default_rng(seed), planes.CHARGES) for seed in range(40))


def test_no_charge_is_without_a_case() -> None:
    assert {getattr(planes, name) for name in CASES} == set(range(len(planes.CHARGES)))
