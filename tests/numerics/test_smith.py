"""Elementary divisors against determinants of minors, and homology of spaces that are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from polyfiber.numerics import exact
from polyfiber.numerics.smith import Column, Homology, elementary_divisors, homology_of


def columns_of(matrix: np.ndarray) -> list[Column]:
    return [{r: int(v) for r, v in enumerate(column)} for column in matrix.T]


def divisors_by_minors(matrix: np.ndarray) -> list[int]:
    """d_k = gcd of all k-minors / gcd of all (k-1)-minors."""
    found, before = [], 1
    for k in range(1, min(matrix.shape) + 1):
        minors = [
            int(exact.determinant(matrix[np.ix_(r, c)]))
            for r in itertools.combinations(range(matrix.shape[0]), k)
            for c in itertools.combinations(range(matrix.shape[1]), k)
        ]
        now = math.gcd(*minors)
        if now == 0:
            break
        found.append(now // before)
        before = now
    return found


@pytest.mark.parametrize("seed", range(12))
def test_divisors_are_those_of_minors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 5, 2)
    matrix = rng.integers(-6, 7, (m, n)) * rng.choice([1, 2, 3], (m, 1))
    rank, above = elementary_divisors(columns_of(matrix))
    expected = divisors_by_minors(matrix)
    assert rank == len(expected)
    assert list(above) == [d for d in expected if d > 1]


def simplicial(facets: list[tuple[int, ...]]) -> tuple[list[list[Column]], list[int]]:
    """Boundary maps of a simplicial complex."""
    dimension = max(map(len, facets))
    faces = [sorted({f for s in facets for f in itertools.combinations(s, k + 1)}) for k in range(dimension)]
    maps = []
    for k in range(1, dimension):
        place = {f: i for i, f in enumerate(faces[k - 1])}
        maps.append([{place[f[:i] + f[i + 1 :]]: (-1) ** i for i in range(k + 1)} for f in faces[k]])
    return maps, [len(f) for f in faces]


PLANE: list[tuple[int, ...]] = [
    (0, 1, 4), (0, 1, 5), (0, 2, 3), (0, 2, 5), (0, 3, 4), (1, 2, 3), (1, 2, 4), (1, 3, 5), (2, 4, 5), (3, 4, 5),
]  # fmt: skip


def test_the_projective_plane_has_torsion() -> None:
    """Six vertices, fifteen edges, ten triangles."""
    found = homology_of(*simplicial(PLANE), reduced=False)
    assert (found.betti, found.torsion) == ((1, 0, 0), ((), (2,), ()))
    assert (found.over(2), found.over(3), found.over(0)) == ((1, 1, 1), (1, 0, 0), (1, 0, 0))
    assert found.euler_characteristic == 6 - 15 + 10
    assert str(found) == "H0 = Z, H1 = Z/2"
    assert not found.is_acyclic
    assert found.is_sphere is None


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("reduced", [False, True])
def test_spheres_and_balls(n: int, reduced: bool) -> None:
    sphere = homology_of(*simplicial(list(itertools.combinations(range(n + 2), n + 1))), reduced=reduced)
    assert sphere.is_sphere == n
    assert not sphere.is_acyclic
    ball = homology_of(*simplicial([tuple(range(n + 1))]), reduced=reduced)
    assert ball.is_acyclic
    assert ball.is_sphere is None
    assert ball.euler_characteristic == (0 if reduced else 1)


def test_nothing_and_two_points() -> None:
    empty = homology_of([], [], reduced=True)
    assert (empty.is_sphere, empty.euler_characteristic, str(empty)) == (-1, -1, "empty")
    points = homology_of([], [2], reduced=True)
    assert points.is_sphere == 0
    assert homology_of([], [2], reduced=False).betti == (2,)
    assert Homology((0,), ((),), True).is_acyclic
