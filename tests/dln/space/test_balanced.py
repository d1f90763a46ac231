"""Invariants, charts, leaves and projection of balanced varieties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import ortho_group

from polyfiber.dln import (
    from_polar_coordinates,
    from_svd_coordinates,
    imbalance,
    invariants,
    leaf_dimension,
    lift,
    polar_coordinates,
    product,
    project_balanced,
    pull,
    random_balanced,
    svd_coordinates,
)
from polyfiber.errors import InputError, NumericalError, ShapeError

RNG = np.random.default_rng(3)


def gaussian(widths: tuple[int, ...], scale: float = 1.0) -> list[np.ndarray]:
    return [scale * RNG.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]


@pytest.mark.parametrize("widths", [(3, 3, 3), (4, 2, 5, 3), (1, 6, 1)])
def test_invariants_have_zero_derivative_along_gradient_flow(widths: tuple[int, ...]) -> None:
    layers = gaussian(widths)
    E = RNG.standard_normal((widths[-1], widths[0]))
    velocity = []
    for p in range(len(layers)):
        above = np.eye(widths[-1]) if p == len(layers) - 1 else product(layers[p + 1 :])
        below = np.eye(widths[0]) if p == 0 else product(layers[:p])
        velocity.append(-above.T @ E @ below.T)
    for p in range(len(layers) - 1):
        half = velocity[p] @ layers[p].T - layers[p + 1].T @ velocity[p + 1]
        assert np.abs(half + half.T).max() < 1e-12
    if len(set(widths)) == 1:
        assert np.allclose(pull(np.stack(layers), E), -np.stack(velocity))


@pytest.mark.parametrize("widths", [(3, 3, 3, 3), (4, 3, 5), (2, 7, 4, 2)])
@pytest.mark.parametrize("rank", [1, 2])
def test_svd_chart_both_ways_on_every_leaf(widths: tuple[int, ...], rank: int) -> None:
    layers = random_balanced(widths, rank=rank, rng=RNG)
    chart = svd_coordinates(layers)
    assert chart.rank == rank
    assert max(np.abs(a - b).max() for a, b in zip(chart.weights, layers)) < 1e-13
    again = from_svd_coordinates(chart.frames, chart.values)
    assert float(imbalance(again)) < 1e-14
    s = np.linalg.svd(product(again), compute_uv=False)
    assert np.allclose(s[:rank], chart.values ** (len(widths) - 1))
    assert np.linalg.matrix_rank(product(again)) == rank


def test_svd_chart_with_repeated_singular_values() -> None:
    q = ortho_group.rvs(3, size=4, random_state=RNG)
    layers = from_svd_coordinates(list(q), [2.0, 2.0, 1.0])
    chart = svd_coordinates(layers)
    assert max(np.abs(a - b).max() for a, b in zip(chart.weights, layers)) < 1e-13


@pytest.mark.parametrize("widths", [(2, 2, 2), (3, 3, 3, 3), (2, 3, 4), (3, 1, 2)])
def test_leaf_dimension_is_the_rank_of_the_chart(widths: tuple[int, ...]) -> None:
    n = len(widths) - 1
    for rank in range(1, min(widths) + 1):
        chart = svd_coordinates(random_balanced(widths, rank=rank, rng=RNG))
        tangents = []
        for k in range(rank):
            e = np.zeros(rank)
            e[k] = 1.0
            tangents.append(
                np.concatenate([((q1 * e) @ q0.T).ravel() for q0, q1 in zip(chart.frames, chart.frames[1:])])
            )
        for p, width in enumerate(widths):
            for i in range(width):
                for j in range(i):
                    skew = np.zeros((width, width))
                    skew[i, j], skew[j, i] = 1.0, -1.0
                    turned = [np.zeros((b, a)) for a, b in zip(widths, widths[1:])]
                    moved = skew @ chart.frames[p]
                    if p > 0:
                        turned[p - 1] = (moved * chart.values) @ chart.frames[p - 1].T
                    if p < n:
                        turned[p] = (chart.frames[p + 1] * chart.values) @ moved.T
                    tangents.append(np.concatenate([t.ravel() for t in turned]))
        # frames turned from outside, and (for generic distinct values) from inside: all of the tangent space
        assert np.linalg.matrix_rank(np.array(tangents), tol=1e-9) == leaf_dimension(widths, rank)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("widths", [(3, 3, 3, 3), (1, 1), (5, 5, 5)])
def test_polar_chart_of_any_square_network_both_ways(widths: tuple[int, ...], side: str) -> None:
    layers = gaussian(widths)
    chart = polar_coordinates(layers, side=side)
    assert max(np.abs(a - b).max() for a, b in zip(chart.weights, layers)) < 1e-11


def test_polar_chart_right_to_left_of_rectangular_layers() -> None:
    layers = gaussian((2, 4, 3))
    chart = polar_coordinates(layers)
    assert max(np.abs(a - b).max() for a, b in zip(chart.weights, layers)) < 1e-11


def test_polar_chart_makes_networks_with_prescribed_invariants() -> None:
    m = RNG.standard_normal((2, 3, 3))
    g = [-(a @ a.T) for a in m]
    layers = from_polar_coordinates(
        RNG.standard_normal((3, 3)), list(ortho_group.rvs(3, size=2, random_state=RNG)), invariants=g
    )
    assert max(np.abs(a - b).max() for a, b in zip(invariants(layers), g)) < 1e-12
    left = from_polar_coordinates(
        RNG.standard_normal((3, 3)),
        list(ortho_group.rvs(3, size=2, random_state=RNG)),
        invariants=[-x for x in g],
        side="left",
    )
    assert max(np.abs(a + b).max() for a, b in zip(invariants(left), g)) < 1e-12
    with pytest.raises(InputError, match="negative eigenvalue"):
        from_polar_coordinates(np.eye(3), [np.eye(3)], invariants=[2 * np.eye(3)])
    with pytest.raises(InputError, match="isometric"):
        from_polar_coordinates(np.eye(3), [2 * np.eye(3)])
    with pytest.raises(InputError, match="side"):
        polar_coordinates(layers, side="up")


def test_lift_is_balanced_whatever_the_gauge() -> None:
    W = RNG.standard_normal((4, 3, 3))
    q = ortho_group.rvs(3, size=2, random_state=RNG)
    for gauge in (None, q):
        up = lift(W, 3, gauge=gauge)
        assert up.shape == (4, 3, 3, 3)
        assert float(imbalance(up).max()) < 1e-14
        assert np.allclose(product(up), W)
    singular = np.diag([1.0, 1e-20, 0.0])
    assert np.linalg.matrix_rank(lift(singular, 8)[0]) == 1
    with pytest.raises(InputError, match="orthogonal"):
        lift(W, 3, gauge=2 * q)
    with pytest.raises(InputError, match="shape"):
        lift(W, 4, gauge=q)


# projection ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(3, 3, 3), (2, 2, 2, 2), (4, 4, 4, 4)])
def test_projection_near_the_variety_is_certified_and_beats_every_competitor(widths: tuple[int, ...]) -> None:
    layers = [w + 0.03 * RNG.standard_normal(w.shape) for w in random_balanced(widths, rng=RNG)]
    found = project_balanced(layers)
    assert found.certified
    assert found.margin > 0
    assert float(imbalance(found.weights)) < 1e-11
    assert found.lower_bound == pytest.approx(found.distance, rel=1e-8)
    chart = svd_coordinates(found.weights)
    for _ in range(30):
        frames = [q @ ortho_group.rvs(len(q), random_state=RNG) if RNG.random() < 0.3 else q for q in chart.frames]
        values = np.abs(chart.values + 0.1 * RNG.standard_normal(chart.values.shape))
        other = from_svd_coordinates(frames, values)
        assert sum(((a - b) ** 2).sum() for a, b in zip(other, layers)) ** 0.5 >= found.distance - 1e-12


def test_projection_of_a_scalar_network_is_the_known_answer() -> None:
    # (w1, w2) -> the nearer of the two lines |w1| = |w2|
    for a, b in [(3.0, 1.0), (-2.0, 0.5), (0.1, -4.0)]:
        found = project_balanced([[[a]], [[b]]])
        assert found.distance == pytest.approx(abs(abs(a) - abs(b)) / 2**0.5, rel=1e-10)
        assert found.certified


def test_projection_against_a_general_minimiser() -> None:
    layers = gaussian((2, 2, 2), 0.8)
    found = project_balanced(layers)

    def value(x: np.ndarray, signs: tuple[int, int]) -> float:
        def rot(a: float) -> np.ndarray:
            return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])

        flips = [np.diag([1.0, s]) for s in signs]
        q = [rot(x[2]), rot(x[3]) @ flips[0], rot(x[4]) @ flips[1]]
        return float(sum(((q[p + 1] * x[:2] @ q[p].T - layers[p]) ** 2).sum() for p in range(2)))

    best = np.inf
    for signs in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
        for _ in range(6):
            best = min(best, minimize(value, RNG.standard_normal(5) * 2, args=(signs,), method="BFGS").fun)
    assert found.distance == pytest.approx(best**0.5, rel=1e-6)
    assert found.lower_bound <= found.distance * (1 + 1e-9)


def test_projection_onto_other_invariants() -> None:
    layers = gaussian((3, 3, 3))
    target = invariants(layers)
    moved = [w + 0.02 * RNG.standard_normal(w.shape) for w in layers]
    found = project_balanced(moved, target=target)
    assert found.certified
    assert max(np.abs(a - b).max() for a, b in zip(invariants(found.weights), target)) < 1e-10
    assert found.distance <= sum(((a - b) ** 2).sum() for a, b in zip(layers, moved)) ** 0.5


@pytest.mark.parametrize("widths", [(3, 2, 3), (4, 3, 2, 5), (2, 5, 2)])
def test_projection_of_rectangular_and_distant_networks_is_local_at_least(widths: tuple[int, ...]) -> None:
    layers = gaussian(widths)
    found = project_balanced(layers)
    assert float(imbalance(found.weights)) < 1e-9
    assert found.lower_bound <= found.distance * (1 + 1e-9)
    # stationary: scaling the answer does not help
    for factor in (0.999, 1.001):
        assert sum(((factor * b - w) ** 2).sum() for b, w in zip(found.weights, layers)) ** 0.5 >= found.distance - 1e-9


def test_projection_of_degenerate_networks() -> None:
    zero = project_balanced([np.zeros((2, 2)), np.zeros((2, 2))])
    assert zero.distance == 0.0
    single = project_balanced([np.ones((2, 3))])
    assert single.distance == 0.0
    half = project_balanced([np.zeros((2, 2)), np.eye(2)])
    assert half.distance == pytest.approx(1.0, rel=1e-9)
    assert not half.certified
    with pytest.raises(NumericalError, match="zero network"):
        project_balanced([np.zeros((2, 2)), np.zeros((2, 2))], target=[np.eye(2)])
    with pytest.raises(ShapeError):
        project_balanced([np.eye(2), np.eye(2)], target=[np.eye(3)])


@pytest.mark.parametrize(
    "weights",
    [[], [np.eye(2), np.eye(3)], np.eye(2), "abc", [np.eye(2), np.full((2, 2), np.nan)], [np.ones((2, 0))], 3.0],
)
def test_bad_networks_are_refused(weights: object) -> None:
    with pytest.raises(InputError):
        invariants(weights)
    with pytest.raises(InputError):
        project_balanced(weights)


def test_unbalanced_networks_have_no_svd_chart() -> None:
    with pytest.raises(InputError, match="not balanced"):
        svd_coordinates([np.eye(2), 2 * np.eye(2)])
    with pytest.raises(InputError, match="rank"):
        leaf_dimension((2, 3), 3)
