"""Cells of complexes on flat domains away from the origin: rays, points, corners, distances, balls, exact points, by hand and by brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology import exchange
from polyfiber.errors import InputError

from ...oracles.exact_faces import exact_complex
from ...oracles.flat_cells import FlatCells, signs_at
from ...oracles.flats import fractions, random_flat
from ...oracles.memory import opened

F = Fraction
CROSS = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.5], [0.0]])  # walls x = 0 and y = -1/2
LINE = pf.Polyhedron([[1, 0], [-1, 0]], [5, -5])
SLANTED = pf.Polyhedron([[3, 1], [-3, -1], [1, 0], [-1, 0], [0, 1], [0, -1]], [1, -1, 9, 9, 9, 9])


def test_rays_on_a_line_away_from_the_origin() -> None:
    cx = pf.canonical_complex(CROSS, LINE)
    assert sorted(cx.rays[1].tolist()) == [[0, -1], [0, 1]]
    assert sorted(cx.interior_points(1).tolist()) == [[5, -1.5], [5, 0.5]]
    assert sorted(r for i in range(2) for r in cx.v_representation(i).rays.tolist()) == [[0, -1], [0, 1]]
    assert sorted(d for directions in cx.image().directions for d in directions.tolist()) == [[0], [1]]
    assert sorted(cx.superlevel_set(-1).rays[1].tolist()) == [[0, -1], [0, 1]]
    assert cx.certificate.verify(everything=True).verdict.name == "YES"


def test_a_difference_is_unbounded_along_a_flat() -> None:
    """Far out on x = 1e6 a wall begins at y = 1e6."""
    a = pf.ReLUNetwork([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    b = pf.ReLUNetwork([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 0.001]]], [[0.0, 0.0, -1e6], [0.0]])
    assert pf.difference(a, b, pf.Polyhedron([[1, 0], [-1, 0]], [1e6, -1e6])).upper == np.inf


def test_the_default_check_notices_rays_and_vertices_off_the_flat() -> None:
    cx = pf.canonical_complex(CROSS, LINE)
    (ids, directions), (points, errors) = cx.rays, (cx.vertices, cx.vertex_errors)
    assert cx.certificate.verify().ok
    turned = directions + 1e-6
    cx._kept["rays"] = ids, turned / np.linalg.norm(turned, axis=1, keepdims=True)
    assert cx.certificate.verify().problems == ("2 rays point elsewhere than those of the skeleton",)
    cx._kept["rays"] = ids, directions
    cx._kept["_points"] = points * 1.5, errors
    assert cx.certificate.verify().problems == ("1 vertex was given out with error bounds that do not hold",)


def test_distances_on_flats_by_hand() -> None:
    cx = pf.canonical_complex(CROSS, pf.Box([1, -2], [1, 3]))
    found = sorted((d, at.tolist()) for d, at in (cx.distance([0, 0], r) for r in range(2)))
    assert found == [(1.0, [1, 0]), (pytest.approx(1.25**0.5, rel=1e-15), [1, -0.5])]
    near = cx.superlevel_set(-1).nearest_point([0, 0])
    assert (near.squared, near.exact_point) == (1, (1, 0))
    assert pf.canonical_complex(CROSS, pf.Box([1, 1], [1, 1])).distance([0, 0], 0)[0] == pytest.approx(2**0.5)
    constant = pf.ReLUNetwork([[[0.0, 0.0]], [[1.0]]], [[1.0], [0.0]])  # no wall cuts the line
    assert pf.canonical_complex(constant, LINE).distance([0, 0], 0)[0] == 5


def test_a_ball_in_a_slanted_flat() -> None:
    """The wall z = 0 in y = 3 x: the ball reaches from it to z = 1, or -1."""
    net = pf.ReLUNetwork([[[0.0, 0.0, 1.0]], [[1.0]]], [[0.0], [0.0]])
    domain = pf.Polyhedron([[3, -1, 0], [-3, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]], [0, 0, 1, 1, 1, 1])
    for region in range(2):
        x, y, z = pf.canonical_complex(net, domain).largest_ball(region).center
        assert y == 3 * x
        assert abs(x) <= 1
        assert abs(abs(z) - F(1, 2)) < 1e-9


@pytest.mark.parametrize("far", [1e6, 1e13])
def test_lengths_far_from_the_origin(far: float) -> None:
    """The segment x + 0.3 y = far over |y| <= 1 is cut in three; the square of its length is rational."""
    net = pf.ReLUNetwork([[[0.0, 0.3], [0.0, -0.2]], [[1.0, 1.0]]], [[0.1, 0.05], [0.0]])
    cx = pf.canonical_complex(net, pf.Polyhedron([[1, 0.3], [-1, -0.3], [0, 1], [0, -1]], [far, -far, 1, 1]))
    total, error = (sum(map(F, v.tolist())) for v in (cx.volumes(), cx.volume_errors))
    assert (total - error) ** 2 <= 4 * (1 + F(0.3) ** 2) <= (total + error) ** 2
    assert error < 1e-12


def test_an_exported_region_has_the_equations_of_its_flat() -> None:
    rows = exchange.exact_region_rows(pf.canonical_complex(CROSS, LINE), 0).tolist()
    assert [1, 0, -5] in rows
    assert [-1, 0, 5] in rows


@pytest.mark.parametrize("seed", range(24))
def test_cells_on_flats_are_those_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng([67, seed])
    n = int(rng.integers(2, 4))
    net = pf.ReLUNetwork.random((n, 3, 2, 1), rng=seed)
    domain, lift = random_flat(rng, n, int(rng.integers(0, n)), int(rng.choice([1, 4, 3])))
    if seed % 2:  # without the cube: unbounded
        domain = pf.Polyhedron(domain.A[: -2 * n], domain.b[: -2 * n])
    sides = domain.A.tolist(), domain.b.tolist()
    cx = pf.canonical_complex(net, domain)
    assert FlatCells(cx, exact_complex(net.weights, net.biases, domain=sides), sides).wrong(rng) == ""
    # and those of the network restricted to the flat by hand, lifted
    k = lift.shape[1] - 1
    if not k:
        return
    exact = net.exact()
    first, bias = exact.weights[0] @ lift[:, :-1], exact.biases[0] + exact.weights[0] @ lift[:, -1]
    rows = fractions(domain.A) @ lift
    keep = (rows[:, :-1] != 0).any(axis=1)
    within = pf.Polyhedron(rows[keep, :-1], (fractions(domain.b) - rows[:, -1])[keep]) if keep.any() else None
    small = pf.canonical_complex(pf.ReLUNetwork([first, *exact.weights[1:]], [bias, *exact.biases[1:]]), within)
    assert small.f_vector == cx.f_vector
    if not cx.lineality_dimension:
        lifted = {tuple(lift[:, :-1] @ t + lift[:, -1]) for t in small.exact_vertices()}
        assert lifted == {tuple(x) for x in cx.exact_vertices()}
        mapped = small.rays[1] @ lift[:, :-1].astype(float).T
        mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
        assert np.allclose(*(d[np.lexsort(d.round(6).T)] for d in (mapped, cx.rays[1])), atol=1e-12)


@pytest.mark.parametrize("point", [(F(1, 7), F(4, 7)), (F(-1, 3), F(2)), (F(1, 10**30), 1 - F(3, 10**30))])
def test_regions_at_exact_points_of_a_slanted_flat(point: tuple[Fraction, ...]) -> None:
    found = pf.region(CROSS, point, domain=SLANTED)
    sides = [[F(v) for v in row] for row in SLANTED.affine_forms().tolist()]
    assert tuple(found.signs.tolist()) == signs_at(CROSS, sides, list(point))
    assert found.verify().ok
    explored = pf.explore(CROSS, np.array(point, dtype=object), domain=SLANTED)
    assert explored.complete
    assert explored.n_regions == pf.canonical_complex(CROSS, SLANTED).n_regions


def test_exact_points_are_not_rounded() -> None:
    """1/3 lies on one side of a wall, and the float beside it on the other."""
    wall = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[-1 / 3, 1.0], [0.0]])
    assert F(1, 3) > F(1 / 3)
    found = pf.region(wall, [F(1, 3), F(0)])
    assert found.signs.tolist() == [1, 1]
    assert found.verify().ok
    assert found.n_facets == 2
    below = pf.region(wall, [F(1 / 3) - F(1, 10**40), F(0)])
    assert below.signs.tolist() == [-1, 1]
    assert below.verify().ok
    assert below.n_facets == 2
    with pytest.raises(InputError, match="outside"):
        pf.region(CROSS, [F(1, 7), F(4, 7) + F(1, 10**40)], domain=SLANTED)
    with pytest.raises(InputError):
        pf.region(CROSS, [F(1, 7), "a"], domain=SLANTED)


def test_sets_and_persistence_on_a_point() -> None:
    cx = pf.canonical_complex(CROSS, pf.Box([1, 1], [1, 1]))
    level = cx.level_set(2.5)
    assert level.f_vector == (1,)
    assert level.edges.shape == (0, 2)
    assert level.rays[1].shape == (0, 2)
    assert cx.facets_of(0).tolist() == []
    assert len(cx.table("facets")["facet"]) == 0
    with pytest.raises(InputError, match="dimension 1 does not exist"):
        cx.interior_points(1)
    found = cx.persistence()
    assert (found.dimension.tolist(), found.birth.tolist(), found.death.tolist()) == ([0], [2.5], [np.inf])
    assert found.betti(2.5) == (1,)
    assert found.betti(2.25) == (0,)
    third = pf.ReLUNetwork([np.array([[F(1)]], dtype=object), [[1]]], [[0], [0]])
    at = np.array([F(1, 3)], dtype=object)
    born = pf.canonical_complex(third, pf.Box(at, at)).persistence()
    assert 0 < abs(F(born.birth[0]) - F(1, 3)) <= F(born.errors[0, 0])


def test_the_check_looks_at_the_only_vertex_of_a_point() -> None:
    cx = pf.canonical_complex(CROSS, pf.Box([1, 1], [1, 1]))
    assert cx.certificate.verify().ok
    opened(cx.vertices)[0, 1] += 1e-12
    assert len(cx.certificate.verify().problems) == 1
    constant = pf.ReLUNetwork([[[0.0, 0.0]], [[1.0]]], [[1.0], [0.0]])
    for domain in (None, LINE, pf.Polyhedron([[1, 3], [-1, -3]], [1, -1])):
        assert pf.canonical_complex(constant, domain).certificate.verify(everything=True).ok


def test_coordinates_beyond_floats_on_a_flat() -> None:
    """y = z = 1e400 on x = y - z: the difference of two infinite floats is 0."""
    big = F(10) ** 400
    net = pf.ReLUNetwork(
        [fractions([[0, 1, 0], [0, 0, 1]]), fractions([[1, 1]])], [fractions([-big, -big]), fractions([0])]
    )
    cx = pf.canonical_complex(net, pf.Polyhedron(fractions([[1, -1, 1], [-1, 1, -1]]), fractions([0, 0])))
    assert cx.vertices.tolist() == cx.level_set(0).vertices.tolist() == [[0, np.inf, np.inf]]
    steep = pf.Polyhedron(fractions([[1, -big], [-1, big]]), fractions([0, 0]))  # x = 1e400 y
    rays = pf.canonical_complex(pf.ReLUNetwork([[[0, 1]], [[1]]], [[0], [0]]), steep).rays[1]
    assert sorted(abs(rays).round(300).tolist()) == [[1, 0], [1, 0]]


def test_bounds_hold_below_the_smallest_float() -> None:
    small = F(1, 10**1000)
    net = pf.ReLUNetwork([fractions([[1]]), fractions([[1]])], [fractions([1]), fractions([0])])
    at = np.array([small], dtype=object)
    cx = pf.canonical_complex(net, pf.Box(at, at))
    assert abs(F(cx.vertices[0, 0]) - small) <= F(cx.vertex_errors[0])
