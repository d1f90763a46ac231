"""Nonnegative column rank: four methods agree, factors multiply back, certificates verify."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError, RankAmbiguityError, ShapeError
from polyfiber.fibers.nonnegative_rank import nonnegative_column_rank, nonnegative_column_ranks


def pointed_oracle(M: np.ndarray) -> bool:
    """Pointed iff no non-trivial non-negative relation: every circuit of columns, exactly."""
    from polyfiber.numerics import exact

    F = exact.as_fractions(M)
    columns = [j for j in range(F.shape[1]) if any(F[:, j])]
    for size in range(1, min(len(columns), F.shape[0] + 1) + 1):
        for subset in itertools.combinations(columns, size):
            kernel = exact.nullspace(F[:, list(subset)])
            if kernel.shape[1] == 1:
                v = kernel[:, 0]
                if all(x > 0 for x in v) or all(x < 0 for x in v):
                    return False
    return True


def random_matrix(rng: np.random.Generator, m: int, n: int, r: int) -> np.ndarray:
    return rng.integers(-3, 4, (m, r)) @ rng.integers(-3, 4, (r, n))


@pytest.mark.parametrize(("m", "n", "r"), [(1, 3, 1), (2, 3, 2), (3, 5, 2), (3, 4, 3), (4, 5, 1), (2, 2, 2), (3, 6, 3)])
def test_methods_agree_with_circuits(m: int, n: int, r: int) -> None:
    rng = np.random.default_rng(100 * m + 10 * n + r)
    seen = set()
    for _ in range(25):
        M = random_matrix(rng, m, n, r)
        oracle = pointed_oracle(M)
        seen.add(oracle)
        rank = np.linalg.matrix_rank(M)
        expected = rank + (0 if oracle else 1)
        exact = nonnegative_column_rank(M, method="exact")
        assert (exact.rank, exact.linear_rank, exact.pointed) == (expected, rank, oracle)
        assert (exact.left @ exact.right == M.astype(object)).all()
        assert (exact.right >= 0).all()
        assert rank == 0 or exact.certificate.verify(M)
        for method in ("auto", "lp"):
            found = nonnegative_column_rank(M.astype(float), method=method)
            assert found.rank == expected, (method, M)
            assert found.left.shape == (m, expected)
            assert (found.right >= 0).all()
            np.testing.assert_allclose(found.left @ found.right, M, atol=1e-9)
            assert rank == 0 or found.certificate.verify(M)
    assert len(seen) == 2 or m == n


def test_cvxpy_agrees() -> None:
    rng = np.random.default_rng(1)
    for m, n in ((2, 4), (3, 4), (3, 5), (4, 9)):
        for _ in range(3):
            M = rng.standard_normal((m, n))
            a, b = nonnegative_column_rank(M), nonnegative_column_rank(M, method="cvxpy")
            assert a.rank == b.rank
            assert b.certificate.verify(M, tolerance=1e-6)
            np.testing.assert_allclose(b.left @ b.right, M, atol=1e-8)


def test_batch_of_gaussians_matches_highs_and_cdd() -> None:
    cdd = pytest.importorskip("cdd")
    rng = np.random.default_rng(2)
    M = rng.standard_normal((300, 3, 6)) + 0.7 * rng.standard_normal((300, 3, 1))
    found = nonnegative_column_ranks(M)
    assert (found.status > 0).all()
    assert set(found.status.tolist()) == {1, 2}
    np.testing.assert_allclose(found.left @ found.right, M, atol=1e-9)
    assert (found.right >= 0).all()
    for t in range(60):
        # the dual cone {y : M^T y >= 0} has a point with all inequalities strict iff pointed
        array = cdd.matrix_from_array(np.hstack([np.zeros((6, 1)), M[t].T]).tolist(), rep_type=cdd.RepType.INEQUALITY)
        rays = np.array(cdd.copy_generators(cdd.polyhedron_from_matrix(array)).array, dtype=float)
        rays = rays[rays[:, 0] == 0] if rays.size else np.zeros((0, 4))
        strict = rays.size > 0 and bool((rays[:, 1:].sum(axis=0) @ M[t] > 1e-9).all())
        assert strict == (found.status[t] == 1)
        assert nonnegative_column_rank(M[t], method="lp").pointed == (found.status[t] == 1)


def test_margin_is_the_largest_one() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        M = rng.standard_normal((3, 5)) + np.array([[2.0], [0], [0]])
        found = nonnegative_column_rank(M)
        if not found.pointed:
            continue
        unit = M / np.linalg.norm(M, axis=0)
        directions = rng.standard_normal((20000, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        assert (directions @ unit).min(axis=1).max() <= found.certificate.margin + 1e-12
        assert (found.certificate.vector @ unit).min() == pytest.approx(found.certificate.margin)


def test_special_matrices() -> None:
    zero = nonnegative_column_rank(np.zeros((2, 3)))
    assert (zero.rank, zero.left.shape, zero.right.shape) == (0, (2, 0), (0, 3))
    with_zero_column = nonnegative_column_rank(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]))
    assert with_zero_column.rank == 2
    assert (with_zero_column.right[:, 1] == 0).all()
    degenerate = nonnegative_column_rank(np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert (degenerate.rank, degenerate.certificate.exact) == (3, True)
    assert degenerate.certificate.verify([[1, -1, 0], [0, 0, 1]])
    third = Fraction(1, 3)
    rational = nonnegative_column_rank(np.array([[third, -third], [third, 2 * third]], dtype=object))
    assert rational.rank == 2
    assert (rational.left @ rational.right)[1, 1] == Fraction(2, 3)


def test_undecided_is_an_error_or_a_mark() -> None:
    M = np.array([[1.0, 0.0], [0.0, 1e-10]])
    with pytest.raises(RankAmbiguityError, match="rank"):
        nonnegative_column_rank(M)
    assert nonnegative_column_rank(M, method="exact").rank == 2
    assert nonnegative_column_ranks(M[None]).status.tolist() == [-1]
    assert nonnegative_column_ranks(M[None]).rank.tolist() == [-1]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="finite"):
        nonnegative_column_rank([[np.nan]])
    with pytest.raises(ShapeError):
        nonnegative_column_rank([1.0, 2.0])
    with pytest.raises(InputError, match="unknown"):
        nonnegative_column_rank([[1.0]], method="guess")  # type: ignore[arg-type]
    with pytest.raises(ShapeError):
        nonnegative_column_ranks(np.zeros((2, 0, 3)))


@pytest.mark.parametrize("power", [-1000, -600, 600, 1000])
def test_sizes_of_matrices_are_no_matter(power: int) -> None:
    M = np.array([[1.0, -1.0, 0.5], [0.5, 2.0, -3.0]])
    here, there = nonnegative_column_rank(M), nonnegative_column_rank(np.ldexp(M, power))
    assert (there.rank, there.linear_rank, there.pointed) == (here.rank, here.linear_rank, here.pointed)
    np.testing.assert_array_equal(there.left, np.ldexp(here.left, power))
    np.testing.assert_array_equal(there.right, here.right)
    assert there.certificate.verify(np.ldexp(M, power))


def test_kernel_never_calls_a_pointed_cone_flat_on_hard_input() -> None:
    """Narrow and nearly flat cones: margins down to 1e-6 are decided, and rightly."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        r = int(rng.integers(2, 6))
        n = int(rng.integers(r, 12))
        y = rng.standard_normal(r)
        y /= np.linalg.norm(y)
        P = rng.standard_normal((r, n))
        P -= np.outer(y, y @ P)
        height = 10.0 ** rng.uniform(-6, 0)
        found = nonnegative_column_ranks((P + height * y[:, None])[None])
        assert found.status[0] in (1, -1)
        if found.status[0] == 1:
            assert found.margin[0] >= 0.1 * height / np.abs(P).max() / np.sqrt(r)
