"""Domains: hulls and generators through cdd, and complexes on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError, ShapeError, SolverError


@pytest.mark.parametrize("seed", range(5))
def test_hulls_and_generators_are_inverse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((12, 3))
    domain = pf.Polyhedron.hull(points)
    corners = points[ConvexHull(points).vertices]
    vertices, rays = domain.generators()
    assert len(rays) == 0
    assert np.allclose(sorted(map(tuple, vertices)), sorted(map(tuple, corners)))
    assert domain.contains(points * (1 - 1e-9)).all()


def test_the_complex_on_a_hull_has_its_corners() -> None:
    rng = np.random.default_rng(1)
    corners = rng.standard_normal((6, 2)) * 2
    domain = pf.Polyhedron.hull(corners)
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 6, 4, 1), rng=2), domain)
    vertices, _ = domain.generators()
    assert cx.euler_characteristic == 1
    for v in vertices:
        assert np.abs(cx.vertices - v).max(axis=1).min() < 1e-9
    assert cx.volumes().sum() == pytest.approx(ConvexHull(corners).volume)


def test_rays_lines_and_refusals() -> None:
    cone = pf.Polyhedron.hull([[0.0, 0.0]], rays=[[1.0, 0.0], [0.0, 1.0]])
    assert cone.contains([[3.0, 5.0], [-1.0, 2.0]]).tolist() == [True, False]
    strip = pf.Polyhedron([[1, 0], [-1, 0]], [1, 1])
    points, rays = strip.generators()
    assert sorted(points[:, 0].tolist()) == [-1.0, 1.0]
    assert sorted(np.sign(rays[:, 1]).tolist()) == [-1.0, 1.0]
    with pytest.raises(InputError, match="hyperplane"):
        pf.Polyhedron.hull([[0, 0], [1, 1], [2, 2]])
    with pytest.raises(ShapeError, match="rays"):
        pf.Polyhedron.hull([[0, 0]], rays=[[1, 0, 0]])


def test_a_box_of_more_coordinates_than_memory_holds() -> None:
    with pytest.raises(BudgetExceededError, match="slice_through"):
        pf.Box(-1, 1, dimension=2_000_000)


def test_generators_that_floating_point_loses_are_refused() -> None:
    """Numbers far from 1 are zero to cdd, which then told of another polyhedron."""
    largest = np.finfo(np.float64).max
    for box in (pf.Box([largest, -largest], [largest, -largest]), pf.Box([-largest] * 2, [largest] * 2)):
        with np.errstate(all="raise"), pytest.raises(SolverError, match="floating point"):
            box.generators()
