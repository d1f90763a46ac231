"""Boxes around domains that lie in slanted flats: they hold every vertex, and are near the smallest."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.enclosing import enclosing_box, propagated


@pytest.mark.parametrize("seed", range(6))
def test_flat_simplices_and_cubes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    normal = rng.integers(1, 4, n) * rng.choice([-1, 1], n)
    start = rng.integers(-3, 4, n)
    side = int(normal @ start)
    A = np.concatenate([[normal, -normal], np.eye(n), -np.eye(n)]).astype(float)
    b = np.array([side, -side, *(start + 2), *(2 - start)], dtype=float)
    domain = pf.Polyhedron(A, b)
    assert domain.affine_hull is not None
    lo, hi = enclosing_box(domain)
    X = rng.uniform(start - 2, start + 2, (4000, n))
    X -= ((X @ normal - side) / (normal @ normal))[:, None] * normal
    X = X[(np.abs(X - start) <= 2).all(axis=1)]
    assert len(X) > 10
    assert (X - lo).min() >= -1e-9
    assert (hi - X).min() >= -1e-9
    assert (hi - lo <= 4 + 1e-6).all()
    wide = propagated(domain)
    assert (wide[0] <= lo + 1e-12).all()
    assert (wide[1] >= hi - 1e-12).all()


def test_rational_rows_and_what_is_not_bounded() -> None:
    from fractions import Fraction

    third = Fraction(1, 3)
    rows = np.array([[third, 1], [-third, -1], [-1, 0], [0, -1]], dtype=object)
    lo, hi = enclosing_box(pf.Polyhedron(rows, np.array([1, -1, 0, 0], dtype=object)))
    assert lo[0] <= 0 <= 3 <= hi[0] <= 3.000001
    with pytest.raises(pf.errors.InputError, match="add some that do"):
        propagated(pf.Polyhedron([[1, 1, 0], [-1, -1, 0], [0, 0, 1], [0, 0, -1]], [1, -1, 0, 0]))


def test_near_equal_on_a_slanted_segment() -> None:
    f = pf.ReLUNetwork([np.eye(2), [[1.0, 1.0]]], [np.zeros(2), [0.0]])
    g = pf.ReLUNetwork([np.eye(2), [[1.0, 0.5]]], [np.zeros(2), [0.0]])
    segment = pf.Polyhedron([[1, 1], [-1, -1], [-1, 0], [0, -1]], [1, -1, 0, 0])
    assert pf.are_equivalent(f, g, segment, epsilon=0.51).verdict is pf.Verdict.YES  # y / 2 where x + y = 1
    found = pf.are_equivalent(f, g, segment, epsilon=0.4)
    assert found.verdict is pf.Verdict.NO
    x, y = segment.exact_point(found.witness)
    assert (x + y, y > 0.8) == (1, True)
