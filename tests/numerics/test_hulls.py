"""Affine hulls of polyhedra, against flats that are known by construction."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.numerics.exact import as_fractions, rank
from polyfiber.numerics.hulls import affine_hull


def forms(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


def test_sets_with_an_interior_have_no_hull() -> None:
    assert affine_hull(forms([[1, 0, 1], [-1, 0, 1]])) is None
    assert affine_hull(forms([[0, 1, 0], [0, -1, 1e-300], [1, 0, 1], [-1, 0, 1]])) is None  # thin, not flat


def test_empty_sets_are_refused() -> None:
    for rows in ([[0, 1, 0], [0, -1, -5e-324]], [[1, 0, 0], [0, 1, 0], [-1, -1, -1]]):
        with pytest.raises(InputError, match="empty") as caught:
            affine_hull(forms(rows))
        assert caught.value.empty


@pytest.mark.parametrize("seed", range(30))
def test_hulls_that_are_known(seed: int) -> None:
    """A simplex in a random flat of dimension k, and inequalities that touch it without meeting its inside."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    k = int(rng.integers(0, n + 1))
    equations = rng.integers(-3, 4, size=(n - k, n)).astype(float)
    if n > k and rank(as_fractions(equations)) < n - k:
        return
    centre = rng.integers(-2, 3, size=n) / 2.0
    rows = []
    for e in equations:
        rows += [[*e, -(e @ centre)], [*(-2 * e), 2 * (e @ centre)]]
    if n - k >= 2:  # the sum of two equations as one inequality is no news
        rows.append([*(equations[0] + equations[1]), -(equations[0] + equations[1]) @ centre])
    for c in range(n):
        for s in (-1, 1):
            rows.append([*(s * np.eye(n)[c]), 3 - s * centre[c]])
    order = rng.permutation(len(rows))
    hull = affine_hull(forms(rows)[order])
    if n == k:
        assert hull is None
        return
    assert hull is not None
    assert hull.dimension == k
    assert set(order[hull.equal].tolist()) == set(range(len(rows) - 2 * n))
    assert hull.contains(as_fractions(centre))
    form = forms([[*rng.integers(-3, 4, size=n), 1.5]])
    point = hull.lift @ as_fractions([*rng.integers(-3, 4, size=k), 1])
    true = sum((Fraction(a) * x for a, x in zip(form[0], point)), Fraction(form[0, -1]))
    for same in (hull.in_chart(form)[0], hull.tangential(form)[0]):
        assert sum((Fraction(a) * x for a, x in zip(same, point)), Fraction(same[-1])) == true
    gradient = as_fractions(hull.tangential(form)[0, :-1])
    assert rank(np.concatenate([hull.lift[:, :-1].T, gradient[None, :]])) == k  # tangent to the flat
