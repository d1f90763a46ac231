"""Helpers for floats and rationals: norms without overflow, ranges, draws."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.network import float_or_rational as module


@pytest.mark.parametrize("exponent", [-1070, -600, 0, 600, 1020])
def test_norms_do_not_over_or_underflow(exponent: int) -> None:
    W = np.ldexp(np.array([[3.0, 4.0], [0.0, 0.0], [1.0, -1.0]]), exponent)
    found = module.row_norms(W)
    assert found[0] == 5.0 * 2.0**exponent
    assert found[1] == 0.0
    assert abs(found[2] / 2.0**exponent - 2**0.5) < (1e-12 if exponent > -1000 else 0.5)
    assert module.gauge_norms(W)[1] == 1.0
    assert (module.gauge_norms(W)[0] == found[0]) == (abs(exponent) < 400)


def test_lengths_are_never_zero() -> None:
    rational = np.array([[Fraction(1, 3), Fraction(-2)], [Fraction(0), Fraction(0)]], dtype=object)
    assert module.lengths(rational).tolist() == [2, 1]
    assert module.lengths(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [5.0, 1.0]


def test_what_floats_hold() -> None:
    third = pf.ReLUNetwork([[[Fraction(1, 3)]]], [[0]])
    assert module.within_floats(third).weights[0][0, 0] == 1 / 3
    small = pf.ReLUNetwork([[[Fraction(1, 10**310)]]], [[0]])
    with pytest.raises(InputError, match="below the range"):
        module.within_floats(small)
    exact_small = pf.ReLUNetwork([[[Fraction(2) ** -1074]]], [[0]])
    assert module.within_floats(exact_small).weights[0][0, 0] == 5e-324
    wide = pf.ReLUNetwork([[[1e200]], [[1e200]]], [[0.0], [0.0]])
    with pytest.raises(InputError, match="this: parameters whose products leave"):
        module.values_in_floats(wide, "this")
    assert module.values_in_floats(pf.ReLUNetwork([[[1e200]]], [[0.0]]), "this") is not None
    with pytest.raises(InputError):
        module.values_in_floats(pf.ReLUNetwork([[[1e200]]], [[0.0]]), "this", squares=True)


def test_products_in_range() -> None:
    assert module.products_in_range(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    assert not module.products_in_range(pf.ReLUNetwork([[[1e200]], [[1e200]]], [[0.0], [0.0]]))
    assert not module.products_in_range(pf.ReLUNetwork([[[1e-200]], [[1e-200]]], [[0.0], [0.0]]))


def test_scales_of_activations_follow_rescalings() -> None:
    net = pf.ReLUNetwork.random((2, 3, 4, 1), rng=0)
    scaled = pf.testing.rescaled(net, [[3, -2, 0], [5, 0, 0, 1]])
    one, two = module.activation_scales(net), module.activation_scales(scaled)
    np.testing.assert_allclose(two[1] / one[1], 2.0 ** np.array([3, -2, 0]))
    for a, b, l in ((one, two, 0), (one, two, 1)):  # rows in the gauge of the layer before are the same
        rows = [n.weights[l] * s[l] / s[l + 1][:, None] for n, s in ((net, a), (scaled, b))]
        np.testing.assert_allclose(rows[0], rows[1])


def test_draws_are_of_the_kind_that_is_asked() -> None:
    for dtype in (np.dtype(float), np.dtype(object)):
        rng = np.random.default_rng(0)
        positive = module.draw(rng, 200, dtype, positive=True)
        uniform = module.draw(rng, 200, dtype, uniform=True)
        assert min(positive) > 0
        assert 0 <= min(uniform) <= max(uniform) <= 1
        plain = module.draw(rng, (10, 20), dtype)
        assert plain.shape == (10, 20)
        assert plain.min() < 0 < plain.max()
        if dtype.kind == "O":
            assert all(isinstance(v, Fraction) and v and 1024 % v.denominator == 0 for v in plain.ravel())
    assert module.clean(np.full((2, 2), 1e-13), 1.0).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert module.clean(np.full((1, 1), 1e-11), 1.0)[0, 0] == 1e-11
    assert module.largest(np.zeros((0, 2))) == 0.0


def test_ratios_of_rationals_beyond_floats() -> None:
    from polyfiber.network.float_or_rational import ratio

    huge = np.array([Fraction(10) ** 400, Fraction(3)], dtype=object)
    assert ratio(huge, 2 * huge) == 0.5
    assert ratio(huge[1:], huge) > 0.0
    assert ratio(0 * huge, huge) == ratio(huge[:0], huge) == ratio(0 * huge, 0 * huge) == 0.0
    assert ratio(np.array([1.0, -3.0]), np.array([6.0])) == 0.5
