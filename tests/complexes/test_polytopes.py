"""Regions in columns agree with regions one at a time, and with hulls."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.spatial import ConvexHull

import polyfiber as pf
from polyfiber.complexes.polytopes import Polytopes
from polyfiber.testing.corpus import degenerate_corpus

CASES = [
    ((1, 5, 1), None),
    ((2, 6, 4, 1), None),
    ((2, 5, 3, 1), pf.Box(-1.0, 1.0, dimension=2)),
    ((3, 6, 5, 2), None),
    ((3, 5, 4, 1), pf.Box(-1.0, 2.0, dimension=3)),
    ((4, 6, 3, 1), pf.Box(-1.0, 1.0, dimension=4)),
    ((4, 3, 3, 1), None),  # lineality
]


@pytest.mark.parametrize(("widths", "domain"), CASES)
def test_columns_agree_with_single_regions(widths: tuple[int, ...], domain: pf.Box | None) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random(widths, rng=3), domain)
    agree(cx)


def agree(cx: pf.PolyhedralComplex) -> None:
    p = Polytopes(cx)
    rows = p.inequalities()
    vertex_ptr, vertices = p.vertices
    ray_ptr, rays = p.rays
    step = max(1, cx.n_regions // 60)
    for r in range(0, cx.n_regions, step):
        h, v = cx.h_representation(r), cx.v_representation(r)
        part = slice(rows.indptr[r], rows.indptr[r + 1])
        size = np.linalg.norm(h.A, axis=1)
        assert np.allclose(rows.A[part], h.A / size[:, None], atol=1e-12)
        assert np.allclose(rows.b[part], h.b / size, rtol=1e-12, atol=1e-12)
        assert rows.columns[part].tolist() == h.facets.tolist()
        assert vertices[vertex_ptr[r] : vertex_ptr[r + 1]].tolist() == v.vertex_ids.tolist()
        assert np.array_equal(cx.rays[1][rays[ray_ptr[r] : ray_ptr[r + 1]]], v.rays)
    start, stop = cx.n_regions // 3, cx.n_regions // 3 + 1
    assert np.array_equal(p.inequalities(start, stop).A, rows.A[rows.indptr[start] : rows.indptr[stop]])


def test_degenerate_complexes_have_the_same_columns() -> None:
    count = 0
    for case in degenerate_corpus():
        if case.network.architecture[0] <= 3 and count < 25:
            agree(pf.canonical_complex(case.network))
            count += 1
    assert count == 25


@pytest.mark.parametrize("widths", [(2, 7, 4, 1), (3, 7, 5, 1), (4, 6, 4, 1), (5, 6, 1)])
def test_sizes_are_those_of_hulls(widths: tuple[int, ...]) -> None:
    n = widths[0]
    cx = pf.canonical_complex(pf.ReLUNetwork.random(widths, rng=5))
    volumes = cx.volumes()
    bounded = np.flatnonzero(np.isfinite(volumes))
    assert np.array_equal(~np.isfinite(volumes), cx.is_unbounded(n))
    assert len(bounded)
    for r in bounded[:: max(1, len(bounded) // 40)]:
        points = cx.v_representation(int(r)).vertices
        centred = points - points.mean(axis=0)
        triangle = np.linalg.qr(centred)[1]  # a long thin hull is made round before it is measured
        hull = ConvexHull(np.linalg.solve(triangle.T, centred.T).T)
        assert math.isclose(volumes[r], hull.volume * abs(np.linalg.det(triangle)), rel_tol=1e-6)


def test_sizes_fill_the_box_and_its_sides() -> None:
    box = pf.Box(-1.0, 1.0, dimension=3)
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 12, 8, 1), rng=1), box)
    assert math.isclose(cx.volumes().sum(), 8.0, rel_tol=1e-12)
    outer = (cx.signs(2)[:, cx.network.n_hidden :] == 0).any(axis=1)
    assert math.isclose(cx.polytopes.sizes(2)[outer].sum(), 24.0, rel_tol=1e-12)
    length = np.linalg.norm(np.diff(cx.vertices[cx.edges], axis=1)[:, 0], axis=1)
    assert np.allclose(cx.polytopes.sizes(1), length, rtol=1e-12)


def test_volumes_of_a_complex_with_lineality_are_infinite() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((4, 3, 2, 1), rng=0))
    assert cx.lineality_dimension == 1
    assert np.isinf(cx.volumes()).all()
    p = cx.polytopes
    bounded = ~p.unbounded(3)
    assert np.isfinite(p.sizes(3)[bounded]).all()


SQUARE = [[1, 1, 1], [-1, -1, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]


@pytest.mark.parametrize("size", [1e-160, 1e-100, 1e-3, 1.0, 1e90, 1e150, 1e155, 1e200])
def test_volumes_on_slanted_flats_of_any_size(size: float) -> None:
    """A square of x, y on the plane x + y + z = 0, cut into four: sqrt(3) h^2 each, in rationals; infinite beyond floats."""
    plane = pf.Polyhedron(SQUARE, [0, 0, size, size, size, size])
    cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 0, 0], [0, 1, 0]], [[1, 1]]], [[0, 0], [0]]), plane)
    square = 3 * Fraction(size) ** 4
    for given, error in zip(cx.volumes(), cx.volume_errors):
        if np.isinf(error):
            assert given == np.inf
            assert square > Fraction(2) ** 2040
            continue
        low, high = Fraction(given) - Fraction(error), Fraction(given) + Fraction(error)
        assert max(low, Fraction(0)) ** 2 <= square <= high**2
        assert error <= 1e-6 * given + 5e-324
    assert cx.certificate.verify(everything=True).verdict is pf.Verdict.YES


@pytest.mark.parametrize("gap", [2.0**-52, 2.0**-40, Fraction(1, 10**400)])
def test_segments_between_walls_that_nearly_meet_on_a_slanted_line(gap: Any) -> None:
    """x + y = 0 with walls at x = 1 and x = 1 + gap: sqrt(2) gap, to the bound, which is small."""
    exact = isinstance(gap, Fraction)
    net = pf.ReLUNetwork([[[1, 0], [1, 0]], [[1, 1]]], [[-1, -1 - gap], [0]])
    line = pf.Polyhedron([[1, 1], [-1, -1]], [0, 0])
    cx = pf.canonical_complex(net, line)
    finite = np.flatnonzero(~cx.is_unbounded(1))
    assert len(finite) == 1
    given, error = Fraction(cx.volumes()[finite[0]]), Fraction(cx.volume_errors[finite[0]])
    assert max(given - error, Fraction(0)) ** 2 <= 2 * Fraction(gap) ** 2 <= (given + error) ** 2
    assert error <= (5e-324 if exact else Fraction(1e-6) * given)
    assert cx.certificate.verify(everything=True).verdict is pf.Verdict.YES
