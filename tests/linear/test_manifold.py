"""Tangent and normal spaces against the infinitesimal action; retractions; curves."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError, NumericalError, ShapeError
from polyfiber.linear import manifold
from polyfiber.linear.manifold import WeightSpace
from polyfiber.linear.weights import flatten, norm, product, unflatten
from tests.linear.cases import small
from tests.oracles.linear_geometry import action_matrix, column_basis, differential, null_basis


def same_space(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a @ a.T - b @ b.T).max()) if a.size or b.size else 0.0


def check_point(s, w, b) -> None:
    layers = b.reconstruct()
    assert np.abs(product(layers) - w).max() < 1e-11
    for of, keep in (("stratum", True), ("orbit", False)):
        expected = column_basis(action_matrix(layers, keep_product=keep))
        tangent, normal = pf.linear.tangent_space(b, of=of), pf.linear.normal_space(b, of=of)
        assert expected.shape[1] == tangent.dim
        t, n = tangent.basis(), normal.basis()
        assert t.shape[1] == tangent.dim
        assert n.shape[1] == normal.dim
        assert same_space(t, expected) < 1e-9
        assert np.abs(t.T @ n).max(initial=0) < 1e-10
        assert np.abs(t.T @ t - np.eye(t.shape[1])).max(initial=0) < 1e-12
    assert pf.linear.tangent_space(b).dim == s.dim
    fiber = pf.linear.tangent_space(b, of="fiber")
    kernel = null_basis(differential(layers))
    assert kernel.shape[1] == fiber.dim == s.dof
    assert same_space(fiber.basis(), kernel) < 1e-9


def test_spaces_against_the_action_on_a_share_of_all_small_strata() -> None:
    for s, w, b in small(0.02, 1):
        check_point(s, w, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("top", "layers", "share"), [(3, 1, 1.0), (2, 3, 1.0), (3, 2, 0.5), (3, 3, 0.1), (2, 4, 0.1), (3, 4, 0.001)]
)
def test_spaces_against_the_action_of_more_layers(top: int, layers: int, share: float) -> None:
    for s, w, b in small(share, 2, top, layers):
        check_point(s, w, b)


def test_explicit_bases_are_independent_rank_one_and_orthogonal_to_each_other() -> None:
    for _, _, b in small(0.01, 3):
        for of in ("stratum", "orbit", "fiber"):
            spaces = [pf.linear.tangent_space(b, of=of), pf.linear.normal_space(b, of=of)]
            vectors = []
            for space in spaces:
                own = list(space.explicit_basis())
                assert len(own) == space.dim
                assert all(np.linalg.matrix_rank(m) <= 1 for v in own for m in v if m.size)
                vectors.append(np.array([flatten(v) for v in own]).reshape(len(own), space.ambient_dim))
            gram = vectors[0] @ vectors[1].T
            assert np.abs(gram).max(initial=0) < 1e-9
            assert np.linalg.matrix_rank(np.vstack(vectors)) == spaces[0].ambient_dim


def test_matrix_free_projection_equals_the_dense_one() -> None:
    rng = np.random.default_rng(5)
    for _, _, b in small(0.01, 4):
        z = [rng.standard_normal((q, p)) for p, q in zip(b.widths, b.widths[1:])]
        for of in ("stratum", "orbit", "fiber"):
            space = pf.linear.normal_space(b, of=of)
            if space.dim:
                free = space._conjugate_gradients(z, 1e-13, 2000)
                assert norm([x - y for x, y in zip(free, space.project(z))]) < 1e-9 * norm(z)


def test_matrix_free_projection_at_larger_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "_DENSE", 0)
    rng = np.random.default_rng(6)
    st = pf.linear.stratify((30, 25, 30), rank=10, budget=pf.Budget(memory="1GiB"))
    for s in (st[0], st[len(st) // 2], st[len(st) - 1]):
        w = pf.linear.sample(s, product=rng.standard_normal((30, 10)) @ rng.standard_normal((10, 30)), rng=rng)
        tangent = pf.linear.tangent_space(w)
        assert tangent.dim == s.dim
        z = [rng.standard_normal(v.shape) for v in w]
        p = tangent.project(z)
        q = tangent.complement().project(z)
        assert norm([a - x - y for a, x, y in zip(z, p, q)]) < 1e-9 * norm(z)
        assert abs(sum(np.vdot(x, y) for x, y in zip(p, q))) < 1e-8 * norm(z) ** 2
        assert np.abs(p[1] @ w[0] + w[1] @ p[0]).max() < 1e-7 * norm(z)
        assert norm([x - y for x, y in zip(tangent.project(p), p)]) < 1e-9 * norm(z)


def test_retraction_keeps_ranks_and_product_and_agrees_to_first_order() -> None:
    rng = np.random.default_rng(7)
    for s, w, b in small(0.015, 8):
        z = [rng.standard_normal((q, p)) for p, q in zip(b.widths, b.widths[1:])]
        tangent = pf.linear.tangent_space(b).project(z)
        here = b.reconstruct()
        errors = []
        for h in (1e-3, 1e-4):
            moved = pf.linear.retract(b, [h * v for v in z])
            assert np.abs(product(moved) - w).max() < 1e-11
            assert pf.linear.locate(moved).reading.label == s.label
            errors.append(norm([m - x - h * t for m, x, t in zip(moved, here, tangent)]))
        assert errors[1] <= 0.02 * errors[0] + 1e-13
        curve = pf.linear.along(b, z)
        far = curve(0.5)
        assert np.abs(product(far) - w).max() < 1e-9 * max(1.0, norm(far) ** 3)


def test_retraction_onto_the_fiber() -> None:
    rng = np.random.default_rng(9)
    st = pf.linear.stratify((3, 4, 3), rank=2)
    target = rng.standard_normal((3, 2)) @ rng.standard_normal((2, 3))
    for s in st:
        w = pf.linear.sample(s, product=target, rng=rng)
        z = [1e-3 * rng.standard_normal(v.shape) for v in w]
        moved = pf.linear.retract(w, z, onto="fiber")
        assert np.abs(product(moved) - target).max() < 1e-12
        tangent = pf.linear.tangent_space(w, of="fiber").project(z)
        if s.rdof == 0:
            assert norm([m - x - t for m, x, t in zip(moved, w, tangent)]) < 1e-4
    near = [v + 1e-2 * rng.standard_normal(v.shape) for v in w]
    assert np.abs(product(pf.linear.to_fiber(near, target)) - target).max() < 1e-12


def test_large_retraction_onto_the_fiber_is_matrix_free() -> None:
    rng = np.random.default_rng(10)
    w = [rng.standard_normal((40, 40)) / 40**0.5 for _ in range(3)]
    target = product(w)
    near = [v + 1e-3 * rng.standard_normal(v.shape) for v in w]
    assert np.abs(product(pf.linear.to_fiber(near, target)) - target).max() < 1e-10


def test_contains_and_bad_requests() -> None:
    w = [np.array([[1.0, 0.0]]), np.array([[0.0]])]
    t = pf.linear.tangent_space(w)
    assert t.contains([[[5.0, 1.0]], [[0.0]]])
    assert not t.contains([[[0.0, 0.0]], [[1.0]]])
    assert isinstance(t.complement(), WeightSpace)
    assert t.complement().dim == 1
    with pytest.raises(ShapeError, match="expected those of the weights"):
        t.project([[[1.0]], [[0.0]]])
    with pytest.raises(InputError, match="must be 'stratum'"):
        pf.linear.tangent_space(w, of="leaf")
    with pytest.raises(InputError, match="located already"):
        pf.linear.tangent_space(t.at, tolerance=1e-3)
    with pytest.raises(BudgetExceededError):
        pf.linear.tangent_space(w).basis(budget=pf.Budget(memory=10))
    with pytest.raises(NumericalError, match="smaller step"):
        pf.linear.retract([np.eye(2), np.eye(2)], [1e6 * np.eye(2), -1e6 * np.eye(2)])
    with pytest.raises(NumericalError, match="iterations"):
        pf.linear.tangent_space([np.diag([1.0, 2.0, 3.0])] * 3)._conjugate_gradients([np.ones((3, 3))] * 3, 1e-12, 1)
    with pytest.raises(InputError, match="the weights give"):
        pf.linear.to_fiber(w, np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="found a vector"):
        unflatten(np.zeros(4), (2, 1, 1))
