"""Ends of different sizes: the law of cosines, and flows that grow by orders of magnitude."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from polyfiber import dln

A, B = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 3.0]])


def by_the_law_of_cosines(depth: int, size: float) -> float:
    d = dln.geodesic(A, B, depth, check=False).length
    first, last = (math.sqrt(dln.squared_radius(W, depth)) for W in (A, B))
    k = size ** (1.0 / depth)
    return math.sqrt((k * last - first) ** 2 + k * (d**2 - (last - first) ** 2))


@pytest.mark.parametrize(("depth", "size"), [(2, 1e-6), (3, 1e5), (10, 1e8), (3, 1e-9)])
def test_small_and_large_ends_are_joined_both_ways(depth: int, size: float) -> None:
    path, back = dln.geodesic(A, size * B, depth), dln.geodesic(size * B, A, depth, check=False)
    assert path.length == pytest.approx(by_the_law_of_cosines(depth, size), rel=1e-9)
    assert back.length == pytest.approx(path.length, rel=1e-9)
    assert path.lower_bound <= path.chord <= path.length
    assert path.residual < 1e-9
    assert dln.metric(A, depth).norm(path.velocity) == pytest.approx(path.length, rel=1e-9)
    assert np.abs(path.momentum - dln.metric(A, depth).solve(path.velocity)).max() < 1e-9 * np.abs(path.momentum).max()
    assert np.array_equal(path([0.0, 1.0]), [A, size * B])
    assert np.abs(path(0.3) - back(0.7)).max() < 1e-8 * np.abs(path(0.3)).max()
    h = 1e-7 / (1.0 + path.length)
    assert np.abs((path(h) - A) / h - path.velocity).max() < 1e-4 * np.abs(path.velocity).max()
    assert np.array_equal(pickle.loads(pickle.dumps(path))(0.5), path(0.5))


def test_derivatives_and_lifts_between_different_sizes() -> None:
    Z = np.random.default_rng(0).standard_normal((2, 2))
    for size in (1e-7, 1e4):
        first, second = dln.distance_gradient(A, size * B, 3)
        e = 1e-5
        slope = [(dln.distance(A + s * Z, size * B, 3), dln.distance(A, size * (B + s * Z), 3)) for s in (e, -e)]
        by_differences = (np.array(slope[0]) - slope[1]) / (2 * e)
        assert by_differences == pytest.approx([(first * Z).sum(), size * (second * Z).sum()], rel=1e-5)
    networks = dln.geodesic(A, 1e4 * B, 3).lift([0.0, 0.5, 1.0])
    assert np.abs(dln.product(networks[-1]) - 1e4 * B).max() < 1e-3


def test_low_rank_between_different_sizes() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((4, 2)) @ rng.standard_normal((2, 3)) for _ in range(2))
    path = dln.geodesic(a, 1e-6 * b, 4)
    assert path.rank == 2
    assert np.linalg.matrix_rank(path(0.4)) == 2
    assert path.length == pytest.approx(dln.geodesic(1e-6 * b, a, 4, check=False).length, rel=1e-9)


@pytest.mark.parametrize(("depth", "size"), [(2, 1000.0), (5, 100.0), (5, 1000.0)])
def test_geodesics_that_grow_are_followed(depth: int, size: float) -> None:
    turn = np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    right = np.linalg.matrix_power(np.eye(2) + size * turn / depth, depth)
    found = dln.exponential(np.eye(2), size * turn, depth)
    assert np.abs(found - right).max() < 1e-8 * np.abs(right).max()


def test_geodesics_are_followed_until_they_are_singular() -> None:
    assert dln.exponential(np.eye(2), -3 * np.eye(2), 3, t=0.995) == pytest.approx(0.005**3 * np.eye(2), rel=1e-6)
    with pytest.raises(dln.BoundaryError, match="singular"):
        dln.exponential(np.eye(2), -3 * np.eye(2), 3)


def test_the_least_singular_value_may_fall_by_orders_of_magnitude() -> None:
    rng = np.random.default_rng(2)
    (p, q), s = np.linalg.qr(rng.standard_normal((2, 3, 3)))[0], np.array([1.0, 0.5, 1e-8])
    a = np.eye(3) + 0.1 * rng.standard_normal((3, 3))
    b = (p * s) @ q
    b[0] *= np.sign(np.linalg.det(b)) * np.sign(np.linalg.det(a))
    for first, last in ((a, b), (b, a)):
        path = dln.geodesic(first, last, 3)
        assert path.solved
        assert path.residual < 1e-9
        assert np.abs(path(1.0 - 1e-7) - last).max() < 1e-5
        assert path(np.linspace(0.0, 1.0, 7)).shape == (7, 3, 3)
    assert dln.distance(a, b, 3) == pytest.approx(dln.distance(b, a, 3), rel=1e-8)
