"""Layerwise fibers: every component is checked by points on it, its dimension by Jacobians."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.budget import Budget
from polyfiber.errors import BudgetExceededError, InputError, ShapeError
from polyfiber.fibers.hyperplanes import analyse_layer
from polyfiber.fibers.layerwise import LayerParameters, LayerwiseFiber, layerwise_fiber


def orthant_points(rng: np.random.Generator, n: int, count: int = 4000) -> np.ndarray:
    return rng.exponential(1.0, (count, n)) * 10.0 ** rng.uniform(-2, 3, (count, n)) * (rng.random((count, n)) < 0.8)


def random_layer(
    rng: np.random.Generator, n: int, m: int, nonlinear: int, linear: int, dead: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows = []
    for _ in range(nonlinear):
        row = np.zeros(n + 1)
        while (row >= 0).all() or (row <= 0).all():
            row = rng.standard_normal(n + 1)
        rows.append(row)
    rows += [np.abs(rng.standard_normal(n + 1)) for _ in range(linear)]
    rows += [-np.abs(rng.standard_normal(n + 1)) for _ in range(dead)]
    R = np.array(rows)
    H = len(rows)
    return R[:, :n], R[:, n], rng.standard_normal((m, H)), rng.standard_normal(m)


def nullity(p: LayerParameters, points: np.ndarray) -> int:
    """Nullity of the Jacobian of the affine pieces (on the regions that the points meet)."""
    H, n = p.W.shape
    m = p.C.shape[0]
    patterns = np.unique(points @ p.W.T + p.b > 0, axis=0)
    blocks = []
    for D in patterns.astype(float):
        J = np.zeros((m, n + 1, H * n + H + m * H + m))
        for i in range(H):
            for j in range(n):
                J[:, j, i * n + j] = p.C[:, i] * D[i]
            J[:, n, H * n + i] = p.C[:, i] * D[i]
            for k in range(m):
                J[k, :n, H * n + H + k * H + i] = D[i] * p.W[i]
                J[k, n, H * n + H + k * H + i] = D[i] * p.b[i]
        J[:, n, H * n + H + m * H :] = np.eye(m)
        blocks.append(J.reshape(m * (n + 1), -1))
    J = np.vstack(blocks)
    return J.shape[1] - int(np.linalg.matrix_rank(J, tol=1e-9 * np.linalg.norm(J, 2)))


# (n, m, nonlinear, linear): one of each row of the table, both ends included
TABLE = [
    (3, 2, 2, 0), (3, 2, 2, 1), (3, 2, 3, 2), (3, 2, 2, 3), (2, 3, 2, 1), (2, 3, 2, 2), (2, 3, 3, 3),
    (2, 2, 3, 2), (3, 3, 2, 3), (4, 2, 2, 2), (3, 1, 3, 1), (3, 1, 2, 2), (1, 2, 1, 1), (2, 1, 2, 0),
]  # fmt: skip


@pytest.mark.parametrize(("n", "m", "N", "ell"), TABLE)
def test_components_and_dimensions_of_the_table(n: int, m: int, N: int, ell: int) -> None:
    rng = np.random.default_rng(1000 * n + 100 * m + 10 * N + ell)
    points = orthant_points(rng, n)
    for _ in range(3):
        layer = random_layer(rng, n, m, N, ell, 0)
        fiber = layerwise_fiber(*layer)
        own = LayerParameters(*layer)
        values = own(points)
        assert fiber.contains(own)
        found = [c for c in fiber.components() if c.n_linear == ell]
        taus = {tuple(c.orientation.tolist()) for c in found}
        assert len(taus) == len(found)
        assert tuple(fiber.own_orientation.tolist()) in taus
        if ell < min(n, m):
            assert len(found) == 1
            expected = ell**2
        elif ell <= m and (ell == n <= m):
            assert len(found) == 2**N
            expected = ell**2
        elif ell == m < n:
            expected = ell**2
        else:
            assert len(found) == 2**N
            expected = ell * (n + m) - n * m
        if ell <= 1 or ell > min(n, m) or (ell == n <= m):
            assert fiber.count_components() == sum(1 for _ in fiber.components())
        for component in found:
            assert component.dimension == expected
            for point in (component.point(), component.sample(rng=rng)):
                np.testing.assert_allclose(point(points), values, atol=1e-9 * np.abs(values).max())
                assert fiber.contains(point)
            assert nullity(point, points) == expected + N + ell


def test_dead_neurons_add_their_freedom() -> None:
    rng = np.random.default_rng(3)
    n, m = 3, 2
    for N, ell, dead in ((2, 1, 1), (2, 0, 2), (1, 2, 1)):
        layer = random_layer(rng, n, m, N, ell, dead)
        points = orthant_points(rng, n)
        values = LayerParameters(*layer)(points)
        fiber = layerwise_fiber(*layer)
        assert fiber.n_spare == ell + dead
        best = -1
        splits = set()
        for component in fiber.components():
            point = component.sample(rng=rng)
            np.testing.assert_allclose(point(points), values, atol=1e-9 * np.abs(values).max())
            assert nullity(point, points) == component.dimension + N + ell + dead
            best = max(best, component.dimension)
            splits.add((component.n_linear, component.n_dead))
        assert best == fiber.dimension
        assert (ell, dead) in splits


def test_emptiness_at_l_equals_m_follows_pointedness() -> None:
    """n = 3 > m = 1: a component with one linear neuron exists iff Lambda has one sign (rk+ = 1)."""
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(20):
        layer = random_layer(rng, 3, 1, 3, 1, 0)
        fiber = layerwise_fiber(*layer)
        expected = set()
        for tau in itertools.product((1, -1), repeat=3):
            slope = fiber.component(tau, 1).slope
            if (slope > 0).all() or (slope < 0).all():
                expected.add(tau)
        found = {tuple(c.orientation.tolist()) for c in fiber.components() if c.n_linear == 1}
        assert found == expected
        seen.add(len(found))
    assert len(seen) > 1


def test_samples_reach_every_component_and_every_direction() -> None:
    rng = np.random.default_rng(5)
    layer = random_layer(rng, 2, 2, 2, 3, 0)
    fiber = layerwise_fiber(*layer)
    points = orthant_points(rng, 2)
    values = LayerParameters(*layer)(points)
    seen = set()
    differences = []
    for _ in range(200):
        p = fiber.sample(rng=rng)
        np.testing.assert_allclose(p(points), values, atol=1e-8 * np.abs(values).max())
        linear = ((p.W >= 0) & (p.b >= 0)[:, None]).all(axis=1)
        dead = ((p.W <= 0) & (p.b <= 0)[:, None]).all(axis=1)
        seen.add((tuple(np.sign(p.W[:2, 0]).tolist()), int(linear.sum()), int(dead.sum())))
        if linear.sum() == 3:
            differences.append(np.r_[p.W[2:].ravel(), p.b[2:], p.C[:, 2:].ravel()])
    assert len({k[1:] for k in seen}) >= 2
    assert sum(1 for k in seen if k[1] == 3) == 4
    # rows are unit: U has 3 free angles, b has 3, C follows up to its left null part: all coordinates move
    moved = np.ptp(np.array(differences), axis=0)
    assert (moved > 1e-3).all()


def test_degenerate_parameters() -> None:
    rng = np.random.default_rng(6)
    W, b, C, a = random_layer(rng, 3, 2, 3, 1, 1)
    # coincident hyperplane in the opposite orientation, a cancelling pair, a zero row, an unused neuron
    W = np.vstack([W, -2 * W[0], W[1:2] * 3, [[1.0, -1, 0]], [[2.0, -2, 0]], np.zeros((1, 3)), [[1.0, 2, -3]]])
    b = np.r_[b, -2 * b[0], b[1] * 3, -0.25, -0.5, 0.7, 0.1]
    extra = rng.standard_normal((2, 6))
    extra[:, 2], extra[:, 3] = [2.0, 4.0], [-1.0, -2.0]
    extra[:, 5] = 0
    C = np.hstack([C, extra])
    analysis = analyse_layer(W, b, C, a)
    assert analysis.roles == (
        "nonlinear", "nonlinear", "nonlinear", "linear", "dead", "nonlinear", "nonlinear", "cancelling", "cancelling",
        "linear", "cancelling",
    )  # fmt: skip
    assert analysis.hyperplane[5] == analysis.hyperplane[0]
    assert analysis.hyperplane[6] == analysis.hyperplane[1]
    assert analysis.orientation[analysis.hyperplane[0]] == 0
    assert not analysis.is_generic
    points = orthant_points(rng, 3)
    own = LayerParameters(W, b, C, a)
    values = own(points)
    np.testing.assert_allclose(analysis.representation(points), values, atol=1e-9 * np.abs(values).max())
    fiber = layerwise_fiber(W, b, C, a)
    assert fiber.contains(own)
    for component in itertools.islice(fiber.components(), 12):
        for p in (component.point(), component.sample(rng=rng)):
            np.testing.assert_allclose(p(points), values, atol=1e-8 * np.abs(values).max())
    exact = analyse_layer(*(np.array(v, dtype=object) for v in (W, b, C, a)))
    assert exact.roles[:7] == analysis.roles[:7]
    assert exact.representation.is_exact


def test_exact_layers_stay_exact() -> None:
    rng = np.random.default_rng(7)
    W, b, C, a = (np.array([[Fraction(int(v), 3) for v in row] for row in rng.integers(-4, 5, shape)], dtype=object)
                  for shape in ((5, 3), (1, 5), (2, 5), (1, 2)))  # fmt: skip
    W[0], b[0, 0] = [Fraction(1), Fraction(2), Fraction(0)], Fraction(1)
    layer = (W, b[0], C, a[0])
    fiber = layerwise_fiber(*layer)
    points = np.array([[Fraction(int(v), 7) for v in row] for row in rng.integers(0, 40, (60, 3))], dtype=object)
    values = LayerParameters(*layer)(points)
    assert (fiber.representation(points) == values).all()
    count = 0
    for component in itertools.islice(fiber.components(), 6):
        for p in (component.point(), component.sample(rng=rng)):
            assert (p(points) == values).all()
            assert fiber.contains(p)
            count += 1
    assert count


def test_all_of_space() -> None:
    rng = np.random.default_rng(8)
    W, b, C, a = (
        rng.standard_normal((4, 3)),
        rng.standard_normal(4),
        rng.standard_normal((2, 4)),
        rng.standard_normal(2),
    )
    fiber = layerwise_fiber(W, b, C, a, domain="space")
    components = list(fiber.components())
    assert [c.dimension for c in components] == [0]
    assert fiber.count_components() == 1
    points = rng.standard_normal((500, 3)) * 10
    values = LayerParameters(W, b, C, a)(points)
    np.testing.assert_allclose(components[0].point()(points), values, atol=1e-9)
    # two flips that cancel: c1 u1 + c2 u2 = 0 is possible only with a dependence
    W2, b2 = np.array([[1.0, 0], [1.0, 0]]), np.array([0.5, -0.5])
    C2 = np.array([[1.0, -1.0]])
    flips = {tuple(c.orientation.tolist()) for c in layerwise_fiber(W2, b2, C2, [0.0], domain="space").components()}
    assert len(flips) == 2
    for c in layerwise_fiber(W2, b2, C2, [0.0], domain="space").components():
        y = rng.standard_normal((100, 2))
        np.testing.assert_allclose(c.point()(y), LayerParameters(W2, b2, C2, np.zeros(1))(y), atol=1e-12)


def test_contains_tells_functions_apart() -> None:
    rng = np.random.default_rng(9)
    layer = random_layer(rng, 3, 2, 3, 1, 0)
    fiber = layerwise_fiber(*layer)
    W, b, C, a = layer
    scaled = LayerParameters(W * 3, b * 3, C / 3, a)
    assert fiber.contains(scaled)
    for index in range(4):
        moved = [v.copy() for v in layer]
        moved[index].flat[0] += 1e-6
        assert not fiber.contains(LayerParameters(*moved))
    assert not fiber.contains(LayerParameters(W[:3], b[:3], C[:, :3], a))


def test_lazy_and_budget() -> None:
    rng = np.random.default_rng(10)
    layer = random_layer(rng, 4, 3, 40, 5, 0)
    fiber = layerwise_fiber(*layer)
    assert fiber.always_non_empty(5)
    assert not fiber.always_non_empty(3)
    first = list(itertools.islice(fiber.components(), 5))
    assert len({tuple(c.orientation.tolist()) for c in first}) == 5
    assert fiber.component(np.ones(40), 5).dimension == 5 * 7 - 12
    assert fiber.dimension >= 5 * 7 - 12
    slow = layerwise_fiber(*random_layer(rng, 4, 3, 22, 3, 0))
    with pytest.raises(BudgetExceededError, match="orientations"):
        slow.count_components(limit=1000)
    with pytest.raises(BudgetExceededError):
        list(slow.components(budget=Budget(seconds=0.0)))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="domain"):
        layerwise_fiber([[1.0]], [0.0], [[1.0]], [0.0], domain="sphere")  # type: ignore[arg-type]
    fiber = layerwise_fiber([[1.0, -1.0]], [0.5], [[1.0]], [0.0])
    with pytest.raises(InputError, match="1 sign"):
        fiber.component([0], 0)
    with pytest.raises(InputError, match="spare"):
        fiber.component([1], 1)
    with pytest.raises(ShapeError):
        LayerwiseFiber(fiber.representation, 0)
    with pytest.raises(InputError, match="nan"):
        layerwise_fiber([[np.nan]], [0.0], [[1.0]], [0.0])


def test_samples_with_equal_linear_rows_keep_the_function() -> None:
    """Two linear neurons of rank one: their rows are equal up to rounding, not a basis of a plane."""
    rng = np.random.default_rng(0)
    row = np.array([0.29, 0.014, 0.96])
    fiber = layerwise_fiber(np.stack([row, 2 * row]), np.array([0.4, 0.3]), rng.standard_normal((3, 2)), np.zeros(3))
    Y = orthant_points(rng, 3, 200)
    for seed in range(300):
        sample = fiber.component([], 2).sample(rng=seed)
        np.testing.assert_allclose(sample(Y), fiber.component([], 2).point()(Y), rtol=1e-9, atol=1e-9)
