"""Boxes around polyhedra, bounds by duality, and bounds of neurons, against rationals and samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds import relaxation as module
from polyfiber.errors import InputError
from polyfiber.testing.graphs import random_graph
from tests.oracles.rationals import layers

NET = pf.ReLUNetwork.random((2, 3, 2), rng=0)
TRIANGLE = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])


@pytest.mark.parametrize("seed", range(6))
def test_any_multipliers_give_a_lower_bound(seed: int) -> None:
    """Also wrong ones, and whatever is rounded: the exact minimum over the corners of the box is above."""
    rng = np.random.default_rng(seed)
    A, b, cost = rng.standard_normal((3, 2)), rng.standard_normal(3), rng.standard_normal(2)
    low, high = -rng.random(2), rng.random(2)
    grid = np.stack(np.meshgrid(np.linspace(low[0], high[0], 60), np.linspace(low[1], high[1], 60)), axis=-1).reshape(
        -1, 2
    )
    inside = grid[(grid @ A.T <= b).all(axis=1)]
    for _ in range(10):
        y = np.abs(rng.standard_normal(3))
        bound = module.safe_minimum(cost, A, b, y, low, high)
        if len(inside):
            assert bound <= (inside @ cost).min()
    assert module.safe_minimum(cost, A, b, np.zeros(3), low, high) <= float(np.minimum(cost * low, cost * high).sum())
    assert module.safe_minimum(cost, A, b, np.full(3, 1e308), -high, np.full(2, np.inf)) == -np.inf


def test_boxes_hold_their_polyhedra_and_nearly_nothing_more() -> None:
    low, high = module.bounding_box(TRIANGLE)
    assert (low <= 0).all()
    assert (high >= 1).all()
    np.testing.assert_allclose([low, high], [[0, 0], [1, 1]], atol=1e-6)
    assert module.box_is_known(TRIANGLE)
    low[:] = 7.0  # a copy was given out
    assert (module.bounding_box(TRIANGLE)[0] < 1).all()
    third = pf.Box([Fraction(1, 3)], [Fraction(2, 3)])
    low, high = module.bounding_box(third)
    assert Fraction(low[0]) < Fraction(1, 3) < Fraction(2, 3) < Fraction(high[0])


def test_flat_polyhedra_are_bounded_in_their_flat() -> None:
    """The segment x + y = 1/3 within the square."""
    segment = pf.Polyhedron([[3, 3], [-3, -3], [-1, 0], [0, -1]], [1, -1, 0, 0])
    low, high = module.bounding_box(segment)
    assert all(Fraction(v) <= 0 for v in low)
    assert all(Fraction(v) >= Fraction(1, 3) for v in high)
    np.testing.assert_allclose([low, high], [[0, 0], [1 / 3, 1 / 3]], atol=1e-6)


def test_unbounded_and_empty_domains() -> None:
    with pytest.raises(InputError, match="unbounded in coordinate"):
        module.bounding_box(pf.Polyhedron([[-1, 0], [0, -1], [0, 1]], [0, 0, 1]))
    with pytest.raises(InputError, match="empty"):
        module.bounding_box(pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [-1, -1, 1, 1]))


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("widths", [(2, 4, 1), (3, 4, 5, 2)])
def test_neurons_stay_within_their_bounds_in_rationals(widths: tuple[int, ...], lines: bool) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        lo = rng.standard_normal(widths[0])
        hi = lo + 10.0 ** rng.uniform(-12, 0.5)
        work = module.relaxed(net, (lo, hi), lines=lines)
        for x in [lo, hi, *(lo + (hi - lo) * rng.random((6, widths[0])))]:
            for l, z in enumerate(layers(net, np.clip(x, lo, hi))):
                for i, v in enumerate(z):
                    assert Fraction(float(work.low[l][i])) <= v <= Fraction(float(work.high[l][i]))


def test_lines_are_no_worse_than_intervals_and_exact_without_open_neurons() -> None:
    net = pf.ReLUNetwork.random((2, 6, 6, 2), rng=1)
    box = (-np.ones(2), np.ones(2))
    plain, better = (module.relaxed(net, box, lines=lines) for lines in (False, True))
    for l in range(3):
        assert (better.low[l] >= plain.low[l]).all()
        assert (better.high[l] <= plain.high[l]).all()
    assert (better.high[2] < plain.high[2]).any()
    x = np.array([0.3, -0.2])
    point = module.relaxed(net, (x, x))
    np.testing.assert_allclose(point.high[2], net(x), atol=1e-12)
    assert all(len(point.undecided(l)) == 0 for l in range(2))


@pytest.mark.parametrize("wiring", ["residual", "dense"])
def test_graphs_of_gates(wiring: str) -> None:
    net = random_graph(2, 2, (3, 3), wiring=wiring, outputs=2)
    lo, hi = -np.ones(2), np.ones(2)
    work = module.relaxed(net, (lo, hi))
    X = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    assert (net(X) <= work.high[-1] + 1e-12).all()
    assert (net(X) >= work.low[-1] - 1e-12).all()


def test_values_with_errors_hold_in_rationals() -> None:
    rng = np.random.default_rng(3)
    net = pf.ReLUNetwork(
        [rng.standard_normal((4, 2)) * 1e8, rng.standard_normal((1, 4)) * 1e-8], [rng.standard_normal(4), [0.0]]
    )
    X = rng.standard_normal((8, 2))
    found, errors = module.values_with_errors(module.Wiring.of(net), X)
    for k, x in enumerate(X):
        for value, bound, true in zip(found[k], errors[k], [v for z in layers(net, x) for v in z]):
            assert abs(Fraction(float(value)) - true) <= Fraction(float(bound))


def test_a_box_beyond_floats_is_refused() -> None:
    end = Fraction(10**400)
    with pytest.raises(InputError, match=r"beyond floating-point numbers: from -1e\+400 to 1"):
        module.bounding_box(pf.Box([-end, Fraction(0)], [Fraction(1), Fraction(1)]))
    for ask in (lambda box: pf.minimize(NET, domain=box), lambda box: pf.activation_bounds(NET, box)):
        with pytest.raises(InputError, match="beyond floating-point"):
            ask(pf.Box([-end] * 2, [end] * 2))
    assert not pf.difference(NET, pf.ReLUNetwork.random((2, 2, 2), rng=1), pf.Box([-end] * 2, [end] * 2)).complete
