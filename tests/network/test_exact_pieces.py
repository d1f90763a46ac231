"""Affine pieces in rationals and in integers against values at points of the cell."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.exact_pieces import exact_pieces, integer_layers, integer_map
from tests.oracles.rationals import hidden_values, layers


@pytest.mark.parametrize("widths", [(2, 3, 1), (3, 2, 4, 2), (2, 2)])
def test_pieces_are_the_values_on_the_cell(widths: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(widths, rng=1).exact()
    for x in np.random.default_rng(0).standard_normal((8, widths[0])):
        active = np.array([v > 0 for v in hidden_values(net, x)], dtype=bool)
        point = np.array([*(Fraction(v) for v in x.tolist()), Fraction(1)], dtype=object)
        for form, expected in zip(exact_pieces(net, active), layers(net, x)):
            assert (form @ point).tolist() == expected


@pytest.mark.parametrize("widths", [(2, 3, 1), (3, 2, 4, 2)])
def test_integer_layers_keep_patterns_and_scale_the_map(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    W = [np.array([[Fraction(int(rng.integers(-9, 10)), int(rng.integers(1, 8))) for _ in range(a)] for _ in range(b)],
                  dtype=object) for a, b in zip(widths, widths[1:])]  # fmt: skip
    c = [np.array([Fraction(int(rng.integers(-9, 10)), int(rng.integers(1, 8))) for _ in range(b)], dtype=object)
         for b in widths[1:]]  # fmt: skip
    net = pf.ReLUNetwork(W, c)
    weights, biases = integer_layers(net)
    assert all(isinstance(v, int) for part in (*weights, *biases) for v in part.ravel())
    whole = pf.ReLUNetwork([w.astype(object) for w in weights], [b.astype(object) for b in biases])
    for x in rng.standard_normal((8, widths[0])):
        signs = [(v > 0) - (v < 0) for v in hidden_values(net, x)]
        assert signs == [(v > 0) - (v < 0) for v in hidden_values(whole, x)]
        active = np.array(signs) > 0
        true, scaled = exact_pieces(net, active)[-1], integer_map(weights, biases, active)
        ratios = {Fraction(int(s)) / t for s, t in zip(scaled.ravel(), true.ravel()) if t}
        assert len(ratios) <= 1
        assert all(r > 0 for r in ratios)
        assert all((s == 0) == (t == 0) for s, t in zip(scaled.ravel(), true.ravel()))


def test_nothing_active_leaves_the_last_bias() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2), rng=0).exact()
    weights, biases = integer_layers(net)
    off = np.zeros(3, dtype=bool)
    assert not exact_pieces(net, off)[-1][:, :-1].any()
    assert integer_map(weights, biases, off)[:, -1].tolist() == biases[-1].tolist()
