"""The metric against its definition, finite differences and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from scipy.stats import ortho_group

import polyfiber as pf
from polyfiber.dln import bures_wasserstein_inner, log_volume_in_singular_values
from polyfiber.errors import InputError, ShapeError

RNG = np.random.default_rng(7)
DEPTHS = [1, 2, 3, 4, 7]


def matrix_with(values: list[float], rng: np.random.Generator) -> np.ndarray:
    d = len(values)
    u, v = ortho_group.rvs(d, size=2, random_state=rng)
    return u @ np.diag(values) @ v.T


SPECTRA = [[3.0, 1.0, 0.2], [1.0, 1.0, 1.0], [2.0, 1.0 + 1e-9, 1.0], [1.0, 1e-4, 1e-8], [1.0, 1.0 + 1e-13, 1e-6]]


def definition(W: np.ndarray, Z: np.ndarray, depth: int) -> np.ndarray:
    left, right = W @ W.T, W.T @ W
    return sum(
        fractional_matrix_power(left, (depth - p) / depth) @ Z @ fractional_matrix_power(right, (p - 1) / depth)
        for p in range(1, depth + 1)
    )


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("spectrum", SPECTRA[:3], ids=str)
def test_operator_is_its_definition(depth: int, spectrum: list[float]) -> None:
    W, Z = matrix_with(spectrum, RNG), RNG.standard_normal((3, 3))
    assert np.abs(pf.dln.metric(W, depth).apply(Z) - definition(W, Z, depth)).max() < 1e-12 * np.abs(Z).max() * 100


@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_inverse_root_and_inner_product_agree(depth: float, spectrum: list[float]) -> None:
    W = matrix_with(spectrum, RNG)
    Z, Y = RNG.standard_normal((2, 3, 3))
    g = pf.dln.metric(W, depth)
    scale = g.coefficients.max() / g.coefficients.min()
    assert np.abs(g.solve(g.apply(Z)) - Z).max() < 1e-14 * scale + 1e-12
    assert np.abs(g.root(g.root(Z)) - g.apply(Z)).max() < 1e-12 * g.coefficients.max()
    assert g.norm(Z) == pytest.approx(np.linalg.norm(g.inverse_root(Z)), rel=1e-12)
    assert g.inner(Z, Y) == pytest.approx(float((Z * g.solve(Y)).sum()), rel=1e-9)
    assert g.norm(Z) ** 2 == pytest.approx(g.inner(Z, Z), rel=1e-12)
    # transposition: A_W(Z)^T = A_{W^T}(Z^T); W has its smallest singular value up to eps times the condition
    allowed = 1e-11 + np.finfo(float).eps * max(spectrum) / min(spectrum)
    assert np.abs(g.apply(Z).T - pf.dln.metric(W.T, depth).apply(Z.T)).max() < allowed * g.coefficients.max()


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_operator_as_matrix_and_volume(depth: int) -> None:
    g = pf.dln.metric(matrix_with([2.0, 0.7, 0.3], RNG), depth)
    A = g.to_matrix()
    assert np.abs(A - A.T).max() < 1e-13
    assert np.linalg.eigvalsh(A).min() > 0
    assert g.log_volume_density == pytest.approx(-0.5 * np.linalg.slogdet(A)[1], rel=1e-12)
    assert pf.dln.metric(np.stack([g.W, 2 * g.W]), depth).to_matrix()[0] == pytest.approx(A)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("d", [2, 3])
def test_volume_in_singular_values(depth: int, d: int) -> None:
    # dW = prod |s_k^2 - s_l^2| dSigma dQ_0 dQ_N up to the factor 2^{-d(d-1)/2} of orthonormal generators
    s = np.sort(RNG.uniform(0.2, 2.0, d))[::-1]
    W = matrix_with(list(s), RNG)
    k, l = np.triu_indices(d, 1)
    jacobian = np.log(s[k] ** 2 - s[l] ** 2).sum()
    wanted = pf.dln.metric(W, depth).log_volume_density + jacobian
    # Menon's formula in orthonormal E_kl - E_lk: check the ratio between two points and the absolute constant
    assert log_volume_in_singular_values(W, depth) == pytest.approx(wanted, rel=1e-11, abs=1e-11)


def test_volume_jacobian_by_finite_differences() -> None:
    # the Jacobian of (Sigma, theta_0, theta_N) -> W at generic W for d = 2, generators E_12 - E_21
    s = np.array([1.7, 0.6])

    def chart(x: np.ndarray) -> np.ndarray:
        rot = [np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) for a in x[2:]]
        return (rot[0] @ np.diag(x[:2]) @ rot[1].T).ravel()

    x0, h = np.array([*s, 0.4, 1.1]), 1e-6
    jacobian = np.stack([(chart(x0 + h * e) - chart(x0 - h * e)) / (2 * h) for e in np.eye(4)], axis=1)
    assert abs(np.linalg.det(jacobian)) == pytest.approx(s[0] ** 2 - s[1] ** 2, rel=1e-8)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("spectrum", [[3.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], ids=str)
def test_rank_deficient_points_have_the_metric_of_their_leaf(depth: int, spectrum: list[float]) -> None:
    W = matrix_with(spectrum, RNG)
    r = sum(v > 0 for v in spectrum)
    g = pf.dln.metric(W, depth)
    assert g.rank == r
    assert g.dimension == 2 * 3 * r - r * r
    Z = RNG.standard_normal((3, 3))
    with pytest.raises(InputError, match="leaves the matrices of that rank"):
        g.solve(Z)
    T = g.project(Z)
    assert np.abs(g.apply(g.solve(T)) - T).max() < 1e-12
    # the operator annihilates the normal space
    assert np.abs(g.apply(Z - T)).max() < 1e-12


def test_rectangular_matrices() -> None:
    W, Z = RNG.standard_normal((2, 4)), RNG.standard_normal((2, 4))
    g = pf.dln.metric(W, 3)
    layers = [np.zeros((2, 4))]
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    mid = np.diag(np.cbrt(s))
    layers = [mid @ vt, mid, u @ mid]
    above = [u @ mid @ mid, u @ mid, np.eye(2)]
    below = [np.eye(4), mid @ vt, mid @ mid @ vt]
    wanted = sum(a @ (a.T @ Z @ b.T) @ b for a, b in zip(above, below))
    assert np.abs(g.apply(Z) - wanted).max() < 1e-12
    assert np.allclose(layers[2] @ layers[1] @ layers[0], W)


def test_batches_are_the_single_answers() -> None:
    W, Z = RNG.standard_normal((5, 2, 3, 3)), RNG.standard_normal((5, 2, 3, 3))
    g = pf.dln.metric(W, 4)
    for i in np.ndindex(5, 2):
        one = pf.dln.metric(W[i], 4)
        assert np.allclose(g.apply(Z)[i], one.apply(Z[i]), atol=1e-12)
        assert np.asarray(g.norm(Z))[i] == pytest.approx(one.norm(Z[i]), rel=1e-10)
    assert g.apply(Z[0, 0]).shape == (5, 2, 3, 3)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_infinite_depth_is_the_limit_with_error_one_over_n(d: int) -> None:
    W, Z = RNG.standard_normal((d, d)), RNG.standard_normal((d, d))
    limit = pf.dln.metric(W, math.inf)
    errors = [np.abs(pf.dln.metric(W, n).apply(Z) / n - limit.apply(Z)).max() for n in (10, 100, 1000)]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.5)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.2)
    # the definition by quadrature (Menon (14.7))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    left, right = W @ W.T, W.T @ W
    integral = sum(
        0.5 * w * fractional_matrix_power(left, 0.5 - 0.5 * x) @ Z @ fractional_matrix_power(right, 0.5 + 0.5 * x)
        for x, w in zip(nodes, weights)
    )
    assert np.abs(integral - limit.apply(Z)).max() < 1e-10
    # invariance under scaling and inversion
    Y = limit.norm(Z)
    assert pf.dln.metric(3.0 * W, math.inf).norm(3.0 * Z) == pytest.approx(Y, rel=1e-12)
    inverse = np.linalg.inv(W)
    assert pf.dln.metric(inverse, math.inf).norm(-inverse @ Z @ inverse) == pytest.approx(Y, rel=1e-9)


def test_depth_two_is_twice_bures_wasserstein() -> None:
    from scipy.linalg import solve_continuous_lyapunov

    a = RNG.standard_normal((4, 4))
    P = a @ a.T + 0.1 * np.eye(4)
    Z, Y = (m + m.T for m in RNG.standard_normal((2, 4, 4)))
    L = solve_continuous_lyapunov(P, Z)
    assert bures_wasserstein_inner(P, Z, Y) == pytest.approx(0.5 * np.trace(L @ Y), rel=1e-11)
    assert pf.dln.metric(P, 2).inner(Z, Y) == pytest.approx(np.trace(L @ Y), rel=1e-11)
    with pytest.raises(InputError, match="positive definite"):
        bures_wasserstein_inner(-P, Z, Y)
    with pytest.raises(InputError, match="symmetric"):
        bures_wasserstein_inner(P, RNG.standard_normal((4, 4)), Y)


@pytest.mark.parametrize("depth", [0, -1, 2.5, "3", None, True, float("nan"), np.float64(2.5)])
def test_bad_depths_are_refused(depth: object) -> None:
    with pytest.raises(InputError, match="depth"):
        pf.dln.metric(np.eye(2), depth)
    with pytest.raises(InputError, match="depth"):
        pf.dln.entropy(np.eye(2), depth)


@pytest.mark.parametrize(
    ("W", "error"),
    [
        (np.array([[np.nan, 1], [1, 1]]), InputError),
        (np.array([[np.inf, 1], [1, 1]]), InputError),
        (np.zeros(3), ShapeError),
        (np.zeros((0, 3)), ShapeError),
        ([["a", "b"], ["c", "d"]], InputError),
        (np.eye(2) * 1j, InputError),
        ([[1, 2], [3]], InputError),
    ],
)
def test_bad_matrices_are_refused(W: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        pf.dln.metric(W, 2)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError):
        pf.dln.metric(np.eye(2), 2).apply(np.eye(3))
    with pytest.raises(ShapeError):
        pf.dln.metric(np.ones((2, 3)) @ np.ones((4, 3, 3)), 2).apply(np.ones((3, 2, 3)))
    with pytest.raises(ShapeError):
        pf.dln.entropy(np.ones((2, 3)), 2)


def test_the_zero_matrix_has_no_tangent_vectors_beyond_depth_one() -> None:
    g = pf.dln.metric(np.zeros((2, 2)), 3)
    assert g.dimension == 0
    assert g.norm(np.zeros((2, 2))) == 0.0
    assert pf.dln.metric(np.zeros((2, 2)), 1).norm(np.eye(2)) == pytest.approx(math.sqrt(2))
