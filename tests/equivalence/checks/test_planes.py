"""Relaxations of one network on boxes: above every value, in rationals and at samples."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.planes import relaxed_upper
from polyfiber.numerics.exact import as_fractions


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
