"""Entropy against orbit volumes and finite differences; gradients near degenerate singular values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import nquad
from scipy.stats import ortho_group

import polyfiber as pf
from polyfiber.dln import (
    entropy_gradient,
    free_energy,
    free_energy_gradient,
    from_svd_coordinates,
    gauge_vectors,
    lift,
    log_orthogonal_volume,
)
from polyfiber.errors import InputError

RNG = np.random.default_rng(5)


def matrix_with(values: list[float]) -> np.ndarray:
    u, v = ortho_group.rvs(len(values), size=2, random_state=RNG)
    return u @ np.diag(values) @ v.T


def rotation(a: float) -> np.ndarray:
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


@pytest.mark.parametrize("depth", [2, 3])
def test_entropy_is_the_volume_of_the_orbit_by_quadrature(depth: int) -> None:
    # integrate the area element of (theta_1, ..) -> network by finite differences, over O(2)^{N-1} (2^{N-1} components)
    s = np.array([1.9, 0.4])
    W = np.diag(s)

    def embed(theta: np.ndarray) -> np.ndarray:
        return lift(W, depth, gauge=np.stack([rotation(a) for a in theta])).ravel()

    def element(*theta: float) -> float:
        h, base = 1e-5, np.array(theta)
        j = np.stack([(embed(base + h * e) - embed(base - h * e)) / (2 * h) for e in np.eye(depth - 1)])
        return math.sqrt(np.linalg.det(j @ j.T))

    if depth == 2:
        volume = nquad(element, [[0, 2 * math.pi]])[0]
    else:  # periodic: the trapezoid rule is exact to round-off
        grid = np.linspace(0, 2 * math.pi, 12, endpoint=False)
        volume = np.mean([element(a, b) for a in grid for b in grid]) * (2 * math.pi) ** 2
    assert math.log(2 ** (depth - 1) * volume) == pytest.approx(pf.dln.entropy(W, depth), abs=1e-8)


@pytest.mark.parametrize(("d", "depth"), [(2, 4), (3, 2), (3, 3), (4, 3), (3, 5)])
def test_entropy_is_the_gram_determinant_times_the_group_volume(d: int, depth: int) -> None:
    W = RNG.standard_normal((d, d))
    vectors = gauge_vectors(
        lift(W, depth, gauge=ortho_group.rvs(d, size=depth - 1, random_state=RNG).reshape(-1, d, d))
    )
    flat = vectors.reshape(len(vectors), -1)
    density = 0.5 * np.linalg.slogdet(flat @ flat.T)[1]
    assert pf.dln.entropy(W, depth) == pytest.approx((depth - 1) * log_orthogonal_volume(d) + density, abs=1e-10)


def test_volume_of_the_orthogonal_group() -> None:
    assert math.exp(log_orthogonal_volume(1)) == pytest.approx(2.0)
    # O(3): two copies of RP^3 of radius 2 sqrt(2): the half volume 2 pi^2 R^3 / 2 each
    assert math.exp(log_orthogonal_volume(3)) == pytest.approx(2 * math.pi**2 * (2 * math.sqrt(2)) ** 3, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 2])
def test_entropy_of_a_leaf_of_lower_rank(rank: int) -> None:
    d, depth = 3, 3
    values = np.array([1.4, 0.6, 0.0])
    values[rank:] = 0.0
    q = ortho_group.rvs(d, size=depth + 1, random_state=RNG)
    lam = values[:rank] ** (1 / depth)
    layers = from_svd_coordinates([m[:, :rank] for m in q], lam)
    W = layers[2] @ layers[1] @ layers[0]
    # generators of the Stiefel manifold at each hidden layer, with the length they have in so(d)
    tangents = []
    for p in range(1, depth):
        for i in range(d):
            for j in range(i):
                if j >= rank:
                    continue
                theta = np.zeros((d, d))
                theta[i, j], theta[j, i] = math.sqrt(0.5), -math.sqrt(0.5)
                moved = (q[p] @ theta)[:, :rank]
                v = np.zeros((depth, d, d))
                v[p - 1] = (moved * lam) @ q[p - 1][:, :rank].T
                v[p] = (q[p + 1][:, :rank] * lam) @ moved.T
                tangents.append(v.ravel())
    t = np.array(tangents)
    density = 0.5 * np.linalg.slogdet(t @ t.T)[1]
    frames = log_orthogonal_volume(d) - log_orthogonal_volume(d - rank)
    assert pf.dln.entropy(W, depth, rank=rank) == pytest.approx((depth - 1) * frames + density, abs=1e-10)
    with pytest.raises(InputError, match="rank"):
        pf.dln.entropy(W, depth, rank=rank + 1)


def test_entropy_at_the_boundary() -> None:
    assert pf.dln.entropy(np.zeros((2, 2)), 3) == -math.inf
    near = pf.dln.entropy(matrix_with([1.0, 0.5, 1e-11]), 2)
    assert pf.dln.entropy(matrix_with([1.0, 0.5, 0.0]), 2) == pytest.approx(near, abs=1e-4)
    assert pf.dln.entropy(np.diag([1.0, 0.0, 0.0]), 3) == -math.inf
    assert pf.dln.entropy(np.diag([1.0, 0.0, 0.0]), 1) == 0.0
    assert pf.dln.entropy([[3.0]], 4) == pytest.approx(3 * math.log(2))
    with pytest.raises(InputError, match="-inf"):
        entropy_gradient(np.diag([1.0, 0.0, 0.0]), 3)


SPECTRA = [[2.0, 1.0, 0.3], [1.0, 1.0, 1.0], [1.0, 1.0 - 1e-10, 0.2], [1.0, 1.0 - 1e-3, 1.0 - 2e-3], [1.0, 0.1, 1e-3]]


@pytest.mark.parametrize("depth", [1, 2, 3, 6, math.inf])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_entropy_gradient_by_finite_differences(depth: float, spectrum: list[float]) -> None:
    W = matrix_with(spectrum)
    found = entropy_gradient(W, depth)
    g = pf.dln.metric(W, depth)
    for _ in range(3):
        Z = RNG.standard_normal((3, 3))
        Z *= 0.3 * spectrum[-1] / np.linalg.norm(Z)
        h = 1e-2

        def S(t: float, Z: np.ndarray = Z) -> float:
            return float(pf.dln.entropy(W + t * Z, depth))

        # fourth-order differences
        slope = (8 * (S(h) - S(-h)) - (S(2 * h) - S(-2 * h))) / (12 * h)
        assert g.inner(found, Z) == pytest.approx(slope, abs=2e-9)


def test_entropy_gradient_where_the_naive_formula_loses_everything() -> None:
    # Sigma' of (12.8) at sigma_1 = sigma_2 (1 + 1e-13): quotients of cancelled differences; compare with the limit
    exact = entropy_gradient(np.diag([1.0, 1.0]), 4)
    close = entropy_gradient(np.diag([1.0 + 1e-13, 1.0]), 4)
    assert np.abs(exact - close).max() < 1e-11
    assert np.allclose(exact, 0.5 * 4 * (1 - 1 / 4) * np.eye(2))


def test_entropy_gradient_stays_finite_when_one_singular_value_vanishes() -> None:
    for depth in (2, 3, 5):
        sequence = [entropy_gradient(np.diag([1.0, e]), depth) for e in (1e-4, 1e-8, 0.0)]
        assert np.isfinite(sequence).all()
        assert abs(sequence[1][1, 1]) < 1e-6
        assert sequence[2][1, 1] == 0.0
        assert sequence[2][0, 0] == pytest.approx(depth - 1, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 4])
def test_menons_printed_formula_where_it_is_stable(depth: int) -> None:
    s = np.array([2.0, 1.1, 0.3])
    lam = s ** (1 / depth)
    wanted = np.zeros(3)
    for k in range(3):
        for l in range(3):
            if l != k:
                top = depth * lam[k] ** (2 * depth - 1) / (lam[k] ** (2 * depth) - lam[l] ** (2 * depth))
                wanted[k] += (top - lam[k] / (lam[k] ** 2 - lam[l] ** 2)) * lam[k] ** (depth - 1)
    assert np.allclose(np.diag(entropy_gradient(np.diag(s), depth)), wanted, atol=1e-12)


def test_infinite_depth_entropy_is_the_limit() -> None:
    W = RNG.standard_normal((3, 3))
    limit = pf.dln.entropy(W, math.inf)
    errors = []
    for n in (10, 100, 1000):
        constant = (n - 1) * log_orthogonal_volume(3) + 0.25 * 3 * 2 * math.log(n)
        errors.append(abs(pf.dln.entropy(W, n) - constant - limit))
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)
    assert errors[2] < 5e-2
    assert np.allclose(entropy_gradient(W, 10**6) / 10**6, entropy_gradient(W, math.inf), atol=1e-4)


def energy(W: np.ndarray) -> np.ndarray:
    return 0.5 * ((W[..., 0, 0] - 1) ** 2 + (W[..., 1, 1] - 1) ** 2)


def energy_gradient(W: np.ndarray) -> np.ndarray:
    g = np.zeros_like(W)
    g[..., 0, 0] = W[..., 0, 0] - 1
    g[..., 1, 1] = W[..., 1, 1] - 1
    return g


@pytest.mark.parametrize("depth", [2, 3, math.inf])
def test_free_energy_gradient_by_finite_differences(depth: float) -> None:
    W = RNG.standard_normal((2, 2))
    found = free_energy_gradient(W, depth, energy_gradient=energy_gradient, beta=2.5)
    Z, h = RNG.standard_normal((2, 2)), 1e-6
    values = [free_energy(W + s * h * Z, depth, energy=energy, beta=2.5) for s in (1, -1)]
    assert pf.dln.metric(W, depth).inner(found, Z) == pytest.approx((values[0] - values[1]) / (2 * h), abs=1e-7)
    with pytest.raises(InputError, match="beta"):
        free_energy(W, depth, energy=energy, beta=0.0)


def test_free_energy_of_completion_is_unbounded_below_on_the_zero_set() -> None:
    x = np.array([1e1, 1e2, 1e3, 1e4])
    W = np.ones((4, 2, 2))
    W[:, 0, 1] = W[:, 1, 0] = x
    for depth in (2, 3, 5):
        F = np.asarray(free_energy(W, depth, energy=energy, beta=1.0))
        assert (np.diff(F) < -1).all()


def test_batches_of_entropies() -> None:
    W = RNG.standard_normal((2, 5, 3, 3))
    S = np.asarray(pf.dln.entropy(W, 3))
    G = entropy_gradient(W, 3)
    assert S.shape == (2, 5)
    for i in np.ndindex(2, 5):
        assert S[i] == pytest.approx(pf.dln.entropy(W[i], 3), rel=1e-13)
        assert np.allclose(G[i], entropy_gradient(W[i], 3), atol=1e-12)


@pytest.mark.parametrize(("widths", "rank"), [((3, 4, 2), 2), ((2, 3, 4, 3), 2), ((3, 3, 5, 4), 1), ((2, 2, 2), 2)])
def test_entropy_of_layers_that_are_not_square(widths: tuple[int, ...], rank: int) -> None:
    # tangents of the orbit by moving the frame of one hidden layer, differences of networks; group volumes as above
    depth = len(widths) - 1
    frames = [ortho_group.rvs(w, random_state=RNG) if w > 1 else np.eye(1) for w in widths]
    lam = np.array([1.3, 0.7])[:rank]

    def network(turned: int, theta: np.ndarray) -> np.ndarray:
        moved = [f @ (np.eye(len(f)) + theta if p == turned else np.eye(len(f))) for p, f in enumerate(frames)]
        layers = [(moved[p + 1][:, :rank] * lam) @ moved[p][:, :rank].T for p in range(depth)]
        return np.concatenate([w.ravel() for w in layers])

    tangents = []
    for p in range(1, depth):
        for i in range(widths[p]):
            for j in range(min(i, rank)):
                theta = np.zeros((widths[p], widths[p]))
                theta[i, j], theta[j, i] = math.sqrt(0.5) * 1e-6, -math.sqrt(0.5) * 1e-6
                tangents.append((network(p, theta) - network(p, -theta)) / 2e-6)
    t = np.array(tangents)
    volumes = sum(log_orthogonal_volume(w) - log_orthogonal_volume(w - rank) for w in widths[1:-1])
    W = (frames[-1][:, :rank] * lam**depth) @ frames[0][:, :rank].T
    found = pf.dln.entropy(W, depth, widths=widths, rank=rank)
    assert found == pytest.approx(volumes + 0.5 * np.linalg.slogdet(t @ t.T)[1], abs=1e-7)
    if len(set(widths)) == 1:
        assert found == pytest.approx(pf.dln.entropy(W, depth), rel=1e-13)
    with pytest.raises(InputError, match="layers"):
        pf.dln.entropy(W, depth + 1, widths=widths)
