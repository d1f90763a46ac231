"""Bounds of layers at the ends of floats, against rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.fibers.activity import layer_bounds


@pytest.mark.parametrize("seed", range(40))
def test_layer_bounds_hold_where_products_overflow_and_underflow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    W = np.ldexp(rng.standard_normal((3, 2)), rng.choice([-600, 0, 600, 1000], size=(3, 2))) * (
        rng.random((3, 2)) < 0.8
    )
    b = np.ldexp(rng.standard_normal(3), rng.choice([-1000, 0, 1000], size=3)) * (rng.random(3) < 0.7)
    low = np.ldexp(rng.standard_normal(2), rng.choice([-1050, -600, 0, 1000], size=2)) * (rng.random(2) < 0.7)
    high = low + np.ldexp(rng.random(2), rng.choice([-1050, -600, 0, 1000], size=2))
    with np.errstate(all="raise"):
        least, most = layer_bounds(W, b, low, high)
    assert not np.isnan(least).any()
    assert not np.isnan(most).any()
    for i in range(3):
        for corner in np.ndindex(2, 2):
            y = [(low, high)[side][j] for j, side in enumerate(corner)]
            true = sum((Fraction(w) * Fraction(v) for w, v in zip(W[i].tolist(), y)), Fraction(b[i]))
            assert least[i] == -np.inf or Fraction(float(least[i])) <= true
            assert most[i] == np.inf or true <= Fraction(float(most[i]))
