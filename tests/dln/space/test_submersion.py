"""Riemannian submersion, projections, retraction and the orthonormal frame."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

import polyfiber as pf
from polyfiber.dln import (
    from_svd_coordinates,
    gauge_gram,
    gauge_vectors,
    horizontal_defect,
    horizontal_lift,
    imbalance,
    lift,
    product,
    project_horizontal,
    project_normal,
    project_tangent,
    project_vertical,
    pull,
    push,
    retract,
    second_fundamental_form,
    tangent_frame,
    verify_submersion,
)
from polyfiber.dln.space.submersion import constraint, constraint_pull, constraint_push
from polyfiber.errors import InputError, NumericalError

RNG = np.random.default_rng(11)


def network(d: int, n: int, values: np.ndarray | None = None) -> np.ndarray:
    q = ortho_group.rvs(d, size=n + 1, random_state=RNG) if d > 1 else RNG.choice([-1.0, 1.0], (n + 1, 1, 1))
    lam = RNG.uniform(0.5, 1.5, d) if values is None else values
    return np.stack(from_svd_coordinates(list(q.reshape(n + 1, d, d)), lam))


CASES = [(1, 2), (2, 1), (2, 2), (2, 5), (3, 3), (4, 4)]


@pytest.mark.parametrize(("d", "n"), CASES)
def test_product_is_a_riemannian_submersion(d: int, n: int) -> None:
    report = verify_submersion(network(d, n))
    assert report.dimensions == (d * d + (n - 1) * d * (d - 1) // 2, (n - 1) * d * (d - 1) // 2, d * d)
    assert report.balance < 1e-13
    assert report.surjectivity > 0
    assert report.isometry < 1e-11
    assert report.vertical < 1e-12
    assert report.orthogonality < 1e-12


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 1.0 + 1e-9, 0.5], [1.0, 1e-2, 1e-3]], ids=str)
def test_submersion_at_coinciding_and_small_singular_values(values: list[float]) -> None:
    report = verify_submersion(network(3, 3, np.array(values)))
    assert report.dimensions == (15, 6, 9)
    assert report.isometry < 1e-6


def test_submersion_of_unbalanced_or_rank_deficient_networks_is_seen_to_fail() -> None:
    layers = RNG.standard_normal((3, 3, 3))
    assert verify_submersion(layers).isometry > 1e-3
    with pytest.raises(InputError):
        verify_submersion(network(3, 3, np.array([1.0, 0.5, 0.0])))


@pytest.mark.parametrize(("d", "n"), CASES)
def test_pushes_and_pulls_are_derivatives_and_adjoints(d: int, n: int) -> None:
    W, V, Z = RNG.standard_normal((n, d, d)), RNG.standard_normal((n, d, d)), RNG.standard_normal((d, d))
    h = 1e-5
    assert np.abs((product(W + h * V) - product(W - h * V)) / (2 * h) - push(W, V)).max() < 1e-7
    assert (push(W, V) * Z).sum() == pytest.approx((V * pull(W, Z)).sum(), rel=1e-10)
    if n > 1:
        assert np.abs((constraint(W + h * V) - constraint(W - h * V)) / (2 * h) - constraint_push(W, V)).max() < 1e-9
        S = RNG.standard_normal((n - 1, d, d))
        S = S + S.transpose(0, 2, 1)
        assert (constraint_push(W, V) * S).sum() == pytest.approx(
            (V * constraint_pull(W, S)).sum(), rel=1e-10, abs=1e-12
        )


@pytest.mark.parametrize(("d", "n"), CASES)
def test_projections_split_the_weight_space(d: int, n: int) -> None:
    W, V = network(d, n), RNG.standard_normal((n, d, d))
    normal, tangent = project_normal(W, V), project_tangent(W, V)
    across, along = project_horizontal(W, V), project_vertical(W, V)
    assert np.allclose(normal + across + along, V)
    assert np.allclose(tangent, across + along)
    for a, b in [(normal, tangent), (across, along)]:
        assert abs((a * b).sum()) < 1e-12
    assert np.abs(push(W, along)).max() < 1e-12
    assert horizontal_defect(W, across) < 1e-12
    for projector, image in [(project_normal, normal), (project_horizontal, across), (project_vertical, along)]:
        assert np.allclose(projector(W, image), image, atol=1e-11)
    Z = RNG.standard_normal((d, d))
    lifted = horizontal_lift(W, Z)
    assert np.allclose(push(W, lifted), Z)
    assert np.linalg.norm(lifted) == pytest.approx(pf.dln.metric(product(W), n).norm(Z), rel=1e-10)
    assert horizontal_defect(W, lifted) < 1e-12


def test_projections_in_batches() -> None:
    W = np.stack([network(3, 3) for _ in range(4)])
    V = RNG.standard_normal((4, 3, 3, 3))
    for function in (
        project_normal,
        project_tangent,
        project_horizontal,
        project_vertical,
        second_fundamental_form,
        push,
    ):
        assert np.allclose(function(W, V), np.stack([function(w, v) for w, v in zip(W, V)]), atol=1e-11)


@pytest.mark.parametrize(("d", "n"), [(2, 2), (3, 3), (2, 5)])
def test_second_fundamental_form_and_retraction_by_finite_differences(d: int, n: int) -> None:
    W = network(d, n)
    V = project_tangent(W, RNG.standard_normal((n, d, d)))
    bend = second_fundamental_form(W, V)
    assert np.allclose(project_normal(W, bend), bend)
    errors = []
    for h in (1e-2, 5e-3):
        step = retract(W, h * V)
        assert float(imbalance(step)) < 1e-11
        second = (step + retract(W, -h * V) - 2 * W) / h**2
        errors.append(np.abs(second - bend).max())
        # second order: the tangent part is exactly W + hV
        assert np.abs(project_tangent(W, step - W) - h * V).max() < 1e-11
    assert errors[1] < 0.3 * errors[0] + 1e-10  # what rounding leaves of a second difference
    h = 4e-3
    near, middle, far = (
        retract(W, k * h * V, tolerance=1e-15) + retract(W, -k * h * V, tolerance=1e-15) - 2 * W for k in (1, 2, 3)
    )
    fine = (1.5 * near - 0.15 * middle + far / 90.0) / h**2
    assert np.abs(fine - bend).max() < 1e-7 * (1 + np.abs(bend).max())


def test_long_steps_are_refused_not_returned() -> None:
    W = network(3, 3)
    V = 50 * project_tangent(W, RNG.standard_normal(W.shape))
    with pytest.raises(NumericalError, match="halve it"):
        retract(W, V)


# frame ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), CASES)
def test_frame_is_orthonormal_tangent_and_split(d: int, n: int) -> None:
    W = network(d, n)
    frame = tangent_frame(W)
    everything = frame.all
    size = d * d + (n - 1) * d * (d - 1) // 2
    assert everything.shape == (size, n, d, d)
    flat = everything.reshape(size, -1)
    assert np.abs(flat @ flat.T - np.eye(size)).max() < 1e-13
    for v in everything:
        assert np.abs(project_normal(W, v)).max() < 1e-12
    for v in frame.vertical:
        assert np.abs(push(W, v)).max() < 1e-12
    for v in [*frame.diagonal, *frame.horizontal]:
        assert horizontal_defect(W, v) < 1e-12


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 1.0 + 1e-12, 0.3], [1.0, 1e-6, 1e-7]], ids=str)
def test_frame_at_coinciding_and_small_singular_values(values: list[float]) -> None:
    W = network(3, 4, np.array(values))
    frame = tangent_frame(W)
    flat = frame.all.reshape(len(frame.all), -1)
    assert np.abs(flat @ flat.T - np.eye(len(flat))).max() < 1e-9
    assert max(np.abs(constraint_push(W, v)).max() for v in frame.all) < 1e-9
    assert max(np.abs(push(W, v)).max() for v in frame.vertical) < 1e-9


def test_the_printed_sign_is_wrong() -> None:
    # Menon (8.21) with + : the vectors leave the tangent space
    W = network(2, 3, np.array([1.5, 0.5]))
    frame = tangent_frame(W)
    v = frame.vertical[0]
    q = W  # the two parts of v, separated through the singular frames
    u, _, vt = np.linalg.svd(q)
    parts = np.stack([np.abs(u[s].T @ v[s] @ vt[s].T) for s in range(3)])
    assert parts.max() > 0.1
    flipped = np.stack([u[s] @ np.triu(u[s].T @ v[s] @ vt[s].T) @ vt[s] for s in range(3)])
    flipped = 2 * flipped - v
    assert np.abs(constraint_push(W, v)).max() < 1e-13
    assert np.abs(constraint_push(W, flipped)).max() > 0.1


def test_gauge_gram_block_and_orbit_determinant() -> None:
    x, y, n = 1.3, 0.4, 4
    W = network(2, n, np.array([x, y]))
    inside = gauge_gram(x, y, n)[1:-1, 1:-1] / 2
    vectors = gauge_vectors(W).reshape(n - 1, -1)
    found = vectors @ vectors.T
    assert np.allclose(np.abs(found), np.abs(inside))
    wanted = (x ** (2 * n) - y ** (2 * n)) / (x**2 - y**2)
    assert np.linalg.det(found) == pytest.approx(wanted, rel=1e-12)
    # and the gauge vectors span the vertical space
    W = network(3, 3)
    span = gauge_vectors(W).reshape(6, -1)
    vertical = tangent_frame(W).vertical.reshape(6, -1)
    assert np.allclose(span @ vertical.T @ vertical, span)


def test_frames_need_full_rank_and_balance() -> None:
    with pytest.raises(InputError, match="rank"):
        tangent_frame(network(3, 2, np.array([1.0, 0.5, 0.0])))
    with pytest.raises(InputError, match="balanced"):
        tangent_frame(RNG.standard_normal((2, 3, 3)))
    with pytest.raises(InputError, match="one network"):
        tangent_frame(lift(RNG.standard_normal((2, 3, 3)), 2))
