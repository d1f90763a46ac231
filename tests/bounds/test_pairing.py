"""Two networks in one shape compute what they did, up to what is charged."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.pairing import Side, flat_pair, paired
from polyfiber.errors import ShapeError
from polyfiber.numerics.exact import as_fractions


def network(side: Side) -> pf.ReLUNetwork:
    return pf.ReLUNetwork(side.weights, side.biases)


def charged(side: Side, x: Any) -> list[Fraction]:
    """How far outputs may be from those of the parameters that are meant, to first order and more, at x."""
    y, off = [abs(Fraction(v)) for v in x], [Fraction(0)] * len(x)
    for W, b, E, e in zip(side.weights, side.biases, side.weight_errors, side.bias_errors):
        rows = list(zip(W.tolist(), b.tolist(), E.tolist(), e.tolist()))
        off = [
            sum((abs(Fraction(w)) + Fraction(d)) * o + Fraction(d) * v for w, d, o, v in zip(ws, ds, off, y))
            + Fraction(t)
            for ws, _, ds, t in rows
        ]
        y = [sum(abs(Fraction(w)) * v for w, v in zip(ws, y)) + abs(Fraction(c)) for ws, c, _, _ in rows]
    return off


@pytest.mark.parametrize(
    ("one", "two"),
    [((2, 3, 2), (2, 5, 4, 2)), ((2, 2), (2, 3, 3, 2)), ((3, 6, 1), (3, 2, 1)), ((1, 2, 1), (1, 1)), ((2, 2), (2, 2))],
)
@pytest.mark.parametrize("match", [True, False])
def test_the_values_stay(one: tuple[int, ...], two: tuple[int, ...], match: bool) -> None:
    f, g = pf.ReLUNetwork.random(one, rng=0), pf.ReLUNetwork.random(two, rng=1)
    sides = paired(f, g, match=match)
    assert sides[0].widths == sides[1].widths
    for net, side in zip((f, g), sides):
        for x in np.random.default_rng(2).standard_normal((6, one[0])):
            point = as_fractions(x)
            apart = np.abs(net.exact()(point) - network(side).exact()(point))
            assert all(a <= c for a, c in zip(apart, charged(side, x)))


def test_permuted_and_rescaled_neurons_stand_beside_each_other() -> None:
    f = pf.ReLUNetwork.random((3, 6, 5, 2), rng=0)
    g = pf.testing.rescaled(f, [[3, -2, 0, 1, 5, -4], [0, 2, -1, 0, 7]])
    order = np.random.default_rng(0).permutation(6)
    moved = pf.ReLUNetwork(
        [g.weights[0][order], g.weights[1][:, order], g.weights[2]], [g.biases[0][order], *g.biases[1:]]
    )
    x, y = paired(f, moved)
    for V, W in zip(x.weights, y.weights):
        np.testing.assert_allclose(V, W, rtol=1e-12, atol=1e-15)


def test_powers_of_two_cost_nothing_and_other_factors_are_charged() -> None:
    side = Side.of(pf.ReLUNetwork([[[1.0], [3.0]], [[5.0, 7.0]]], [[1.0, 0.0], [0.0]]))
    exact = side.rescaled(1, np.array([2.0, 0.5]))
    assert exact.weights[0].ravel().tolist() == [2.0, 1.5]
    assert max(float(e.max()) for e in (*exact.weight_errors, *exact.bias_errors)) < 1e-300
    rounded = side.rescaled(1, np.array([3.0, 0.1]))
    assert Fraction(float(rounded.weights[1][0, 0])) != Fraction(5, 3)
    assert abs(Fraction(float(rounded.weights[1][0, 0])) - Fraction(5, 3)) <= Fraction(
        float(rounded.weight_errors[1][0, 0])
    )


def test_rationals_and_flats_are_rounded_and_charged() -> None:
    net = pf.ReLUNetwork([[[Fraction(1, 3), Fraction(1, 7)]]], [[Fraction(2, 3)]])
    side = Side.of(net)
    for found, bound, true in zip(side.weights[0][0], side.weight_errors[0][0], net.weights[0][0]):
        assert 0 < abs(Fraction(float(found)) - true) <= Fraction(float(bound))
    lift = np.array(
        [[Fraction(1, 3), Fraction(1)], [Fraction(-2, 7), Fraction(1, 5)]], dtype=object
    )  # x as a function of t
    flat = side.on_flat(lift)
    for t in (Fraction(0), Fraction(3, 2), Fraction(-7)):
        true = net([lift[0, 0] * t + lift[0, 1], lift[1, 0] * t + lift[1, 1]])[0]
        found = Fraction(float(flat.weights[0][0, 0])) * t + Fraction(float(flat.biases[0][0]))
        assert abs(found - true) <= Fraction(float(flat.weight_errors[0][0, 0])) * abs(t) + Fraction(
            float(flat.bias_errors[0][0])
        )


def test_flat_arrays_hold_both_and_the_difference() -> None:
    f, g = pf.ReLUNetwork.random((2, 3, 2), rng=0), pf.ReLUNetwork.random((2, 3, 2), rng=1)
    x, y = paired(f, g, match=False)
    pair = flat_pair(x, y)
    assert pair.layout.widths.tolist() == [2, 3, 2]
    first, second, change = pair.rows
    for l in range(2):
        size = x.weights[l].size
        part = slice(pair.layout.at[l], pair.layout.at[l] + size)
        np.testing.assert_array_equal(first[part], x.weights[l].ravel())
        np.testing.assert_array_equal(second[part], y.weights[l].ravel())
        np.testing.assert_array_equal(change[part], (x.weights[l] - y.weights[l]).ravel())


def test_other_spaces_are_refused() -> None:
    for other in ((3, 2), (2, 3)):
        with pytest.raises(ShapeError, match="only functions between the same spaces"):
            paired(pf.ReLUNetwork.random((2, 4, 2), rng=0), pf.ReLUNetwork.random(other, rng=0))
