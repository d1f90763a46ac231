"""Learning coefficients against volumes that can be integrated by hand."""

from __future__ import annotations

import math

import pytest
from scipy.integrate import quad

from polyfiber.linear import learning_coefficient


@pytest.mark.parametrize("factors", [2, 3, 4, 5])
def test_products_of_numbers(factors: int) -> None:
    # share of the cube where |x_1 ... x_L| < e: minus the log is a sum of exponentials, e sum_{k<L} log(1/e)^k / k!
    claim = learning_coefficient((1,) * (factors + 1), 0)
    log = 200.0
    share = sum(log**k / math.factorial(k) for k in range(factors))  # over e
    assert 2 * claim.coefficient == 1
    assert share / log ** (claim.multiplicity - 1) == pytest.approx(1 / math.factorial(factors - 1), rel=0.05)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 2), (3, 3), (1, 2), (3, 1), (2, 4)])
def test_outer_products_of_vectors(a: int, b: int) -> None:
    # entries of u v^T below e: the largest entries s, t of u, v have densities a s^(a-1), b t^(b-1)
    claim = learning_coefficient((a, 1, b), 0)

    def share(e: float) -> float:
        return e**b + quad(lambda x: b * math.exp(-b * x) * min(1.0, (e * math.exp(x)) ** a), 0.0, -math.log(e))[0]

    def scaled(e: float) -> float:
        return share(e) / e ** (2 * float(claim.coefficient)) / math.log(1 / e) ** (claim.multiplicity - 1)

    assert scaled(1e-4) == pytest.approx(scaled(1e-8), rel=0.15)
    assert scaled(1e-8) > 0.5


def test_the_smooth_fiber_of_an_invertible_matrix() -> None:
    claim = learning_coefficient((2, 2, 2), 2)
    assert (2 * claim.coefficient, claim.multiplicity, claim.components) == (4, 1, 1)
