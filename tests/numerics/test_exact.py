"""Exact linear algebra against definitions, with and without FLINT."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError, RankAmbiguityError, ShapeError
from polyfiber.numerics import exact, lp, predicates


@pytest.fixture(params=["flint", "python"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "flint":
        pytest.importorskip("flint")
    else:
        monkeypatch.setattr(exact, "_flint", lambda: None)


def integers(rng: np.random.Generator, m: int, n: int, r: int) -> np.ndarray:
    return (rng.integers(-4, 5, (m, r)) @ rng.integers(-4, 5, (r, n))).astype(object)


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 6, 2), (6, 4, 3), (5, 5, 4), (2, 7, 1)])
def test_rank_nullspace_solve(shape: tuple[int, int, int]) -> None:
    m, n, r = shape
    rng = np.random.default_rng(m * n + r)
    for _ in range(20):
        A = integers(rng, m, n, r)
        rank = exact.rank(A)
        assert rank == np.linalg.matrix_rank(A.astype(float))
        basis = exact.nullspace(A)
        assert basis.shape == (n, n - rank)
        assert not (A @ basis).any()
        if n > rank:
            assert exact.rank(basis) == n - rank
        x = rng.integers(-3, 4, (n, 2)).astype(object)
        found = exact.solve(A, A @ x)
        assert found is not None
        assert (A @ found == A @ x).all()
        reduced, pivots = exact.rref(A)
        assert reduced.shape[0] == len(pivots) == rank
        assert all(reduced[i, p] == 1 for i, p in enumerate(pivots))


def test_solve_finds_no_solution() -> None:
    assert exact.solve([[1, 2], [2, 4]], [1, 3]) is None


def test_determinant_and_inverse() -> None:
    rng = np.random.default_rng(5)
    for n in range(1, 6):
        A = exact.as_fractions(rng.standard_normal((n, n)))
        assert float(exact.determinant(A)) == pytest.approx(np.linalg.det(A.astype(float)), rel=1e-9)
        product = A @ exact.inverse(A)
        assert all(product[i, j] == int(i == j) for i in range(n) for j in range(n))
        assert exact.determinant(A) * exact.determinant(exact.inverse(A)) == 1
    assert exact.determinant(np.zeros((0, 0))) == 1
    assert exact.determinant([[0, 1], [1, 0]]) == -1
    with pytest.raises(InputError, match="rank is 1"):
        exact.inverse([[1, 2], [2, 4]])
    with pytest.raises(ShapeError):
        exact.inverse([[1, 2]])


def test_residues_are_a_homomorphism() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal(200) * 10.0 ** rng.integers(-200, 200, 200), rng.standard_normal(200)
    p = exact.PRIME
    ra, rb = exact.residues(a), exact.residues(b)
    assert (exact.residues(exact.as_fractions(a)) == ra).all()
    products = exact.as_fractions(a) * exact.as_fractions(b) + exact.as_fractions(b)
    assert (exact.residues(products) == (ra * rb + rb) % p).all()
    with pytest.raises(InputError, match="no residue"):
        exact.residues(np.array([Fraction(1, p)], dtype=object))


def test_non_finite_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        exact.as_fractions([np.nan])


def test_rank_decision_needs_a_gap() -> None:
    assert predicates.decide_rank(np.diag([1.0, 1e-3, 1e-16])).rank == 2
    with pytest.raises(RankAmbiguityError, match="not decided"):
        predicates.decide_rank(np.diag([1.0, 1e-10]))
    for value in (np.inf, np.nan):
        with pytest.raises(RankAmbiguityError, match="beyond"):
            predicates.decide_rank(np.diag([1.0, value]))
    exact_matrix = exact.as_fractions(np.diag([1.0, 1e-10]))
    assert predicates.decide_rank(exact_matrix).rank == 2
    assert predicates.decide_rank(np.zeros((2, 3))).rank == 0


def test_exact_simplex_against_highs() -> None:
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(60):
        A = rng.integers(-3, 4, (3, 6))
        b = rng.integers(-3, 4, 3)
        c = rng.integers(-2, 5, 6)
        ours = lp.solve_lp_exact(c, A, b)
        theirs = lp.solve_lp(c, A_eq=A, b_eq=b, bounds=(0, None))
        if theirs.status == "optimal":
            assert ours.status == "optimal"
            assert float(ours.value) == pytest.approx(theirs.value, abs=1e-9)
            assert (A.astype(object) @ ours.x == b).all()
            assert min(ours.x) >= 0
        else:
            assert ours.status != "optimal"
        seen.add(ours.status)
    assert seen == {"optimal", "infeasible", "unbounded"}


def test_interior_point() -> None:
    A = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    found = lp.interior_point(A, np.array([1.0, 0, 1, 0]))
    assert found is not None
    np.testing.assert_allclose(found[0], [0.5, 0.5])
    assert found[1] == pytest.approx(0.5)
    assert lp.interior_point(A, np.array([-1.0, 0, 1, 0])) is None


def test_wide_floats_are_exact() -> None:
    wide = np.longdouble(13) / 3
    assert exact.as_fractions([wide])[0] == Fraction(*wide.as_integer_ratio())
    with pytest.raises(InputError, match="finite"):
        exact.as_fractions([np.longdouble("nan")])
