"""Distances, balls and points inside of regions, against signs in rationals and a fine grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes import metric as module
from polyfiber.numerics.exact import as_fractions
from tests.oracles.rationals import hidden_values

NET = pf.ReLUNetwork.random((2, 4, 2, 1), rng=3)
FREE, BOXED = pf.canonical_complex(NET), pf.canonical_complex(NET, pf.Box(-2, 2, dimension=2))
AXIS = np.linspace(-2, 2, 161)
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
SIGNS = np.concatenate([np.sign(z) for z in NET.preactivations(GRID)[:-1]], axis=1)


def inside(region: int) -> np.ndarray:
    """Points of the grid in the open region of the boxed complex."""
    return np.asarray(GRID[(BOXED.signs(2)[region][: NET.n_hidden] == SIGNS).all(axis=1)])


@pytest.mark.parametrize("cx", [FREE, BOXED], ids=["all", "box"])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_points_inside_have_the_signs_of_their_faces(cx: pf.PolyhedralComplex, dim: int) -> None:
    exact = module.exact_interior_points(cx, dim)
    floats = module.certain_interior_points(cx, dim)
    for face, signs in enumerate(cx.signs(dim)):
        z = np.concatenate(NET.exact().preactivations(exact[face])[:-1])
        found = [(v > 0) - (v < 0) for v in z]
        if dim == 2:
            assert found == signs[: NET.n_hidden].tolist()
            near = hidden_values(NET, floats[face])
            assert [(v > 0) - (v < 0) for v in near] == signs[: NET.n_hidden].tolist()
        elif dim:  # vertices are solved for and rounded once; what is not zero keeps its sign
            assert all(f == s for f, s in zip(found, signs) if s)


def test_systems_hold_inside_and_only_there() -> None:
    for region in range(BOXED.n_regions):
        equal, at_least = module.system(BOXED, region)
        assert equal == []
        A = np.array([[float(v) for v in row] for row in at_least])
        held = ((GRID @ A[:, :-1].T + A[:, -1]) > 0).all(axis=1)
        strict = (np.abs(GRID) < 2).all(axis=1)
        own = (BOXED.signs(2)[region][: NET.n_hidden] == SIGNS).all(axis=1)
        assert (held[strict] == own[strict]).all()


@pytest.mark.parametrize("x", [[0.0, 0.0], [1.5, -1.0], [-3.0, 2.5]])
def test_distances_to_regions(x: list[float]) -> None:
    """No point of the grid is nearer, the nearest one is in the closed region, and some point of the grid is about as near."""
    for region in range(BOXED.n_regions):
        distance, at = module.region_distance(BOXED, x, region)
        assert distance == pytest.approx(float(np.linalg.norm(at - x)), abs=1e-12)
        _, at_least = module.system(BOXED, region)
        for *row, constant in at_least:
            assert sum(float(a) * b for a, b in zip(row, at)) + float(constant) >= -1e-9
        points = inside(region)
        if len(points):
            nearest = float(np.linalg.norm(points - x, axis=1).min())
            assert distance <= nearest + 1e-12
    distances = [module.region_distance(BOXED, [0.0, 0.0], r)[0] for r in range(BOXED.n_regions)]
    assert min(distances) == 0.0
    assert max(distances) > 0.0


def test_balls_lie_in_their_regions_and_are_nearly_the_largest() -> None:
    for region in range(BOXED.n_regions):
        ball = module.region_ball(BOXED, region)
        center, radius = module.rounded_ball(ball)
        _, at_least = module.system(BOXED, region)
        room = min(
            (sum(a * b for a, b in zip(row, as_fractions(center))) + constant)
            / Fraction(float(np.linalg.norm([float(v) for v in row])))
            for *row, constant in at_least
        )
        assert radius <= float(room) * (1 + 1e-9)
        assert radius >= float(room) * (1 - 1e-6)


def test_rays_point_into_what_is_unbounded() -> None:
    ids, directions = module.exact_rays(FREE)
    assert len(ids) > 0
    near = FREE.rays[1]
    for exact, unit in zip(directions, near):
        given = np.array([float(v) for v in exact])
        np.testing.assert_allclose(given / np.linalg.norm(given), unit, atol=1e-12)
    assert len(module.exact_rays(BOXED)[0]) == 0
