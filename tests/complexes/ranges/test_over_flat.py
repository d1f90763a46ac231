"""Bounds and Lipschitz constants on polyhedra in flats, against the network restricted to the flat and against all vertices."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import polyfiber as pf
from polyfiber.bounds.relaxation import bounding_box
from polyfiber.errors import InputError
from polyfiber.numerics.directions import extreme_directions
from polyfiber.numerics.exact import as_fractions


def slanted(rng: np.random.Generator, n: int, equations: int) -> pf.Polyhedron:
    """A box cut by hyperplanes through points of it, with more inequalities that keep one of these."""
    inside = np.round(rng.uniform(-0.5, 0.5, n) * 16) / 16
    A, b = [*np.eye(n), *-np.eye(n)], [1.0] * (2 * n)
    for _ in range(equations):
        row = rng.integers(-3, 4, size=n).astype(float)
        row = row if row.any() else np.ones(n)
        A += [row, -2 * row]
        b += [float(row @ inside), float(-2 * row @ inside)]
    for row in rng.integers(-2, 3, size=(2, n)).astype(float):
        if row.any():
            A.append(row)
            b.append(float(row @ inside) + 0.75)
    return pf.Polyhedron(np.array(A), np.array(b))


def network(rng: np.random.Generator, widths: tuple[int, ...], exact: bool) -> pf.ReLUNetwork:
    if not exact:
        return pf.ReLUNetwork.random(widths, rng=int(rng.integers(1 << 30)))
    shapes = list(zip(widths[1:], widths[:-1]))
    draw = [np.array([Fraction(int(v), 3) for v in rng.integers(-6, 7, a * b)], dtype=object) for a, b in shapes]
    return pf.ReLUNetwork([w.reshape(s) for w, s in zip(draw, shapes)], [np.full(a, Fraction(1, 7)) for a, _ in shapes])


def exact_ranges(net: pf.ReLUNetwork, domain: pf.Polyhedron) -> tuple[list[Fraction], list[Fraction]]:
    """Least and greatest value of every neuron and output: at vertices, in rationals."""
    points = pf.canonical_complex(net, domain).exact_vertices()
    values = [np.concatenate(net.exact().preactivations(p)) for p in points]
    return [min(column) for column in zip(*values)], [max(column) for column in zip(*values)]


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_and_exact_ones_are_attained(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    domain = slanted(rng, n, int(rng.integers(1, n + 1)))
    net = network(rng, (n, 5, 4, 2), seed % 3 == 2)
    low, high = exact_ranges(net, domain)
    N = net.n_hidden
    for method in ("interval", "relaxation", "lp", "exact"):
        b = pf.activation_bounds(net, domain, method=method)
        assert b.network == net
        assert b.domain is domain
        below, above = np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]
        for j in range(N + 2):
            assert Fraction(below[j]) <= low[j] <= Fraction(b.attained_lower[j]), (method, j)
            assert Fraction(b.attained_upper[j]) <= high[j] <= Fraction(above[j]), (method, j)
            assert low[j] <= b.value(j, greatest=False)
            assert b.value(j) <= high[j]
        assert b.verify()
        assert b.lower_at.shape == (N + 2, n)
    assert b.complete
    assert b.is_exact.all()


def test_a_moved_value_is_noticed_on_a_flat() -> None:
    domain = slanted(np.random.default_rng(5), 3, 1)
    b = pf.activation_bounds(pf.ReLUNetwork.random((3, 4, 1), rng=0), domain)
    moved = b.attained_upper.copy()
    moved[0] += 1e-3
    assert b.verify()
    assert not dataclasses.replace(b, attained_upper=moved).verify()


@pytest.mark.parametrize("seed", range(6))
def test_regions_of_flat_domains(seed: int) -> None:
    """On z = x + y, where there are points that floats hold exactly."""
    rng = np.random.default_rng(100 + seed)
    domain = pf.Polyhedron([[1, 1, -1], [-1, -1, 1], *np.eye(3), *-np.eye(3)], [0, 0, *[1] * 6])
    net = pf.ReLUNetwork.random((3, 6, 3, 1), rng=seed)
    cx = pf.canonical_complex(net, domain)
    at = np.round(rng.uniform(-0.4, 0.4, 2) * 64) / 64
    point = np.append(at, at.sum())
    region = pf.region(net, point, domain=domain)
    b = pf.activation_bounds(net, region)
    mine = int(cx.locate(point))
    points = cx.exact_vertices(cx.v_representation(mine).vertex_ids)
    values = np.array([np.concatenate(net.exact().preactivations(p)) for p in points], dtype=object)
    below, above = np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]
    for j in range(net.n_hidden + 1):
        assert Fraction(below[j]) <= values[:, j].min()
        assert values[:, j].max() <= Fraction(above[j])
        assert float(values[:, j].max()) >= above[j] - 1e-9
    assert b.verify()


@pytest.mark.parametrize("seed", range(10))
def test_bounding_boxes_hold_the_vertices(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    n = int(rng.integers(2, 6))
    domain = slanted(rng, n, int(rng.integers(1, n + 1)))
    points = pf.canonical_complex(pf.ReLUNetwork.random((n, 1, 1), rng=0), domain).exact_vertices()
    low, high = bounding_box(domain)
    for c in range(n):
        assert Fraction(low[c]) <= points[:, c].min() <= Fraction(low[c]) + Fraction(1, 10**9)
        assert Fraction(high[c]) - Fraction(1, 10**9) <= points[:, c].max() <= Fraction(high[c])


def test_steep_flats_are_bounded() -> None:
    """In x = 1e10 y + 1/2 the coordinate y is a poor one to begin with."""
    domain = pf.Polyhedron([[1, -1e10], [-1, 1e10], [1, 0], [-1, 0]], [0.5, -0.5, 1, 1])
    low, high = bounding_box(domain)
    assert Fraction(low[1]) <= Fraction(-3, 2 * 10**10)
    assert Fraction(1, 2 * 10**10) <= Fraction(high[1]) <= Fraction(50001, 10**15)
    b = pf.activation_bounds(pf.ReLUNetwork([[[0.0, 1e10]], [[1.0]]], [[0.0], [0.0]]), domain, method="exact")
    assert np.allclose([b.lower[0], b.upper[0]], [-1.5, 0.5], rtol=1e-12)
    assert b.verify()


@pytest.mark.parametrize(
    ("domain", "match"),
    [
        (pf.Polyhedron([[1, 1], [-1, -1]], [0, 0]), "unbounded in coordinate"),
        (pf.Polyhedron([[1, 1], [-1, -1], [1, 0]], [0, 0, 1]), "unbounded in coordinate"),
        (pf.Polyhedron([[1, 1], [-1, -1]], [0, -1]), "empty"),
        (pf.Polyhedron([[1, 1], [-1, -1], [1, 0], [-1, 0]], [0, 0, 1, -2]), "empty"),
    ],
)
def test_domains_that_are_refused(domain: pf.Polyhedron, match: str) -> None:
    with pytest.raises(InputError, match=match):
        pf.activation_bounds(pf.ReLUNetwork.random((2, 3, 1), rng=0), domain)


# ---- Lipschitz constants ------------------------------------------------------------------------
def norm_on(A: Any, L: Any, ord: float) -> float:
    """Operator norm of A on the span of L by linear programs: every output (infinity), every sign of the outputs (1)."""
    n, k = L.shape
    outputs = len(A)
    best = 0.0
    signs = np.array(np.meshgrid(*[[1.0, -1.0]] * outputs)).reshape(outputs, -1).T if ord == 1 else np.eye(outputs)
    for s in signs:
        if ord == 1:  # |d|_1 <= 1 with d = p - q
            cost = -np.r_[s @ A, -(s @ A)]
            kernel = np.linalg.svd(L.T)[2][k:]
            found = linprog(
                cost, A_ub=np.ones((1, 2 * n)), b_ub=[1.0], A_eq=np.c_[kernel, -kernel], b_eq=np.zeros(n - k)
            )
        else:
            found = linprog(-(s @ A @ L), A_ub=np.r_[L, -L], b_ub=np.ones(2 * n), bounds=(None, None))
        best = max(best, -found.fun)
    return best


@pytest.mark.parametrize("seed", range(10))
def test_lipschitz_on_slanted_flats(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    n = int(rng.integers(2, 5))
    domain = slanted(rng, n, int(rng.integers(1, n)))
    net = pf.ReLUNetwork.random((n, 5, 3, 2), rng=seed)
    cx = pf.canonical_complex(net, domain)
    L = domain.affine_hull.lift[:, :-1].astype(float)
    # gradients of the network itself, at points inside
    maps = []
    for p in cx.interior_points(exact=True):
        rows = np.eye(n)
        for w, z in zip(net.weights[:-1], net.exact().preactivations(p)):
            rows = (w @ rows) * np.array([v > 0 for v in z])[:, None]
        maps.append(net.weights[-1] @ rows)
    for ord in (1, np.inf):
        found = cx.lipschitz(ord)
        assert abs(found.value - max(norm_on(A, L, ord) for A in maps)) <= found.error + 1e-8 * (1 + found.value)
        assert found.error < 1e-9 * (1 + found.value)
        assert abs(norm_on(maps[found.region], L, ord) - found.value) <= 1e-8 * (1 + found.value)


def test_too_many_directions_are_refused() -> None:
    with pytest.raises(InputError, match="directions"):
        extreme_directions(as_fractions(np.eye(40)[:, :39]), np.inf)
    assert len(extreme_directions(as_fractions(np.ones((3, 1))), 1)) == 1
