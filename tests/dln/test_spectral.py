"""Divided differences against 60-digit arithmetic, in and around their removable singularities."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from polyfiber.dln import singular_frame
from polyfiber.dln.spectral import log_ratio, operator_coefficients, power_difference, repulsion

NEAR = [1.0, 1.0 + 1e-15, 1.0 + 1e-12, 1.0 + 1e-8, 1.0 + 1e-4, 1.1, 0.6, 1e-3, 1e-9, 1e-30, 1e-100]
DEPTHS = [1, 2, 3, 5, 20, math.inf]


def exact_coefficient(x: float, y: float, depth: float) -> float:
    with localcontext() as context:
        context.prec = 80
        a, b = Decimal(x), Decimal(y)
        if math.isinf(depth):
            return float(a * a if a == b else (a * a - b * b) / (2 * (a / b).ln()))
        n = int(depth)
        la, lb = (a.ln() * 2 / n).exp(), (b.ln() * 2 / n).exp()
        return float(sum(la ** (n - p) * lb ** (p - 1) for p in range(1, n + 1)))


def exact_repulsion(u: float, depth: float) -> float:
    with localcontext() as context:
        context.prec = 160
        v = Decimal(u)
        value = 2 / (1 - (-2 * v).exp())
        if math.isinf(depth):
            return float(value - 1 / v)
        r = 1 / Decimal(int(depth))
        return float(value - 2 * r / (1 - (-2 * r * v).exp()))


@pytest.mark.parametrize("depth", DEPTHS)
def test_operator_coefficients_keep_their_digits_where_singular_values_meet_or_vanish(depth: float) -> None:
    x, y = np.meshgrid(NEAR, NEAR)
    found = operator_coefficients(x, y, depth)
    wanted = np.vectorize(exact_coefficient)(x, y, depth)
    assert np.abs(found / wanted - 1).max() < 1e-13
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_operator_coefficients_at_exact_zeros(depth: int) -> None:
    # the sum with 0^0 = 1
    assert float(operator_coefficients(3.0, 0.0, depth)) == pytest.approx(3.0 ** (2 - 2 / depth), rel=1e-15)
    assert float(operator_coefficients(0.0, 0.0, depth)) == (1.0 if depth == 1 else 0.0)


def test_operator_coefficients_at_exact_zeros_of_infinite_depth() -> None:
    assert float(operator_coefficients(3.0, 0.0, math.inf)) == 0.0


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("u", [1e-30, 1e-12, 1e-5, 0.01, 0.0999999, 0.1, 0.1000001, 0.5, 3.0, 40.0])
def test_repulsion_keeps_its_digits(u: float, depth: float) -> None:
    for sign in (1.0, -1.0):
        wanted = exact_repulsion(sign * u, depth)
        # 1e-14 absolute: K = O(1); for negative u it decays and the quotient is what enters the drift
        assert float(repulsion(np.float64(sign * u), depth)) == pytest.approx(wanted, rel=2e-14, abs=1e-14)


def test_repulsion_is_the_logarithmic_derivative_of_the_coefficient() -> None:
    for depth in (2, 3, 9):
        for u in (-2.0, -1e-3, 0.0, 0.3):
            h = 1e-5
            rise = [math.log(float(operator_coefficients(math.exp(u + s * h), 1.0, depth))) for s in (1, -1)]
            assert (rise[0] - rise[1]) / (2 * h) == pytest.approx(float(repulsion(np.float64(u), depth)), abs=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1 / 3, 0.75, 1.0])
def test_power_difference(alpha: float) -> None:
    for x in NEAR[:-1]:
        for y in NEAR[:-1]:
            with localcontext() as context:
                context.prec = 80
                a, b, e = Decimal(x) ** 2, Decimal(y) ** 2, Decimal(alpha)
                if a == b:
                    wanted = float(e * a ** (e - 1))
                else:
                    wanted = float((a**e - b**e) / (a - b))
            assert float(power_difference(x, y, alpha)) == pytest.approx(wanted, rel=1e-13, abs=1e-300)


def test_log_ratio_conventions() -> None:
    assert log_ratio(0.0, 0.0) == 0.0
    assert log_ratio(0.0, 1.0) == -math.inf
    assert log_ratio(1.0, 0.0) == math.inf
    assert log_ratio(1.0 + 2**-52, 1.0) == pytest.approx(2**-52, rel=1e-12)


def test_round_off_singular_values_become_exact_zeros() -> None:
    u = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    frame = singular_frame(u @ np.diag([1.0, 0.5, 1e-14, 0.0]) @ u.T)
    assert frame.rank == 2
    assert frame.values[2] == frame.values[3] == 0.0
