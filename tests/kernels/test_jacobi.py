"""Jacobi rotations against numpy, and against factors that are known where numpy is not accurate."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.kernels import jacobi


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_singular_values_and_vectors(d: int) -> None:
    rng = np.random.default_rng(d)
    for rank in range(d + 1):
        matrix = rng.standard_normal((d, rank)) @ rng.standard_normal((rank, d))
        left, values, right = np.empty((d, d)), np.empty(d), np.empty((d, d))
        jacobi.jacobi_svd(matrix, left, values, right)
        np.testing.assert_allclose((left * values) @ right.T, matrix, atol=1e-13)
        np.testing.assert_allclose(left.T @ left, np.eye(d), atol=1e-13)
        np.testing.assert_allclose(right.T @ right, np.eye(d), atol=1e-13)
        np.testing.assert_allclose(np.sort(values)[::-1], np.linalg.svd(matrix, compute_uv=False), atol=1e-13)


def test_small_singular_values_keep_their_digits() -> None:
    """Orthogonal columns times 10^-k: each value is its column's norm, to the last digits."""
    d = 4
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]
    scale = 10.0 ** -np.array([0.0, 40.0, 80.0, 120.0])
    left, values, right = np.empty((d, d)), np.empty(d), np.empty((d, d))
    jacobi.jacobi_svd(np.ascontiguousarray(q * scale), left, values, right)
    np.testing.assert_allclose(np.sort(values)[::-1], scale, rtol=1e-14)


def test_rows_become_orthogonal_and_companions_turn_with_them() -> None:
    rng = np.random.default_rng(1)
    rows, companions, lengths = rng.standard_normal((4, 6)), np.eye(4), np.empty(4)
    before = rows.copy()
    jacobi.orthogonalise(rows, companions, lengths, 0.0)
    np.testing.assert_allclose(companions @ before, rows, atol=1e-13)
    np.testing.assert_allclose(companions @ companions.T, np.eye(4), atol=1e-13)
    np.testing.assert_allclose(rows @ rows.T, np.diag(lengths**2), atol=1e-13)


def test_rows_that_vanish_are_completed_to_a_basis() -> None:
    rows = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    lengths = np.array([5.0, 0.0, 0.0])
    jacobi.unit_rows(rows, lengths)
    np.testing.assert_allclose(rows[0], [0.6, 0.0, 0.8])
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-15)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_signs_of_determinants(d: int) -> None:
    rng = np.random.default_rng(d)
    work = np.empty((d, d))
    for _ in range(20):
        matrix = rng.integers(-3, 4, (d, d)).astype(float)
        kept = matrix.copy()
        exact = round(np.linalg.det(matrix))
        found = jacobi.sign_of_determinant(matrix, work)
        assert (matrix == kept).all()
        if d <= 3 or exact:  # elimination of larger singular ones may leave a rounding
            assert found == np.sign(exact)
    assert jacobi.sign_of_determinant(np.zeros((d, d)), work) == 0.0
